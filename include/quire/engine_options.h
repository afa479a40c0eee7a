// What a user sets when a model is opened.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace quire {

enum class SchedulingPolicy : std::uint8_t { kFcfs, kPriority };

struct EngineOptions {
  std::string device = "cpu";
  std::string cpu_isa = "";              // empty: the best that the machine has
  int num_threads = 0;                   // 0: one a core
  int device_idx = 0;                    // of several GPUs, in the driver's order
  std::string kernel_cache_dir = "";     // kernels compiled for a GPU are kept here; empty: not on disk
  std::string nvrtc_path = "";           // libnvrtc as a file or its folder; empty: the usual places
  std::string cublas_path = "";          // libcublasLt, likewise
  bool own_kernels_only = false;         // also where a vendor's library is present
  std::string attention_backend = "";    // by name; empty: the first that can
  int page_size = 16;                    // tokens in a page of keys and values
  std::int64_t kv_cache_bytes = 0;       // 0: chosen from the memory that is free
  std::int64_t kv_cache_pages = 0;       // instead of bytes; no more are taken than max_num_seqs can use
  int max_model_len = 0;                 // 0: what the model was made for
  int max_num_seqs = 256;                // requests that run at the same time
  int max_num_batched_tokens = 2048;     // tokens computed in one step
  int long_prefill_token_threshold = 0;  // at most so many prompt tokens of one request a step; 0: no limit
  // Of steps that continue answers: they take no more prompt tokens than are expected to fit into it, at
  // least 16. 0: none. How prompts are cut then depends on measured time, which without batch_invariant shows
  // in bits.
  double step_time_target_ms = 0;
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  bool prefix_cache = true;
  std::optional<bool> graphs = {};     // record steps of one token a request and start them as a whole; absent: where the device gains by it
  std::optional<bool> run_ahead = {};  // start a step before the tokens of the one before it have come back; absent: likewise
  bool batch_invariant = false;  // a request's bits do not depend on what else is in the batch
  std::uint64_t seed = 0;        // for requests that bring none
  int max_num_requests = 4096;   // running and waiting; one more is refused with Error{kExhausted}
};

}  // namespace quire

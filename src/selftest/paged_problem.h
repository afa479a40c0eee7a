// An attention case with data: queries, and a pool of pages in the device's native layout in which everything
// that must not be read is poison.
#pragma once

#include <memory>
#include <span>

#include "attention/reference.h"
#include "selftest/arrays.h"
#include "selftest/attention_case.h"
#include "selftest/check.h"

namespace quire {

// One request's tensors: q [query_len, num_qo_heads, head_dim_qk], k and v [kv_len, num_kv_heads, head_dim].
struct RequestData {
  HostArray q, k, v;
};

struct AttentionData {
  std::vector<RequestData> requests;
  std::vector<float> slopes, sinks;  // [num_qo_heads], empty if the desc does not ask for them
};

AttentionData make_attention_data(const AttentionCase& c, Random& random);

// Rows of a run, in the order of the batch.
struct AttentionOutput {
  HostArray o;             // [num_tokens, num_qo_heads, head_dim_vo]
  std::vector<float> lse;  // [num_tokens, num_qo_heads], empty if not asked for
};

class PagedProblem {
 public:
  PagedProblem(Device& device, const AttentionCase& c, AttentionData data, Random& random);

  const AttentionCase& attention_case() const { return case_; }
  const AttentionData& data() const { return data_; }

  // Tokens [token_begin, token_end) of a request; the keys after the last of them do not exist yet for a
  // causal desc.
  struct Part {
    int request, token_begin, token_end;
  };
  std::vector<Part> all_parts() const;

  // One batch of parts through plan and run. Touched guards and gaps become findings.
  AttentionOutput run(AttentionOp& op, std::span<const Part> parts, Comparison& found) const;

  // The output of the parts against the oracle. `probs_dtype`: to which the device rounds probabilities.
  void compare(const AttentionOutput& output, std::span<const Part> parts, DType probs_dtype,
               Comparison& found) const;

 private:
  struct PageTable {
    int max_pages;
    std::vector<std::int32_t> entries;  // [num_seqs, max_pages]
  };

  VisibleKeys visible_to_any(std::size_t request) const;
  void assign_pages(Random& random);
  std::vector<std::int32_t> table_of(std::span<const Part> parts) const;
  void fill_by_maps();
  void fill_by_kernel(Random& random);
  int kv_len_of(const Part& part) const;

  Device& device_;
  AttentionCase case_;
  AttentionData data_;
  KvLayout layout_;
  PageTable table_;
  int num_pages_ = 0;
  std::unique_ptr<GuardedBuffer> pool_, slopes_, sinks_;
};

// Probabilities are rounded to 16 bits where a pair-dot instruction multiplies them with V.
DType probs_dtype(const Device& device, DType dtype);

}  // namespace quire

// Attention over paged keys and values, on memory and a stream that belong to the caller:
//
//   quire::ComputeDevice device = quire::ComputeDevice::open({.target = "cuda", .stream = stream});
//   quire::Attention attention(device, spec);              // describe, choose
//   ... allocate num_pages * attention.page_bytes() ...
//   attention.write_kv({k, v, kv_pool, slots});            // new keys and values into their pages
//   attention.plan(query_lens, kv_lens);                   // host arithmetic on lengths
//   attention.run({.q = q, .o = o, .kv_pool = kv_pool, .page_table = page_table});
//
// A batch may mix prefills, chunks and decodes. Tensors are checked before anything is launched; what is
// wrong with one is an Error{kInvalidArgument} with its numbers. examples/attention.cpp is a whole program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "quire/error.h"
#include "quire/tensor.h"

namespace quire {

struct ComputeDeviceOptions {
  std::string target = "cpu";  // or "cuda"
  int device_idx = 0;          // of several GPUs, in the driver's order

  // cuda: a CUstream (cudaStream_t) on which everything is launched and copied, of a context on that GPU; its
  // legacy stream is (void*)1. It must outlive the device and what is made on it. Null: a stream of our own,
  // which is ordered with the caller's work by synchronize() alone. Other targets take none.
  void* stream = nullptr;

  int num_threads = 0;                // cpu; 0: one a core
  std::string cpu_isa = "";           // cpu; empty: the best that the machine has
  std::string kernel_cache_dir = "";  // kernels compiled for a GPU are kept here; empty: not on disk
  std::string nvrtc_path = "";        // cuda: libnvrtc as a file or its folder; empty: the usual places
};

// A processor and the queue that its work goes into. Copies are the same device. It and all that is made on
// it are for one thread at a time. On a GPU calls leave the stream's context current on the calling thread,
// as cudaSetDevice does.
class ComputeDevice {
 public:
  // Throws Error{kNotFound} for an unknown target, kUnsupported with the reason where it cannot run here,
  // kInvalidArgument for a stream that is not of that device.
  static ComputeDevice open(const ComputeDeviceOptions& options = {});

  std::string description() const;  // "cpu x86-64-v3, AMD EPYC ..."
  DeviceKind memory_kind() const;   // of tensors that it takes; a GPU takes pinned and managed ones too
  int device_idx() const;
  void synchronize();  // waits for all work that was launched

  struct Impl;
  explicit ComputeDevice(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

enum class AlibiKind : std::uint8_t {
  kNone,
  kLinear,      // slope * (key - position) is added to a score
  kSquareRoot,  // -slope * sqrt(position - key)
};

// The problem, fixed for the life of an operator.
struct AttentionSpec {
  int num_qo_heads = 0;
  int num_kv_heads = 0;  // divides num_qo_heads: query head h reads KV head h / (num_qo_heads / num_kv_heads)
  int head_dim_qk = 0;   // elements of a query's and a key's head
  int head_dim_vo = 0;   // of a value's and an output's; 0: as head_dim_qk
  int page_size = 16;    // tokens in a page
  ElementType type = ElementType::kBF16;  // of q, k, v, o and the pages: kF32, kF16 or kBF16
  std::optional<float> scale;             // of scores; absent: 1 / sqrt(head_dim_qk)
  bool causal = true;  // the last query of a request stands at its last key, and sees none behind itself
  int window = 0;  // keys that a query sees to its left, itself among them, and as many to its right if not
                   // causal; 0: all
  float logits_soft_cap = 0;           // cap * tanh(score / cap); 0: none
  AlibiKind alibi = AlibiKind::kNone;  // then run() takes alibi_slopes
  bool has_sinks = false;              // one more score in each row's sum, without a value: run() takes sinks
  bool batch_invariant = false;        // a token's bits do not depend on what else is in the batch
};

// What run() reads and writes. Dimensions are those of the spec; num_tokens is the sum of the planned query
// lengths, and tensors may have more rows, which are left alone.
struct AttentionArgs {
  // [num_tokens, num_qo_heads, head_dim_qk]: the tokens of the first request, then those of the next. Tokens
  // may lie apart (a slice of a fused qkv tensor); heads and elements of a token lie together.
  Tensor q;
  Tensor o;           // written: [num_tokens, num_qo_heads, head_dim_vo], likewise
  Tensor lse = {};    // written, if given: f32 [num_tokens, num_qo_heads], natural logarithm of the sum of
                      // exp(score), sinks included; -inf for a row that sees no key
  Tensor kv_pool;     // [num_pages, page_elems()] without gaps, 16-byte aligned
  Tensor page_table;  // i32 [num_seqs, max_pages]: a request's pages in order, each below num_pages. Entries
                      // behind the last page, and those left of every window, are not read.
  Tensor alibi_slopes = {};  // f32 [num_qo_heads]
  Tensor sinks = {};         // f32 [num_qo_heads]
};

// New keys and values on their way into pages.
struct KvWriteArgs {
  Tensor k;        // [num_tokens, num_kv_heads, head_dim_qk], tokens may lie apart
  Tensor v;        // [num_tokens, num_kv_heads, head_dim_vo]
  Tensor kv_pool;  // written: as in AttentionArgs
  Tensor slots;    // i64 [num_tokens]: page * page_size + place in the page; a negative one writes nothing
};

// Which backend computes it, and why none before it does.
struct AttentionChoice {
  std::string backend;
  std::vector<std::string> reasons;  // one a backend that was looked at: "unified: chosen (first that can)"
};

// What a batch costs at least, for fractions of what a device can do.
struct AttentionCost {
  double bytes = 0;  // visible keys and values once, queries and outputs once
  double flops = 0;
};

// Chooses as the constructor of Attention does. Throws Error{kInvalidArgument} for a spec out of range,
// kUnsupported that lists what is missing, kNotFound for an unknown backend. "" or "auto": the first that
// can.
AttentionChoice choose_attention(const ComputeDevice& device, const AttentionSpec& spec,
                                 const std::string& backend = "");

// One attention operator on one device.
//
// Pages. Each device keeps keys and values in the order that its kernels read them in, so pages are written
// by write_kv() and not by hand: a pool is num_pages * page_bytes() of the caller's memory, not initialised,
// in which page p begins at p * page_bytes() and holds page_size tokens of all KV heads. Which pages a
// request has is the caller's business; pages may be shared. Operators whose specs have the same heads, type
// and page size read the same pages. k_index() and v_index() say where an element lies, for export.
class Attention {
 public:
  Attention(const ComputeDevice& device, const AttentionSpec& spec, const std::string& backend = "");
  Attention(Attention&&) noexcept;
  Attention& operator=(Attention&&) noexcept;
  ~Attention();

  const AttentionSpec& spec() const;
  const AttentionChoice& choice() const;

  std::size_t page_bytes() const;
  std::int64_t page_elems() const;  // page_bytes() in elements of the spec's type
  // Index into the pool, in elements, of dimension `dim` of a token's key or value.
  std::int64_t k_index(std::int64_t page, int kv_head, int token, int dim) const;
  std::int64_t v_index(std::int64_t page, int kv_head, int token, int dim) const;

  // Launches and returns.
  void write_kv(const KvWriteArgs& args);

  // Lengths of a batch in tokens: new ones of each request, and all of it once the new ones are written. A
  // request with a query_len of 0 is padding. Computes on the host and makes one small copy; may allocate,
  // never launches. Throws Error{kInvalidArgument} naming the request and its lengths.
  void plan(std::span<const std::int32_t> query_lens, std::span<const std::int32_t> kv_lens);

  // Launches what was planned and returns: no allocation, no waiting (but for the backend `reference`, which
  // computes before it returns). May be called again with other tensors.
  void run(const AttentionArgs& args);

  // Compiles now what run() of the present plan would compile when it is first called.
  void prepare(const AttentionArgs& args);

  // For a run() that is recorded on the caller's stream, as into a CUDA graph: makes room for plans of so
  // many requests with one new token each. The recording serves each later plan under which recording_id() is
  // what it was, and reads the tensors that it was recorded with. 0: cannot be recorded. Call prepare()
  // before, plan() never inside.
  void reserve(int num_seqs);
  std::uint64_t recording_id() const;

  AttentionCost cost() const;  // of one run of what was planned

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quire

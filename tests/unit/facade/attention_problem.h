// A batch of attention as a caller of the public interface has it: memory of the caller's, in any place, and
// the answer by the float64 oracle.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "device/device.h"
#include "quire/attention.h"
#include "selftest/arrays.h"

namespace quire {

DType dtype_of_test(ElementType type);

// Device memory that is not the operator's, with room in front: data begin at an odd multiple of their
// alignment.
class CallersMemory {
 public:
  CallersMemory(Device& allocator, const void* from, std::size_t bytes, std::size_t offset);
  CallersMemory(Device& allocator, const HostArray& from)
      : CallersMemory(allocator, from.bytes().data(), from.bytes().size(), dtype_bytes(from.dtype())) {}

  std::byte* data() const { return buffer_->data() + offset_; }
  HostArray read(DType dtype) const;

 private:
  Device& allocator_;
  std::size_t offset_, bytes_;
  std::unique_ptr<Buffer> buffer_;
};

struct Batch {
  std::vector<std::int32_t> query_lens, kv_lens;
};

// Keys and values of all requests are written by write_kv, in a random order, into scattered pages.
class AttentionProblem {
 public:
  AttentionProblem(const ComputeDevice& device, Device& allocator, const AttentionSpec& spec, Batch batch);

  Attention& attention() { return attention_; }
  const Batch& batch() const { return batch_; }
  int num_tokens() const { return num_tokens_; }

  // Tensors of the batch, correct as they are.
  AttentionArgs args() const;
  KvWriteArgs write_args() const;
  Tensor tensor(const CallersMemory& memory, ElementType type,
                std::initializer_list<std::int64_t> shape) const;

  void write();                // and waits
  void run() { run(args()); }  // plans, runs and waits
  void run(const AttentionArgs& args);

  // Largest difference from the oracle, of o and of lse. NaN where the output was not written.
  double error_of_o() const;
  double error_of_lse() const;
  HostArray o() const { return o_->read(dtype_); }
  double k(int request, int key, int head, int dim) const;
  std::int64_t page_of(int request, int key) const;
  HostArray pool() const { return pool_->read(dtype_); }

 private:
  void make_pages(Random& random);
  void compute_answer();
  std::size_t key_row(int request, int key) const {
    return first_key_[static_cast<std::size_t>(request)] + static_cast<std::size_t>(key);
  }

  ComputeDevice device_;
  Device& allocator_;
  Attention attention_;
  AttentionSpec spec_;  // completed
  DType dtype_;
  Batch batch_;
  int num_tokens_ = 0, num_keys_ = 0, num_pages_ = 0, max_pages_ = 0;
  std::vector<std::size_t> first_key_;  // of each request, in k_ and v_
  HostArray q_, k_, v_;
  std::vector<float> slopes_, sinks_;
  std::vector<std::int32_t> table_;
  std::vector<std::int64_t> slots_;
  std::vector<double> answer_, answer_lse_;
  std::unique_ptr<CallersMemory> q_memory_, k_memory_, v_memory_, o_, lse_, pool_, table_memory_,
      slots_memory_, slopes_memory_, sinks_memory_;
};

}  // namespace quire

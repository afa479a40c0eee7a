// The weights of a model folder: model.safetensors, or the shards that model.safetensors.index.json lists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/safetensors.h"

namespace quire {

// How much of the weights was asked for so far.
struct WeightsProgress {
  std::size_t num_tensors, total_tensors;
  std::uint64_t read_bytes, total_bytes;
};

// Maps every shard and knows which tensors were asked for. Not for use by several threads at once; the
// tensors it hands out stay valid, and may be read by any thread, as long as it lives.
class Weights {
 public:
  // Throws Error{kNotFound} when the folder holds no safetensors, Error{kCorruptFile} for a bad file, a
  // hostile index, and an index and shards that disagree.
  static Weights open(const std::filesystem::path& folder);

  // The tensor of this name. Throws Error{kCorruptFile} naming file, tensor, expected and found shape when it
  // is missing or of another shape, Error{kUnsupported} when its type is none of F32, F16, BF16.
  const TensorFile& get(std::string_view name, std::span<const std::int64_t> expected_shape);
  // Looks without asking: the tensor still counts as surplus. Null when absent.
  const TensorFile* find(std::string_view name) const;

  // Names of the tensors that get() never returned, sorted.
  std::vector<std::string> surplus() const;

  // Called by get() with the totals after each tensor that is asked for the first time.
  void on_progress(std::function<void(const WeightsProgress&)> callback) { callback_ = std::move(callback); }

  const std::string& origin() const { return origin_; }  // the file that lists the tensors
  std::size_t num_tensors() const { return tensors_.size(); }
  std::uint64_t total_bytes() const { return progress_.total_bytes; }

 private:
  struct Slot {
    const TensorFile* tensor;
    bool asked = false;
  };
  Weights() = default;
  void add_shard(const std::filesystem::path& path,
                 const std::map<std::string, std::string, std::less<>>* index);

  std::string origin_;
  std::vector<SafetensorsFile> shards_;
  std::map<std::string_view, Slot> tensors_;  // keys are the tensors' own names
  WeightsProgress progress_{};
  std::function<void(const WeightsProgress&)> callback_;
};

}  // namespace quire

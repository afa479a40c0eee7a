#include "files/weights.h"

#include <algorithm>
#include <set>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "files/fields.h"
#include "files/mapped_file.h"
#include "files/quote.h"

namespace quire {
namespace {

namespace fs = std::filesystem;
using Index = std::map<std::string, std::string, std::less<>>;  // tensor -> shard

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr std::size_t kMaxShards = 4096;
constexpr JsonLimits kIndexLimits = {.max_bytes = 100'000'000, .max_depth = 16, .max_values = 2'000'000};

// A link that leads nowhere is there: opening it says so.
bool is_present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

// A shard is a plain file of the model's own folder: an index must not lead elsewhere.
bool is_plain_shard_name(std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != '/' && c != '\\' && c != 0x7f;
  });
  return plain && !name.starts_with('.') && name.find("..") == std::string_view::npos &&
         name.ends_with(".safetensors") && name.size() <= 255;
}

Index read_index(const fs::path& path) {
  const std::string origin = path.string();
  const MappedFile file = MappedFile::open_text(path, kIndexLimits.max_bytes);
  const Json json = parse_json(file.text(), origin, kIndexLimits);
  const Fields fields(json, origin);
  const Json* weight_map = fields.find("weight_map");
  if (!weight_map) fields.refuse_missing("weight_map");
  if (!weight_map->is_object() || weight_map->empty()) {
    fields.refuse("weight_map", *weight_map, "an object with at least one tensor");
  }
  Index index;
  for (const auto& [tensor, shard] : weight_map->items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    QUIRE_CHECK_KIND(
        kCorruptFile, is_plain_shard_name(name),
        "{}: field \"weight_map\": tensor {} names shard {}, expected the name of a .safetensors file in "
        "the same folder",
        origin, quote(tensor), quote(name));
    index.emplace(tensor, name);
  }
  return index;
}

}  // namespace

Weights Weights::open(const fs::path& folder) {
  Weights weights;
  if (is_present(folder / kSingleFile)) {
    weights.origin_ = (folder / kSingleFile).string();
    weights.add_shard(folder / kSingleFile, nullptr);
  } else {
    QUIRE_CHECK_KIND(kNotFound, is_present(folder / kIndexFile), "{}: holds neither {} nor {}",
                     folder.string(), kSingleFile, kIndexFile);
    weights.origin_ = (folder / kIndexFile).string();
    const Index index = read_index(folder / kIndexFile);
    std::set<std::string> shards;
    for (const auto& [tensor, shard] : index) shards.insert(shard);
    QUIRE_CHECK_KIND(kCorruptFile, shards.size() <= kMaxShards, "{}: {} shards, at most {} are read",
                     weights.origin_, shards.size(), kMaxShards);
    for (const std::string& shard : shards) weights.add_shard(folder / shard, &index);
    for (const auto& [tensor, shard] : index) {
      QUIRE_CHECK_KIND(kCorruptFile, weights.find(tensor), "{}: tensor {} is not in its shard {}",
                       weights.origin_, quote(tensor), quote(shard));
    }
  }
  weights.progress_.total_tensors = weights.tensors_.size();
  return weights;
}

void Weights::add_shard(const fs::path& path, const Index* index) {
  shards_.push_back(SafetensorsFile::open(path));
  for (const TensorFile& tensor : shards_.back().tensors()) {
    if (index) {
      const auto entry = index->find(tensor.name);
      QUIRE_CHECK_KIND(kCorruptFile, entry != index->end(),
                       "{}: tensor {} is in shard {} but not in the index", origin_, quote(tensor.name),
                       quote(path.filename().string()));
      QUIRE_CHECK_KIND(kCorruptFile, entry->second == path.filename().string(),
                       "{}: tensor {} is in shard {} although the index names {}", origin_,
                       quote(tensor.name), quote(path.filename().string()), quote(entry->second));
    }
    tensors_.emplace(tensor.name, Slot{&tensor});
    progress_.total_bytes += tensor.bytes.size();
  }
}

const TensorFile& Weights::get(std::string_view name, std::span<const std::int64_t> expected_shape) {
  const auto found = tensors_.find(name);
  QUIRE_CHECK_KIND(kCorruptFile, found != tensors_.end(), "{}: tensor {} of shape {} is missing", origin_,
                   quote(name), shape_text(expected_shape));
  Slot& slot = found->second;
  const TensorFile& tensor = *slot.tensor;
  QUIRE_CHECK_KIND(kCorruptFile, std::ranges::equal(tensor.shape, expected_shape),
                   "{}: tensor {} has shape {}, expected {}", tensor.file, quote(name),
                   shape_text(tensor.shape), shape_text(expected_shape));
  QUIRE_CHECK_KIND(kUnsupported, compute_dtype(tensor.type).has_value(),
                   "{}: tensor {} has dtype {}, supported: F32, F16, BF16", tensor.file, quote(name),
                   to_string(tensor.type));
  if (!std::exchange(slot.asked, true)) {
    progress_.num_tensors += 1;
    progress_.read_bytes += tensor.bytes.size();
    if (callback_) callback_(progress_);
  }
  return tensor;
}

const TensorFile* Weights::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second.tensor;
}

std::vector<std::string> Weights::surplus() const {
  std::vector<std::string> names;
  for (const auto& [name, slot] : tensors_) {
    if (!slot.asked) names.emplace_back(name);
  }
  return names;
}

}  // namespace quire

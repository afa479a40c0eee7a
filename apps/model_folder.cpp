#include "apps/model_folder.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "apps/suggestion.h"
#include "base/check.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxEntries = 10'000;  // of a folder that is looked through
constexpr const char* kWhatIsRead =
    "a model is a folder with config.json, tokenizer.json and model.safetensors, as Hugging Face lays it out";

bool has_config(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_regular_file(folder / "config.json", ignored);
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entries.size() == kMaxEntries) break;
    entries.push_back(entry->path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

// What stands in the place of files that are read, where those are missing.
void check_files(const fs::path& folder) {
  struct Other {
    const char *name, *instead;
  };
  constexpr Other kWeights[] = {
      {"pytorch_model.bin", "model.safetensors"},   {"pytorch_model.bin.index.json", "model.safetensors"},
      {"consolidated.00.pth", "model.safetensors"}, {"consolidated.safetensors", "model.safetensors"},
      {"tf_model.h5", "model.safetensors"},         {"flax_model.msgpack", "model.safetensors"}};
  constexpr Other kTokenizers[] = {{"tokenizer.model", "tokenizer.json"},
                                   {"tekken.json", "tokenizer.json"},
                                   {"merges.txt", "tokenizer.json"}};
  const auto exists = [&folder](const char* name) {
    std::error_code ignored;
    return fs::exists(fs::symlink_status(folder / name, ignored));
  };
  const auto refuse = [&](std::span<const Other> others) {
    for (const Other& other : others) {
      if (!exists(other.name)) continue;
      throw_error(ErrorKind::kUnsupported, "{}: holds {} but no {}, and only the latter is read; {}",
                  folder.string(), other.name, other.instead, kWhatIsRead);
    }
  };
  if (!exists("model.safetensors") && !exists("model.safetensors.index.json")) refuse(kWeights);
  if (!exists("tokenizer.json")) refuse(kTokenizers);
}

// The name in an address of a hub: "https://huggingface.co/org/name" and the like.
std::string without_address(std::string name) {
  for (const char* prefix : {"https://", "http://", "hf://", "huggingface.co/", "hf.co/"}) {
    if (name.starts_with(prefix)) name.erase(0, std::string_view(prefix).size());
  }
  if (name.ends_with('/')) name.pop_back();
  return name;
}

// "org/name" as hubs write it.
bool is_hub_name(const std::string& name) {
  const std::size_t slash = name.find('/');
  const bool is_plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  });
  return is_plain && slash != std::string::npos && slash > 0 && slash + 1 < name.size() && name[0] != '.' &&
         name.find('/', slash + 1) == std::string::npos;
}

// The snapshot of the model in the cache that Hugging Face's tools keep.
std::optional<fs::path> find_in_hub_cache(const std::string& name) {
  const auto variable = [](const char* key) {
    return std::getenv(key) == nullptr ? "" : std::string(std::getenv(key));
  };
  fs::path cache = variable("HF_HUB_CACHE");
  if (cache.empty() && !variable("HF_HOME").empty()) cache = fs::path(variable("HF_HOME")) / "hub";
  if (cache.empty() && !variable("HOME").empty())
    cache = fs::path(variable("HOME")) / ".cache/huggingface/hub";
  if (cache.empty()) return std::nullopt;
  std::string folder = "models--" + name;
  folder.replace(folder.find('/'), 1, "--");
  for (const fs::path& snapshot : entries_of(cache / folder / "snapshots")) {
    if (has_config(snapshot)) return snapshot;
  }
  return std::nullopt;
}

[[noreturn]] void refuse_file(const fs::path& path) {
  const std::string extension = path.extension().string();
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (has_config(folder))
    throw_error(ErrorKind::kUnsupported, "{}: is a file of a model; name its folder: {}", path.string(),
                folder.string());
  if (extension == ".gguf")
    throw_error(ErrorKind::kUnsupported,
                "{}: GGUF files are not read; {}: take the model that it was made from", path.string(),
                kWhatIsRead);
  if (extension == ".safetensors")
    throw_error(ErrorKind::kUnsupported,
                "{}: weights alone are not enough; {}: put the other files beside it", path.string(),
                kWhatIsRead);
  throw_error(ErrorKind::kUnsupported, "{}: is a file; {}", path.string(), kWhatIsRead);
}

[[noreturn]] void refuse_folder(const fs::path& path) {
  const std::vector<fs::path> entries = entries_of(path);
  for (const fs::path& entry : entries) {
    if (has_config(entry))
      throw_error(ErrorKind::kNotFound, "{}: has no config.json, but {} has", path.string(), entry.string());
  }
  for (const fs::path& entry : entries_of(path / "snapshots")) {
    if (has_config(entry))
      throw_error(ErrorKind::kNotFound, "{}: is an entry of a cache; name its snapshot: {}", path.string(),
                  entry.string());
  }
  for (const fs::path& entry : entries) {
    if (entry.filename() == "adapter_config.json")
      throw_error(ErrorKind::kUnsupported, "{}: is an adapter (LoRA) without its model, which is not read",
                  path.string());
    if (entry.extension() == ".gguf")
      throw_error(ErrorKind::kUnsupported, "{}: holds {}, but GGUF files are not read; {}", path.string(),
                  entry.filename().string(), kWhatIsRead);
  }
  throw_error(ErrorKind::kNotFound, "{}: has no config.json; {}", path.string(), kWhatIsRead);
}

[[noreturn]] void refuse_missing(const std::string& name) {
  const fs::path path(name), folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::vector<std::string> names;
  for (const fs::path& entry : entries_of(folder)) names.push_back(entry.filename().string());
  if (const auto meant = closest(path.filename().string(), names)) {
    const fs::path likely = path.has_parent_path() ? folder / *meant : fs::path(*meant);
    throw_error(ErrorKind::kNotFound, "{}: there is no such folder; did you mean {}?", name, likely.string());
  }
  const std::string hub_name = without_address(name);
  if (is_hub_name(hub_name)) {
    if (const auto snapshot = find_in_hub_cache(hub_name))
      throw_error(ErrorKind::kNotFound, "{}: there is no such folder; the model is in the cache at {}", name,
                  snapshot->string());
    throw_error(ErrorKind::kNotFound,
                "{}: there is no such folder, and models are not downloaded; fetch it first: hf download {} "
                "--local-dir {}",
                name, hub_name, hub_name.substr(hub_name.find('/') + 1));
  }
  throw_error(ErrorKind::kNotFound, "{}: there is no such folder; {}", name, kWhatIsRead);
}

}  // namespace

fs::path find_model_folder(const std::string& name) {
  const fs::path path(name);
  std::error_code ignored;
  if (has_config(path)) {
    check_files(path);
    return path;
  }
  if (fs::is_directory(path, ignored)) refuse_folder(path);
  if (fs::exists(path, ignored)) refuse_file(path);
  refuse_missing(name);
}

}  // namespace quire

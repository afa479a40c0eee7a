// Shared libraries that may or may not be on the machine: found when the program runs, never needed to build.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace quire {

class DynamicLibrary {
 public:
  // Opens the first of `names` that loads; a name without a slash is searched for by the system's loader.
  // Throws Error{kNotFound} that says for each name why not.
  static DynamicLibrary open(std::span<const std::string> names);

  const std::filesystem::path& path() const { return path_; }  // of the file that was loaded

  // Throws Error{kUnsupported} that names library and symbol.
  template <class F>
  void find(const char* symbol, F*& function) const {
    function = reinterpret_cast<F*>(find_symbol(symbol));
  }

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  DynamicLibrary(void* handle, std::filesystem::path path) : handle_(handle), path_(std::move(path)) {}
  void* find_symbol(const char* symbol) const;

  std::unique_ptr<void, Close> handle_;
  std::filesystem::path path_;
};

// The names to try for one library: the explicit path if it is not empty (a file, or a folder that holds one
// of the names), else each name as the loader finds it, then each name in `folder`.
std::vector<std::string> library_names(const std::string& path, std::span<const std::string> names,
                                       const std::string& folder);

}  // namespace quire

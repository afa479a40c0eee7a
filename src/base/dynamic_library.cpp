#include "base/dynamic_library.h"

#include "base/check.h"

#ifndef QUIRE_STATIC
#include <dlfcn.h>
#include <link.h>
#endif

namespace quire {

#ifdef QUIRE_STATIC

// A self-contained binary has no loader.
void DynamicLibrary::Close::operator()(void*) const {}
DynamicLibrary DynamicLibrary::open(std::span<const std::string> names) {
  throw_error(ErrorKind::kNotFound, "{}: this build is one static binary, which cannot load libraries",
              names.front());
}
void* DynamicLibrary::find_symbol(const char* symbol) const {
  throw_error(ErrorKind::kUnsupported, "{}: this build is one static binary, which cannot load libraries",
              symbol);
}

#else

void DynamicLibrary::Close::operator()(void* handle) const { ::dlclose(handle); }

DynamicLibrary DynamicLibrary::open(std::span<const std::string> names) {
  std::string reasons;
  for (const std::string& name : names) {
    // NODELETE: some of these libraries leave threads and handlers behind that must not lose their code.
    void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr) {
      const char* reason = ::dlerror();
      reasons += (reasons.empty() ? "" : "; ") +
                 (reason == nullptr ? name + ": unknown reason" : std::string(reason));
      continue;
    }
    link_map* map = nullptr;
    const bool is_known = ::dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr;
    return DynamicLibrary(handle, is_known ? map->l_name : name.c_str());
  }
  throw_error(ErrorKind::kNotFound, "{}", reasons);
}

void* DynamicLibrary::find_symbol(const char* symbol) const {
  void* address = ::dlsym(handle_.get(), symbol);
  QUIRE_CHECK_KIND(kUnsupported, address != nullptr, "{} has no function {}: it is too old", path_.string(),
                   symbol);
  return address;
}

#endif

std::vector<std::string> library_names(const std::string& path, std::span<const std::string> names,
                                       const std::string& folder) {
  std::vector<std::string> all;
  std::error_code ignored;
  if (!path.empty() && !std::filesystem::is_directory(path, ignored)) return {path};
  if (path.empty()) all.assign(names.begin(), names.end());
  for (const std::string& name : names)
    all.push_back(((path.empty() ? folder : path) / std::filesystem::path(name)).string());
  return all;
}

}  // namespace quire

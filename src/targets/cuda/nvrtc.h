// NVIDIA's run-time compiler: libnvrtc, found when the program runs. It needs no driver, no toolkit and no
// header; the library libnvrtc-builtins must lie beside it or on the loader's path.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/dynamic_library.h"
#include "targets/cuda/embedded_text.h"
#include "targets/jit/kernel_compiler.h"

namespace quire {

// The bytes of spill stores and spill loads in a kernel, from the compiler's log. Throws Error{kInternal} if
// the log does not have them.
int spilled_bytes(const std::string& log);

// Where a library of the CUDA toolkit may be, for DynamicLibrary. `path`: the library or its folder; empty:
// the loader's path, then /usr/local/cuda. `max_major`: the newest CUDA whose code the driver takes.
// `or_any`: as a last resort a file whose name tells no version.
std::vector<std::string> toolkit_names(const std::string& library, const std::string& path, int max_major,
                                       bool or_any = false);

struct NvrtcProgramHandle;

// Pointers to the library's functions, under their names without the prefix.
struct NvrtcFunctions {
  using Handle = NvrtcProgramHandle*;
  const char* (*get_error_string)(int result);
  int (*version)(int* major, int* minor);
  int (*get_num_supported_archs)(int* count);
  int (*get_supported_archs)(int* archs);
  int (*create_program)(Handle* program, const char* source, const char* name, int num_headers,
                        const char* const* headers, const char* const* include_names);
  int (*destroy_program)(Handle* program);
  int (*compile_program)(Handle program, int num_options, const char* const* options);
  int (*get_cubin_size)(Handle program, std::size_t* bytes);
  int (*get_cubin)(Handle program, char* cubin);
  int (*get_program_log_size)(Handle program, std::size_t* bytes);
  int (*get_program_log)(Handle program, char* log);
};

class Nvrtc : public RuntimeCompiler {
 public:
  // `path`, `max_major`: see toolkit_names. Throws Error{kUnsupported} that says what to install.
  explicit Nvrtc(const std::string& path, int max_major = 99);

  std::string name() const override { return "nvrtc"; }
  std::string version() const override { return std::to_string(major_) + "." + std::to_string(minor_); }
  const std::filesystem::path& path() const { return library_.path(); }

  // Chips that it compiles for: 80 for sm_80.
  std::vector<int> chips() const;

  std::vector<std::string> options_for(const std::string& architecture) const override;
  CompiledKernel compile(const std::string& name, const std::string& source,
                         std::span<const std::string> options,
                         std::span<const NamedText> headers) const override;

 private:
  void check(int result, const std::string& attempt) const;

  DynamicLibrary library_;
  std::unique_ptr<DynamicLibrary> builtins_;
  NvrtcFunctions functions_{};
  int major_ = 0, minor_ = 0;
};

}  // namespace quire

// From a kernel's text to machine code for one chip: from the cache on disk, or through a vendor's run-time
// compiler, several kernels at a time.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/named_text.h"
#include "targets/jit/jit_cache.h"
#include "targets/jit/jit_kernel.h"

namespace quire {

class RuntimeCompiler {
 public:
  virtual ~RuntimeCompiler() = default;

  virtual std::string name() const = 0;  // for people: "nvrtc"
  virtual std::string version() const = 0;

  // The compiler's options for an architecture, in addition to those of the kernel.
  virtual std::vector<std::string> options_for(const std::string& architecture) const = 0;

  // Compiles one source to machine code. May be called by several threads at a time. Throws Error{kInternal}
  // with the log.
  virtual CompiledKernel compile(const std::string& name, const std::string& source,
                                 std::span<const std::string> options,
                                 std::span<const NamedText> headers) const = 0;
};

class KernelCompiler {
 public:
  // Called for each finished kernel, by one thread at a time.
  using Report = std::function<void(const CompiledKernel& kernel, bool is_from_disk)>;

  // `texts`: the headers that kernels include. `cache_dir`: "" = nothing is kept on disk. `extra_options` are
  // used for every kernel.
  KernelCompiler(std::shared_ptr<const RuntimeCompiler> compiler, std::span<const NamedText> texts,
                 const std::string& cache_dir, std::vector<std::string> extra_options = {});

  const RuntimeCompiler& compiler() const { return *compiler_; }
  std::string compiler_text() const { return compiler_->name() + " " + compiler_->version(); }
  const JitCache& cache() const { return cache_; }

  // The digest of all that the code of this kernel depends on.
  JitKey key_of(const JitKernel& kernel, const std::string& architecture) const;

  struct Outcome {
    CompiledKernel kernel;
    std::exception_ptr error;  // null if there is none
  };

  // In the order of `kernels`.
  std::vector<Outcome> try_get(std::span<const JitKernel> kernels, const std::string& architecture,
                               const Report& report = {});

  // The same; throws the first error, after all are done.
  std::vector<CompiledKernel> get(std::span<const JitKernel> kernels, const std::string& architecture,
                                  const Report& report = {});

  // Why kernels could not be stored on disk; empty if they could.
  const std::string& store_failure() const { return store_failure_; }

 private:
  std::vector<std::string> options_of(const JitKernel& kernel, const std::string& architecture) const;
  CompiledKernel get_one(const JitKernel& kernel, const std::string& architecture, bool& is_from_disk,
                         std::string& store_failure) const;

  std::shared_ptr<const RuntimeCompiler> compiler_;
  std::span<const NamedText> texts_;
  JitCache cache_;
  JitKey text_digest_;
  std::vector<std::string> extra_options_;
  std::string store_failure_;
};

}  // namespace quire

#include "targets/cuda/nvrtc.h"

#include <regex>

#include "base/check.h"

namespace quire {
namespace {

constexpr int kMajors[] = {13, 12};

DynamicLibrary open_library(const std::string& path, int max_major) {
  try {
    return DynamicLibrary::open(toolkit_names("libnvrtc", path, max_major, true));
  } catch (const Error& e) {
    throw_error(ErrorKind::kUnsupported,
                "libnvrtc not found; install the CUDA toolkit's nvrtc package or pip's nvidia-cuda-nvrtc{} "
                "and name its folder "
                "({})",
                max_major < kMajors[0] ? "-cu12" : "", e.what());
  }
}

}  // namespace

std::vector<std::string> toolkit_names(const std::string& library, const std::string& path, int max_major,
                                       bool or_any) {
  std::vector<std::string> names;
  for (const int major : kMajors) {
    if (major <= max_major) names.push_back(fmt::format("{}.so.{}", library, major));
  }
  if (or_any) names.push_back(library + ".so");
  return library_names(path, names, "/usr/local/cuda/lib64");
}

Nvrtc::Nvrtc(const std::string& path, int max_major) : library_(open_library(path, max_major)) {
  library_.find("nvrtcGetErrorString", functions_.get_error_string);
  library_.find("nvrtcVersion", functions_.version);
  library_.find("nvrtcGetNumSupportedArchs", functions_.get_num_supported_archs);
  library_.find("nvrtcGetSupportedArchs", functions_.get_supported_archs);
  library_.find("nvrtcCreateProgram", functions_.create_program);
  library_.find("nvrtcDestroyProgram", functions_.destroy_program);
  library_.find("nvrtcCompileProgram", functions_.compile_program);
  library_.find("nvrtcGetCUBINSize", functions_.get_cubin_size);
  library_.find("nvrtcGetCUBIN", functions_.get_cubin);
  library_.find("nvrtcGetProgramLogSize", functions_.get_program_log_size);
  library_.find("nvrtcGetProgramLog", functions_.get_program_log);
  check(functions_.version(&major_, &minor_), "tell its version");
  QUIRE_CHECK_KIND(kUnsupported, major_ <= max_major,
                   "{} compiles for CUDA {}, the driver knows CUDA {}: update the driver or install "
                   "nvidia-cuda-nvrtc-cu{}",
                   library_.path().string(), version(), max_major, max_major);
  // NVRTC opens the builtins by name while it compiles. Loaded here beforehand, they are found in any folder.
  std::error_code ignored;
  const auto beside =
      library_.path().parent_path() / fmt::format("libnvrtc-builtins.so.{}.{}", major_, minor_);
  if (std::filesystem::exists(beside, ignored)) {
    const std::string names[] = {beside.string()};
    builtins_ = std::make_unique<DynamicLibrary>(DynamicLibrary::open(names));
  }
}

void Nvrtc::check(int result, const std::string& attempt) const {
  QUIRE_CHECK_KIND(kInternal, result == 0, "nvrtc: cannot {}: {}", attempt,
                   functions_.get_error_string(result));
}

std::vector<std::string> Nvrtc::options_for(const std::string& architecture) const {
  return {"--gpu-architecture=" + architecture, "--std=c++17", "--ptxas-options=-v", "-default-device"};
}

std::vector<int> Nvrtc::chips() const {
  int num_chips = 0;
  check(functions_.get_num_supported_archs(&num_chips), "count the chips that it compiles for");
  std::vector<int> chips(static_cast<std::size_t>(num_chips));
  check(functions_.get_supported_archs(chips.data()), "list the chips that it compiles for");
  return chips;
}

CompiledKernel Nvrtc::compile(const std::string& name, const std::string& source,
                              std::span<const std::string> options,
                              std::span<const NamedText> headers) const {
  std::vector<const char*> texts, include_names, option_texts;
  for (const NamedText& header : headers) {
    texts.push_back(header.text.data());  // literals: they end in a zero
    include_names.push_back(header.name);
  }
  for (const std::string& option : options) option_texts.push_back(option.c_str());

  NvrtcFunctions::Handle program = nullptr;
  check(functions_.create_program(&program, source.c_str(), (name + ".cu").c_str(),
                                  static_cast<int>(texts.size()), texts.data(), include_names.data()),
        "start on kernel " + name);
  const auto destroy = [this](NvrtcFunctions::Handle handle) { functions_.destroy_program(&handle); };
  const std::unique_ptr<NvrtcProgramHandle, decltype(destroy)> owner(program, destroy);

  const int result =
      functions_.compile_program(program, static_cast<int>(option_texts.size()), option_texts.data());
  CompiledKernel kernel{name, {}, {}};
  std::size_t bytes = 0;
  check(functions_.get_program_log_size(program, &bytes), "read the size of the log of " + name);
  kernel.log.resize(bytes);
  check(functions_.get_program_log(program, kernel.log.data()), "read the log of " + name);
  while (!kernel.log.empty() && kernel.log.back() == '\0') kernel.log.pop_back();
  QUIRE_CHECK_KIND(kInternal, result == 0, "nvrtc {} cannot compile kernel {} ({}): {}\n{}", version(), name,
                   fmt::join(options, " "), functions_.get_error_string(result), kernel.log);
  check(functions_.get_cubin_size(program, &bytes), "read the size of the code of " + name);
  kernel.binary.resize(bytes);
  check(functions_.get_cubin(program, kernel.binary.data()), "read the code of " + name);
  return kernel;
}

int spilled_bytes(const std::string& log) {
  static const std::regex words("(\\d+) bytes spill stores, (\\d+) bytes spill loads");
  std::smatch found;
  QUIRE_CHECK_KIND(kInternal, std::regex_search(log, found, words),
                   "the compiler's log says nothing of spills: {}", log.substr(0, 200));
  return std::stoi(found[1]) + std::stoi(found[2]);
}

}  // namespace quire

#include "targets/cuda/driver.h"

namespace quire {
namespace {

// CUdevice_attribute
constexpr int kClockRate = 13, kMultiprocessorCount = 16, kCapabilityMajor = 75, kCapabilityMinor = 76;

DynamicLibrary open_library() {
  const std::string names[] = {"libcuda.so.1"};
  try {
    return DynamicLibrary::open(names);
  } catch (const Error& e) {
    throw_error(ErrorKind::kUnsupported, "libcuda.so.1 not found: no NVIDIA driver on this machine ({})",
                e.what());
  }
}

}  // namespace

Driver::Driver(DynamicLibrary library) : library_(std::move(library)) {
#define QUIRE_FIND(name, symbol, ...) library_.find(symbol, functions_.name);
  QUIRE_CUDA_FUNCTIONS(QUIRE_FIND)
#undef QUIRE_FIND
  const int started = functions_.init(0);
  functions_.driver_get_version(&version_);
  if (version_ >= kCuOverlapsInGraphs) library_.find("cuLaunchKernelEx", functions_.launch_kernel_ex);
  const auto refuse = [&](int result, const char* attempt) {
    QUIRE_CHECK_KIND(kUnsupported, result != kCuErrorNoDevice,
                     "the driver for CUDA {} finds no NVIDIA GPU: {}", cuda_version_text(version_),
                     words(result));
    QUIRE_CHECK_KIND(kUnsupported, result == 0, "the driver {} (CUDA {}) does not {}: {}",
                     library_.path().string(), cuda_version_text(version_), attempt, words(result));
  };
  refuse(started, "start");
  refuse(functions_.device_get_count(&num_devices_), "count its GPUs");
  if (num_devices_ == 0) refuse(kCuErrorNoDevice, "count its GPUs");
}

std::shared_ptr<const Driver> Driver::open() {
  return std::shared_ptr<const Driver>(new Driver(open_library()));
}

CudaDeviceFacts Driver::facts(int device_idx) const {
  QUIRE_CHECK(device_idx >= 0 && device_idx < num_devices_,
              "device_idx must be 0 to {} (the driver finds {}), got {}", num_devices_ - 1, num_devices_,
              device_idx);
  int device = 0;
  check(functions_.device_get(&device, device_idx), "get GPU {}", device_idx);
  const auto attribute = [&](int which) {
    int value = 0;
    check(functions_.device_get_attribute(&value, which, device), "read attribute {} of GPU {}", which,
          device_idx);
    return value;
  };
  CudaDeviceFacts facts;
  char name[256] = {};
  check(functions_.device_get_name(name, sizeof name - 1, device), "read the name of GPU {}", device_idx);
  facts.name = name;
  facts.sm = 10 * attribute(kCapabilityMajor) + attribute(kCapabilityMinor);
  facts.num_multiprocessors = attribute(kMultiprocessorCount);
  facts.clock_khz = attribute(kClockRate);
  check(functions_.device_total_mem(&facts.memory_bytes, device), "read the memory size of GPU {}",
        device_idx);
  return facts;
}

std::string Driver::words(int result) const {
  const char *name = nullptr, *text = nullptr;
  functions_.get_error_name(result, &name);
  functions_.get_error_string(result, &text);
  return fmt::format("{} ({})", name == nullptr ? fmt::format("error {}", result) : name,
                     text == nullptr ? "no words" : text);
}

void Driver::fail(int result, const std::string& attempt) const {
  const ErrorKind kind = result == kCuErrorOutOfMemory ? ErrorKind::kExhausted : ErrorKind::kInternal;
  throw_error(kind, "cuda: cannot {}: {}", attempt, words(result));
}

std::string cuda_version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

}  // namespace quire

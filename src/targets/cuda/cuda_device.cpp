// The cuda target: NVIDIA's driver, compiler and library put together behind the shared device.
#include "targets/cuda/cuda_device.h"

#include "base/check.h"
#include "targets/cuda/chips.h"
#include "targets/cuda/cublaslt.h"
#include "targets/cuda/cuda_api.h"
#include "targets/cuda/cuda_layout.h"
#include "targets/cuda/nvrtc.h"
#include "targets/jit/jit_device.h"

namespace quire {
namespace {

std::unique_ptr<Device> open_device(const DeviceOptions& options) {
  const auto driver = Driver::open();
  const int max_major = driver->version() / 1000, sm = driver->facts(options.device_idx).sm,
            family = kernel_family(sm);
  // On a caller's stream no launch starts before the one ahead has ended: that one may be the caller's, and
  // write what ours reads at once, such as a page table.
  const bool may_overlap = family >= 90 && options.queue == nullptr;
  const auto api = std::make_shared<CudaApi>(driver, options.device_idx, may_overlap, options.queue);
  KernelCompiler compiler = make_cuda_compiler(options, max_major);
  const auto& nvrtc = static_cast<const Nvrtc&>(compiler.compiler());
  const std::string architecture = architecture_of(sm, nvrtc.chips());
  JitParts parts{.api = api,
                 .compiler = std::move(compiler),
                 .rules = cuda_rules(family),
                 .architecture = architecture,
                 .page_layout = cuda_page_layout,
                 .weight_layout = cuda_weight_layout,
                 .tuned_tables = embedded_tuned_tables(),
                 .tables_dir = options.cache_dir,
                 .spilled_bytes = spilled_bytes,
                 .open_vendor = {},
                 .dot_error = kMatrixUnitError,
                 .max_programs = options.int_setting("cuda.max_programs", 0, 0, 1 << 20)};
  if (!options.own_kernels_only) {
    parts.open_vendor = [api, path = options.setting("cuda.cublas"), max_major] {
      return try_open_cublaslt(path, max_major, api);
    };
  }
  return std::make_unique<JitDevice>(std::move(parts));
}

std::string why_absent(const DeviceOptions& options) {
  try {
    const auto driver = Driver::open();
    const CudaDeviceFacts facts = driver->facts(options.device_idx);
    architecture_of(facts.sm, Nvrtc(options.setting("cuda.nvrtc"), driver->version() / 1000).chips());
    return {};
  } catch (const Error& e) {
    return e.what();
  }
}

std::vector<std::string> device_lines(const DeviceOptions& options) {
  const auto driver = Driver::open();
  const Nvrtc nvrtc(options.setting("cuda.nvrtc"), driver->version() / 1000);
  std::vector<std::string> lines;
  for (int i = 0; i < driver->num_devices(); ++i) {
    const CudaDeviceFacts f = driver->facts(i);
    lines.push_back(fmt::format("{}: {}, compute capability {}.{}, {} SMs at {:.2f} GHz, {:.1f} GiB", i,
                                f.name, f.sm / 10, f.sm % 10, f.num_multiprocessors, f.clock_khz / 1e6,
                                static_cast<double>(f.memory_bytes) / (1u << 30)));
  }
  lines.push_back(fmt::format("driver for CUDA {}, NVRTC {} ({})", cuda_version_text(driver->version()),
                              nvrtc.version(), nvrtc.path().string()));
  return lines;
}

}  // namespace

void register_cuda_target(TargetRegistry& registry) {
  TargetEntry entry;
  entry.name = "cuda";
  entry.why_absent = why_absent;
  entry.open = open_device;
  entry.levels = device_lines;
  entry.takes_queue = true;
  entry.settings = {"nvrtc", "cublas", "max_programs", "lane_arrivals"};
  registry.add(std::move(entry));
}

}  // namespace quire

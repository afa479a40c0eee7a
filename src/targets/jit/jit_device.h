// A GPU whose kernels are compiled when they are needed: everything that does not depend on the vendor. A
// target gives it a driver, a compiler and the rules of its chip.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "targets/jit/gpu_memory.h"
#include "targets/jit/jit_attention.h"
#include "targets/jit/kernel_compiler.h"
#include "targets/jit/kernel_forms.h"
#include "targets/jit/vendor_linear.h"

namespace quire {

struct JitParts {
  std::shared_ptr<GpuApi> api;
  KernelCompiler compiler;
  std::unique_ptr<TileRules> rules;
  std::string architecture;  // as the compiler names it
  std::unique_ptr<PageLayout> (*page_layout)(const KvFormat& format, HeadShape heads, int page_size);
  std::unique_ptr<WeightLayout> (*weight_layout)(const WeightFormat& format, int out_dim, int in_dim);
  std::span<const NamedText> tuned_tables;                   // those in the program
  std::string tables_dir;                                    // the folder of the user's tables; "" = none
  std::function<int(const std::string& log)> spilled_bytes;  // from the compiler's log
  std::function<std::unique_ptr<VendorLinear>()>
      open_vendor;           // null: our own kernels serve; called once, when it is first of use
  double dot_error = 1;      // see DeviceCaps
  int max_programs = 0;      // that run at the same time; 0: as many as the chip takes
  bool is_emulated = false;  // the host runs the kernels, launches have been done when they return
};

class JitDevice : public Device, public TunableAttention {
 public:
  explicit JitDevice(JitParts parts);
  ~JitDevice() override;
  JitDevice(const JitDevice&) = delete;
  JitDevice& operator=(const JitDevice&) = delete;

  const DeviceCaps& caps() const override { return caps_; }
  const AttentionTarget& attention() const override { return attention_; }
  std::unique_ptr<PageLayout> page_layout(const KvFormat& format, HeadShape heads,
                                          int page_size) const override {
    return parts_.page_layout(format, heads, page_size);
  }
  std::unique_ptr<WeightLayout> weight_layout(const WeightFormat& format, int out_dim,
                                              int in_dim) const override {
    return parts_.weight_layout(format, out_dim, in_dim);
  }
  std::unique_ptr<Buffer> allocate(std::size_t bytes) override;
  void copy_to_device(std::byte* to, const void* from, std::size_t bytes) override;
  void copy_to_host(void* to, const std::byte* from, std::size_t bytes) override;
  std::unique_ptr<HostCopy> make_host_copy(std::size_t max_bytes) override;
  DeviceMemory memory() const override;
  void synchronize() override;
  std::unique_ptr<Graph> capture(const std::function<void()>& launches) override;
  double time_us(const std::function<void()>& work) override;
  void prepare(const std::function<void()>& launches, const CompileProgress& progress = {}) override;

  const Chip& chip() const override { return chip_; }
  AttentionTuning heuristics(const AttentionClass& problem) const override {
    return parts_.rules->heuristics(problem);
  }
  std::vector<AttentionTiles> legal_tiles(const AttentionClass& problem) const override {
    return parts_.rules->legal_tiles(problem);
  }
  void use_config(const AttentionClass& problem, const AttentionTuning& config) override;
  std::vector<std::string> prepare_tiles(const AttentionClass& problem, std::span<const AttentionTiles> tiles,
                                         const std::function<void()>& launches) override;

 private:
  // A slot for each form of each variant whose code differs, and the code that is loaded.
  struct Slot {
    KernelInstance instance;
    JitKernel kernel;
    GpuCode code;  // null function: not loaded
  };
  // Loaded code with other tiles than those in use.
  struct Spare {
    int slot;
    AttentionTiles tiles;
    JitKernel kernel;
    GpuCode code;
  };
  struct Resolved {
    KernelVariant variant;
    KernelName name;
    int first_slot;  // of its forms
  };

  void add_kernel(const KernelVariant& variant) override;
  void start_kernel(KernelHandle kernel, const void* params, int num_work, LaunchCost cost) override;

  void check_not_recording(const char* attempt) const;
  int first_slot_of(const KernelVariant& compiled);
  std::vector<int> slots_of(
      const std::function<void()>& launches);  // that the function would launch, in order
  JitKernel choose_kernel(const KernelInstance& instance) const;
  std::string keep_spare(int slot, const AttentionTiles& tiles, const JitKernel& kernel,
                         const KernelCompiler::Outcome& outcome);
  // Compiles and loads what is missing.
  void load(std::vector<int> slots, const CompileProgress& progress = {});
  void launch_own(KernelName name, int slot, const void* params, int num_work);
  bool launch_vendor(const LinearVariant& variant,
                     const LinearParams& params);  // false if our own kernel should run

  JitParts parts_;
  std::shared_ptr<GpuApi> api_;
  StagingRing staging_;
  std::unique_ptr<Buffer>
      counters_;  // of persistent kernels: launches follow each other, so two ints serve them all
  std::vector<Resolved> resolved_;  // by handle
  std::vector<Slot> slots_;
  std::vector<Spare> spare_;
  Chip chip_;
  JitAttention attention_;
  std::unique_ptr<VendorLinear> vendor_;
  bool is_vendor_asked_for_ = false, is_recording_ = false, is_preparing_ = false;
  std::vector<int> wanted_;
  DeviceCaps caps_;
};

}  // namespace quire

// The attention layer behind a C interface, for benchmarks in other languages. Pointers are device addresses
// unless they say host. A function that fails returns null or a negative number, and quire_error() says why.
// One thread at a time.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "base/check.h"
#include "device/registry.h"
#include "targets/cpu/cpu_device.h"
#include "targets/cuda/cuda_device.h"

namespace quire {
namespace {

std::string last_error;

// What the function returns, or `failed` once it throws.
template <class Result, class Function>
Result guarded(Result failed, Function&& function) {
  try {
    return function();
  } catch (const std::exception& e) {
    last_error = e.what();
    return failed;
  }
}

template <class Function>
int status_of(Function&& function) {
  return guarded(-1, [&] {
    function();
    return 0;
  });
}

}  // namespace
}  // namespace quire

using namespace quire;

extern "C" {

// A model's needs. dtype: 0 = f32, 1 = f16, 2 = bf16; window: keys seen to the left, itself included, 0 =
// all.
struct QuireProblem {
  std::int32_t num_qo_heads, num_kv_heads, head_dim_qk, head_dim_vo, page_size, dtype, causal, window,
      has_sinks;
  float sm_scale;
};

// One layer's tensors, in the shapes of AttentionTensors. sinks [num_qo_heads] if the problem has them.
struct QuireTensors {
  const void* q;
  void* o;
  const void* kv_pool;
  const std::int32_t* page_table;
  const float* sinks;
  std::int32_t max_pages;
};

struct QuireDevice {
  std::unique_ptr<Device> device;
  std::string description;
};

struct QuireBatch {
  Device* device;
  std::unique_ptr<AttentionOp> op;
};

struct QuireGraph {
  Device* device;
  std::vector<AttentionTensors> layers;
  std::unique_ptr<Graph> graph;
};

}  // extern "C"

namespace {

AttentionDesc desc_of(const QuireProblem& p) {
  QUIRE_CHECK(p.dtype >= 0 && p.dtype <= 2, "dtype must be 0 (f32), 1 (f16) or 2 (bf16), got {}", p.dtype);
  AttentionDesc desc;
  desc.num_qo_heads = p.num_qo_heads;
  desc.num_kv_heads = p.num_kv_heads;
  desc.head_dim_qk = p.head_dim_qk;
  desc.head_dim_vo = p.head_dim_vo;
  desc.page_size = p.page_size;
  desc.dtype = static_cast<DType>(p.dtype);
  desc.sm_scale = p.sm_scale;
  desc.causal = p.causal != 0;
  desc.window = p.window;
  desc.has_sinks = p.has_sinks != 0;
  check_desc(desc);
  return desc;
}

AttentionTensors tensors_of(const QuireTensors& t) {
  AttentionTensors tensors;
  tensors.q = t.q;
  tensors.o = t.o;
  tensors.kv_pool = t.kv_pool;
  tensors.page_table = t.page_table;
  tensors.max_pages = t.max_pages;
  tensors.sinks = t.sinks;
  return tensors;
}

}  // namespace

#define QUIRE_EXPORT extern "C" __attribute__((visibility("default")))

// Of the last call that failed.
QUIRE_EXPORT const char* quire_error() { return last_error.c_str(); }

// target: "cuda", "cpu", …; cache_dir: where compiled kernels are kept, "" = not on disk.
QUIRE_EXPORT QuireDevice* quire_open(const char* target, const char* cache_dir) {
  return guarded<QuireDevice*>(nullptr, [&] {
    TargetRegistry targets;
    register_cpu_target(targets);
    register_cuda_target(targets);
    DeviceOptions options;
    options.cache_dir = cache_dir;
    auto opened = std::make_unique<QuireDevice>();
    opened->device = targets.open(target, options);
    const DeviceCaps& caps = opened->device->caps();
    opened->description = fmt::format("{} {} ({})", caps.target, caps.architecture, caps.description);
    return opened.release();
  });
}
QUIRE_EXPORT void quire_close(QuireDevice* device) { delete device; }

QUIRE_EXPORT const char* quire_describe(const QuireDevice* device) { return device->description.c_str(); }

// Waits for all that was started on the device's own stream.
QUIRE_EXPORT int quire_synchronize(QuireDevice* device) {
  return status_of([&] { device->device->synchronize(); });
}

// Bytes of one page of all KV heads in the native page layout.
QUIRE_EXPORT std::int64_t quire_page_bytes(const QuireDevice* device, const QuireProblem* problem) {
  return guarded<std::int64_t>(-1, [&] {
    const AttentionDesc desc = desc_of(*problem);
    return kv_layout(*device->device, desc).page_stride * static_cast<long>(dtype_bytes(desc.dtype));
  });
}

// k, v [num_tokens, num_kv_heads, head_dim] to their slots. The caller's earlier work on them must have
// ended.
QUIRE_EXPORT int quire_write_kv(QuireDevice* device, const QuireProblem* problem, const void* k,
                                const void* v, void* kv_pool, const std::int64_t* slot_mapping,
                                std::int32_t num_tokens) {
  return status_of([&] {
    KvWriteTensors tensors;
    tensors.k = k;
    tensors.v = v;
    tensors.kv_pool = kv_pool;
    tensors.slot_mapping = slot_mapping;
    tensors.num_tokens = num_tokens;
    write_kv(*device->device, desc_of(*problem), tensors);
  });
}

// Plans one batch; lengths [num_seqs] on the host. The device must outlive it.
QUIRE_EXPORT QuireBatch* quire_plan(QuireDevice* device, const QuireProblem* problem,
                                    const std::int32_t* query_len, const std::int32_t* kv_len,
                                    std::int32_t num_seqs) {
  return guarded<QuireBatch*>(nullptr, [&] {
    QUIRE_CHECK(num_seqs >= 0, "num_seqs must not be negative, got {}", num_seqs);
    const AttentionDesc desc = desc_of(*problem);
    auto batch = std::make_unique<QuireBatch>();
    batch->device = device->device.get();
    batch->op = choose_backend("auto", desc, *batch->device).backend->make(*batch->device, desc);
    const auto count = static_cast<std::size_t>(num_seqs);
    batch->op->plan({std::span(query_len, count), std::span(kv_len, count)});
    return batch.release();
  });
}
QUIRE_EXPORT void quire_free_batch(QuireBatch* batch) { delete batch; }

// Starts one layer.
QUIRE_EXPORT int quire_run(QuireBatch* batch, const QuireTensors* tensors) {
  return status_of([&] { batch->op->run(tensors_of(*tensors)); });
}

// Records the layers in turn. The batch must outlive the graph.
QUIRE_EXPORT QuireGraph* quire_record(QuireBatch* batch, const QuireTensors* layers,
                                      std::int32_t num_layers) {
  return guarded<QuireGraph*>(nullptr, [&] {
    QUIRE_CHECK(num_layers > 0, "num_layers must be positive, got {}", num_layers);
    auto recorded = std::make_unique<QuireGraph>();
    recorded->device = batch->device;
    for (std::int32_t i = 0; i < num_layers; ++i) recorded->layers.push_back(tensors_of(layers[i]));
    recorded->graph = batch->device->capture([op = batch->op.get(), r = recorded.get()] {
      for (const AttentionTensors& tensors : r->layers) op->run(tensors);
    });
    return recorded.release();
  });
}
QUIRE_EXPORT void quire_free_graph(QuireGraph* graph) { delete graph; }

// Microseconds that `num_replays` replays back to back take by the device's clock.
QUIRE_EXPORT double quire_time_us(QuireGraph* graph, std::int32_t num_replays) {
  return guarded(-1.0, [&] {
    return graph->device->time_us([&] {
      for (std::int32_t i = 0; i < num_replays; ++i) graph->graph->launch();
    });
  });
}

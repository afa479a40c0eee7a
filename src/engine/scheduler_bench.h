// Measures the scheduler alone, without a model: what a step costs, and how much of the held memory lies
// idle.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/cache_group.h"

namespace quire {

struct SchedulerStepCost {
  int num_requests = 0;  // running, each decoding
  double step_us = 0.0;  // median of all steps: schedule, build the batch, complete, append a token each
  double worst_step_us = 0.0;  // the 99th percentile
  double request_ns = 0.0;     // step_us / num_requests
};

struct SchedulerBenchConfig {
  std::vector<int> num_requests = {64, 256, 1024, 4096};
  int num_steps = 1000;
  int page_size = 16;
  int context_len =
      1024;  // mean length of the requests; they differ, so that pages fill up at different steps
  bool has_prefix_cache = true;
};

std::vector<SchedulerStepCost> measure_scheduler(const SchedulerBenchConfig& config = {});

// Prompt lengths are log-normal, output lengths follow a Pareto law; a request arrives whenever one ends.
struct KvWasteConfig {
  int num_requests = 4000;
  int page_size = 16;
  int num_pages = 16384;
  int max_model_len = 8192;
  std::vector<CacheGroup> groups = {CacheGroup{}};
  double prompt_log_mean = 5.5;  // of the natural logarithm: the median prompt has e^5.5 = 245 tokens
  double prompt_log_stddev = 1.1;
  double output_min_len = 40.0;  // shortest output
  double output_shape = 1.3;     // of the Pareto law: below 2 its variance is infinite
  std::uint64_t seed = 1;
};

struct KvWaste {
  double unused_percent =
      0.0;  // slots of held pages that hold no token, in percent of held slots; mean over steps
  double usage_percent = 0.0;    // held pages in percent of all; mean over steps
  double mean_prompt_len = 0.0;  // tokens
  double mean_output_len = 0.0;  // tokens
  std::int64_t max_request_len = 0;
  std::int64_t num_steps = 0;
  std::int64_t num_preemptions = 0;
};

KvWaste simulate_kv_waste(const KvWasteConfig& config = {});

}  // namespace quire

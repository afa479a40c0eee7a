// Memory that runs out somewhere on the way of a request: its reader hears of an end, always.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "../failing_new.h"
#include "engine/async_engine.h"

namespace quire {
namespace {

constexpr std::chrono::seconds kPatience{60};

// Two tokens for each request.
struct ShortEngine : StepEngine {
  SamplingParams check(std::span<const std::int32_t>, const SamplingParams& params) const override {
    return params;
  }
  void submit(RequestId id, std::vector<std::int32_t>, SamplingParams) override { live.push_back({id, 0}); }
  RequestOutput cancel(RequestId id) override {
    std::erase_if(live, [id](const auto& entry) { return entry.first == id; });
    RequestOutput output;
    output.finish_reason = FinishReason::kAbort;
    return output;
  }
  bool has_work() const override { return !live.empty(); }
  std::span<StepOutput> step() override {
    outputs.clear();
    for (auto& [id, len] : live) {
      outputs.push_back({id, {}});
      outputs.back().output.token_ids = {1};
      outputs.back().output.text = "a text that needs memory of its own";
      if (++len == 2) outputs.back().output.finish_reason = FinishReason::kLength;
    }
    std::erase_if(live, [](const auto& entry) { return entry.second == 2; });
    return outputs;
  }
  void idle() override {}
  EngineStats stats() const override { return {}; }
  const StepReport& last_step() const override { return report; }
  void describe_pages(EngineSnapshot&) const override {}

  StepReport report;
  std::vector<std::pair<RequestId, int>> live;
  std::vector<StepOutput> outputs;
};

// Whether a request that meets the failure comes to an end, with its tokens or without.
bool ends(AsyncEngine& engine, bool has_callback) {
  std::atomic<bool> has_ended = false;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  try {
    OutputCallback callback;
    if (has_callback)
      callback = [&has_ended](const RequestOutput& output) { has_ended = has_ended || output.is_last(); };
    RequestStream stream = engine.submit({1, 2, 3}, {}, callback);
    while (std::chrono::steady_clock::now() < deadline) {
      if (has_callback ? has_ended.load() : stream.is_finished()) return true;
      if (has_callback) {
        std::this_thread::yield();
      } else {
        stream.next_for(std::chrono::milliseconds(50));
      }
    }
    return false;
  } catch (const std::exception&) {  // refused from the start
    return true;
  }
}

TEST(EngineMemory, EveryRequestEnds) {
  for (const bool has_callback : {false, true}) {
    for (std::int64_t num : {std::int64_t{1}, std::int64_t{3}, kNoFailure}) {
      for (std::int64_t first = 0; first < 60; ++first) {
        AsyncEngine engine(std::make_unique<ShortEngine>(), 10);
        EXPECT_TRUE(ends(engine, has_callback));
        fail_allocations(first, num);
        const bool has_ended = ends(engine, has_callback);
        fail_allocations(kNoFailure, 0);
        ASSERT_TRUE(has_ended) << "allocation " << first << ", " << num << " in a row";
      }
    }
  }
}

TEST(EngineMemory, CancellingNeedsNone) {
  AsyncEngine engine(std::make_unique<ShortEngine>(), 10);
  RequestStream stream = engine.submit({1}, {});
  fail_allocations(0, kNoFailure);
  stream.cancel();
  fail_allocations(kNoFailure, 0);
  while (stream.next()) continue;
  EXPECT_TRUE(stream.is_finished());
}

TEST(EngineMemory, AnOutputThatIsLostEndsTheStream) {
  OutputQueue queue(1, {}, [](RequestId) {});
  RequestOutput output;
  output.finish_reason = FinishReason::kLength;
  fail_allocations(0, kNoFailure);
  for (int i = 0; i < 100; ++i) queue.push({});  // the queue's own memory runs out at last
  queue.push(std::move(output));
  fail_allocations(kNoFailure, 0);
  std::optional<RequestOutput> last;
  while (auto next = queue.next()) last = std::move(next);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->finish_reason, FinishReason::kError);
  EXPECT_EQ(last->error, "out of memory");
  EXPECT_TRUE(queue.is_finished());
}

}  // namespace
}  // namespace quire

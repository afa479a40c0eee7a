#include "engine/async_engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <random>
#include <thread>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/engine_impl.h"
#include "fake_decoder.h"
#include "fake_runner.h"

namespace quire {
namespace {

constexpr int kVocabSize = 53, kNumPages = 60, kPageSize = 8;
using Tokens = std::vector<std::int32_t>;

std::unique_ptr<EngineCore> make_core(std::int32_t throw_token = -1) {
  EngineConfig config;
  config.vocab_size = kVocabSize;
  config.scheduler.max_num_seqs = 16;
  config.scheduler.max_num_batched_tokens = 64;
  config.scheduler.max_model_len = 400;
  config.kv_cache = {kNumPages, kPageSize};
  auto runner = std::make_unique<FakeRunner>(FakeModel(kVocabSize), kNumPages, kPageSize);
  runner->throw_token = throw_token;
  return std::make_unique<EngineCore>(config, std::move(runner), make_fake_decoder);
}

SamplingParams greedy(int max_tokens) {
  SamplingParams params;
  params.temperature = 0.0;
  params.max_tokens = max_tokens;
  return params;
}

Tokens read_all(RequestStream& stream, FinishReason& reason) {
  Tokens tokens;
  reason = FinishReason::kNone;
  while (auto output = stream.next()) {
    tokens.insert(tokens.end(), output->token_ids.begin(), output->token_ids.end());
    reason = output->finish_reason;
  }
  return tokens;
}

// Never ends and never fails on its own: every step gives each request one token.
struct EndlessEngine : StepEngine {
  SamplingParams check(std::span<const std::int32_t>, const SamplingParams& params) const override {
    return params;
  }
  void submit(RequestId id, std::vector<std::int32_t> prompt, SamplingParams) override {
    if (prompt.size() == 13) throw Error(ErrorKind::kInternal, "unlucky");
    ids.push_back(id);
  }
  RequestOutput cancel(RequestId id) override {
    std::erase(ids, id);
    RequestOutput output;
    output.finish_reason = FinishReason::kAbort;
    return output;
  }
  bool has_work() const override { return !ids.empty(); }
  std::span<StepOutput> step() override {
    if (fails_after > 0 && --fails_after == 0) throw Error(ErrorKind::kInternal, "broken promise");
    outputs.clear();
    for (const RequestId id : ids) {
      outputs.push_back({id, {}});
      outputs.back().output.token_ids = {1};
    }
    std::this_thread::yield();
    return outputs;
  }
  void idle() override {}
  EngineStats stats() const override { return {}; }
  const StepReport& last_step() const override { return report; }
  void describe_pages(EngineSnapshot&) const override {}

  StepReport report;
  std::vector<RequestId> ids;
  std::vector<StepOutput> outputs;
  int fails_after = 0;
};

TEST(AsyncEngine, ManyThreadsGetTheirOwnAnswers) {
  AsyncEngine engine(make_core(), 1000);
  std::vector<std::thread> threads;
  std::atomic<int> num_right = 0, num_cancelled = 0;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 20; ++i) {
        Tokens prompt;
        for (unsigned k = 1 + random() % 40; k-- > 0;)
          prompt.push_back(static_cast<int>(random() % kVocabSize));
        RequestStream stream = engine.submit(prompt, greedy(20));
        Tokens tokens;
        if (random() % 4 == 0) {
          if (random() % 2 == 0) tokens = stream.next()->token_ids;
          stream.cancel();  // perhaps too late
        }
        FinishReason reason;
        const Tokens rest = read_all(stream, reason);
        tokens.insert(tokens.end(), rest.begin(), rest.end());
        num_cancelled += reason == FinishReason::kAbort;
        if (reason == FinishReason::kLength)
          num_right += tokens == FakeModel(kVocabSize).generate(prompt, 20);
        EXPECT_TRUE(stream.is_finished());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_right + num_cancelled, 160);
  EXPECT_GE(num_right, 80);
  // The last outputs come before the statistics of their step.
  while (engine.stats().num_stopped + engine.stats().num_length_limited + engine.stats().num_aborted < 160) {
    std::this_thread::yield();
  }
  EXPECT_EQ(engine.stats().num_held_pages, 0);
}

TEST(AsyncEngine, Callbacks) {
  // What a callback touches must outlive the engine.
  const Tokens prompt = {1, 2, 3};
  Tokens tokens;
  std::promise<FinishReason> done;
  AsyncEngine engine(make_core(), 100);
  RequestStream stream = engine.submit(prompt, greedy(10), [&](const RequestOutput& output) {
    tokens.insert(tokens.end(), output.token_ids.begin(), output.token_ids.end());
    if (output.is_last()) done.set_value(output.finish_reason);
  });
  EXPECT_EQ(done.get_future().get(), FinishReason::kLength);
  EXPECT_EQ(tokens, FakeModel(kVocabSize).generate(prompt, 10));
  EXPECT_FALSE(stream.next());
}

TEST(AsyncEngine, CallbacksMaySubmitCancelAndThrow) {
  std::promise<void> thrown, chained;
  std::optional<RequestStream> second;
  AsyncEngine engine(std::make_unique<EndlessEngine>(), 100);
  RequestStream throwing = engine.submit({1}, {}, [&](const RequestOutput& output) {
    if (output.is_last()) return thrown.set_value();
    throw 1;
  });
  RequestStream chaining = engine.submit({1}, {}, [&](const RequestOutput&) {
    if (second) return;
    second.emplace(engine.submit({1}, {}));
    second->cancel();
    chained.set_value();
  });
  thrown.get_future().get();
  chained.get_future().get();
  FinishReason reason;
  read_all(*second, reason);
  EXPECT_EQ(reason, FinishReason::kAbort);
}

TEST(AsyncEngine, BoundsTheQueueAndChecksAtTheDoor) {
  AsyncEngine engine(std::make_unique<EndlessEngine>(), 2);
  std::optional<RequestStream> first = engine.submit({1}, {});
  const RequestStream second = engine.submit({1}, {});
  try {
    engine.submit({1}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kExhausted);
  }
  first.reset();  // cancels
  for (;;) {
    try {
      const RequestStream third = engine.submit({1}, {});
      break;
    } catch (const Error&) {
      std::this_thread::yield();
    }
  }
  AsyncEngine checking(make_core(), 10);
  EXPECT_THROW(checking.submit({kVocabSize}, {}), Error);
  EXPECT_THROW(AsyncEngine(make_core(), 0), Error);
}

TEST(AsyncEngine, StreamsOutliveTheEngine) {
  std::vector<RequestStream> streams;
  std::vector<std::thread> readers;
  {
    AsyncEngine engine(std::make_unique<EndlessEngine>(), 100);
    for (int i = 0; i < 10; ++i) streams.push_back(engine.submit({1}, {}));
    for (RequestStream& stream : streams) {
      readers.emplace_back([&stream] {
        FinishReason reason;
        read_all(stream, reason);
        EXPECT_EQ(reason, FinishReason::kAbort);
      });
    }
  }
  for (std::thread& reader : readers) reader.join();
  for (RequestStream& stream : streams) stream.cancel();  // nobody is there to hear it
}

TEST(AsyncEngine, AFailingEngineEndsEverythingWithItsReason) {
  auto endless = std::make_unique<EndlessEngine>();
  endless->fails_after = 5;
  AsyncEngine engine(std::move(endless), 100);
  RequestStream stream = engine.submit({1}, {});
  std::optional<RequestOutput> last;
  while (auto output = stream.next()) last = std::move(output);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->finish_reason, FinishReason::kError);
  EXPECT_EQ(last->error, "broken promise");
  try {
    engine.submit({1}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_NE(std::string(error.what()).find("broken promise"), std::string::npos);
  }
}

TEST(AsyncEngine, ARefusalByTheEngineReachesTheStream) {
  AsyncEngine engine(std::make_unique<EndlessEngine>(), 100);
  RequestStream stream = engine.submit(Tokens(13, 1), {});
  const auto output = stream.next();
  ASSERT_TRUE(output);
  EXPECT_EQ(output->error, "unlucky");
  EXPECT_FALSE(stream.next());
}

TEST(AsyncEngine, TryAndTimedReads) {
  AsyncEngine engine(std::make_unique<EndlessEngine>(), 100);
  RequestStream stream = engine.submit({1}, {});
  while (!stream.try_next()) std::this_thread::yield();
  EXPECT_TRUE(stream.next_for(std::chrono::seconds(60)));
  stream.cancel();
  FinishReason reason;
  read_all(stream, reason);
  EXPECT_TRUE(stream.is_finished());
  EXPECT_FALSE(stream.try_next());
  EXPECT_FALSE(stream.next_for(std::chrono::milliseconds(1)));
}

TEST(AsyncEngine, SnapshotsComeBetweenSteps) {
  AsyncEngine engine(make_core(), 100);
  RequestStream stream = engine.submit({1, 2, 3}, greedy(4));
  FinishReason reason;
  EXPECT_EQ(read_all(stream, reason).size(), 4u);
  std::promise<EngineSnapshot> promise;
  engine.request_snapshot(
      [&](EngineSnapshot snapshot) { promise.set_value(std::move(snapshot)); });  // while it idles
  const EngineSnapshot snapshot = promise.get_future().get();
  EXPECT_EQ(snapshot.page_owners.size(), static_cast<std::size_t>(kNumPages - 1));
  ASSERT_EQ(snapshot.steps.size(), 4u);
  EXPECT_EQ(snapshot.steps[0].num_prefill_tokens, 3);
  EXPECT_EQ(snapshot.steps[3].num_decode_tokens, 1);
  EXPECT_EQ(snapshot.stats.num_generation_tokens, 4);
}

TEST(AsyncEngine, WhoHasAnAnswerFindsItCounted) {
  AsyncEngine engine(make_core(), 100);
  for (int i = 1; i <= 50; ++i) {
    RequestStream stream = engine.submit({1, 2, 3}, greedy(2));
    while (const auto output = stream.next()) EXPECT_GE(output->queue_s, 0.0);
    EXPECT_EQ(engine.stats().num_length_limited, i);
  }
}

TEST(Engine, PublicInterface) {
  const auto encode = [](std::string_view text) {
    Tokens tokens;
    for (const char c : text) tokens.push_back(c - 'a');
    return tokens;
  };
  Engine engine(std::make_unique<Engine::Impl>(make_core(), 10, encode));
  RequestStream stream = engine.submit_text("abc", greedy(8));
  RequestStream moved = std::move(stream);
  FinishReason reason;
  EXPECT_EQ(read_all(moved, reason), FakeModel(kVocabSize).generate({0, 1, 2}, 8));
  moved = engine.submit({0, 1, 2}, greedy(2));
  EXPECT_EQ(read_all(moved, reason).size(), 2u);
  Engine without_text(std::make_unique<Engine::Impl>(make_core(), 10, TextEncoder()));
  EXPECT_THROW(without_text.submit_text("abc"), Error);
  EXPECT_EQ(engine.stats().num_pages, kNumPages - 1);
}

}  // namespace
}  // namespace quire

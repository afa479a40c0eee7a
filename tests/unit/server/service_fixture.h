// A service without sockets, over an engine whose model is a few lines of arithmetic and can be made to fail.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "engine/engine.h"
#include "engine/engine_impl.h"
#include "fake_runner.h"
#include "server/service.h"

namespace quire {

inline constexpr int kVocabSize = 2048, kPageSize = 4, kNumPages = 200;

class PlainDecoder : public TextDecoder {
 public:
  std::string push(std::int32_t token) override { return "t" + std::to_string(token) + " "; }
  std::string finish() override { return {}; }
};

// Holds every step back until it is told to go on.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_open = true;

  void set(bool open) {
    {
      const std::lock_guard lock(mutex);
      is_open = open;
    }
    changed.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return is_open; });
  }
};

struct GatedRunner : Runner {
  GatedRunner(Gate& step_gate, int num_pages)
      : gate(step_gate), fake(FakeModel(kVocabSize), num_pages, kPageSize) {}
  void start(const StepBatch& batch) override {
    gate.pass();
    fake.start(batch);
  }
  StepResult finish() override { return fake.finish(); }
  Gate& gate;
  FakeRunner fake;
};

struct Wakes {
  std::mutex mutex;
  std::condition_variable changed;
  int count = 0;
};

class ServiceTest : public testing::Test {
 protected:
  void SetUp() override { make({}); }

  void make(ServiceOptions options) {
    gate.set(true);
    engine.reset();
    service = std::make_unique<Service>(std::move(options),
                                        [this](std::string_view line) { log += std::string(line) + "\n"; });
  }

  void attach() {
    EngineConfig config;
    config.vocab_size = kVocabSize;
    config.eos_tokens = {2};
    config.kv_cache = {kNumPages, kPageSize};
    config.scheduler.max_model_len = 400;
    auto runner = std::make_unique<GatedRunner>(gate, kNumPages);
    fake = &runner->fake;
    auto core = std::make_unique<EngineCore>(
        config, std::move(runner),
        [](std::span<const std::int32_t>, bool) { return std::make_unique<PlainDecoder>(); });
    engine = std::make_unique<Engine>(std::make_unique<Engine::Impl>(std::move(core), 100, TextEncoder{}));
    ServedModel model;
    model.engine = engine.get();
    model.tokenizer = std::make_shared<const Tokenizer>(
        Tokenizer::from_file(QUIRE_SOURCE_DIR "/models/demo/tokenizer.json"));
    model.encode_chat = encode_chat;
    model.limits.model_names = {"fake"};
    model.limits.vocab_size = kVocabSize;
    model.limits.max_model_len = 400;
    model.facts = {"fake", kPageSize, kNumPages - 1, 400};
    model.max_num_seqs = 8;
    service->attach(std::move(model));
  }

  void TearDown() override { gate.set(true); }

  Exchange ask(const std::string& method, const std::string& path, const std::string& body = {}) {
    RequestHead head;
    head.request.method = method;
    head.request.path = path;
    head.request.headers = {{"content-type", "application/json"}};
    head.framing = body.empty() ? Framing::kNone : Framing::kLength;
    head.body_bytes = body.size();
    Exchange exchange = service->judge(head);
    if (exchange.reply) return exchange;
    HttpRequest request = std::move(head.request);
    request.body = body;
    auto share = std::make_shared<BodyBudget::Share>(service->body_share(exchange));
    share->grow_to(body.size());
    request.body_hold = std::move(share);
    service->begin(exchange, std::move(request), [wakes = wakes] {
      {
        const std::lock_guard lock(wakes->mutex);
        ++wakes->count;
      }
      wakes->changed.notify_all();
    });
    return exchange;
  }

  // Polls the reply to its end.
  std::pair<int, std::string> finish(Exchange& exchange) {
    int status = 0;
    std::string body;
    for (;;) {
      int seen;
      {
        const std::lock_guard lock(wakes->mutex);
        seen = wakes->count;
      }
      ReplyOutput output = exchange.reply->poll();
      if (output.head) status = output.head->status;
      body += output.shared_body ? *output.shared_body : output.body;
      if (output.is_last) return {status, body};
      std::unique_lock lock(wakes->mutex);
      const auto until = std::min(output.wake_at, Clock::now() + std::chrono::seconds(60));
      wakes->changed.wait_until(lock, until, [&] { return wakes->count != seen; });
    }
  }
  std::pair<int, std::string> get(const std::string& path) {
    Exchange exchange = ask("GET", path);
    return finish(exchange);
  }
  std::pair<int, std::string> complete(const std::string& fields) {
    Exchange exchange = ask("POST", "/v1/completions", "{" + fields + "}");
    return finish(exchange);
  }

  Gate gate;
  std::string log;
  ChatEncoder encode_chat;  // of the model that is attached next
  std::shared_ptr<Wakes> wakes = std::make_shared<Wakes>();
  std::unique_ptr<Service> service;  // outlives the engine, which calls its metrics
  std::unique_ptr<Engine> engine;
  FakeRunner* fake = nullptr;
};

}  // namespace quire

// Quire's public interface: open a model, submit prompts, read streams of tokens and text.
//
//   quire::Engine engine = quire::Engine::open("models/demo");
//   quire::SamplingParams params;
//   params.temperature = 0;
//   quire::RequestStream stream = engine.submit_text("Once upon a time", params);
//   while (auto output = stream.next()) std::cout << output->text;
//
// Every function throws quire::Error and nothing else of its own. Engine and RequestStream may be used from
// any thread; one RequestStream is meant for one reader.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quire/engine_options.h"
#include "quire/error.h"
#include "quire/output.h"
#include "quire/sampling_params.h"
#include "quire/snapshot.h"
#include "quire/stats.h"

namespace quire {

class OutputQueue;

// The outputs of one request. Destroying a stream whose request still runs cancels the request.
class RequestStream {
 public:
  explicit RequestStream(std::shared_ptr<OutputQueue> queue);
  RequestStream(RequestStream&&) noexcept = default;
  RequestStream& operator=(RequestStream&& other) noexcept;
  ~RequestStream();

  std::optional<RequestOutput> next();  // waits; empty after the last output
  std::optional<RequestOutput> next_for(std::chrono::milliseconds limit);  // empty also when the time is over
  std::optional<RequestOutput> try_next();                                 // never waits
  bool is_finished() const;  // the last output has been taken (or given to the callback)
  bool has_begun() const;    // a step has computed some of the request: it waits in the queue no longer
  void cancel();             // the stream then ends with finish_reason kAbort, unless it has ended already
  std::uint64_t id() const;

 private:
  std::shared_ptr<OutputQueue> queue_;
};

// Called on the engine's thread with each output in place of the stream's queue, up to the last output:
// destroying the stream only asks for that one to come soon. What a callback touches must live until then, or
// until the engine is gone. It must not block, may submit and cancel, and must not destroy the engine. A
// callback that throws cancels its request.
using OutputCallback = std::function<void(const RequestOutput&)>;

// One loaded model and the thread that drives it. Destruction cancels what still runs.
class Engine {
 public:
  // Loads a model directory in the Hugging Face layout.
  // Throws kNotFound, kCorruptFile, kUnsupported, or kExhausted when the memory does not suffice.
  static Engine open(const std::string& model_dir, const EngineOptions& options = {});

  // Throws kInvalidArgument (a parameter, a token outside the vocabulary, a prompt that can never fit) or
  // kExhausted (max_num_requests reached), before anything is queued.
  RequestStream submit(std::vector<std::int32_t> prompt, SamplingParams params = {},
                       OutputCallback callback = {});
  RequestStream submit_text(std::string_view prompt, SamplingParams params = {},
                            OutputCallback callback = {});

  EngineStats stats() const;

  // Calls `callback` on the engine's thread between two steps; not at all when the engine has ended. It must
  // not block.
  void request_snapshot(std::function<void(EngineSnapshot)> callback);

  struct Impl;  // made by the library's own assembly
  explicit Engine(std::unique_ptr<Impl> impl);
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace quire

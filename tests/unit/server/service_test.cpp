// The service as its callers meet it, and what happens to calls when the model fails or the server ends.
#include "server/service.h"

#include <thread>

#include "server/pages_reply.h"
#include "service_fixture.h"

namespace quire {
namespace {

TEST_F(ServiceTest, TellsThatTheModelIsLoading) {
  EXPECT_EQ(get("/health/live").first, 200);
  EXPECT_EQ(get("/health/ready").first, 503);
  EXPECT_EQ(get("/v1/models").first, 503);
  EXPECT_EQ(get("/metrics").first, 200);
  EXPECT_EQ(complete(R"("prompt":[1])").first, 503);
  attach();
  EXPECT_EQ(get("/health/ready").first, 200);
  EXPECT_EQ(complete(R"("prompt":[1,5],"max_tokens":3,"ignore_eos":true)").first, 200);
}

TEST_F(ServiceTest, RefusesCallsWhileItDrainsAndEndsTheOthers) {
  attach();
  gate.set(false);
  Exchange running = ask("POST", "/v1/completions", R"({"prompt":[1],"max_tokens":3,"ignore_eos":true})");
  EXPECT_FALSE(running.reply->poll().is_last);
  service->drain();
  EXPECT_EQ(get("/health/live").first, 200);
  EXPECT_EQ(get("/health/ready").first, 503);
  EXPECT_EQ(complete(R"("prompt":[1])").first, 503);
  EXPECT_EQ(service->num_answers(), 1);
  gate.set(true);
  EXPECT_EQ(finish(running).first, 200);
  running.reply.reset();
  EXPECT_EQ(service->num_answers(), 0);
}

TEST_F(ServiceTest, ReadinessNeedsProgress) {
  ServiceOptions options;
  options.stall_s = 0.001;
  make(options);
  attach();
  gate.set(false);
  Exchange stuck = ask("POST", "/v1/completions", R"({"prompt":[1],"max_tokens":2,"ignore_eos":true})");
  stuck.reply->poll();
  const auto look = [&] {
    service->watch();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    service->watch();
    return get("/health/ready").first;
  };
  while (look() == 200) std::this_thread::yield();
  EXPECT_NE(log.find("no step has finished"), std::string::npos);
  gate.set(true);
  EXPECT_EQ(finish(stuck).first, 200);
  while (look() == 503) std::this_thread::yield();
}

TEST_F(ServiceTest, AFaultOfTheModelEndsOneRequest) {
  attach();
  fake->nan_token = 77;
  const auto failed = complete(R"("prompt":[5,77],"max_tokens":3)");
  EXPECT_EQ(failed.first, 500);
  EXPECT_EQ(failed.second.find("finite"), std::string::npos) << "no insides in messages";
  const auto streamed = complete(R"("prompt":[5,77],"max_tokens":3,"stream":true)");
  EXPECT_EQ(streamed.first, 500) << "nothing was sent yet, so the status can say it";
  EXPECT_EQ(complete(R"("prompt":[5,78],"max_tokens":3,"ignore_eos":true)").first, 200);
  EXPECT_NE(
      get("/metrics").second.find("vllm:corrupted_requests_total{model_name=\"fake\",engine=\"0\"} 2\n"),
      std::string::npos);
}

TEST_F(ServiceTest, AnErrorBehindTheFirstEventIsAnEvent) {
  attach();
  fake->throw_token = 77;  // fails the step that it is in
  Exchange exchange =
      ask("POST", "/v1/completions", R"({"prompt":[5],"max_tokens":390,"ignore_eos":true,"stream":true})");
  std::string body;
  while (body.empty()) body += exchange.reply->poll().body;
  Exchange poison = ask("POST", "/v1/completions", R"({"prompt":[77],"max_tokens":3})");
  poison.reply->poll();
  const auto [status, rest] = finish(exchange);
  EXPECT_EQ(status, 0) << "the head was sent before";
  EXPECT_NE(rest.find("data: {\"error\":{\"code\":500"), std::string::npos) << rest;
  EXPECT_TRUE(rest.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(finish(poison).first, 500);
  EXPECT_EQ(complete(R"("prompt":[78],"max_tokens":3,"ignore_eos":true)").first, 200);
}

TEST_F(ServiceTest, SlowReadersAreCutOff) {
  ServiceOptions options;
  options.calls.max_pending_bytes = 200;
  make(options);
  attach();
  gate.set(false);
  Exchange exchange =
      ask("POST", "/v1/completions", R"({"prompt":[5],"max_tokens":300,"ignore_eos":true,"stream":true})");
  exchange.reply->poll();
  gate.set(true);
  while (engine->stats().num_generation_tokens < 200) std::this_thread::yield();
  const auto [status, body] = finish(exchange);
  EXPECT_NE(body.find("reads too slowly"), std::string::npos) << body.substr(0, 300);
  while (engine->stats().num_held_pages > 0) std::this_thread::yield();
}

TEST_F(ServiceTest, AReplyThatIsDroppedCancels) {
  attach();
  for (const char* stream : {"true", "false"}) {
    gate.set(false);
    Exchange exchange = ask(
        "POST", "/v1/completions",
        std::string(R"({"prompt":[5],"max_tokens":390,"ignore_eos":true,"n":4,"temperature":1,"stream":)") +
            stream + "}");
    exchange.reply->poll();
    EXPECT_EQ(service->num_answers(), 4);
    exchange.reply.reset();
    EXPECT_EQ(service->num_answers(), 0);
    gate.set(true);
    while (engine->stats().num_running + engine->stats().num_waiting + engine->stats().num_held_pages > 0) {
      std::this_thread::yield();
    }
  }
  EXPECT_LT(engine->stats().num_steps, 10) << "cancelled between two steps";
}

TEST_F(ServiceTest, SilentStreamsPing) {
  ServiceOptions options;
  options.calls.ping_s = 0.01;
  make(options);
  attach();
  gate.set(false);
  Exchange exchange =
      ask("POST", "/v1/completions", R"({"prompt":[5],"max_tokens":2,"ignore_eos":true,"stream":true})");
  ReplyOutput output = exchange.reply->poll();
  while (output.body.empty()) {
    std::this_thread::sleep_until(output.wake_at);
    output = exchange.reply->poll();
  }
  EXPECT_EQ(output.head->status, 200);
  EXPECT_EQ(output.body, ": ping\n\n");
  gate.set(true);
  EXPECT_TRUE(finish(exchange).second.ends_with("data: [DONE]\n\n"));
}

TEST_F(ServiceTest, LongBodiesAreReadElsewhere) {
  attach();
  const std::string filler(40'000, 'u');
  EXPECT_EQ(complete(R"("prompt":[5],"max_tokens":2,"ignore_eos":true,"user":")" + filler + "\"").first, 200);
  EXPECT_EQ(complete(R"("prompt":[5],"max_tokens":0,"user":")" + filler + "\"").first, 400);
  Exchange dropped = ask("POST", "/v1/completions", R"({"prompt":[5],"user":")" + filler + "\"}");
  dropped.reply.reset();
}

TEST_F(ServiceTest, AnsweredAbortsWhenTheDrainIsOver) {
  attach();
  Exchange exchange =
      ask("POST", "/v1/completions", R"({"prompt":[5],"max_tokens":390,"ignore_eos":true,"stream":true})");
  gate.set(false);
  exchange.reply->poll();
  service->abort_calls();
  exchange.reply->poll();  // as the server does: it wakes every connection
  gate.set(true);
  EXPECT_NE(finish(exchange).second.find("\"finish_reason\":\"abort\""), std::string::npos);
}

TEST_F(ServiceTest, PagesAreDrawnWithTheirOwners) {
  attach();
  EngineSnapshot snapshot;
  snapshot.page_size = 16;
  snapshot.page_owners = {7, kFreePage, kCachedPage, -3};
  snapshot.steps = {{1, 2, 3, 400}};
  snapshot.stats.num_running = 2;
  EXPECT_EQ(pages_json(snapshot, 1.5),
            "{\"num_pages\":4,\"page_size\":16,\"owners\":[7,-1,0,-3],\"steps\":[{\"decode\":1,\"extend\":2,"
            "\"prefill\":3,"
            "\"time_us\":400}],\"running\":2,\"waiting\":0,\"generation_tokens\":0,\"prompt_tokens\":0,"
            "\"time\":1.500}\n");
  const auto [status, body] = get("/v1/internal/pages");
  EXPECT_EQ(status, 200);
  EXPECT_EQ(Json::parse(body)["owners"].size(), static_cast<std::size_t>(kNumPages - 1));
}

TEST_F(ServiceTest, SharedPagesCountTheirHolders) {
  attach();
  gate.set(false);
  std::vector<Exchange> exchanges;
  for (int i = 0; i < 3; ++i) {
    exchanges.push_back(ask("POST", "/v1/completions",
                            R"({"prompt":[5,6,7,8,9,10,11,12,13],"max_tokens":200,"ignore_eos":true})"));
    exchanges.back().reply->poll();
  }
  Exchange pages = ask("GET", "/v1/internal/pages");
  gate.set(true);
  const Json owners = Json::parse(finish(pages).second)["owners"];
  EXPECT_GE(std::count(owners.begin(), owners.end(), Json(-3)) +
                std::count(owners.begin(), owners.end(), Json(-2)) +
                std::count_if(owners.begin(), owners.end(), [](const Json& owner) { return owner > 0; }),
            1);
  for (Exchange& exchange : exchanges) EXPECT_EQ(finish(exchange).first, 200);
}

}  // namespace
}  // namespace quire

// What a request is told at the end of its head, and what no client can take from the others.
#include <map>
#include <set>
#include <thread>

#include "server/service.h"
#include "service_fixture.h"

namespace quire {
namespace {

// A service without a model. The status of what it says to a head; 0 if the body is read.
struct Heads {
  explicit Heads(ServiceOptions options) : service(std::move(options), [](std::string_view) {}) {}

  int status_of(RequestHead head, Headers headers, bool probes_only = false) {
    head.request.headers = std::move(headers);
    Exchange exchange = service.judge(head, probes_only);
    if (!exchange.reply) return 0;
    output = exchange.reply->poll();
    return output.head->status;
  }
  static RequestHead head(const std::string& method, const std::string& path, std::uint64_t body_bytes = 0) {
    RequestHead head;
    head.request.method = method;
    head.request.path = path;
    head.request.peer = "10.0.0.1";
    head.framing = body_bytes > 0 ? Framing::kLength : Framing::kNone;
    head.body_bytes = body_bytes;
    return head;
  }

  Service service;
  ReplyOutput output;
};

TEST(Judge, ARequestIsJudgedBeforeItsBody) {
  ServiceOptions options;
  options.access.api_keys = {"k"};
  Heads heads(options);
  const auto ask = [&](const std::string& method, const std::string& path, std::uint64_t body_bytes,
                       Headers headers) {
    return heads.status_of(Heads::head(method, path, body_bytes), std::move(headers));
  };
  const std::pair<std::string, std::string> key = {"authorization", "Bearer k"},
                                            type = {"content-type", "application/json"};
  EXPECT_EQ(ask("POST", "/v1/completions", 5'000'000, {type}), 401);
  EXPECT_EQ(ask("POST", "/nothing", 5'000'000, {key, type}), 404);
  EXPECT_EQ(ask("PUT", "/v1/completions", 5'000'000, {key, type}), 405);
  EXPECT_EQ(ask("POST", "/v1/completions", 5'000'000, {key, type, {"origin", "https://evil"}}), 403);
  EXPECT_EQ(ask("POST", "/v1/completions", 5'000'000, {key, type}), 503) << "the model is not there";
  EXPECT_EQ(ask("GET", "/metrics", 20'000, {key}), 413) << "nothing wants this body";
  EXPECT_EQ(ask("GET", "/metrics", 0, {key}), 0);
  EXPECT_EQ(ask("GET", "/health/live", 0, {{"host", "any.name"}}), 0) << "probes may use any name";
  EXPECT_EQ(heads.status_of(Heads::head("GET", "/metrics"), {key}, true), 503);
  EXPECT_EQ(heads.status_of(Heads::head("GET", "/health/live"), {}, true), 0);
}

TEST_F(ServiceTest, JudgesTypeLengthAndRoomByTheHead) {
  ServiceOptions options;
  options.max_body_bytes = 1000;
  options.max_unread_body_bytes = 2000;
  options.calls.max_inline_body_bytes = 100;
  make(options);
  attach();
  const auto judge = [&](std::uint64_t body_bytes, const char* type) {
    RequestHead head = Heads::head("POST", "/v1/completions", body_bytes);
    head.request.headers = {{"content-type", type}};
    const Exchange exchange = service->judge(head);
    return exchange.reply ? exchange.reply->poll().head->status : 0;
  };
  EXPECT_EQ(judge(1000, "text/plain"), 415);
  EXPECT_EQ(judge(1001, "application/json"), 413);
  EXPECT_EQ(judge(1000, "application/json"), 0);
  const Exchange other = service->judge(Heads::head("GET", "/version"));
  BodyBudget::Share held = service->body_share(other);
  held.grow_to(500);
  EXPECT_EQ(judge(1000, "application/json"), 429) << "too many bodies are being read";
  EXPECT_EQ(judge(400, "application/json"), 0);
  service->drain();
  EXPECT_EQ(judge(400, "application/json"), 503);
}

TEST_F(ServiceTest, WorkOfClientsThatLeftIsForgotten) {
  ServiceOptions options;
  options.num_workers = 1;
  make(options);
  attach();
  const std::string filler(100'000, 'u');
  const std::string body = R"({"prompt":[5],"max_tokens":2,"ignore_eos":true,"user":")" + filler + "\"}";
  for (int i = 0; i < 300; ++i) {
    for (const char* path : {"/v1/completions", "/tokenize", "/detokenize"}) {
      Exchange left = ask("POST", path, body);
      left.reply.reset();
    }
  }
  EXPECT_EQ(service->num_answers(), 0) << "their places are free";
  EXPECT_EQ(complete(R"("prompt":[5],"max_tokens":2,"ignore_eos":true,"user":")" + filler + "\"").first, 200);
}

TEST_F(ServiceTest, LongBodiesTakePlacesWhileTheyArePrepared) {
  ServiceOptions options;
  options.max_queued_answers = 2;  // 10 places with those of the engine; one client has 9
  make(options);
  attach();
  const std::string body = R"({"prompt":")" + std::string(5'000'000, 'u') + "\"}";
  std::vector<Exchange> held;
  for (int i = 0; i < 9; ++i) held.push_back(ask("POST", i % 2 == 0 ? "/tokenize" : "/v1/completions", body));
  Exchange refused = ask("POST", "/tokenize", body);
  EXPECT_EQ(finish(refused).first, 429);
  held.clear();
  EXPECT_EQ(service->num_answers(), 0);
}

TEST_F(ServiceTest, WaitingInTheQueueHasAnEndAndRunningHasNone) {
  ServiceOptions options;
  options.calls.queue_timeout_s = 0.5;
  make(options);
  attach();
  const char* endless = R"({"prompt":[5],"max_tokens":390,"ignore_eos":true})";
  gate.set(false);
  Exchange waits = ask("POST", "/v1/completions", endless);
  EXPECT_EQ(finish(waits).first, 504);
  waits.reply.reset();
  gate.set(true);
  while (engine->stats().num_running + engine->stats().num_waiting > 0) std::this_thread::yield();
  options.calls.queue_timeout_s = 5;  // by then it has begun, and is held up
  make(options);
  attach();
  Exchange runs = ask("POST", "/v1/completions", endless);
  runs.reply->poll();
  while (engine->stats().num_generation_tokens == 0) std::this_thread::yield();
  gate.set(false);
  std::this_thread::sleep_until(runs.arrival + std::chrono::milliseconds(5'100));
  EXPECT_FALSE(runs.reply->poll().is_last);
  gate.set(true);
  EXPECT_EQ(finish(runs).first, 200);
}

TEST_F(ServiceTest, NoKeyTakesAllPlaces) {
  ServiceOptions options;
  options.access.api_keys = {"greedy", "modest"};
  options.max_answers_of_client = 3;
  make(options);
  attach();
  gate.set(false);
  const auto ask_with = [&](const std::string& key, const std::string& body) {
    RequestHead head = Heads::head("POST", "/v1/completions", body.size());
    head.request.headers = {{"content-type", "application/json"}, {"authorization", "Bearer " + key}};
    Exchange exchange = service->judge(head);
    head.request.body = body;
    if (!exchange.reply) service->begin(exchange, std::move(head.request), [] {});
    return exchange;
  };
  const std::string three = R"({"prompt":[5],"max_tokens":9,"n":3,"temperature":1,"ignore_eos":true})";
  const std::string one = R"({"prompt":[5],"max_tokens":9})";
  Exchange first = ask_with("greedy", three);
  EXPECT_FALSE(first.reply->poll().is_last);
  Exchange second = ask_with("greedy", one);
  EXPECT_EQ(second.reply->poll().head->status, 429);
  Exchange other = ask_with("modest", one);
  EXPECT_FALSE(other.reply->poll().is_last);
  gate.set(true);
}

TEST_F(ServiceTest, ClientsBehindATrustedProxyHaveSharesOfTheirOwn) {
  ServiceOptions options;
  options.trusted_proxies = {"10.0.0.1"};
  options.max_answers_of_client = 1;
  make(options);
  attach();
  gate.set(false);
  const auto ask_from = [&](const std::string& peer, const std::string& forwarded) {
    const std::string body = R"({"prompt":[5],"max_tokens":9})";
    RequestHead head = Heads::head("POST", "/v1/completions", body.size());
    head.request.peer = peer;
    head.request.headers = {{"content-type", "application/json"}, {"x-forwarded-for", forwarded}};
    Exchange exchange = service->judge(head);
    head.request.body = body;
    if (!exchange.reply) service->begin(exchange, std::move(head.request), [] {});
    return exchange;
  };
  Exchange one = ask_from("10.0.0.1", "192.0.2.1"), two = ask_from("10.0.0.1", "192.0.2.2");
  EXPECT_FALSE(one.reply->poll().is_last);
  EXPECT_FALSE(two.reply->poll().is_last);
  Exchange again = ask_from("10.0.0.1", "192.0.2.3, 192.0.2.1");  // the proxy wrote the second
  EXPECT_EQ(again.reply->poll().head->status, 429);
  Exchange stranger = ask_from("10.0.0.2", "192.0.2.4");
  EXPECT_FALSE(stranger.reply->poll().is_last);
  Exchange stranger_again = ask_from("10.0.0.2", "192.0.2.5");
  EXPECT_EQ(stranger_again.reply->poll().head->status, 429) << "nobody trusts 10.0.0.2";
  gate.set(true);
}

TEST_F(ServiceTest, PollsOfThePagesShareOneText) {
  attach();
  gate.set(false);
  Exchange running = ask("POST", "/v1/completions", R"({"prompt":[5],"max_tokens":300,"ignore_eos":true})");
  running.reply->poll();
  std::vector<Exchange> polls;
  for (int i = 0; i < 50; ++i) polls.push_back(ask("GET", "/v1/internal/pages"));
  gate.set(true);
  std::set<const std::string*> texts;
  for (Exchange& poll : polls) {
    ReplyOutput output = poll.reply->poll();
    while (!output.is_last) output = poll.reply->poll();
    texts.insert(output.shared_body.get());
  }
  EXPECT_EQ(texts.size(), 1u);
  EXPECT_EQ(finish(running).first, 200);
  gate.set(false);
  Exchange stuck = ask("POST", "/v1/completions", R"({"prompt":[5],"max_tokens":3,"ignore_eos":true})");
  stuck.reply->poll();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // the text is no longer fresh
  EXPECT_EQ(get("/v1/internal/pages").first, 200) << "while a step takes long, the last text will do";
  gate.set(true);
}

TEST_F(ServiceTest, ErrorsSayWhatProgramsLookFor) {
  attach();
  const auto [status, body] = complete(R"("prompt":[1,2,3],"max_tokens":398)");
  EXPECT_EQ(status, 400);
  const Json error = Json::parse(body)["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["param"], "max_tokens");
  EXPECT_NE(error["message"].get<std::string>().find("maximum context length is 400 tokens"),
            std::string::npos);
  Exchange stranger = ask("POST", "/v1/completions", R"({"prompt":[1],"model":"a\u0000b"})");
  EXPECT_NE(finish(stranger).second.find("`a\\u0000b`"), std::string::npos) << "a zero byte ends no message";
  Exchange later = ask("POST", "/v1/embeddings", "{}");
  const ReplyOutput output = later.reply->poll();
  EXPECT_EQ(output.head->status, 501);
  EXPECT_EQ(output.head->headers, (Headers{{"X-Should-Retry", "false"}}));
  const auto card = get("/v1/models/nobody");
  EXPECT_EQ(card.first, 404);
  EXPECT_NE(card.second.find("nobody"), std::string::npos);
}

// The field is the one that the client sent, of the two that name the length of an answer.
TEST_F(ServiceTest, TooLongAnAnswerIsToldByTheNameOfItsField) {
  encode_chat = [](const auto&, bool, const auto&) { return std::vector<std::int32_t>{1, 2, 3}; };
  attach();
  for (const std::string field : {"max_tokens", "max_completion_tokens"}) {
    Exchange call = ask("POST", "/v1/chat/completions",
                        R"({"messages":[{"role":"user","content":"x"}],")" + field + R"(":398})");
    const auto [status, body] = finish(call);
    EXPECT_EQ(status, 400);
    EXPECT_EQ(Json::parse(body)["error"]["param"], field) << body;
  }
}

// What a template says of a conversation is about its messages: clients show the field, and the endpoint is
// none.
TEST_F(ServiceTest, ErrorsOfTemplatesNameTheMessages) {
  encode_chat = [](const auto&, bool, const auto&) -> std::vector<std::int32_t> {
    throw Error(ErrorKind::kInvalidArgument, "roles must alternate");
  };
  attach();
  Exchange call = ask("POST", "/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}]})");
  const auto [status, body] = finish(call);
  EXPECT_EQ(status, 400);
  const Json error = Json::parse(body)["error"];
  EXPECT_EQ(error["param"], "messages");
  EXPECT_EQ(error["message"], "roles must alternate");
}

TEST_F(ServiceTest, TheLivePageIsKeptToItself) {
  Exchange exchange = ask("GET", "/");
  const ReplyOutput output = exchange.reply->poll();
  EXPECT_EQ(output.head->content_type, "text/html; charset=utf-8");
  const std::map<std::string, std::string> headers(output.head->headers.begin(), output.head->headers.end());
  EXPECT_EQ(
      headers.at("Content-Security-Policy"),
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
      "frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
  EXPECT_EQ(headers.at("X-Frame-Options"), "DENY");
  EXPECT_EQ(headers.at("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(headers.at("Referrer-Policy"), "no-referrer");
  for (const char* path : {"/page/", "/page/none.js", "/page/../index.html"})
    EXPECT_EQ(get(path).first, 404) << path;
}

}  // namespace
}  // namespace quire

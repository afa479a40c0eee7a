// The generator against a server in this process: counts, orders and contents, never times.
#include "load/load_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>

#include "base/error.h"
#include "fake_server.h"

namespace quire {
namespace {

constexpr const char* kRole =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
constexpr const char* kUsage =
    "data: "
    "{\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":6,\"prompt_tokens_details\":{"
    "\"cached_tokens\":4}}}\n\n";
constexpr const char* kDone = "data: [DONE]\n\n";

std::string word(const std::string& text, const char* finish = "null") {
  return "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + text +
         "\"},\"finish_reason\":" + finish + "}]}\n\n";
}

FakeAnswer good_answer() {
  FakeAnswer answer;
  answer.body =
      kRole + word("one ") + ": ping\n\n" + word("two ") + word("three", "\"length\"") + kUsage + kDone;
  return answer;
}

LoadTarget target_of(const FakeServer& server) {
  LoadTarget target;
  target.url = server.url();
  target.model = "m";
  target.timeout_s = 30;
  return target;
}

Workload make_workload(int num_turns = 1, int prefix_len = 0) {
  WorkloadConfig config;
  config.prompt_len = LengthLaw::parse("", "5");
  config.output_len = LengthLaw::parse("", "6");
  config.num_turns = num_turns;
  config.prefix_len = prefix_len;
  return Workload(config);
}

LoadStage closed(int num_clients, std::int64_t num_conversations) {
  LoadStage stage;
  stage.num_clients = num_clients;
  stage.num_conversations = num_conversations;
  return stage;
}

LoadRecord run_one(FakeAnswer answer, double timeout_s = 30) {
  const FakeServer server([&](const FakeServer::Request&) { return answer; });
  LoadTarget target = target_of(server);
  target.timeout_s = timeout_s;
  const auto records = run_stage(target, make_workload(), closed(1, 1));
  EXPECT_EQ(records.size(), 1u);
  return records.empty() ? LoadRecord() : records[0];
}

void expect_ordered(const LoadRecord& record) {
  EXPECT_LE(record.intended_s, record.sent_s);
  EXPECT_LE(record.sent_s, record.first_s);
  EXPECT_LE(record.first_s, record.last_s);
  EXPECT_LE(record.last_s, record.end_s);
}

TEST(LoadRun, ReadsAStreamHoweverItIsCut) {
  for (const std::size_t piece : {0u, 1u, 2u, 7u, 64u}) {
    FakeAnswer answer = good_answer();
    answer.piece = piece;
    const LoadRecord record = run_one(answer);
    EXPECT_EQ(record.outcome, LoadOutcome::kOk) << record.error;
    EXPECT_EQ(record.gaps_s.size(), 2u);
    EXPECT_EQ(record.output_len, 6);
    EXPECT_EQ(record.prompt_len, 12);
    EXPECT_EQ(record.cached_len, 4);
    EXPECT_TRUE(record.has_usage);
    expect_ordered(record);
  }
}

TEST(LoadRun, ReadsAnswersOfStatedLength) {
  FakeAnswer answer = good_answer();
  answer.has_length = true;
  EXPECT_EQ(run_one(answer).outcome, LoadOutcome::kOk) << run_one(answer).error;
  answer.headers = "Content-Type: text/event-stream\r\nContent-Length: 99999999999999\r\n";
  EXPECT_EQ(run_one(answer).outcome, LoadOutcome::kBroken) << "two lengths, one absurd";
}

TEST(LoadRun, WithoutUsageCountsEvents) {
  FakeAnswer answer;
  answer.body = kRole + word("one ") + word("two ") + word("", "\"stop\"");
  const LoadRecord record = run_one(answer);
  EXPECT_EQ(record.outcome, LoadOutcome::kOk) << "a finish_reason is an end, with or without [DONE]";
  EXPECT_FALSE(record.has_usage);
  EXPECT_EQ(record.output_len, 2);
}

TEST(LoadRun, AnswersWithoutTextOrStreamCount) {
  FakeAnswer answer;
  answer.body = kRole + word("", "\"stop\"") + kDone;
  EXPECT_EQ(run_one(answer).outcome, LoadOutcome::kOk);
  answer.headers = "Content-Type: application/json\r\n";
  answer.body =
      "{\"choices\":[{\"message\":{\"content\":\"all\"},\"finish_reason\":\"stop\"}],\"usage\":{\"completion_"
      "tokens\":3}}";
  const LoadRecord record = run_one(answer);
  EXPECT_EQ(record.outcome, LoadOutcome::kOk) << record.error;
  EXPECT_EQ(record.output_len, 3);
}

TEST(LoadRun, RefusalsSayWhenToComeAgain) {
  FakeAnswer answer;
  answer.status = 429;
  answer.headers = "Content-Type: application/json\r\nRetry-After: 0\r\n";
  answer.body = "{\"error\":{\"message\":\"the queue is full\\u001b[31m\"}}";
  const LoadRecord record = run_one(answer);
  EXPECT_EQ(record.outcome, LoadOutcome::kRefused);
  EXPECT_EQ(record.status, 429);
  EXPECT_EQ(record.retry_after_s, 0);
  EXPECT_EQ(record.error, "the queue is full [31m");
}

TEST(LoadRun, TellsFailuresApart) {
  FakeAnswer answer;
  answer.status = 500;
  answer.body = "<html>oh\nno</html>";
  EXPECT_EQ(run_one(answer).outcome, LoadOutcome::kHttpError);
  EXPECT_EQ(run_one(answer).error, "<html>oh");

  answer = good_answer();
  answer.is_cut = true;
  answer.body = kRole + word("one ");
  EXPECT_EQ(run_one(answer).outcome, LoadOutcome::kBroken);

  answer = {};
  answer.body = kRole + word("one ");  // ends, and says neither why nor [DONE]
  EXPECT_EQ(run_one(answer).outcome, LoadOutcome::kBroken);
  EXPECT_EQ(run_one(answer).error, "ended early");

  answer.body = kRole + word("one ") + "data: {\"error\":{\"message\":\"no page left\"}}\n\n" + kDone;
  EXPECT_EQ(run_one(answer).outcome, LoadOutcome::kBroken);
  EXPECT_EQ(run_one(answer).error, "no page left");

  answer.body = "data: <html>\n\n" + std::string(kDone);
  EXPECT_EQ(run_one(answer).outcome, LoadOutcome::kBroken);
}

TEST(LoadRun, NobodyThere) {
  LoadTarget target;
  {
    const FakeServer server([](const FakeServer::Request&) { return good_answer(); });
    target = target_of(server);
  }
  const auto records = run_stage(target, make_workload(), closed(2, 2));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].outcome, LoadOutcome::kNoConnection);
  EXPECT_THROW(get_now(target, "/models"), Error);
  EXPECT_THROW(measure_word_cost(target, 0), Error);
}

TEST(LoadRun, SilenceIsATimeout) {
  Gate gate(2);
  {
    const FakeServer server([&](const FakeServer::Request&) {
      gate.pass();
      return good_answer();
    });
    LoadTarget target = target_of(server);
    target.timeout_s = 0.05;
    const auto records = run_stage(target, make_workload(), closed(1, 1));
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].outcome, LoadOutcome::kTimeout);
    gate.pass();  // lets the server's thread go
  }
}

TEST(LoadRun, OpenLoopWaitsForNobody) {
  constexpr int kRequests = 200;
  Gate gate(kRequests);  // nobody is answered before all have come
  const FakeServer server([&](const FakeServer::Request&) {
    gate.pass();
    return good_answer();
  });
  LoadStage stage;
  stage.arrivals_s = poisson_arrivals(2000, kRequests, 5);
  stage.num_conversations = kRequests;
  auto records = run_stage(target_of(server), make_workload(), stage);
  ASSERT_EQ(records.size(), std::size_t{kRequests});
  std::sort(records.begin(), records.end(), [](auto& a, auto& b) { return a.intended_s < b.intended_s; });
  for (int i = 0; i < kRequests; ++i) {
    EXPECT_EQ(records[std::size_t(i)].outcome, LoadOutcome::kOk) << records[std::size_t(i)].error;
    EXPECT_EQ(records[std::size_t(i)].intended_s, stage.arrivals_s[std::size_t(i)])
        << "latency counts from when it was due";
    expect_ordered(records[std::size_t(i)]);
  }
}

TEST(LoadRun, OpenLoopStopsBeginningAfterItsDuration) {
  const FakeServer server([](const FakeServer::Request&) { return good_answer(); });
  LoadStage stage;
  stage.arrivals_s = {0, 0.01, 0.02, 1000, 2000};
  stage.num_conversations = 5;
  stage.duration_s = 10;
  EXPECT_EQ(run_stage(target_of(server), make_workload(), stage).size(), 3u);
  stage.arrivals_s = {1000};
  EXPECT_EQ(run_stage(target_of(server), make_workload(), stage).size(), 0u);
}

TEST(LoadRun, ClosedLoopHasAsManyInFlightAsClients) {
  Gate gate(7);
  const FakeServer server([&](const FakeServer::Request&) {
    gate.pass();
    return good_answer();
  });
  const auto records = run_stage(target_of(server), make_workload(), closed(7, 100));
  EXPECT_EQ(records.size(), 100u);
  EXPECT_EQ(gate.most_here(), 7);
  EXPECT_EQ(server.num_connections(), 7) << "connections are kept";
}

TEST(LoadRun, ConnectionsThatTheServerClosedAreMadeAnew) {
  const FakeServer server([](const FakeServer::Request&) {
    FakeAnswer answer = good_answer();
    answer.closes_after = true;
    return answer;
  });
  const auto records = run_stage(target_of(server), make_workload(), closed(2, 40));
  ASSERT_EQ(records.size(), 40u);
  for (const LoadRecord& record : records) EXPECT_EQ(record.outcome, LoadOutcome::kOk) << record.error;
}

TEST(LoadRun, ClientsComeAgainAfterARefusal) {
  std::atomic<int> num_asked = 0;
  const FakeServer server([&](const FakeServer::Request&) {
    FakeAnswer answer = good_answer();
    if (num_asked++ % 2 == 0) {
      answer.status = 429;
      answer.headers += "Retry-After: 0\r\n";
    }
    return answer;
  });
  const auto records = run_stage(target_of(server), make_workload(), closed(1, 6));
  const LoadSummary sum = summarize(records, {});
  EXPECT_EQ(sum.num_ok, 3);
  EXPECT_EQ(sum.num_refused, 3);
  EXPECT_EQ(sum.num_retry_after, 3);
}

TEST(LoadRun, ConversationsSendWhatWasSaid) {
  std::mutex mutex;
  std::vector<Json> bodies;
  const FakeServer server([&](const FakeServer::Request& request) {
    std::lock_guard lock(mutex);
    bodies.push_back(Json::parse(request.body()));
    return good_answer();
  });
  const auto records = run_stage(target_of(server), make_workload(3, 4), closed(1, 1));
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[1].intended_s, records[0].end_s) << "a turn is due when the one before has ended";
  ASSERT_EQ(bodies.size(), 3u);
  const Json& last = bodies[2]["messages"];
  ASSERT_EQ(last.size(), 6u);
  const char* roles[] = {"system", "user", "assistant", "user", "assistant", "user"};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(last[i]["role"], roles[i]);
  EXPECT_EQ(last[2]["content"], "one two three");
  EXPECT_EQ(last[1], bodies[0]["messages"][1]);
  EXPECT_EQ(bodies[0]["max_tokens"], 6);
  EXPECT_EQ(bodies[0]["stream"], true);
  EXPECT_EQ(bodies[0]["ignore_eos"], true);
  EXPECT_EQ(bodies[0]["stream_options"]["include_usage"], true);
}

TEST(LoadRun, RequestsSayWhatTheTargetSays) {
  LoadTarget target;
  target.url = HttpUrl::parse("--url", "http://host:81/base/v1/");
  target.model = "name";
  target.api_key = "k";
  target.is_chat = false;
  target.ignores_eos = false;
  target.more = {{"top_k", 3}};
  const auto request = make_request(target, {{"system", "a"}, {"user", "b"}}, 9);
  EXPECT_EQ(request.target(), "/base/v1/completions");
  EXPECT_EQ(request["Host"], "host:81");
  EXPECT_EQ(request["Authorization"], "Bearer k");
  const Json body = Json::parse(request.body());
  EXPECT_EQ(body["prompt"], "a\nb");
  EXPECT_EQ(body["top_k"], 3);
  EXPECT_FALSE(body.contains("ignore_eos"));
}

TEST(LoadRun, FindsTheModelAndTheCostOfWords) {
  const FakeServer server([](const FakeServer::Request& request) {
    FakeAnswer answer;
    if (request.method() == boost::beast::http::verb::get) {
      answer.headers = "Content-Type: application/json\r\n";
      answer.body = "{\"data\":[{\"id\":\"first\"},{\"id\":\"second\"}]}";
      return answer;
    }
    const std::string text = Json::parse(request.body())["messages"][0]["content"];
    const auto num_words = std::count(text.begin(), text.end(), ' ') + 1;
    answer.body = word("x", "\"length\"") +
                  "data: {\"choices\":[],\"usage\":{\"completion_tokens\":1,\"prompt_tokens\":" +
                  std::to_string(4 * num_words + 11) + "}}\n\n" + kDone;
    return answer;
  });
  EXPECT_EQ(find_model(target_of(server)), "first");
  const WordCost cost = measure_word_cost(target_of(server), 1);
  EXPECT_DOUBLE_EQ(cost.per_word, 4);
  EXPECT_DOUBLE_EQ(cost.per_prompt, 11);
}

TEST(LoadRun, StopsWhenAsked) {
  const FakeServer server([](const FakeServer::Request&) { return good_answer(); });
  LoadHooks hooks;
  int num_asked = 0;
  hooks.should_stop = [&] { return ++num_asked >= 2; };
  LoadStage stage;
  stage.arrivals_s = {0, 1000};
  stage.num_conversations = 2;
  EXPECT_EQ(run_stage(target_of(server), make_workload(), stage, hooks).size(), 1u);
}

TEST(HttpUrl, ReadsAndRefuses) {
  const HttpUrl url = HttpUrl::parse("--url", "http://[::1]:8000/v1/");
  EXPECT_EQ(url.host, "::1");
  EXPECT_EQ(url.port, "8000");
  EXPECT_EQ(url.path, "/v1");
  EXPECT_EQ(url.authority(), "[::1]:8000");
  EXPECT_EQ(HttpUrl::parse("--url", "http://a").port, "80");
  for (const char* text :
       {"", "a", "https://a", "http://", "http://:80", "http://a:0", "http://a:99999", "http://a:x",
        "http://u@a", "http://a b", "http://a/?q", "http://a:", "http://[::1"})
    EXPECT_THROW(HttpUrl::parse("--url", text), Error) << text;
}

}  // namespace
}  // namespace quire

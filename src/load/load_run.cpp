#include "load/load_run.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>

#include "base/check.h"

namespace quire {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using boost::system::error_code;

constexpr double kTickS = 0.1, kMaxPauseS = 5, kPauseS = 0.1;

// A conversation that goes on.
struct Talk {
  LoadConversation conversation;
  std::vector<Message> messages;
  std::size_t turn = 0;
};

class StageRun {
 public:
  StageRun(const LoadTarget& target, const Workload& workload, const LoadStage& stage, const LoadHooks& hooks)
      : target_(target),
        workload_(workload),
        stage_(stage),
        hooks_(hooks),
        pool_(io_, target.url),
        tick_(io_),
        arrival_(io_),
        start_(Clock::now()) {}

  std::vector<LoadRecord> run() {
    if (stage_.num_clients > 0) {
      for (int i = 0; i < stage_.num_clients; ++i) begin_as_client();
    } else {
      wait_for_arrival();
    }
    if (num_open_ > 0) tick();
    io_.run();
    return std::move(records_);
  }

 private:
  double elapsed_s() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  Clock::time_point at(double time_s) const {
    return start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(time_s));
  }

  bool may_begin(double due_s) const {
    return num_begun_ < stage_.num_conversations && (stage_.duration_s <= 0 || due_s <= stage_.duration_s);
  }

  // Open loop: `num_open_` counts the stream of arrivals as one, so that the end of the last answer is the
  // end.
  void wait_for_arrival() {
    const auto next = static_cast<std::size_t>(num_begun_);
    if (next >= stage_.arrivals_s.size() || !may_begin(stage_.arrivals_s[next])) return;
    ++num_open_;
    arrival_.expires_at(at(stage_.arrivals_s[next]));
    arrival_.async_wait([this](error_code error) {
      if (error) return;
      --num_open_;
      // All that are due: a generator that came late must not spread them out.
      const double now_s = elapsed_s();
      while (static_cast<std::size_t>(num_begun_) < stage_.arrivals_s.size()) {
        const double due_s = stage_.arrivals_s[static_cast<std::size_t>(num_begun_)];
        if (due_s > now_s || !may_begin(due_s)) break;
        begin(due_s);
      }
      wait_for_arrival();
      end_if_idle();
    });
  }

  void begin_as_client() {
    const double now_s = elapsed_s();
    if (may_begin(now_s)) begin(now_s);
  }

  void begin(double due_s) {
    auto talk = std::make_shared<Talk>();
    talk->conversation = workload_.conversation(stage_.index, num_begun_++);
    if (!talk->conversation.prefix.empty()) talk->messages.push_back({"system", talk->conversation.prefix});
    ++num_open_;
    say(talk, due_s);
  }

  void say(const std::shared_ptr<Talk>& talk, double due_s) {
    const Turn& turn = talk->conversation.turns[talk->turn];
    talk->messages.push_back({"user", turn.message});
    StreamedCall call{target_, pool_, [this] { return elapsed_s(); }, {}};
    call.on_done = [this, talk](LoadRecord record, std::string answer) {
      take(talk, std::move(record), std::move(answer));
    };
    start_streamed(call, make_request(target_, talk->messages, turn.output_len), due_s);
  }

  void take(const std::shared_ptr<Talk>& talk, LoadRecord record, std::string answer) {
    const bool is_ok = record.outcome == LoadOutcome::kOk;
    const double end_s = record.end_s, pause_s = std::min(kMaxPauseS, record.retry_after_s.value_or(kPauseS));
    records_.push_back(std::move(record));
    if (is_ok && ++talk->turn < talk->conversation.turns.size()) {
      talk->messages.push_back({"assistant", std::move(answer)});
      return say(talk, end_s);
    }
    --num_open_;
    if (stage_.num_clients > 0) {
      if (is_ok) {
        begin_as_client();
      } else {
        begin_after(pause_s);
      }
    }
    end_if_idle();
  }

  void begin_after(double pause_s) {
    ++num_open_;
    const auto timer = std::make_shared<asio::steady_timer>(io_, at(elapsed_s() + pause_s));
    timer->async_wait([this, timer](error_code error) {
      if (error) return;
      --num_open_;
      begin_as_client();
      end_if_idle();
    });
  }

  void end_if_idle() {
    if (num_open_ == 0) io_.stop();
  }

  void tick() {
    tick_.expires_after(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(kTickS)));
    tick_.async_wait([this](error_code error) {
      if (error) return;
      if (hooks_.on_progress) hooks_.on_progress(static_cast<std::int64_t>(records_.size()), elapsed_s());
      if (hooks_.should_stop && hooks_.should_stop()) return io_.stop();
      tick();
    });
  }

  const LoadTarget& target_;
  const Workload& workload_;
  const LoadStage& stage_;
  const LoadHooks& hooks_;
  // Above everything that its handlers touch: it is destroyed last.
  std::vector<LoadRecord> records_;
  asio::io_context io_{1};
  ConnectionPool pool_;
  asio::steady_timer tick_, arrival_;
  const Clock::time_point start_;
  std::int64_t num_begun_ = 0, num_open_ = 0;
};

}  // namespace

std::vector<LoadRecord> run_stage(const LoadTarget& target, const Workload& workload, const LoadStage& stage,
                                  const LoadHooks& hooks) {
  return StageRun(target, workload, stage, hooks).run();
}

WordCost measure_word_cost(const LoadTarget& target, std::uint64_t seed) {
  constexpr std::int64_t kWords[] = {8, 72};
  std::int64_t tokens[2];
  for (int i = 0; i < 2; ++i) {
    LoadRandom random(seed, ~static_cast<std::uint64_t>(i));
    TraceEntry entry;
    entry.output_len = 1;
    entry.prompt = random_words(kWords[i], random);
    WorkloadConfig config;
    config.trace.push_back(std::move(entry));
    LoadStage stage;
    stage.num_clients = 1;
    stage.num_conversations = 1;
    const LoadRecord record = run_stage(target, Workload(config), stage).at(0);
    QUIRE_CHECK_KIND(kExhausted, record.outcome == LoadOutcome::kOk,
                     "the first request to http://{} failed: {}{}", target.url.authority(),
                     to_string(record.outcome),
                     record.error.empty() ? "" : fmt::format(" ({} {})", record.status, record.error));
    tokens[i] = record.prompt_len;
  }
  return fit_word_cost(kWords[0], tokens[0], kWords[1], tokens[1]);
}

}  // namespace quire

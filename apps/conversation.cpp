#include "apps/conversation.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "apps/console.h"
#include "base/check.h"
#include "base/json.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxFileBytes = 16u << 20;
constexpr std::int64_t kAnswerTokens =
    512;  // for which room is kept where no flag says how long answers may be

}  // namespace

void Conversation::reset() {
  turns_.clear();
  first_shown_ = 0;
}

void Conversation::answer(const std::string& message, InterruptScope& interrupt) {
  turns_.push_back({"user", message});
  try {
    std::string text;
    if (stream_answer(interrupt, text)) {
      turns_.push_back({"assistant", std::move(text)});
      return;
    }
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kExhausted) throw;  // nobody can read what is written
    log("{}", e.what());
  }
  turns_.pop_back();
  first_shown_ = std::min(first_shown_, turns_.size());
}

std::vector<ChatMessage> Conversation::shown() const {
  std::vector<ChatMessage> messages;
  if (!system_.empty()) messages.push_back({"system", system_});
  messages.insert(messages.end(), turns_.begin() + static_cast<std::ptrdiff_t>(first_shown_), turns_.end());
  return messages;
}

// Leaves out the oldest turns until prompt and answer have room, and then a quarter of the context more: the
// model has to read all that is left anew, which should not happen with every message.
std::vector<std::int32_t> Conversation::encode_what_fits() {
  const std::int64_t context = model_.info().context_len;
  const std::int64_t room = std::min(params_.max_tokens.value_or(kAnswerTokens), context / 4);
  std::vector<std::int32_t> tokens = encode(model_, shown());
  const auto fits = [&](std::int64_t limit) {
    return static_cast<std::int64_t>(tokens.size()) + room <= limit;
  };
  if (!model_.has_chat_format() || fits(context)) return tokens;
  const std::size_t first = first_shown_;
  while (!fits(context - context / 4) && leave_out_oldest()) tokens = encode(model_, shown());
  if (first_shown_ > first) {
    log("(the conversation no longer fits into the context of {} tokens: the model does not see the oldest "
        "{} of {} "
        "messages any more; /reset starts anew)",
        context, first_shown_, turns_.size());
  }
  return tokens;
}

// Up to the next message of the user, as templates want turns to begin with one. False if only the last
// message is left.
bool Conversation::leave_out_oldest() {
  std::size_t next = first_shown_ + 1;
  while (next < turns_.size() && turns_[next].role != "user") ++next;
  if (next >= turns_.size()) return false;
  first_shown_ = next;
  return true;
}

bool Conversation::stream_answer(InterruptScope& interrupt, std::string& text) {
  RequestStream stream = model_.engine().submit(encode_what_fits(), params_);
  bool has_failed = false;
  while (!stream.is_finished()) {
    const auto output = stream.next_for(std::chrono::milliseconds(50));
    if (interrupt.take()) stream.cancel();
    if (!output.has_value()) continue;
    print_now(output->text);
    text += output->text;
    has_failed = output->finish_reason == FinishReason::kError;
    if (has_failed) log("\nthe model failed: {}", output->error);
    if (output->finish_reason == FinishReason::kLength) log("\n(cut at {} tokens)", output->output_len);
  }
  print_now("\n");
  return !has_failed;
}

void Conversation::save(const std::string& path) const {
  QUIRE_CHECK(!path.empty(), "name a file: /save FILE");
  std::error_code ignored;
  if (fs::exists(path, ignored)) read(path);  // throws for what is no conversation
  auto messages = nlohmann::ordered_json::array();
  if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
  for (const ChatMessage& turn : turns_) messages.push_back({{"role", turn.role}, {"content", turn.content}});
  const nlohmann::ordered_json whole = {{"messages", std::move(messages)}};
  std::ofstream file(path, std::ios::binary);
  file << whole.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  file.close();
  QUIRE_CHECK(file, "cannot write {}: {}", path, std::strerror(errno));
}

void Conversation::load(const std::string& path) {
  QUIRE_CHECK(!path.empty(), "name a file: /load FILE");
  std::vector<ChatMessage> turns = read(path);
  std::string system;
  if (!turns.empty() && turns.front().role == "system") {
    system = std::move(turns.front().content);
    turns.erase(turns.begin());
  }
  system_ = std::move(system);
  turns_ = std::move(turns);
  first_shown_ = 0;
}

std::vector<ChatMessage> Conversation::read(const std::string& path) {
  std::error_code error;
  const bool is_regular = fs::is_regular_file(path, error);  // opening a pipe would wait for a writer
  QUIRE_CHECK_KIND(kNotFound, is_regular, "cannot read {}: {}", path,
                   error ? error.message() : "it is no regular file");
  const auto num_bytes = fs::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  QUIRE_CHECK_KIND(kNotFound, !error && file, "cannot read {}: {}", path, std::strerror(errno));
  QUIRE_CHECK_KIND(kCorruptFile, num_bytes <= kMaxFileBytes, "{} has {} bytes, a conversation at most {}",
                   path, num_bytes, kMaxFileBytes);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const Json whole = parse_json(text, path);
  const bool has_messages =
      whole.is_object() && whole.contains("messages") && whole.at("messages").is_array();
  QUIRE_CHECK_KIND(kCorruptFile, has_messages, "{} is no conversation: it has no list of messages", path);
  std::vector<ChatMessage> turns;
  for (const Json& message : whole.at("messages")) {
    const auto word = [&](const char* key) {
      const bool is_text = message.is_object() && message.contains(key) && message.at(key).is_string();
      return is_text ? message.at(key).get<std::string>() : std::string();
    };
    const std::string role = word("role");
    const bool is_role = role == "user" || role == "assistant" || (role == "system" && turns.empty());
    QUIRE_CHECK_KIND(
        kCorruptFile, is_role && message.contains("content") && message.at("content").is_string(),
        "{} is no conversation: message {} has no role (a system message comes first) or no text", path,
        turns.size());
    turns.push_back({role, word("content")});
  }
  return turns;
}

std::string expand_home(std::string_view path) {
  const char* home = std::getenv("HOME");
  if (home == nullptr || !path.starts_with("~/")) return std::string(path);
  return home + std::string(path.substr(1));
}

}  // namespace quire

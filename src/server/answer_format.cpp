#include "server/answer_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "text/utf8.h"

namespace quire {
namespace {

constexpr double kLeastLogprob = -9999.0;  // JSON has no infinity

double finite(float logprob) { return std::isfinite(logprob) ? static_cast<double>(logprob) : kLeastLogprob; }

std::string lossy(std::string_view bytes) {
  std::string text;
  append_lossy_utf8(text, bytes, true);
  return text;
}

const char* finish_word(FinishReason reason) {
  return reason == FinishReason::kNone ? nullptr : to_string(reason);
}

JsonText& add_text_or_null(JsonText& out, const char* word) {
  return word == nullptr ? out.null() : out.text(word);
}

// Tokens of one place, as an object; a later one replaces an earlier one with the same text.
class TopTokens {
 public:
  void set(std::string text, double logprob) {
    const auto found =
        std::find_if(tokens_.begin(), tokens_.end(), [&](const auto& token) { return token.first == text; });
    if (found == tokens_.end()) {
      tokens_.emplace_back(std::move(text), logprob);
    } else {
      found->second = logprob;
    }
  }
  void add_to(JsonText& out) const {
    out.begin('{');
    for (const auto& [text, logprob] : tokens_) out.key(text).number(logprob);
    out.end('}');
  }

 private:
  std::vector<std::pair<std::string, double>> tokens_;
};

}  // namespace

AnswerFormat::AnswerFormat(const PreparedCall& call, const ServedModel& model, std::string_view id,
                           std::int64_t created_s)
    : model_(model),
      kind_(call.kind),
      settings_(call.settings),
      echo_(call.echo),
      is_scoring_(call.is_scoring),
      created_s_(created_s),
      answers_(call.num_answers()) {
  const bool is_chat = kind_ == CallKind::kChat;
  if (!is_chat || settings_.returns_token_ids) prompts_ = call.prompts;
  prompt_texts_ = call.prompt_texts;
  id_ = (is_chat ? "chatcmpl-" : "cmpl-") + std::string(id);
  head_ = "data: {\"id\":\"";
  append_json_text(head_, id_);
  head_ += fmt::format("\",\"object\":\"{}\",\"created\":{},\"model\":\"",
                       is_chat ? "chat.completion.chunk" : "text_completion", created_s);
  append_json_text(head_, settings_.model);
  head_ += "\",\"choices\":[";
}

void AnswerFormat::note(const AnswerPiece& piece) {
  Answer& answer = answers_[piece.answer_idx];
  answer.prompt_len = piece.output.prompt_len;
  answer.cached_len = piece.output.cached_len;
  answer.output_len = is_scoring_ ? 0 : piece.output.output_len;
}

std::string AnswerFormat::shown_text(const AnswerPiece& piece) const {
  std::string text;
  const std::size_t prompt_idx = piece.answer_idx / static_cast<std::size_t>(settings_.n);
  if (echo_ && !answers_[piece.answer_idx].has_begun) text = prompt_texts_[prompt_idx];
  if (!is_scoring_) text += piece.output.text;
  return text;
}

const std::vector<std::int32_t>& AnswerFormat::prompt_of(std::size_t answer_idx) const {
  return prompts_[answer_idx / static_cast<std::size_t>(settings_.n)];
}

// Of a choice in an event, with a comma before each.
std::string AnswerFormat::token_id_members(const AnswerPiece& piece, bool is_first) const {
  if (!settings_.returns_token_ids) return {};
  std::string members;
  if (is_first && kind_ == CallKind::kCompletion) {
    members = fmt::format(",\"prompt_token_ids\":[{}]", fmt::join(prompt_of(piece.answer_idx), ","));
  }
  return members + fmt::format(",\"token_ids\":[{}]", fmt::join(piece.output.token_ids, ","));
}

void AnswerFormat::open_event(std::string& out, std::size_t idx) const {
  out += head_;
  out += fmt::format("{{\"index\":{},", idx);
}

std::string AnswerFormat::events(const AnswerPiece& piece) {
  note(piece);
  const std::string text = shown_text(piece);
  Answer& answer = answers_[piece.answer_idx];
  const bool is_first = !std::exchange(answer.has_begun, true);
  const bool is_chat = kind_ == CallKind::kChat;
  std::string out;
  if (is_chat && is_first) {
    open_event(out, piece.answer_idx);
    out += "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]";
    if (settings_.returns_token_ids) {
      out += fmt::format(",\"prompt_token_ids\":[{}]", fmt::join(prompt_of(piece.answer_idx), ","));
    }
    out += "}\n\n";
  }
  const bool has_logprobs = settings_.params.logprobs && !(piece.output.logprobs.empty() && !is_first);
  const bool has_ids = settings_.returns_token_ids && !piece.output.token_ids.empty();
  const bool says_something = !text.empty() || has_logprobs || has_ids || piece.output.is_last();
  if (!says_something && !settings_.continuous_usage) return out;
  open_event(out, piece.answer_idx);
  out += is_chat ? "\"delta\":{\"content\":\"" : "\"text\":\"";
  append_json_text(out, text);
  out += is_chat ? "\"},\"logprobs\":" : "\",\"logprobs\":";
  out += has_logprobs ? logprobs(piece.output, piece.answer_idx, is_first) : "null";
  out += token_id_members(piece, is_first);
  close_event(out, piece);
  return out;
}

void AnswerFormat::close_event(std::string& out, const AnswerPiece& piece) const {
  const RequestOutput& output = piece.output;
  if (!output.is_last()) {
    out += ",\"finish_reason\":null}]";
  } else {
    out += fmt::format(",\"finish_reason\":\"{}\",\"stop_reason\":{}}}]", finish_word(output.finish_reason),
                       stop_reason(output));
  }
  if (settings_.continuous_usage) {
    const Answer& answer = answers_[piece.answer_idx];
    out += ",\"usage\":" + usage(answer.prompt_len, answer.cached_len, answer.output_len);
  }
  out += "}\n\n";
}

std::string AnswerFormat::last_events() const {
  std::string out;
  if (settings_.include_usage) out = head_ + "],\"usage\":" + total_usage() + "}\n\n";
  return out + "data: [DONE]\n\n";
}

void AnswerFormat::collect(AnswerPiece&& piece) {
  note(piece);
  merge(answers_[piece.answer_idx].collected, piece.output);
}

std::string AnswerFormat::body() {
  const bool is_chat = kind_ == CallKind::kChat;
  JsonText out;
  out.begin('{')
      .member("id", id_)
      .member("object", is_chat ? "chat.completion" : "text_completion")
      .member("created", created_s_)
      .member("model", settings_.model);
  out.key("choices").begin('[');
  for (std::size_t idx = 0; idx < answers_.size(); ++idx) add_choice(out, idx);
  out.end(']').key("usage").raw(total_usage());
  if (is_chat && settings_.returns_token_ids) out.key("prompt_token_ids").numbers(prompt_of(0));
  return out.end('}').take() + "\n";
}

void AnswerFormat::add_choice(JsonText& out, std::size_t idx) {
  const RequestOutput& output = answers_[idx].collected;
  const std::string text = shown_text({idx, output});
  out.begin('{').member("index", idx);
  if (kind_ == CallKind::kChat) {
    out.key("message").begin('{').member("role", "assistant").member("content", text).end('}');
  } else {
    out.member("text", text);
  }
  out.key("logprobs").raw(settings_.params.logprobs ? logprobs(output, idx, true) : "null");
  add_text_or_null(out.key("finish_reason"), finish_word(output.finish_reason));
  out.key("stop_reason").raw(stop_reason(output));
  if (settings_.shows_prompt_logprobs) add_prompt_logprobs(out.key("prompt_logprobs"), output);
  if (settings_.returns_token_ids) {
    if (kind_ == CallKind::kCompletion) out.key("prompt_token_ids").numbers(prompt_of(idx));
    out.key("token_ids").numbers(output.token_ids);
  }
  out.end('}');
}

std::string AnswerFormat::stop_reason(const RequestOutput& output) const {
  if (!output.stop_string.empty()) return JsonText().text(output.stop_string).take();
  if (!output.stop_token) return "null";
  const bool is_eos = std::find(model_.eos_tokens.begin(), model_.eos_tokens.end(), *output.stop_token) !=
                      model_.eos_tokens.end();
  return is_eos ? "null" : std::to_string(*output.stop_token);
}

std::string AnswerFormat::usage(std::int64_t prompt_len, std::int64_t cached_len,
                                std::int64_t output_len) const {
  JsonText out;
  out.begin('{')
      .member("prompt_tokens", prompt_len)
      .member("completion_tokens", output_len)
      .member("total_tokens", prompt_len + output_len);
  out.key("prompt_tokens_details").begin('{').member("cached_tokens", cached_len).end('}');
  out.key("completion_tokens_details").begin('{').member("reasoning_tokens", 0).end('}');
  return out.end('}').take();
}

// A prompt with several answers counts once.
std::string AnswerFormat::total_usage() const {
  std::int64_t prompt_len = 0, cached_len = 0, output_len = 0;
  for (std::size_t idx = 0; idx < answers_.size(); ++idx) {
    output_len += answers_[idx].output_len;
    if (idx % static_cast<std::size_t>(settings_.n) != 0) continue;
    prompt_len += answers_[idx].prompt_len;
    cached_len += answers_[idx].cached_len;
  }
  return usage(prompt_len, cached_len, output_len);
}

std::string AnswerFormat::token_bytes(std::int32_t token) const {
  try {
    return model_.tokenizer->token_bytes(token);
  } catch (const Error&) {  // an id that only the model has
    return {};
  }
}

std::string AnswerFormat::token_text(std::int32_t token) const {
  return settings_.shows_tokens_as_ids ? fmt::format("token_id:{}", token) : lossy(token_bytes(token));
}

void AnswerFormat::add_chat_token(JsonText& out, const TokenLogprob& token) const {
  out.member("token", token_text(token.token)).key("logprob").number(finite(token.logprob));
  out.key("bytes").begin('[');
  for (const char byte : token_bytes(token.token))
    out.number(static_cast<int>(static_cast<unsigned char>(byte)));
  out.end(']');
}

std::string AnswerFormat::chat_logprobs(const std::vector<TokenLogprobs>& tokens) const {
  JsonText out;
  out.begin('{').key("content").begin('[');
  for (const TokenLogprobs& token : tokens) {
    add_chat_token(out.begin('{'), token.chosen);
    out.key("top_logprobs").begin('[');
    for (const TokenLogprob& candidate : token.top) {
      add_chat_token(out.begin('{'), candidate);
      out.end('}');
    }
    out.end(']').end('}');
  }
  return out.end(']').end('}').take();
}

// The parallel lists of completions. With echo the prompt's tokens come first, and the first of them has no
// logprob.
std::string AnswerFormat::logprobs(const RequestOutput& output, std::size_t idx, bool is_first) {
  if (kind_ == CallKind::kChat) return chat_logprobs(output.logprobs);
  JsonText texts, logprobs, tops, text_offsets;
  for (JsonText* list : {&texts, &logprobs, &tops, &text_offsets}) list->begin('[');
  const auto add = [&](std::int32_t token, std::int64_t offset, const TokenLogprobs* known) {
    std::string text = token_text(token);
    texts.text(text);
    text_offsets.number(offset);
    if (known == nullptr) {
      logprobs.null();
      tops.null();
      return;
    }
    TopTokens top;
    for (const TokenLogprob& candidate : known->top)
      top.set(token_text(candidate.token), finite(candidate.logprob));
    top.set(std::move(text), finite(known->chosen.logprob));
    top.add_to(tops);
    logprobs.number(finite(known->chosen.logprob));
  };
  const auto& prompt = prompt_of(idx);
  auto& offsets = answers_[idx].offsets;
  if (!offsets) offsets.emplace(*model_.tokenizer, prompt, settings_.params.skip_special_tokens);
  if (echo_ && is_first) {
    const auto& text = prompt_texts_[idx / static_cast<std::size_t>(settings_.n)];
    const std::vector<std::int64_t> begins = offsets->of_prompt(prompt, text);
    for (std::size_t i = 0; i < prompt.size(); ++i) {
      const bool is_known = i > 0 && i <= output.prompt_logprobs.size();
      add(prompt[i], begins[i], is_known ? &output.prompt_logprobs[i - 1] : nullptr);
    }
  }
  if (!is_scoring_) {
    for (const TokenLogprobs& token : output.logprobs)
      add(token.chosen.token, offsets->next(token.chosen.token), &token);
  }
  JsonText out;
  out.begin('{').key("tokens").raw(texts.end(']').take());
  out.key("token_logprobs").raw(logprobs.end(']').take());
  out.key("top_logprobs").raw(tops.end(']').take());
  return out.key("text_offset").raw(text_offsets.end(']').take()).end('}').take();
}

void AnswerFormat::add_prompt_logprobs(JsonText& out, const RequestOutput& output) const {
  const auto add = [&](const TokenLogprob& candidate, std::size_t rank) {
    out.key(std::to_string(candidate.token)).begin('{').key("logprob").number(finite(candidate.logprob));
    out.member("rank", rank).member("decoded_token", token_text(candidate.token)).end('}');
  };
  out.begin('[').null();
  for (const TokenLogprobs& token : output.prompt_logprobs) {
    out.begin('{');
    add(token.chosen, static_cast<std::size_t>(token.rank));
    for (std::size_t i = 0; i < token.top.size(); ++i) {
      if (token.top[i].token != token.chosen.token) add(token.top[i], i + 1);
    }
    out.end('}');
  }
  out.end(']');
}

}  // namespace quire

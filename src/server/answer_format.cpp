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

OrderedJson text_or_null(const char* word) {
  return word == nullptr ? OrderedJson(nullptr) : OrderedJson(word);
}

template <class Value>
void append(std::vector<Value>& to, const std::vector<Value>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
}

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
  out += has_logprobs ? logprobs(piece.output, piece.answer_idx, is_first).dump() : "null";
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
                       stop_reason(output).dump());
  }
  if (settings_.continuous_usage) {
    const Answer& answer = answers_[piece.answer_idx];
    out += ",\"usage\":" + usage(answer.prompt_len, answer.cached_len, answer.output_len).dump();
  }
  out += "}\n\n";
}

std::string AnswerFormat::last_events() const {
  std::string out;
  if (settings_.include_usage) out = head_ + "],\"usage\":" + total_usage().dump() + "}\n\n";
  return out + "data: [DONE]\n\n";
}

void AnswerFormat::collect(AnswerPiece&& piece) {
  note(piece);
  RequestOutput& all = answers_[piece.answer_idx].collected;
  RequestOutput& next = piece.output;
  all.text += next.text;
  append(all.token_ids, next.token_ids);
  append(all.logprobs, next.logprobs);
  append(all.prompt_logprobs, next.prompt_logprobs);
  all.finish_reason = next.finish_reason;
  all.stop_string = std::move(next.stop_string);
  all.stop_token = next.stop_token;
}

std::string AnswerFormat::body() {
  const bool is_chat = kind_ == CallKind::kChat;
  OrderedJson choices = OrderedJson::array();
  for (std::size_t idx = 0; idx < answers_.size(); ++idx) choices.push_back(choice(idx));
  OrderedJson body = {{"id", id_},
                      {"object", is_chat ? "chat.completion" : "text_completion"},
                      {"created", created_s_},
                      {"model", settings_.model},
                      {"choices", std::move(choices)},
                      {"usage", total_usage()}};
  if (is_chat && settings_.returns_token_ids) body["prompt_token_ids"] = prompt_of(0);
  return body.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

OrderedJson AnswerFormat::choice(std::size_t idx) {
  const RequestOutput& output = answers_[idx].collected;
  OrderedJson choice = {{"index", idx}};
  const std::string text = shown_text({idx, output});
  if (kind_ == CallKind::kChat) {
    choice["message"] = {{"role", "assistant"}, {"content", text}};
  } else {
    choice["text"] = text;
  }
  choice["logprobs"] = settings_.params.logprobs ? logprobs(output, idx, true) : OrderedJson(nullptr);
  choice["finish_reason"] = text_or_null(finish_word(output.finish_reason));
  choice["stop_reason"] = stop_reason(output);
  if (settings_.shows_prompt_logprobs) choice["prompt_logprobs"] = prompt_logprobs(output);
  if (settings_.returns_token_ids) {
    if (kind_ == CallKind::kCompletion) choice["prompt_token_ids"] = prompt_of(idx);
    choice["token_ids"] = output.token_ids;
  }
  return choice;
}

OrderedJson AnswerFormat::stop_reason(const RequestOutput& output) const {
  if (!output.stop_string.empty()) return output.stop_string;
  if (!output.stop_token) return nullptr;
  const bool is_eos = std::find(model_.eos_tokens.begin(), model_.eos_tokens.end(), *output.stop_token) !=
                      model_.eos_tokens.end();
  return is_eos ? OrderedJson(nullptr) : OrderedJson(*output.stop_token);
}

OrderedJson AnswerFormat::usage(std::int64_t prompt_len, std::int64_t cached_len,
                                std::int64_t output_len) const {
  return {{"prompt_tokens", prompt_len},
          {"completion_tokens", output_len},
          {"total_tokens", prompt_len + output_len},
          {"prompt_tokens_details", {{"cached_tokens", cached_len}}},
          {"completion_tokens_details", {{"reasoning_tokens", 0}}}};
}

// A prompt with several answers counts once.
OrderedJson AnswerFormat::total_usage() const {
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

OrderedJson AnswerFormat::chat_logprobs(const std::vector<TokenLogprobs>& tokens) const {
  const auto entry = [this](const TokenLogprob& token) {
    const std::string bytes = token_bytes(token.token);
    OrderedJson values = OrderedJson::array();
    for (const char byte : bytes) values.push_back(static_cast<int>(static_cast<unsigned char>(byte)));
    return OrderedJson{
        {"token", token_text(token.token)}, {"logprob", finite(token.logprob)}, {"bytes", std::move(values)}};
  };
  OrderedJson content = OrderedJson::array();
  for (const TokenLogprobs& token : tokens) {
    OrderedJson chosen = entry(token.chosen);
    OrderedJson& top = chosen["top_logprobs"] = OrderedJson::array();
    for (const TokenLogprob& candidate : token.top) top.push_back(entry(candidate));
    content.push_back(std::move(chosen));
  }
  return {{"content", std::move(content)}};
}

// The parallel lists of completions. With echo the prompt's tokens come first, and the first of them has no
// logprob.
OrderedJson AnswerFormat::logprobs(const RequestOutput& output, std::size_t idx, bool is_first) {
  if (kind_ == CallKind::kChat) return chat_logprobs(output.logprobs);
  OrderedJson lists = {{"tokens", OrderedJson::array()},
                       {"token_logprobs", OrderedJson::array()},
                       {"top_logprobs", OrderedJson::array()},
                       {"text_offset", OrderedJson::array()}};
  const auto add = [&](std::int32_t token, std::int64_t offset, const TokenLogprobs* known) {
    const std::string text = token_text(token);
    lists["tokens"].push_back(text);
    lists["text_offset"].push_back(offset);
    lists["token_logprobs"].push_back(known == nullptr ? OrderedJson(nullptr)
                                                       : OrderedJson(finite(known->chosen.logprob)));
    OrderedJson top = OrderedJson::object();
    if (known != nullptr) {
      for (const TokenLogprob& candidate : known->top)
        top[token_text(candidate.token)] = finite(candidate.logprob);
      top[text] = finite(known->chosen.logprob);
    }
    lists["top_logprobs"].push_back(known == nullptr ? OrderedJson(nullptr) : std::move(top));
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
  if (is_scoring_) return lists;
  for (const TokenLogprobs& token : output.logprobs) {
    add(token.chosen.token, offsets->next(token.chosen.token), &token);
  }
  return lists;
}

OrderedJson AnswerFormat::prompt_logprobs(const RequestOutput& output) const {
  OrderedJson list = OrderedJson::array({nullptr});
  for (const TokenLogprobs& token : output.prompt_logprobs) {
    OrderedJson entry = OrderedJson::object();
    const auto add = [&](const TokenLogprob& candidate, std::size_t rank) {
      entry[std::to_string(candidate.token)] = {{"logprob", finite(candidate.logprob)},
                                                {"rank", rank},
                                                {"decoded_token", token_text(candidate.token)}};
    };
    add(token.chosen, static_cast<std::size_t>(token.rank));
    for (std::size_t i = 0; i < token.top.size(); ++i) {
      if (token.top[i].token != token.chosen.token) add(token.top[i], i + 1);
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace quire

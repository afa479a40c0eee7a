// The bodies of completions and chat, whole and as a stream of events, in the shapes that OpenAI's clients
// read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/answer_set.h"
#include "server/json_text.h"
#include "server/prepared_call.h"
#include "server/served_model.h"
#include "server/text_offsets.h"

namespace quire {

class AnswerFormat {
 public:
  // `model` outlives the object. `id` is echoed as the call's id, behind "cmpl-" or "chatcmpl-".
  AnswerFormat(const PreparedCall& call, const ServedModel& model, std::string_view id,
               std::int64_t created_s);

  // The server-sent events of one piece, none if there is nothing to say.
  std::string events(const AnswerPiece& piece);
  // What follows the last piece: the usage, if it was asked for, and the end mark.
  std::string last_events() const;

  // Without streaming: pieces are collected, then the body is made.
  void collect(AnswerPiece&& piece);
  std::string body();

 private:
  struct Answer {
    bool has_begun = false;
    std::optional<TextOffsets> offsets;  // of completions with logprobs, from the first piece on
    RequestOutput collected;
    std::int32_t prompt_len = 0, cached_len = 0, output_len = 0;
  };

  void note(const AnswerPiece& piece);
  void open_event(std::string& out, std::size_t idx) const;
  void close_event(std::string& out, const AnswerPiece& piece) const;
  std::string shown_text(const AnswerPiece& piece) const;
  void add_choice(JsonText& out, std::size_t idx);
  // JSON values:
  std::string usage(std::int64_t prompt_len, std::int64_t cached_len, std::int64_t output_len) const;
  std::string total_usage() const;
  // `is_first`: of the pieces of this answer, so that an echoed prompt belongs to it.
  std::string logprobs(const RequestOutput& output, std::size_t idx, bool is_first);
  std::string token_id_members(const AnswerPiece& piece, bool is_first) const;
  const std::vector<std::int32_t>& prompt_of(std::size_t answer_idx) const;
  std::string chat_logprobs(const std::vector<TokenLogprobs>& tokens) const;
  void add_chat_token(JsonText& out, const TokenLogprob& token) const;  // the members of its object
  void add_prompt_logprobs(JsonText& out, const RequestOutput& output) const;
  std::string stop_reason(const RequestOutput& output) const;
  std::string token_bytes(std::int32_t token) const;
  std::string token_text(std::int32_t token) const;  // as logprobs show it

  const ServedModel& model_;
  CallKind kind_;
  CallSettings settings_;
  bool echo_, is_scoring_;
  std::vector<std::vector<std::int32_t>> prompts_;  // of completions, and of calls that ask for them
  std::vector<std::string> prompt_texts_;
  std::string head_;  // of every event, up to the index of the answer
  std::string id_;
  std::int64_t created_s_;
  std::vector<Answer> answers_;
};

}  // namespace quire

// From a body to token ids: parse, judge, render, tokenise, judge the lengths. Pure work without waiting; any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/request_schema.h"
#include "server/served_model.h"

namespace quire {

enum class CallKind : std::uint8_t { kCompletion, kChat };

struct PreparedCall {
  CallKind kind = CallKind::kCompletion;
  CallSettings settings;
  bool echo = false;
  bool is_scoring = false;
  std::vector<std::vector<std::int32_t>> prompts;
  std::vector<std::string> prompt_texts;  // with echo: what to repeat

  std::size_t num_answers() const { return prompts.size() * static_cast<std::size_t>(settings.n); }
  std::size_t prompt_of(std::size_t answer_idx) const {
    return answer_idx / static_cast<std::size_t>(settings.n);
  }
};

// Throws ApiError.
PreparedCall prepare_call(CallKind kind, std::string_view body, const ServedModel& model);

// Answers of /tokenize and /detokenize. Throw ApiError.
std::string tokenize(std::string_view body, const ServedModel& model);
std::string detokenize(std::string_view body, const ServedModel& model);

}  // namespace quire

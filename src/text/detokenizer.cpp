#include "text/detokenizer.h"

#include <utility>

#include "base/check.h"

namespace quire {

class Detokenizer::Sink : public DecodeStage {
 public:
  void text(std::string_view part) override { text_ += part; }
  void end_token() override {}
  void finish() override {}
  std::string take() { return std::exchange(text_, {}); }

 private:
  std::string text_;
};

Detokenizer::Detokenizer(const Tokenizer& tokenizer, bool skip_special_tokens)
    : tokenizer_(&tokenizer),
      skip_special_tokens_(skip_special_tokens),
      budget_(std::make_unique<RegexScratch>(0)),
      sink_(std::make_unique<Sink>()) {
  const DecoderChain& decoders = tokenizer.decoders();
  DecodeStage* next = sink_.get();
  for (auto decoder = decoders.rbegin(); decoder != decoders.rend(); ++decoder) {
    stages_.push_back((*decoder)->make_stage(*next, *budget_));
    next = stages_.back().get();
  }
}

Detokenizer::Detokenizer(Detokenizer&&) noexcept = default;
Detokenizer& Detokenizer::operator=(Detokenizer&&) noexcept = default;
Detokenizer::~Detokenizer() = default;

void Detokenizer::follow(std::span<const std::int32_t> prompt) {
  // Decoders look back to the beginning of the text and to an unfinished run of byte tokens, no further; a
  // long prompt need not be read whole.
  constexpr std::size_t kNumTokens = 256;
  std::size_t begin = prompt.size();
  for (std::size_t num_seen = 0; begin > 0; --begin) {
    const std::int32_t id = prompt[begin - 1];
    const auto token = tokenizer_->token_text(id);
    const bool is_shown = token && !token->empty() && !(skip_special_tokens_ && tokenizer_->is_special(id));
    const bool is_byte = is_shown && token->starts_with("<0x");
    if (is_shown && ++num_seen > kNumTokens && !is_byte) break;
  }
  for (const std::int32_t id : prompt.subspan(begin)) push(id);
}

std::string Detokenizer::push(std::int32_t id) {
  QUIRE_CHECK(!is_finished_, "token {} comes after the end of the text", id);
  const auto token = tokenizer_->token_text(id);
  if (!token || (skip_special_tokens_ && tokenizer_->is_special(id))) return {};
  budget_->refill(token->size());
  num_bytes_ += token->size();
  DecodeStage& first = stages_.empty() ? *sink_ : *stages_.back();
  first.text(*token);
  first.end_token();
  return sink_->take();
}

std::string Detokenizer::finish() {
  QUIRE_CHECK(!is_finished_, "the text has already ended");
  is_finished_ = true;
  budget_->refill(num_bytes_);  // a stage may have kept everything until now
  (stages_.empty() ? *sink_ : *stages_.back()).finish();
  return sink_->take();
}

}  // namespace quire

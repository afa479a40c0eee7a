// How long the prompts and answers of a load test are.
#pragma once

#include <string>

#include "load/load_random.h"

namespace quire {

// A law of token counts, written as
//   128                        always 128
//   uniform:MIN:MAX            every count from MIN to MAX alike
//   lognormal:MEDIAN:SIGMA[:MAX]   half of the counts are below MEDIAN; the logarithm deviates by SIGMA
//   pareto:MIN:ALPHA[:MAX]     P(length > x) = (MIN / x)^ALPHA: the smaller ALPHA, the heavier the tail
// Draws are rounded, at least 1 and at most MAX (default 1,000,000).
class LengthLaw {
 public:
  static constexpr int kMost = 1'000'000;

  // Throws Error{kInvalidArgument} naming `flag`.
  static LengthLaw parse(const std::string& flag, const std::string& text);

  int draw(LoadRandom& random) const;
  const std::string& text() const { return text_; }  // as it was written

 private:
  enum class Kind { kFixed, kUniform, kLogNormal, kPareto };
  Kind kind_ = Kind::kFixed;
  double first_ = 1, second_ = 0;  // in the order of the text
  int most_ = kMost;
  std::string text_;
};

}  // namespace quire

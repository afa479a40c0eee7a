#include "load/length_law.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/check.h"

namespace quire {
namespace {

constexpr const char* kForms = "N, uniform:MIN:MAX, lognormal:MEDIAN:SIGMA[:MAX] or pareto:MIN:ALPHA[:MAX]";

std::vector<std::string> split_at_colons(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ':')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

bool read_number(const std::string& text, double& number) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end && std::isfinite(number) && number > 0;
}

}  // namespace

LengthLaw LengthLaw::parse(const std::string& flag, const std::string& text) {
  LengthLaw law;
  law.text_ = text;
  std::vector<std::string> parts = split_at_colons(text);
  const std::string name = parts.front();
  std::size_t num_least = 2, num_most = 3;
  if (name == "uniform") {
    law.kind_ = Kind::kUniform, num_most = 2;
  } else if (name == "lognormal") {
    law.kind_ = Kind::kLogNormal;
  } else if (name == "pareto") {
    law.kind_ = Kind::kPareto;
  } else {
    num_least = num_most = 1;
  }
  if (law.kind_ != Kind::kFixed) parts.erase(parts.begin());
  double numbers[3] = {1, 0, kMost};
  bool is_good = parts.size() >= num_least && parts.size() <= num_most;
  for (std::size_t i = 0; is_good && i < parts.size(); ++i) is_good = read_number(parts[i], numbers[i]);
  QUIRE_CHECK(is_good, "{} must be {}, got \"{}\"", flag, kForms, text);
  const bool has_two_ends = law.kind_ == Kind::kUniform;
  const double longest = std::max({numbers[0], has_two_ends ? numbers[1] : 0.0, numbers[2]});
  QUIRE_CHECK(longest <= kMost, "{}: lengths are at most {} tokens, got \"{}\"", flag, kMost, text);
  QUIRE_CHECK(numbers[0] >= 1 && (has_two_ends ? numbers[1] : numbers[2]) >= numbers[0],
              "{}: lengths are at least 1 and the last not below the first, got \"{}\"", flag, text);
  law.first_ = numbers[0];
  law.second_ = numbers[1];
  law.most_ = static_cast<int>(numbers[2]);
  return law;
}

int LengthLaw::draw(LoadRandom& random) const {
  double length = first_;
  switch (kind_) {
    case Kind::kFixed:
      break;
    case Kind::kUniform:
      length =
          std::floor(first_) + std::floor(random.uniform() * (std::floor(second_) - std::floor(first_) + 1));
      break;
    case Kind::kLogNormal:
      length = first_ * std::exp(second_ * random.normal());
      break;
    case Kind::kPareto:
      length = first_ * std::pow(1 - random.uniform(), -1 / second_);
      break;
  }
  return static_cast<int>(std::clamp(std::round(length), 1.0, static_cast<double>(most_)));
}

}  // namespace quire

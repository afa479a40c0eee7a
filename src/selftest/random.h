// Random choices of the self-test: the same on every machine for the same seed (splitmix64).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace quire {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    state_ += 0x9e3779b97f4a7c15ull;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  // In [0, 1), and in [low, high).
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  // In [low, high], both ends included.
  int between(int low, int high) {
    return low + static_cast<int>(bits() % (static_cast<std::uint64_t>(high - low) + 1));
  }
  bool chance(double probability) { return uniform() < probability; }

  template <class T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[bits() % values.size()];
  }

  // A swap with a random element at or after each place (Fisher and Yates).
  template <class Vector>
  void shuffle(Vector& values) {
    for (std::size_t i = 0; i + 1 < values.size(); ++i) {
      const std::size_t j = i + static_cast<std::size_t>(bits() % (values.size() - i));
      const auto held = values[i];
      values[i] = values[j];
      values[j] = held;
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace quire

// Random numbers of a load test: a function of a seed and a stream, the same on every platform (the standard
// library's distributions are not).
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace quire {

// SplitMix64 (Steele, Lea and Flood, 2014). Streams of one seed share no state.
class LoadRandom {
 public:
  explicit LoadRandom(std::uint64_t seed, std::uint64_t stream = 0)
      : state_(seed * 0x9e3779b97f4a7c15ull ^ stream * 0xd1b54a32d192ed03ull) {
    next();  // small seeds differ in few bits; one step spreads them
    state_ ^= next();
  }

  std::uint64_t next() {
    std::uint64_t bits = state_ += 0x9e3779b97f4a7c15ull;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ull;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebull;
    return bits ^ (bits >> 31);
  }

  // Below `end`, which is small against 2^64, so that the remainder's bias does not matter.
  int below(int end) { return static_cast<int>(next() % static_cast<std::uint64_t>(end)); }

  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // in [0, 1)

  double exponential() { return -std::log1p(-uniform()); }  // mean 1

  double normal() {  // mean 0, deviation 1
    const double radius = std::sqrt(2 * exponential());
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t state_;
};

}  // namespace quire

// How a row of logits becomes a token at random: one definition for the sampler here and for runners that
// draw themselves.
//
// The weight of a token is exp2((x - max) * scale), in units of 2^-kWeightBits and rounded to the nearest
// whole number, so that sums depend on no order. Those that remain are, in the order of higher logit and then
// lower id, the first top_k of all, of them those of min_weight and more, and of them the first that together
// reach top_p of the mass. Of these the token is drawn at which the running sum of weights in the order of
// ids first exceeds floor(random * sum / 2^64). Exponentials may be rounded differently elsewhere: then a
// draw moves where the sum at a boundary between two tokens, or a token's distance from a threshold, was
// nearer than that rounding.
#pragma once

#include <cstdint>

#include "engine/request.h"

namespace quire {

constexpr int kWeightBits = 40;  // a row of 2^20 tokens sums to less than 2^64

struct TokenDraw {
  std::uint64_t random = 0;  // 64 uniform bits
  std::uint64_t top_p = 0;   // in units of 2^-64; 0: all
  float scale = 0.0f;        // log2(e) / temperature; 0: the likeliest token is meant
  float min_weight = 0.0f;   // of the likeliest token's weight, which is 1
  std::int32_t top_k = 0;    // 0: all
};

// Of the token behind the request's first `num_tokens` ones, at least its prompt. Depends on its parameters,
// its seed and the number of the token alone.
TokenDraw token_draw(const Request& request, std::int32_t num_tokens);

}  // namespace quire

// How a row of logits becomes a token at random: one definition for the sampler here and for runners that
// draw themselves.
//
// The weight of a token is exp2((x - max) * scale), in units of 2^-kWeightBits and rounded to the nearest
// whole number, so that sums do not depend on the order. Tokens are ordered by logit, the highest first, and
// equal ones by id. Of the first top_k those whose weight is at least min_weight are kept, and of these the
// first that together reach top_p of the mass. The token drawn is the one at which the running sum of the
// kept weights, in the order of ids, first exceeds floor(random * sum / 2^64). Another implementation may
// round exponentials differently; its draw differs only if the sum at a boundary between two tokens, or the
// distance of a token from a threshold, is smaller than that rounding.
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

// How the token after the request's first `num_tokens` tokens is drawn, where num_tokens is at least the
// length of its prompt. Depends only on its parameters, its seed and num_tokens.
TokenDraw token_draw(const Request& request, std::int32_t num_tokens);

}  // namespace quire

// Finds the likeliest token of each row of logits, and passes drawn tokens on as inputs of the next step.
#pragma once

#include "kernels/params.h"
#include "tile/tile.h"

namespace quire {
namespace QUIRE_TARGET {

// One work item searches a part of a row; the last program to finish a row compares its parts, in their
// order.
struct SampleGreedy {
  static QUIRE_DEV void run(Program& program, const SampleGreedyParams& p) {
    for_each_work(program, p.num_rows * p.num_parts, [&](int item) {
      const int row = item / p.num_parts, begin = item % p.num_parts * p.part_len;
      const int end = begin + p.part_len < p.vocab_size ? begin + p.part_len : p.vocab_size;
      search_part(p, item, p.logits + long{row} * p.vocab_size + begin, begin, end - begin);
      if (last_arrival(program, p.counters + row, p.num_parts)) choose(p, row);
    });
  }

 private:
  // A NaN counts as +inf here, so that only a part whose maximum is +inf has to be searched for NaN.
  static QUIRE_DEV void search_part(const SampleGreedyParams& p, int item, const float* logits, int begin,
                                    int num) {
    const float most = reduce_max(num, [&](auto i) {
      const auto x = load(logits, i);
      return select(x == x, x, -kNegInf);
    });
    // The lowest index at which the maximum occurs, as the maximum of negated indices.
    const float first =
        reduce_max(num, [&](auto i) { return select(load(logits, i) == most, -to_f32(index(i)), kNegInf); });
    bool has_nan = false;
    if (most == -kNegInf) {
      has_nan = reduce_max(num, [&](auto i) {
                  const auto x = load(logits, i);
                  return select(x == x, zeros(i), 1.0f);
                }) > 0;
    }
    p.part_max[item] = most;
    p.part_token[item] = has_nan ? kTokenOfNan : begin + static_cast<int>(-first);
  }

  static QUIRE_DEV void choose(const SampleGreedyParams& p, int row) {
    const float* part_max = p.part_max + long{row} * p.num_parts;
    const int* part_token = p.part_token + long{row} * p.num_parts;
    float most = kNegInf;
    int token = kTokenOfNone;
    bool has_nan = false;
    for (int part = 0; part < p.num_parts; ++part) {
      has_nan |= part_token[part] == kTokenOfNan;
      if (part_max[part] > most) {
        most = part_max[part];
        token = part_token[part];
      }
    }
    if (most == -kNegInf) token = kTokenOfInfinity;
    if (p.maxima != nullptr) p.maxima[row] = most;
    p.tokens[row] = has_nan ? kTokenOfNan : token;
  }
};

// One work item is one token.
struct TakeTokens {
  static QUIRE_DEV void run(Program& program, const TakeTokensParams& p) {
    for_each_work(program, p.num_tokens, [&](int i) {
      const int row = p.rows[i];
      if (row < 0) return;
      const int token = p.drawn[row];
      p.ids[i] = token > 0 ? token : 0;
    });
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire

// The short names of batches in benchmarks and for the tuner: segments joined by "_", each
// [count]q<len>[k][s<len>[k]].
//   q512          one request with 512 new tokens and nothing before them
//   32q1s2k       32 requests that decode one token at a sequence length of 2,048
//   16q4s1k       16 requests that verify 4 tokens each
//   2q2k_8q1s1k   two prefills of 2,048 mixed with eight decodes
// k is 1,024; s is the whole sequence, the new tokens included, and is q where it is left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quire {

struct BatchSpec {
  std::string name;
  std::vector<std::int32_t> query_len, kv_len;  // [num_seqs] tokens
};

// Throws Error{kInvalidArgument} that shows the spec and what is wrong with it.
BatchSpec parse_batch_spec(std::string_view text);

}  // namespace quire

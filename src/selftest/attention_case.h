// A random attention problem: shapes, lengths and features, before any data.
#pragma once

#include <string>
#include <vector>

#include "attention/attention.h"
#include "selftest/check.h"

namespace quire {

struct AttentionCase {
  AttentionDesc desc;
  std::vector<std::int32_t> query_len, kv_len;  // [num_seqs]
  bool has_lse = true;
  bool uses_kv_write = false;  // the cache is filled by the kv_write kernel, else through the index maps
  bool has_wild_pages =
      false;  // page table entries that must not be used lie outside the pool, else they name poisoned pages
  int q_gap = 0, o_gap = 0;  // elements between the rows of two tokens
  int num_spare_pages = 0;   // columns of the page table beyond the longest request
  double score_spread = 1;   // standard deviation of scale q k, about
  double sink_level = 0;     // sinks are this plus or minus 2
  double slope_scale = 1;    // of the usual ALiBi slopes
};

// What a case is meant to try; everything else is random.
enum class AttentionFocus {
  kPageSizes,
  kHeadSizes,
  kGroupSizes,
  kBatches,
  kNonCausal,
  kWindow,
  kModSoftCap,
  kAlibi,
  kAlibiSqrt,
  kSinks,
  kSplits,
  kBatchInvariant,
  kEverything,
};

// The index of the check walks through the lists of page sizes, head sizes and group sizes.
AttentionCase make_attention_case(AttentionFocus focus, CheckCase& check);

// Pairs of query row and key times the head sizes: what an oracle has to multiply.
double num_products(const AttentionCase& c);

std::string describe(const AttentionCase& c);

}  // namespace quire

// The parameters of kernels: plain data, shared by host and device. Comments give shapes; strides and offsets
// are in elements of the tensor's dtype; pointers are to device memory.
#pragma once

#include "kernels/visibility.h"

namespace quire {

// One work item of attention: some query rows of one KV head's group, with a range of keys. Made by the
// planner.
struct AttentionWork {
  int token_begin;  // first query token, row of q and o
  int num_tokens;
  int position;  // absolute position of the first query token (kv_len - query_len + offset)
  int seq_idx;   // row of page_table
  int kv_len;    // of the request, after this step's keys are written
  int kv_head;
  int group_begin;            // query heads [group_begin, group_begin + num_heads) of the KV head's group
  int num_heads;              // rows of the program: num_tokens * num_heads, token-major
  int kv_begin, kv_end;       // keys, kv_begin <= kv_end <= kv_len
  int split_idx, num_splits;  // which part of the keys this is
  int partial_begin;  // first of num_splits * (rows of the program) partial rows; unused if num_splits == 1
  int counter_idx;    // arrival counter of the splits
};

// Elements of the largest heads that kernels are compiled for: of q and k, and of v and o.
constexpr int kMaxHeadDimQk = 576, kMaxHeadDimVo = 512;

enum class PositionBias : int { kNone, kAlibi, kAlibiSqrt };

struct AttentionParams {
  const void* q;              // [num_tokens, num_qo_heads, head_dim_qk], rows of tokens q_token_stride apart
  void* o;                    // [num_tokens, num_qo_heads, head_dim_vo], o_token_stride apart
  float* lse;                 // [num_tokens, num_qo_heads] natural logarithm, -inf for an empty row; or null
  const void* kv_pool;        // [num_pages, num_kv_heads, K part then V part] in the native page layout
  const int* page_table;      // [num_seqs, max_pages]
  const AttentionWork* work;  // [*num_work]; allocated for at least as many as the launch has programs
  const int* num_work;        // in memory, so that a recorded launch can be replayed for other plans
  const float* alibi_slopes;  // [num_qo_heads] or null
  const float* sinks;         // [num_qo_heads] or null
  float* partial_o;           // [num_partial_rows, head_dim_vo]
  float* partial_md;  // [num_partial_rows] pairs, by split: all running maxima in log2 units, then all
                      // denominators
  int* counters;      // [num_counters], zero between launches
  long q_token_stride, o_token_stride;
  long page_stride, head_stride, v_offset;  // of kv_pool
  int has_few, has_many;  // 1: some items have up to (more than) BatchKindCaps::few_rows rows
  int num_qo_heads, group_size, head_dim_qk, head_dim_vo, page_size, max_pages;
  Visibility sees;
  PositionBias position_bias;
  float sm_scale, logits_soft_cap;  // cap 0 = off
  unsigned mods;                    // the ScoreMods that scale, cap and bias need
};

// (o, lse) = merge of the states of two disjoint key sets, per token and head. An empty state has lse = -inf
// and any o.
struct MergeStateParams {
  const void* o_a;             // [num_rows, head_dim]
  const void* o_b;             // [num_rows, head_dim]
  const float *lse_a, *lse_b;  // [num_rows]
  void* o;                     // [num_rows, head_dim], may be o_a or o_b
  float* lse;                  // [num_rows], may be lse_a or lse_b
  int num_rows, head_dim;
};

// Writes new keys and values in the native page layout.
struct KvWriteParams {
  const void* k;             // [num_tokens, num_kv_heads, head_dim_qk]
  const void* v;             // [num_tokens, num_kv_heads, head_dim_vo]
  void* kv_pool;             // as in AttentionParams
  const long* slot_mapping;  // [num_tokens] page * page_size + offset; negative = do not write
  long k_token_stride, v_token_stride;
  long page_stride, head_stride, v_offset;
  int num_tokens, num_kv_heads, head_dim_qk, head_dim_vo, page_size;
};

// y = x W^T + bias
struct LinearParams {
  const void* x;       // [num_rows, in_dim], x_stride apart
  const void* weight;  // [out_dim, in_dim] packed, see device/layout.h
  const void* bias;    // [out_dim] or null
  void* y;             // [num_rows, out_dim], y_stride apart
  long x_stride, y_stride;
  int num_rows, in_dim, out_dim;
  int batch_invariant;  // 1: a row's bits must not depend on num_rows
};

// y = x / rms(x) * weight, with x first replaced by x + residual (and written back to residual) where
// residual is given.
struct RmsNormParams {
  const void* x;       // [num_rows, dim], groups of rows x_stride apart
  void* residual;      // [num_rows, dim] or null
  const void* weight;  // [dim]
  void* y;             // [num_rows, dim], groups of rows y_stride apart; may be x
  long x_stride, y_stride, residual_stride;
  int num_rows, dim;
  int group;  // rows that lie together, such as the heads of a token; 0 counts as 1
  float eps;
};

// Rotates the halves of each head in place: (a, b) -> (a cos - b sin, b cos + a sin). If kv.num_tokens is not
// 0, it then writes keys and values of the same tokens to their pages; these keys may be heads of x.
struct RopeParams {
  void* x;               // [num_tokens, num_heads, head_dim], token_stride apart
  const int* positions;  // [num_tokens]
  const float* cos_sin;  // [max_position, 2, head_dim / 2]
  long token_stride;
  int num_tokens, num_heads, head_dim;
  KvWriteParams kv;  // kv.num_tokens is num_tokens or 0
};

enum class ActivationKind : int { kSilu, kGelu, kGeluTanh };

// y = act(gate) * up
struct ActivationParams {
  const void* gate_up;  // [num_rows, 2 * dim]: gate, then up
  void* y;              // [num_rows, dim]
  int num_rows, dim;
  ActivationKind kind;
};

// y[i] = table[ids[i]]
struct EmbeddingParams {
  const void* table;  // [vocab_size, dim]
  const int* ids;     // [num_rows], each inside the vocabulary
  void* y;            // [num_rows, dim]
  int num_rows, dim;
};

// Results in place of a token, for rows without one: a logit is NaN; no logit is NaN, but one is +inf; all
// logits are -inf.
constexpr int kTokenOfNan = -1, kTokenOfInfinity = -2, kTokenOfNone = -3;

// The likeliest token of each row. A row is searched in num_parts = ceil(vocab_size / part_len) parts at the
// same time.
struct SampleGreedyParams {
  const float* logits;  // [num_rows, vocab_size]
  int* tokens;          // [num_rows] lowest index of the maximum, or one of the three constants above
  float* maxima;        // [num_rows] or null
  float* part_max;      // [num_rows, num_parts] scratch
  int* part_token;      // [num_rows, num_parts] scratch
  int* counters;        // [num_rows], zero between launches
  int num_rows, vocab_size, num_parts, part_len;
};

// Weights are whole numbers, so that their sums do not depend on the order: exp2((x - max) * scale) in units
// of 2^-kDrawWeightBits, rounded to nearest even. The sum over a row of 2^20 tokens is less than 2^64.
constexpr int kDrawWeightBits = 40;
using Mass = unsigned long long;  // a sum of weights

// How a row draws its token. Tokens are ordered by logit, the highest first, and equal ones by id. Of the
// first top_k those whose weight is at least min_weight are kept, and of these the first that together reach
// top_p of the mass. The token drawn is the one at which the running sum of the kept weights, in the order of
// ids, first exceeds floor(random * sum / 2^64).
struct DrawRow {
  unsigned long long random;  // 64 uniform bits
  unsigned long long top_p;   // in units of 2^-64; 0: off
  float scale;                // log2(e) / temperature; 0: keep the likeliest token
  float min_weight;           // min_p: relative to the likeliest token, whose weight is 1
  int top_k;                  // 0: off
  int unused;
};

// For a row with a top_k or a top_p, from the first launch to the second: the bins in one of which the last
// token that is kept lies, and the sums over the bins before them.
struct ThresholdSearch {
  Mass total;        // of all bins
  Mass mass_before;  // of bins before first_bin
  int count_before;
  int first_bin, last_bin;
  int has_top_k;  // 0: top_k is off or not less than the number of tokens
};
// The tokens that are kept: those whose logit is above `least`, and the first num_ties of those equal to it.
struct TokenThreshold {
  float least;
  int num_ties;  // kAllTies: all of them
};
constexpr int kAllTies = 0x7fffffff;

// Draws from rows of logits in three launches. Each of them processes a row in num_parts = ceil(vocab_size /
// part_len) parts at the same time. sample_bins counts tokens by bins of weight, and sample_threshold finds
// which tokens are kept; both skip rows that have neither top_k nor top_p. sample_draw draws.
struct SampleDrawParams {
  const float* logits;         // [num_rows, vocab_size]
  const DrawRow* draws;        // [num_rows]
  const float* maxima;         // [num_rows], as sample_greedy left them
  int* tokens;                 // [num_rows], from sample_greedy; the drawn token replaces the likeliest one
  ThresholdSearch* searches;   // [num_rows] scratch
  TokenThreshold* thresholds;  // [num_rows] scratch
  int* bin_counts;             // [num_rows, kNumBins], zero between launches
  Mass* bin_masses;            // [num_rows, kNumBins], zero between launches
  float* candidates;    // [num_rows, max_candidates] scratch: logits in the bins of the search; if there are
                        // more, the row is read again
  int* num_candidates;  // [num_rows], zero between launches
  Mass* part_mass;      // [num_rows, num_parts] scratch
  int* part_ties;       // [num_rows, num_parts] scratch
  int* counters;        // [num_rows], zero between launches
  int num_rows, vocab_size, num_parts, part_len, max_candidates;
};
constexpr int kNumBins = 256;

// ids[i] = drawn[rows[i]] where rows[i] >= 0; 0 where no token could be drawn.
struct TakeTokensParams {
  const int* drawn;  // tokens of the step before
  const int* rows;   // [num_tokens]
  int* ids;          // [num_tokens]
  int num_tokens;
};

// For the kernels that measure what a device can do. CeilingRead reads num_elems f32 from data; the others do
// num_elems multiply-adds. Work item i writes a number that depends on all of its work to sink[i], so that a
// compiler can remove none of it.
struct CeilingParams {
  const float* data;
  float* sink;
  long num_elems;
  int num_work;
};

}  // namespace quire

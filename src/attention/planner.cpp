#include "attention/planner.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "tile/ranges.h"

namespace quire {
namespace {

constexpr int kUsualFewRows = 16;

// The relative time of an item: for each key its rows, plus what reading the key costs for any number of
// rows.
double cost_of(const AttentionWork& w, const BatchKindCaps& caps) {
  return double(w.kv_end - w.kv_begin) * (w.num_tokens * w.num_heads + caps.split_policy.key_cost_rows);
}

int tiles_of(const AttentionWork& w, const BatchKindCaps& caps) {
  return w.kv_end > w.kv_begin ? (w.kv_end - 1) / caps.keys + 1 - w.kv_begin / caps.keys : 1;
}

// The sizes of the blocks of one KV head.
struct BlockSizes {
  struct Block {
    int tiles, rows;
  };
  std::vector<Block> blocks;
  int num_kv_heads;
  int longest = 0;  // tiles of a block
  long total = 0;   // tiles, for all heads
};

BlockSizes sizes_of(const std::vector<AttentionWork>& blocks, int num_kv_heads, const BatchKindCaps& caps) {
  BlockSizes sizes{{}, num_kv_heads};
  sizes.blocks.reserve(blocks.size());
  for (const AttentionWork& w : blocks) {
    const int tiles = tiles_of(w, caps);
    sizes.blocks.push_back({tiles, w.num_tokens * w.num_heads});
    sizes.longest = std::max(sizes.longest, tiles);
    sizes.total += long{num_kv_heads} * tiles;
  }
  return sizes;
}

// Estimated makespan in tiles if items are cut at `tiles`, plus the merge cost of each row.
double time_of_split(const BlockSizes& sizes, const BatchKindCaps& caps, int tiles) {
  long items = static_cast<long>(sizes.blocks.size()), merged_rows = 0;
  if (sizes.longest > tiles) {
    items = 0;
    for (const BlockSizes::Block& b : sizes.blocks) {
      const int parts = ceil_div(b.tiles, tiles);
      items += parts;
      if (parts > 1) merged_rows += long{parts} * b.rows;
    }
  }
  items *= sizes.num_kv_heads;
  const SplitPolicy& policy = caps.split_policy;
  const long turns = (items + caps.num_programs - 1) / caps.num_programs;
  const double even = double(turns) * (double(sizes.total) / double(items) + policy.item_cost_tiles);
  const double merges = double(merged_rows) * sizes.num_kv_heads * policy.merge_cost_tiles /
                        (double(caps.num_programs) * caps.rows);
  return std::max(even, double(std::min(sizes.longest, tiles) + policy.item_cost_tiles)) + merges;
}

// For kernels whose items have a fixed cost: the length of parts, in tiles, with the least makespan. Tries no
// splits, and parts that fill 1 to 8 rounds of programs.
int choose_split_tiles(const std::vector<AttentionWork>& blocks, int num_kv_heads,
                       const BatchKindCaps& caps) {
  const BlockSizes sizes = sizes_of(blocks, num_kv_heads, caps);
  int best = 1 << 20;
  double best_time = time_of_split(sizes, caps, best);
  for (int rounds = 1; rounds <= 8; ++rounds) {
    const long programs = long{rounds} * caps.num_programs;
    const int tiles = std::max(caps.split_policy.min_split_tiles,
                               static_cast<int>((sizes.total + programs - 1) / programs));
    const double time = time_of_split(sizes, caps, tiles);
    if (time < best_time) {
      best_time = time;
      best = tiles;
    }
  }
  return best;
}

void check_lengths(const AttentionDesc& desc, const AttentionLengths& lengths) {
  QUIRE_CHECK(lengths.query_len.size() == lengths.kv_len.size(), "{} query lengths but {} kv lengths",
              lengths.query_len.size(), lengths.kv_len.size());
  long num_tokens = 0;
  for (std::size_t s = 0; s < lengths.query_len.size(); ++s) {
    const int query_len = lengths.query_len[s], kv_len = lengths.kv_len[s];
    QUIRE_CHECK(query_len >= 0 && kv_len >= 0, "request {}: query_len {} and kv_len {} must not be negative",
                s, query_len, kv_len);
    QUIRE_CHECK(!desc.causal || kv_len >= query_len, "request {}: kv_len {} is less than its query_len {}", s,
                kv_len, query_len);
    QUIRE_CHECK(kv_len <= kMaxContext, "request {}: kv_len {} is more than {}", s, kv_len, kMaxContext);
    num_tokens += query_len;
    QUIRE_CHECK(num_tokens <= kMaxContext, "batch of more than {} tokens", kMaxContext);
  }
}

// The row blocks of a batch, before their keys are split. Made for the first KV head; the others have the
// same.
void make_row_blocks(const AttentionDesc& d, int max_rows, const AttentionLengths& lengths,
                     std::vector<AttentionWork>& work) {
  const int group_size = d.num_qo_heads / d.num_kv_heads;
  const int heads_at_once = std::min(group_size, max_rows);
  const int tokens_at_once = max_rows / heads_at_once;
  const Visibility sees = visibility_of(d);
  int token_begin = 0;
  for (std::size_t s = 0; s < lengths.query_len.size(); ++s) {
    const int query_len = lengths.query_len[s], kv_len = lengths.kv_len[s];
    for (int token = 0; token < query_len; token += tokens_at_once) {
      AttentionWork w{};
      w.num_tokens = std::min(tokens_at_once, query_len - token);
      w.token_begin = token_begin + token;
      w.position = kv_len - query_len + token;
      w.seq_idx = static_cast<int>(s);
      w.kv_len = kv_len;
      const KeyRange keys = sees.of_rows(w.position, w.position + w.num_tokens - 1, kv_len);
      w.kv_begin = keys.begin;
      w.kv_end = keys.end;
      w.num_splits = 1;
      for (w.group_begin = 0; w.group_begin < group_size; w.group_begin += heads_at_once) {
        w.num_heads = std::min(heads_at_once, group_size - w.group_begin);
        work.push_back(w);
      }
    }
    token_begin += query_len;
  }
}

// The kind of a batch follows from which form of the kernel (few or many rows) its blocks take. For kernels
// with one form the usual number of rows of a decode decides.
BatchKind kind_of(const std::vector<AttentionWork>& blocks, const CapsByKind& kinds) {
  const int few_rows =
      kinds.of(BatchKind::kDecode).few_rows > 0 ? kinds.of(BatchKind::kDecode).few_rows : kUsualFewRows;
  const auto num_few = std::count_if(blocks.begin(), blocks.end(), [&](const AttentionWork& w) {
    return w.num_tokens * w.num_heads <= few_rows;
  });
  if (num_few == static_cast<std::ptrdiff_t>(blocks.size())) return BatchKind::kDecode;
  return num_few == 0 ? BatchKind::kPrefill : BatchKind::kMixed;
}

// Splits the keys of block `w` at multiples of split_keys, counted from the request's first token, and
// appends the parts. Reserves memory for the partial states of all KV heads.
void append_splits(const AttentionWork& w, int split_keys, int num_kv_heads,
                   std::vector<AttentionWork>& parts, AttentionSchedule& schedule) {
  const int first = w.kv_begin / split_keys, last = (w.kv_end - 1) / split_keys;
  const int num_splits = w.kv_end > w.kv_begin ? last - first + 1 : 1;
  AttentionWork part = w;
  part.num_splits = num_splits;
  if (num_splits > 1) {
    part.partial_begin = schedule.num_partial_rows;
    part.counter_idx = schedule.num_counters;
    schedule.num_partial_rows += num_kv_heads * num_splits * w.num_tokens * w.num_heads;
    schedule.num_counters += num_kv_heads;
  }
  for (int i = 0; i < num_splits; ++i) {
    part.split_idx = i;
    part.kv_begin = std::max(w.kv_begin, (first + i) * split_keys);
    part.kv_end = i + 1 < num_splits ? (first + i + 1) * split_keys : w.kv_end;
    parts.push_back(part);
  }
}

struct Place {
  double cost;
  const AttentionWork* part;
};

// The order of the items: the longest first. Among items of equal cost those that read the same pages come
// one after the other, so that they run at about the same time.
std::vector<Place> ordered(const std::vector<AttentionWork>& parts, const BatchKindCaps& caps) {
  std::vector<Place> places;
  places.reserve(parts.size());
  for (const AttentionWork& part : parts) places.push_back({cost_of(part, caps), &part});
  const auto is_before = [](const Place& a, const Place& b) {
    if (a.cost != b.cost) return a.cost > b.cost;
    if (a.part->seq_idx != b.part->seq_idx) return a.part->seq_idx < b.part->seq_idx;
    return a.part->kv_begin != b.part->kv_begin ? a.part->kv_begin < b.part->kv_begin : a.part < b.part;
  };
  if (!std::is_sorted(places.begin(), places.end(), is_before))
    std::sort(places.begin(), places.end(), is_before);
  return places;
}

// Writes a part for each KV head, one after the other, because the heads of a page are neighbours in memory.
void put_heads(const AttentionWork& part, int num_kv_heads, AttentionWork* to) {
  const int rows = part.num_splits * part.num_tokens * part.num_heads;
  for (int head = 0; head < num_kv_heads; ++head) {
    to[head] = part;
    to[head].kv_head = head;
    if (part.num_splits == 1) continue;
    to[head].partial_begin += head * rows;
    to[head].counter_idx += head;
  }
}

}  // namespace

CapsByKind::CapsByKind(const BatchKindCaps& caps) : kinds_{caps, caps, caps} {}

CapsByKind::CapsByKind(const AttentionTarget& target, const AttentionDesc& desc) {
  const int head_dim = head_dim_bound(std::max(desc.head_dim_qk, desc.head_dim_vo));
  for (const BatchKind kind : kBatchKinds) of(kind) = target.caps({desc.dtype, head_dim, kind});
}

int CapsByKind::rows(const AttentionDesc& desc) const {
  const auto rows_of = [&](BatchKind kind) {
    return desc.batch_invariant ? of(kind).invariant_rows : of(kind).rows;
  };
  return std::min(rows_of(BatchKind::kPrefill), rows_of(BatchKind::kMixed));
}

int CapsByKind::most_programs() const {
  int most = 0;
  for (const BatchKindCaps& caps : kinds_) most = std::max(most, caps.num_programs);
  return most;
}

void make_schedule(const AttentionDesc& desc, const CapsByKind& kinds, const AttentionLengths& lengths,
                   AttentionSchedule& schedule) {
  check_lengths(desc, lengths);
  schedule.num_partial_rows = schedule.num_counters = 0;
  std::vector<AttentionWork> blocks, parts;
  make_row_blocks(desc, kinds.rows(desc), lengths, blocks);
  schedule.kind = kind_of(blocks, kinds);
  const BatchKindCaps& caps = kinds.of(schedule.kind);
  double total = 0;
  for (const AttentionWork& w : blocks) total += cost_of(w, caps);
  // Aims at four items a program: enough to balance the load when programs take items from a queue.
  const double share = total * desc.num_kv_heads / (4.0 * caps.num_programs);
  const bool is_coarse = caps.split_policy.item_cost_tiles > 0 && !desc.batch_invariant && !blocks.empty();
  const int coarse_keys = is_coarse ? choose_split_tiles(blocks, desc.num_kv_heads, caps) * caps.keys : 0;
  parts.reserve(blocks.size());
  for (const AttentionWork& w : blocks) {
    int split_keys = 1 << 30;
    if (desc.batch_invariant) {
      split_keys = kInvariantSplitKeys;
    } else if (is_coarse) {
      split_keys = coarse_keys;
    } else if (caps.num_programs > 1 && cost_of(w, caps) > 2 * share) {
      const double keys = share / (w.num_tokens * w.num_heads + caps.split_policy.key_cost_rows);
      const int tiles = std::max(caps.split_policy.min_split_tiles, static_cast<int>(keys / caps.keys + 0.5));
      split_keys = tiles * caps.keys;
    }
    append_splits(w, split_keys, desc.num_kv_heads, parts, schedule);
  }
  const int num_work = static_cast<int>(parts.size()) * desc.num_kv_heads;
  schedule.image.resize(AttentionSchedule::kHeaderBytes +
                        static_cast<std::size_t>(num_work) * sizeof(AttentionWork));
  std::memcpy(schedule.image.data(), &num_work, sizeof num_work);
  auto* to = reinterpret_cast<AttentionWork*>(schedule.image.data() + AttentionSchedule::kHeaderBytes);
  for (const Place& place : ordered(parts, caps)) {
    put_heads(*place.part, desc.num_kv_heads, to);
    to += desc.num_kv_heads;
  }
}

}  // namespace quire

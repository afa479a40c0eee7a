#include "engine/kv_cache.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "quire/snapshot.h"

namespace quire {
namespace {

constexpr std::int32_t kNoLimit = std::int32_t{1} << 30;

void check_group(const CacheGroup& group) {
  const bool has_window = group.keep == Retention::kWindow;
  QUIRE_CHECK(has_window ? group.window >= 1 : group.window == 0, "window is {}, must be {}", group.window,
              has_window ? "at least 1" : "0 in a group that keeps more than a window");
  QUIRE_CHECK(group.page_scale >= 1 && group.page_scale <= 1 << 16, "page_scale is {}, must be 1 to 65536",
              group.page_scale);
}

const KvCacheConfig& checked(const KvCacheConfig& config) {
  QUIRE_CHECK(config.page_size >= 1, "page_size is {}, must be at least 1", config.page_size);
  QUIRE_CHECK(!config.groups.empty() && config.groups.size() <= kMaxCacheGroups,
              "{} cache groups, must be 1 to {}", config.groups.size(), kMaxCacheGroups);
  std::int64_t most_tokens = 0;
  for (const CacheGroup& group : config.groups) {
    check_group(group);
    most_tokens = std::max(most_tokens, std::int64_t{config.page_size} * group.page_scale);
  }
  const std::int64_t num_slots = config.num_pages * most_tokens;
  QUIRE_CHECK(num_slots <= std::numeric_limits<std::int32_t>::max(),
              "num_pages = {} of page_size = {} make {} token slots, at most 2^31 - 1 are supported",
              config.num_pages, most_tokens, num_slots);
  return config;
}

int ceil_ratio(std::int64_t a, std::int64_t b) {
  return static_cast<int>(std::min<std::int64_t>((a + b - 1) / b, std::numeric_limits<int>::max()));
}

}  // namespace

int SequencePages::num_held() const {
  int num = 0;
  for (const GroupPages& group : groups) num += group.num_held();
  return num;
}

KvCache::KvCache(const KvCacheConfig& config)
    : config_(checked(config)), pool_(config.num_pages), index_(config.num_pages) {
  for (std::size_t g = 0; g < num_groups(); ++g) {
    page_tokens_[g] = config_.page_tokens(g);
    num_growing_groups_ += group(g).grows();
  }
  uses_index_ = config_.has_prefix_cache && num_growing_groups_ == static_cast<int>(num_groups());
}

// Entries of the group's table for a sequence of `len` tokens.
int KvCache::pages_of(std::size_t g, int len) const {
  return group(g).grows() ? ceil_ratio(len, page_tokens(g)) : len > 0;
}

int KvCache::num_new_pages(const SequencePages& seq, int kv_len) const {
  int num = 0;
  for (std::size_t g = 0; g < num_groups(); ++g)
    num += std::max(0, pages_of(g, kv_len) - seq.groups[g].num_pages());
  return num;
}

// Pages that one request can need at once: under a window W - 1 keys before the first of its query tokens,
// the query tokens, and one page more because the first key need not start a page.
int KvCache::most_pages(std::size_t g, int max_query_len) const {
  switch (group(g).keep) {
    case Retention::kAllTokens:
      return std::numeric_limits<int>::max();
    case Retention::kWindow:
      return ceil_ratio(std::int64_t{group(g).num_seen_left()} + max_query_len, page_tokens(g)) + 1;
    case Retention::kFixedState:
      return 1;
  }
  return 0;
}

// Of the group's pages before the end of a full page, those whose keys the next token sees.
int KvCache::num_seen_pages(std::size_t g) const {
  if (group(g).keep != Retention::kWindow) return std::numeric_limits<int>::max();
  return ceil_ratio(group(g).num_seen_left(), page_tokens(g));
}

std::int32_t KvCache::capacity_len(int max_query_len) const {
  const auto fits = [&](std::int32_t len) {
    std::int64_t num_pages = 0;
    for (std::size_t g = 0; g < num_groups(); ++g)
      num_pages += std::min(pages_of(g, len), most_pages(g, max_query_len));
    return num_pages <= num_usable_pages();
  };
  if (fits(kNoLimit)) return kNoLimit;
  std::int32_t fitting = 0, too_long = kNoLimit;
  while (too_long - fitting > 1) {
    const std::int32_t middle = fitting + (too_long - fitting) / 2;
    (fits(middle) ? fitting : too_long) = middle;
  }
  return fitting;
}

int KvCache::num_missing_pages(const SequencePages& seq, const PrefixHit& hit, int seq_len,
                               int max_query_len) const {
  int num_missing = 0;
  for (std::size_t g = 0; g < num_groups(); ++g) {
    const int num_entries = seq.groups[g].num_pages() + static_cast<int>(hit.pages[g].size());
    const int num_held = seq.groups[g].num_held() + hit.num_hit_pages[g];
    num_missing +=
        std::max(0, std::min(pages_of(g, seq_len) - num_entries, most_pages(g, max_query_len) - num_held));
  }
  return num_missing;
}

PageId KvCache::take_page() {
  const PageId page = pool_.allocate();
  index_.erase(
      page);  // eviction happens here and nowhere else: a cached page stays useful until its memory is needed
  return page;
}

void KvCache::release_page(PageId page) {
  pool_.release(page, index_.contains(page) ? FreeListEnd::kBack : FreeListEnd::kFront);
}

void KvCache::update_room(SequencePages& seq) const {
  seq.room_len = kNoLimit;
  for (std::size_t g = 0; g < num_groups(); ++g) {
    const int num_pages = seq.groups[g].num_pages();
    const int room = group(g).grows() ? num_pages * page_tokens(g) : num_pages > 0 ? kNoLimit : 0;
    seq.room_len = std::min(seq.room_len, room);
  }
}

void KvCache::allocate(SequencePages& seq, int kv_len) {
  const int num_new = num_new_pages(seq, kv_len);
  QUIRE_CHECK_KIND(kInternal, num_new <= num_free_pages(), "{} pages wanted for {} tokens, {} of {} free",
                   num_new, kv_len, num_free_pages(), num_usable_pages());
  if (seq.holds_nothing()) seq.epoch = next_epoch_++;
  for (std::size_t g = 0; g < num_groups(); ++g) {
    GroupPages& table = seq.groups[g];
    const int num_missing = std::max(0, pages_of(g, kv_len) - table.num_pages());
    for (int i = 0; i < num_missing; ++i) table.pages.push_back(take_page());
    if (num_missing > 0) table.last_page = table.pages.back();
    if (group(g).grows())
      num_unused_slots_[g] += std::int64_t{num_missing} * page_tokens(g) - (kv_len - seq.slots_len);
  }
  seq.slots_len = kv_len;
  if (num_new > 0) update_room(seq);
}

void KvCache::allocate(SequencePages& seq, const PrefixHit& hit, int kv_len) {
  QUIRE_CHECK_KIND(kInternal, seq.holds_nothing(),
                   "a prefix hit of {} tokens for a request that holds {} pages", hit.hit_len,
                   seq.num_held());
  seq.epoch = next_epoch_++;
  for (std::size_t g = 0; g < num_groups(); ++g) {
    GroupPages& table = seq.groups[g];
    for (const PageId page : hit.pages[g]) {
      if (page != kNullPage) pool_.add_ref(page);
      table.pages.push_back(page);
    }
    table.num_released = table.num_pages() - hit.num_hit_pages[g];
    table.num_committed = table.num_pages();
    if (!table.pages.empty()) table.last_page = table.pages.back();
  }
  seq.slots_len = hit.hit_len;
  update_room(seq);
  allocate(seq, kv_len);
}

void KvCache::release_outside_window(SequencePages& seq, int computed_len) {
  for (std::size_t g = 0; g < num_groups(); ++g) {
    if (group(g).keep != Retention::kWindow) continue;
    GroupPages& table = seq.groups[g];
    const int end = std::min(group(g).first_key(computed_len) / page_tokens(g), table.num_pages());
    for (int page_idx = end; page_idx-- > table.num_released;) {
      PageId& page = table.pages[static_cast<std::size_t>(page_idx)];
      release_page(page);
      page = kNullPage;
    }
    table.num_released = std::max(table.num_released, end);
    if (table.num_held() == 0) table.last_page = kNullPage;
  }
}

// Of several groups the page that holds the later tokens first.
void KvCache::release_tail(SequencePages& seq, int len) {
  for (;;) {
    std::size_t last = num_groups();
    std::int64_t last_end = -1;
    for (std::size_t g = 0; g < num_groups(); ++g) {
      const int num_pages = seq.groups[g].num_pages();
      const std::int64_t end = group(g).grows() ? std::int64_t{num_pages} * page_tokens(g) : 0;
      if (num_pages > pages_of(g, len) && end > last_end) last = g, last_end = end;
    }
    if (last == num_groups()) break;
    const PageId page = seq.groups[last].pages.back();
    if (page != kNullPage) release_page(page);
    seq.groups[last].pages.pop_back();
    if (group(last).grows()) num_unused_slots_[last] -= page_tokens(last);
  }
  for (std::size_t g = 0; g < num_groups(); ++g) {
    GroupPages& table = seq.groups[g];
    if (group(g).grows()) num_unused_slots_[g] += seq.slots_len - len;
    table.num_released = std::min(table.num_released, table.num_pages());
    table.num_committed = group(g).grows() ? std::min(table.num_committed, len / page_tokens(g)) : 0;
    table.last_page = table.pages.empty() ? kNullPage : table.pages.back();
  }
  seq.slots_len = len;
  update_room(seq);
}

void KvCache::free(SequencePages& seq) { release_tail(seq, 0); }

void KvCache::discard(SequencePages& seq) {
  for (const GroupPages& table : seq.groups) {
    for (const PageId page : table.pages) {
      if (page != kNullPage) index_.erase(page);
    }
  }
  free(seq);
}

// Of `len` tokens those that can be kept: the page of the first token behind them must be the sequence's own
// to write, and what that token sees must still be there.
int KvCache::kept_len(const SequencePages& seq, int len) const {
  for (std::size_t g = 0; g < num_groups(); ++g) {
    if (len % page_tokens(g) == 0) continue;
    const int page_idx = len / page_tokens(g);
    const PageId page = seq.groups[g].pages[static_cast<std::size_t>(page_idx)];
    if (page == kNullPage) return 0;
    if (pool_.num_refs(page) > 1) return kept_len(seq, page_idx * page_tokens(g));
  }
  for (std::size_t g = 0; g < num_groups(); ++g) {
    if (group(g).keep != Retention::kWindow) continue;
    if (group(g).first_key(len) / page_tokens(g) < seq.groups[g].num_released) return 0;
  }
  return len;
}

int KvCache::truncate(SequencePages& seq, int len) {
  QUIRE_CHECK(len >= 0 && len <= seq.slots_len, "a sequence of {} tokens cannot be cut to {}", seq.slots_len,
              len);
  QUIRE_CHECK_KIND(kUnsupported, num_growing_groups_ == static_cast<int>(num_groups()),
                   "a sequence with a state cannot be cut from {} to {} tokens", seq.slots_len, len);
  const int kept = len < seq.slots_len ? kept_len(seq, len) : len;
  seq.hashes.resize(std::min(seq.hashes.size(), static_cast<std::size_t>(kept / config_.page_size)));
  if (kept == seq.slots_len) return kept;
  for (std::size_t g = 0; g < num_groups(); ++g) {
    const std::vector<PageId>& pages = seq.groups[g].pages;
    for (auto i = static_cast<std::size_t>(kept / page_tokens(g)); i < pages.size(); ++i) {
      if (pages[i] != kNullPage && pool_.num_refs(pages[i]) == 1) index_.erase(pages[i]);
    }
  }
  release_tail(seq, kept);
  seq.epoch = next_epoch_++;
  return kept;
}

void KvCache::reset() {
  pool_.reset();
  index_.clear();
  num_unused_slots_ = {};
}

std::int64_t KvCache::num_unused_slots() const {
  std::int64_t num = 0;
  for (const std::int64_t of_group : num_unused_slots_) num += of_group;
  return num;
}

double KvCache::num_unused_pages() const {
  double num = 0;
  for (std::size_t g = 0; g < num_groups(); ++g)
    num += static_cast<double>(num_unused_slots_[g]) / page_tokens(g);
  return num;
}

void KvCache::describe_free_pages(std::vector<std::int64_t>& owners) const {
  owners.resize(static_cast<std::size_t>(num_usable_pages()));
  for (PageId page = 1; page <= num_usable_pages(); ++page) {
    owners[static_cast<std::size_t>(page) - 1] = index_.contains(page) ? kCachedPage : kFreePage;
  }
}

void KvCache::check_idle() const {
  QUIRE_CHECK_KIND(kInternal, num_free_pages() == num_usable_pages() && num_unused_slots() == 0,
                   "no request lives, but {} of {} pages are free and {} slots count as held",
                   num_free_pages(), num_usable_pages(), num_unused_slots());
}

// One table of one sequence; counts its references.
void KvCache::check_table(std::size_t g, const SequencePages& seq, std::vector<int>& num_refs) const {
  const GroupPages& table = seq.groups[g];
  QUIRE_CHECK_KIND(kInternal, table.num_pages() == pages_of(g, seq.slots_len),
                   "a table of group {} has {} entries for {} tokens", g, table.num_pages(), seq.slots_len);
  QUIRE_CHECK_KIND(kInternal, table.pages.empty() || table.last_page == table.pages.back(),
                   "a table of group {} ends with page {}, its copy says {}", g,
                   table.pages.empty() ? kNullPage : table.pages.back(), table.last_page);
  for (int page_idx = 0; page_idx < table.num_pages(); ++page_idx) {
    const PageId page = table.pages[static_cast<std::size_t>(page_idx)];
    QUIRE_CHECK_KIND(kInternal, (page == kNullPage) == (page_idx < table.num_released),
                     "entry {} of a page table with {} released entries is page {}", page_idx,
                     table.num_released, page);
    if (page == kNullPage) continue;
    ++num_refs[static_cast<std::size_t>(page)];
    // Only committed, hence full and final, pages may have two holders.
    QUIRE_CHECK_KIND(kInternal, pool_.num_refs(page) == 1 || page_idx < table.num_committed,
                     "page {} is shared by {} but still written", page, pool_.num_refs(page));
    QUIRE_CHECK_KIND(kInternal,
                     !index_.contains(page) || (page_idx < table.num_committed && index_.group_of(page) == g),
                     "page {}, entry {} of {} committed ones in group {}, is in the prefix index", page,
                     page_idx, table.num_committed, g);
  }
}

void KvCache::check_integrity(std::span<const SequencePages* const> held) const {
  pool_.check_integrity();
  index_.check_integrity();
  std::vector<int> num_refs(static_cast<std::size_t>(config_.num_pages), 0);
  std::array<std::int64_t, kMaxCacheGroups> num_unused = {};
  for (const SequencePages* seq : held) {
    for (std::size_t g = 0; g < num_groups(); ++g) {
      check_table(g, *seq, num_refs);
      if (group(g).grows())
        num_unused[g] += std::int64_t{seq->groups[g].num_pages()} * page_tokens(g) - seq->slots_len;
    }
  }
  for (PageId page = 1; page < config_.num_pages; ++page) {
    QUIRE_CHECK_KIND(kInternal, num_refs[static_cast<std::size_t>(page)] == pool_.num_refs(page),
                     "page {} has {} references, {} requests hold it", page, pool_.num_refs(page),
                     num_refs[static_cast<std::size_t>(page)]);
  }
  for (std::size_t g = 0; g < num_groups(); ++g) {
    QUIRE_CHECK_KIND(kInternal, num_unused[g] == num_unused_slots_[g],
                     "{} unused slots counted in group {}, {} found", num_unused_slots_[g], g, num_unused[g]);
  }
}

}  // namespace quire

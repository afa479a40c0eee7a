#include "engine/kv_cache.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "quire/snapshot.h"

namespace quire {
namespace {

const KvCacheConfig& checked(const KvCacheConfig& config) {
  QUIRE_CHECK(config.page_size >= 1, "page_size is {}, must be at least 1", config.page_size);
  QUIRE_CHECK(config.window >= 0, "window is {}, must be at least 0", config.window);
  const std::int64_t num_slots = std::int64_t{config.num_pages} * config.page_size;
  QUIRE_CHECK(num_slots <= std::numeric_limits<std::int32_t>::max(),
              "num_pages = {} of page_size = {} make {} token slots, at most 2^31 - 1 are supported",
              config.num_pages, config.page_size, num_slots);
  return config;
}

}  // namespace

KvCache::KvCache(const KvCacheConfig& config)
    : config_(checked(config)), pool_(config.num_pages), index_(config.num_pages) {}

// Pages that one request can need at once under the window: W - 1 keys before the first of its query tokens,
// the query tokens, and one page more because the first key need not start a page.
int KvCache::window_pages(int max_query_len) const {
  if (config_.window == 0) return std::numeric_limits<int>::max();
  const std::int64_t num_tokens = std::int64_t{config_.window} - 1 + max_query_len;
  const std::int64_t num_pages = (num_tokens + config_.page_size - 1) / config_.page_size + 1;
  return static_cast<int>(std::min<std::int64_t>(num_pages, std::numeric_limits<int>::max()));
}

std::int32_t KvCache::capacity_len(int max_query_len) const {
  if (window_pages(max_query_len) <= num_usable_pages()) return std::int32_t{1} << 30;
  return num_usable_pages() * config_.page_size;
}

int KvCache::num_missing_pages(const SequencePages& seq, const PrefixHit& hit, int seq_len,
                               int max_query_len) const {
  const int num_hit_entries = static_cast<int>(hit.pages.size());
  const int to_the_end = num_new_pages(seq, seq_len) - num_hit_entries;
  const int to_the_window = window_pages(max_query_len) - seq.num_held() - hit.num_hit_pages;
  return std::max(0, std::min(to_the_end, to_the_window));
}

const PageHash& KvCache::hash_of(SequencePages& seq, int page_idx, std::span<const std::int32_t> tokens,
                                 std::string_view salt) {
  const auto wanted = static_cast<std::size_t>(page_idx),
             page_size = static_cast<std::size_t>(config_.page_size);
  while (seq.hashes.size() <= wanted) {
    const PageHash* parent = seq.hashes.empty() ? nullptr : &seq.hashes.back();
    seq.hashes.push_back(
        hasher_.hash(parent, tokens.subspan(seq.hashes.size() * page_size, page_size), salt));
  }
  return seq.hashes[wanted];
}

PrefixHit KvCache::find_prefix(SequencePages& seq, std::span<const std::int32_t> tokens,
                               std::string_view salt) {
  hit_pages_.clear();
  if (!config_.has_prefix_cache || index_.num_pages() == 0 || tokens.empty()) return {};
  const int num_candidates = (static_cast<int>(tokens.size()) - 1) / config_.page_size;
  if (config_.window > 0) {
    if (num_candidates > 0) hash_of(seq, num_candidates - 1, tokens, salt);
    return find_under_window(seq, num_candidates);
  }
  PrefixHit hit;
  for (int page_idx = 0; page_idx < num_candidates; ++page_idx) {
    const PageId page = index_.find(hash_of(seq, page_idx, tokens, salt));
    if (page == kNullPage) break;
    hit_pages_.push_back(page);
    hit.num_free_pages += pool_.is_free(page);
  }
  hit.pages = hit_pages_;
  hit.num_hit_pages = static_cast<std::int32_t>(hit_pages_.size());
  hit.hit_len = hit.num_hit_pages * config_.page_size;
  return hit;
}

// Under a window a hit that ends at page e needs only the pages which hold the W - 1 keys before e; those
// further left may have been evicted. The search runs from the right, so the first run that is long enough is
// the longest hit.
PrefixHit KvCache::find_under_window(SequencePages& seq, int num_candidates) {
  const int num_seen = (config_.window - 1 + config_.page_size - 1) / config_.page_size;
  hit_pages_.assign(static_cast<std::size_t>(num_candidates), kNullPage);
  int end = num_candidates, begin = num_candidates;
  while (begin > 0 && end - begin < num_seen) {
    const auto page_idx = static_cast<std::size_t>(--begin);
    hit_pages_[page_idx] = index_.find(seq.hashes[page_idx]);
    if (hit_pages_[page_idx] == kNullPage) end = begin;
  }
  hit_pages_.resize(static_cast<std::size_t>(end));
  PrefixHit hit;
  for (const PageId page : hit_pages_) {
    hit.num_hit_pages += page != kNullPage;
    hit.num_free_pages += page != kNullPage && pool_.is_free(page);
  }
  hit.pages = hit_pages_;
  hit.hit_len = end * config_.page_size;
  return hit;
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

void KvCache::allocate(SequencePages& seq, int kv_len) {
  const int num_new = std::max(0, num_new_pages(seq, kv_len));
  QUIRE_CHECK_KIND(kInternal, num_new <= num_free_pages(), "{} pages wanted for {} tokens, {} of {} free",
                   num_new, kv_len, num_free_pages(), num_usable_pages());
  if (seq.pages.empty()) seq.epoch = next_epoch_++;
  for (int i = 0; i < num_new; ++i) seq.pages.push_back(take_page());
  if (num_new > 0) seq.last_page = seq.pages.back();
  num_unused_slots_ += std::int64_t{num_new} * config_.page_size - (kv_len - seq.slots_len);
  seq.slots_len = kv_len;
}

void KvCache::allocate(SequencePages& seq, const PrefixHit& hit, int kv_len) {
  QUIRE_CHECK_KIND(kInternal, seq.pages.empty(),
                   "a prefix hit of {} tokens for a request that holds {} pages", hit.hit_len,
                   seq.pages.size());
  seq.epoch = next_epoch_++;
  for (const PageId page : hit.pages) {
    if (page != kNullPage) pool_.add_ref(page);
    seq.pages.push_back(page);
  }
  seq.num_released = seq.num_pages() - hit.num_hit_pages;
  seq.num_committed = seq.num_pages();
  seq.slots_len = hit.hit_len;
  allocate(seq, kv_len);
}

void KvCache::release_outside_window(SequencePages& seq, int computed_len) {
  if (config_.window == 0) return;
  const int first_visible = computed_len - config_.window + 1;
  const int end = std::min(first_visible / config_.page_size, seq.num_pages());
  for (int page_idx = end; page_idx-- > seq.num_released;) {
    PageId& page = seq.pages[static_cast<std::size_t>(page_idx)];
    release_page(page);
    page = kNullPage;
  }
  seq.num_released = std::max(seq.num_released, end);
}

void KvCache::commit(SequencePages& seq, std::span<const std::int32_t> tokens, std::string_view salt,
                     int kv_len) {
  for (; can_commit(seq, kv_len); ++seq.num_committed) {
    const PageId page = seq.pages[static_cast<std::size_t>(seq.num_committed)];
    if (page != kNullPage) index_.insert(hash_of(seq, seq.num_committed, tokens, salt), page);
  }
}

void KvCache::free(SequencePages& seq) {
  for (int page_idx = seq.num_pages(); page_idx-- > seq.num_released;) {
    release_page(seq.pages[static_cast<std::size_t>(page_idx)]);
  }
  num_unused_slots_ -= std::int64_t{seq.num_pages()} * config_.page_size - seq.slots_len;
  seq.pages.clear();
  seq.slots_len = seq.num_released = seq.num_committed = 0;
}

void KvCache::discard(SequencePages& seq) {
  for (const PageId page : seq.pages) {
    if (page != kNullPage) index_.erase(page);
  }
  free(seq);
}

void KvCache::reset() {
  pool_.reset();
  index_.clear();
  num_unused_slots_ = 0;
}

void KvCache::describe_free_pages(std::vector<std::int64_t>& owners) const {
  owners.resize(static_cast<std::size_t>(num_usable_pages()));
  for (PageId page = 1; page <= num_usable_pages(); ++page) {
    owners[static_cast<std::size_t>(page) - 1] = index_.contains(page) ? kCachedPage : kFreePage;
  }
}

void KvCache::check_idle() const {
  QUIRE_CHECK_KIND(kInternal, num_free_pages() == num_usable_pages() && num_unused_slots_ == 0,
                   "no request lives, but {} of {} pages are free and {} slots count as held",
                   num_free_pages(), num_usable_pages(), num_unused_slots_);
}

void KvCache::check_integrity(std::span<const SequencePages* const> held) const {
  pool_.check_integrity();
  index_.check_integrity();
  std::vector<int> num_refs(static_cast<std::size_t>(config_.num_pages), 0);
  std::int64_t num_unused = 0;
  for (const SequencePages* seq : held) {
    num_unused += std::int64_t{seq->num_pages()} * config_.page_size - seq->slots_len;
    for (int page_idx = 0; page_idx < seq->num_pages(); ++page_idx) {
      const PageId page = seq->pages[static_cast<std::size_t>(page_idx)];
      QUIRE_CHECK_KIND(kInternal, (page == kNullPage) == (page_idx < seq->num_released),
                       "entry {} of a page table with {} released entries is page {}", page_idx,
                       seq->num_released, page);
      if (page != kNullPage) ++num_refs[static_cast<std::size_t>(page)];
      // Only committed, hence full and final, pages may have two holders.
      QUIRE_CHECK_KIND(kInternal,
                       page == kNullPage || pool_.num_refs(page) == 1 || page_idx < seq->num_committed,
                       "page {} is shared by {} but still written", page, pool_.num_refs(page));
    }
  }
  for (PageId page = 1; page < config_.num_pages; ++page) {
    QUIRE_CHECK_KIND(kInternal, num_refs[static_cast<std::size_t>(page)] == pool_.num_refs(page),
                     "page {} has {} references, {} requests hold it", page, pool_.num_refs(page),
                     num_refs[static_cast<std::size_t>(page)]);
  }
  QUIRE_CHECK_KIND(kInternal, num_unused == num_unused_slots_, "{} unused slots counted, {} found",
                   num_unused_slots_, num_unused);
}

}  // namespace quire

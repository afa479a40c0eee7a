// The pages of every request: which it holds, which it shares, where a token's keys and values go.
//
// Functions come in pairs: one asks and changes nothing (`find_prefix`, `can_allocate`), one acts and expects
// that the question was asked (`allocate`).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/page_pool.h"
#include "engine/prefix_index.h"

namespace quire {

struct KvCacheConfig {
  int num_pages = 0;   // in memory, the null page (page 0) included
  int page_size = 16;  // tokens
  bool has_prefix_cache = true;
  // Keys that a token sees, its own included, when every layer has this window; 0 when any layer sees
  // everything. Pages that lie fully left of the window are given back while their request runs.
  int window = 0;
};

// What one request holds. `pages[i]` keeps the tokens [i * page_size, (i + 1) * page_size); the table only
// grows at its end, and its first `num_released` entries are kNullPage.
struct SequencePages {
  std::vector<PageId> pages;
  std::vector<PageHash> hashes;  // digests of the first full pages, as far as someone needed them
  std::uint64_t epoch = 0;  // changes when the table starts anew, so that copies of it can be kept up to date
  PageId last_page = kNullPage;  // copy of pages.back(), so that a decode step need not touch that memory
  std::int32_t slots_len = 0;    // tokens that have a slot
  std::int32_t num_released = 0;
  std::int32_t num_committed = 0;  // leading pages that were offered to the prefix index

  std::int32_t num_pages() const { return static_cast<std::int32_t>(pages.size()); }
  std::int32_t num_held() const { return num_pages() - num_released; }
};

// Cached pages that a request can start with. `pages` may begin with null pages (left of the window) and
// points into the cache's scratch memory, valid until the next `find_prefix`.
struct PrefixHit {
  std::span<const PageId> pages;
  std::int32_t hit_len = 0;         // tokens, a multiple of the page size
  std::int32_t num_hit_pages = 0;   // not counting null pages
  std::int32_t num_free_pages = 0;  // of them, those that no request holds: taking them shrinks the free list
};

class KvCache {
 public:
  explicit KvCache(const KvCacheConfig& config);  // throws kInvalidArgument

  const KvCacheConfig& config() const { return config_; }
  int num_usable_pages() const { return pool_.num_usable_pages(); }
  int num_free_pages() const { return pool_.num_free_pages(); }
  int num_held_pages() const { return num_usable_pages() - num_free_pages(); }
  int num_refs(PageId page) const { return pool_.num_refs(page); }
  // [num_usable_pages], page 1 first: kCachedPage or kFreePage; for held pages the caller knows more.
  void describe_free_pages(std::vector<std::int64_t>& owners) const;
  std::int64_t num_unused_slots() const { return num_unused_slots_; }  // of held pages

  // The longest sequence that one request alone can reach when it computes at most `max_query_len` tokens a
  // step. Sequences under a window do not end for lack of pages: then 2^30.
  std::int32_t capacity_len(int max_query_len) const;

  // Pages still to be taken until `seq_len` tokens have been through the cache. Never more than the window
  // needs.
  int num_missing_pages(const SequencePages& seq, const PrefixHit& hit, int seq_len, int max_query_len) const;

  // Longest usable prefix of `tokens` in the cache; at most tokens.size() - 1, since one token must be
  // computed to get logits. Adds digests to seq.hashes on the way.
  PrefixHit find_prefix(SequencePages& seq, std::span<const std::int32_t> tokens, std::string_view salt);

  // Whether slots for the first `kv_len` tokens can be had now.
  bool can_allocate(const SequencePages& seq, int kv_len) const {
    return kv_len <= seq.num_pages() * config_.page_size ||
           num_new_pages(seq, kv_len) <= pool_.num_free_pages();
  }
  void allocate(SequencePages& seq, int kv_len);  // throws kInternal when pages are lacking
  void allocate(SequencePages& seq, const PrefixHit& hit,
                int kv_len);  // for a sequence that holds nothing yet

  // Gives back the pages that no token from position `computed_len` on can see.
  void release_outside_window(SequencePages& seq, int computed_len);

  // Enters full pages of the first `kv_len` tokens into the prefix index. To be called once it is certain
  // that they will have been computed before anyone reads them.
  bool can_commit(const SequencePages& seq, int kv_len) const {
    return config_.has_prefix_cache && kv_len >= (seq.num_committed + 1) * config_.page_size;
  }
  void commit(SequencePages& seq, std::span<const std::int32_t> tokens, std::string_view salt, int kv_len);

  // Gives back everything, the tail first so that it is evicted before the head. `discard` also takes the
  // pages out of the prefix index: their content is not to be trusted. The digests stay, they depend on the
  // tokens alone.
  void free(SequencePages& seq);
  void discard(SequencePages& seq);

  void reset();  // every page free, nothing cached; for repair when no request lives

  // `held` are the sequences of all live requests. Throws Error{kInternal} unless references, tables, lists
  // and counts agree. O(num_pages + tables).
  void check_integrity(std::span<const SequencePages* const> held) const;
  // O(1), for when no request lives: every page must be free.
  void check_idle() const;

 private:
  int num_new_pages(const SequencePages& seq, int kv_len) const {
    return (kv_len + config_.page_size - 1) / config_.page_size - seq.num_pages();
  }
  int window_pages(int max_query_len) const;
  PrefixHit find_under_window(SequencePages& seq, int num_candidates);
  const PageHash& hash_of(SequencePages& seq, int page_idx, std::span<const std::int32_t> tokens,
                          std::string_view salt);
  PageId take_page();
  void release_page(PageId page);

  KvCacheConfig config_;
  PagePool pool_;
  PrefixIndex index_;
  PageHasher hasher_;
  std::vector<PageId> hit_pages_;  // scratch of find_prefix
  std::int64_t num_unused_slots_ = 0;
  std::uint64_t next_epoch_ = 1;
};

}  // namespace quire

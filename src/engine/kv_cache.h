// The pages of every request: which it holds, which it shares, where a token's keys and values go.
//
// Functions come in pairs: one asks and changes nothing (`find_prefix`, `can_allocate`), one acts and expects
// that the question was asked (`allocate`).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/cache_group.h"
#include "engine/page_pool.h"
#include "engine/prefix_index.h"

namespace quire {

// What one request holds in one group. `pages[i]` keeps the tokens [i * n, (i + 1) * n) with n tokens in a
// page; the table only grows at its end, and its first `num_released` entries are kNullPage. A fixed state is
// one page.
struct GroupPages {
  std::vector<PageId> pages;
  PageId last_page = kNullPage;  // copy of pages.back(), so that a decode step need not touch that memory
  std::int32_t num_released = 0;
  std::int32_t num_committed = 0;  // leading pages that were offered to the prefix index

  std::int32_t num_pages() const { return static_cast<std::int32_t>(pages.size()); }
  std::int32_t num_held() const { return num_pages() - num_released; }
};

struct SequencePages {
  std::uint64_t epoch =
      0;  // changes when a table starts anew or is cut, so that copies of it can be kept up to date
  std::int32_t slots_len = 0;                      // tokens that have a slot
  std::int32_t room_len = 0;                       // tokens that have one without another page
  std::array<GroupPages, kMaxCacheGroups> groups;  // as many are used as the cache has
  std::vector<PageHash>
      hashes;  // digests of the first full units of page_size tokens, as far as someone needed them

  bool holds_nothing() const { return slots_len == 0; }
  int num_held() const;  // pages of all groups
};

// Cached pages that a request can start with. The tables may begin with null pages (left of the window) and
// point into the cache's scratch memory, valid until the next `find_prefix`.
struct PrefixHit {
  std::array<std::span<const PageId>, kMaxCacheGroups> pages;
  std::array<std::int32_t, kMaxCacheGroups> num_hit_pages = {};  // not counting null pages
  std::int32_t hit_len = 0;         // tokens, a multiple of every group's tokens in a page
  std::int32_t num_free_pages = 0;  // of all, those that no request holds: taking them shrinks the free list
};

class KvCache {
 public:
  explicit KvCache(const KvCacheConfig& config);  // throws kInvalidArgument

  const KvCacheConfig& config() const { return config_; }
  std::size_t num_groups() const { return config_.groups.size(); }
  int num_growing_groups() const { return num_growing_groups_; }
  int num_usable_pages() const { return pool_.num_usable_pages(); }
  int num_free_pages() const { return pool_.num_free_pages(); }
  int num_held_pages() const { return num_usable_pages() - num_free_pages(); }
  int num_refs(PageId page) const { return pool_.num_refs(page); }
  // [num_usable_pages], page 1 first: kCachedPage or kFreePage; for held pages the caller knows more.
  void describe_free_pages(std::vector<std::int64_t>& owners) const;
  std::int64_t num_unused_slots() const;  // of held pages, over all groups
  double num_unused_pages() const;        // the same in pages

  // The longest sequence that one request alone can reach when it computes at most `max_query_len` tokens a
  // step; at most 2^30, which is what sequences reach that do not end for lack of pages.
  std::int32_t capacity_len(int max_query_len) const;

  // Pages still to be taken until `seq_len` tokens have been through the cache. Never more than windows and
  // states need.
  int num_missing_pages(const SequencePages& seq, const PrefixHit& hit, int seq_len, int max_query_len) const;

  // Longest prefix of `tokens` that every group has in the cache; at most tokens.size() - 1, since one token
  // must be computed to get logits; none where a group keeps a state. Adds digests to seq.hashes on the way.
  PrefixHit find_prefix(SequencePages& seq, std::span<const std::int32_t> tokens, std::string_view salt);

  // Whether slots for the first `kv_len` tokens can be had now.
  bool can_allocate(const SequencePages& seq, int kv_len) const {
    return kv_len <= seq.room_len || num_new_pages(seq, kv_len) <= pool_.num_free_pages();
  }
  void allocate(SequencePages& seq, int kv_len);  // throws kInternal when pages are lacking
  void allocate(SequencePages& seq, const PrefixHit& hit,
                int kv_len);  // for a sequence that holds nothing yet

  // Gives back the pages that no token from position `computed_len` on can see.
  void release_outside_window(SequencePages& seq, int computed_len);

  // Takes back the slots of the tokens from position `len` on, 0 <= len <= slots_len, such as rejected
  // drafts. Pages after `len` are freed, and their content leaves the prefix index unless others hold it too.
  // Returns how many tokens the sequence keeps; later ones have to be computed anew. That is `len`, or less
  // if the page that would be written again is shared, or 0 if keys that the token at `len` sees have been
  // released already. Throws kUnsupported if a group keeps a state, which cannot be taken back.
  int truncate(SequencePages& seq, int len);

  // Enters full pages of the first `kv_len` tokens into the prefix index. To be called once it is certain
  // that they will have been computed before anyone reads them.
  bool can_commit(const SequencePages& seq, int kv_len) const;
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
  const CacheGroup& group(std::size_t g) const { return config_.groups[g]; }
  int page_tokens(std::size_t g) const { return page_tokens_[g]; }
  int pages_of(std::size_t g, int len) const;
  int num_new_pages(const SequencePages& seq, int kv_len) const;
  int most_pages(std::size_t g, int max_query_len) const;
  int num_seen_pages(std::size_t g) const;

  int longest_hit(std::size_t g, SequencePages& seq, int limit, std::span<const std::int32_t> tokens,
                  std::string_view salt);
  PageId look_up(std::size_t g, SequencePages& seq, int page_idx, std::span<const std::int32_t> tokens,
                 std::string_view salt);
  PrefixHit make_hit(int hit_len);
  const PageHash& hash_of(SequencePages& seq, int unit, std::span<const std::int32_t> tokens,
                          std::string_view salt);
  const PageHash& hash_of_page(std::size_t g, SequencePages& seq, int page_idx,
                               std::span<const std::int32_t> tokens, std::string_view salt);
  PageId take_page();
  void release_page(PageId page);
  void release_tail(SequencePages& seq, int len);
  void update_room(SequencePages& seq) const;
  int kept_len(const SequencePages& seq, int len) const;
  void check_table(std::size_t g, const SequencePages& seq, std::vector<int>& num_refs) const;

  KvCacheConfig config_;
  std::array<int, kMaxCacheGroups> page_tokens_ = {};  // tokens in a page of each group
  int num_growing_groups_ = 0;
  bool uses_index_ = false;  // the prefix cache is on, and no group keeps a state
  PagePool pool_;
  PrefixIndex index_;
  PageHasher hasher_;
  std::array<std::vector<PageId>, kMaxCacheGroups> hit_pages_;  // scratch of find_prefix
  std::array<std::int64_t, kMaxCacheGroups> num_unused_slots_ = {};
  std::uint64_t next_epoch_ = 1;
};

}  // namespace quire

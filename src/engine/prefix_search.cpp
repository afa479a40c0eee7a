// What of a prompt the cache holds already, and how full pages get there: the part of KvCache that knows
// digests.
#include <algorithm>
#include <limits>

#include "engine/kv_cache.h"

namespace quire {
namespace {

constexpr PageId kNotLookedUp = -1;

}  // namespace

const PageHash& KvCache::hash_of(SequencePages& seq, int unit, std::span<const std::int32_t> tokens,
                                 std::string_view salt) {
  const auto wanted = static_cast<std::size_t>(unit), page_size = static_cast<std::size_t>(config_.page_size);
  while (seq.hashes.size() <= wanted) {
    const PageHash* parent = seq.hashes.empty() ? nullptr : &seq.hashes.back();
    seq.hashes.push_back(
        hasher_.hash(parent, tokens.subspan(seq.hashes.size() * page_size, page_size), salt));
  }
  return seq.hashes[wanted];
}

// A digest covers everything before it, so that of a page's last unit names the page.
const PageHash& KvCache::hash_of_page(std::size_t g, SequencePages& seq, int page_idx,
                                      std::span<const std::int32_t> tokens, std::string_view salt) {
  return hash_of(seq, (page_idx + 1) * group(g).page_scale - 1, tokens, salt);
}

PageId KvCache::look_up(std::size_t g, SequencePages& seq, int page_idx, std::span<const std::int32_t> tokens,
                        std::string_view salt) {
  std::vector<PageId>& found = hit_pages_[g];
  const auto i = static_cast<std::size_t>(page_idx);
  if (found.size() <= i) found.resize(i + 1, kNotLookedUp);
  if (found[i] == kNotLookedUp) found[i] = index_.find(hash_of_page(g, seq, page_idx, tokens, salt), g);
  return found[i];
}

// The longest prefix of at most `limit` tokens that the group can serve. A group that keeps all tokens needs
// every page. Under a window a hit that ends at page e needs only the pages which hold the W - 1 keys before
// e; those further left may have been evicted. The search runs from the right, so that the first run that is
// long enough is the longest hit.
int KvCache::longest_hit(std::size_t g, SequencePages& seq, int limit, std::span<const std::int32_t> tokens,
                         std::string_view salt) {
  const int num_candidates = limit / page_tokens(g);
  if (group(g).keep == Retention::kAllTokens) {
    int num_found = 0;
    while (num_found < num_candidates && look_up(g, seq, num_found, tokens, salt) != kNullPage) ++num_found;
    return num_found * page_tokens(g);
  }
  int end = num_candidates, begin = num_candidates;
  while (begin > 0 && end - begin < num_seen_pages(g)) {
    if (look_up(g, seq, --begin, tokens, salt) == kNullPage) end = begin;
  }
  return end * page_tokens(g);
}

PrefixHit KvCache::find_prefix(SequencePages& seq, std::span<const std::int32_t> tokens,
                               std::string_view salt) {
  if (!uses_index_ || index_.num_pages() == 0 || tokens.empty()) return {};
  for (std::vector<PageId>& pages : hit_pages_) pages.clear();
  // What one group can serve bounds the others, until all agree. Each round starts with the groups that keep
  // everything: they look at pages from the left, and need no digest behind the first page that is missing.
  int hit_len = (static_cast<int>(tokens.size()) - 1) / config_.page_size * config_.page_size;
  for (int before = -1; before != hit_len;) {
    before = hit_len;
    for (const Retention keep : {Retention::kAllTokens, Retention::kWindow}) {
      for (std::size_t g = 0; g < num_groups(); ++g) {
        if (group(g).keep == keep) hit_len = longest_hit(g, seq, hit_len, tokens, salt);
      }
    }
  }
  return make_hit(hit_len);
}

PrefixHit KvCache::make_hit(int hit_len) {
  PrefixHit hit;
  hit.hit_len = hit_len;
  for (std::size_t g = 0; g < num_groups(); ++g) {
    const int num_pages = hit_len / page_tokens(g), num_seen = std::min(num_pages, num_seen_pages(g));
    std::vector<PageId>& pages = hit_pages_[g];
    pages.resize(static_cast<std::size_t>(num_pages), kNullPage);
    std::fill(pages.begin(), pages.end() - num_seen, kNullPage);
    for (const PageId page : pages) hit.num_free_pages += page != kNullPage && pool_.is_free(page);
    hit.pages[g] = pages;
    hit.num_hit_pages[g] = num_seen;
  }
  return hit;
}

bool KvCache::can_commit(const SequencePages& seq, int kv_len) const {
  if (!uses_index_) return false;
  for (std::size_t g = 0; g < num_groups(); ++g) {
    if (kv_len >= (seq.groups[g].num_committed + 1) * page_tokens(g)) return true;
  }
  return false;
}

void KvCache::commit(SequencePages& seq, std::span<const std::int32_t> tokens, std::string_view salt,
                     int kv_len) {
  if (!uses_index_) return;
  for (std::size_t g = 0; g < num_groups(); ++g) {
    GroupPages& table = seq.groups[g];
    for (; kv_len >= (table.num_committed + 1) * page_tokens(g); ++table.num_committed) {
      const PageId page = table.pages[static_cast<std::size_t>(table.num_committed)];
      if (page != kNullPage) index_.insert(hash_of_page(g, seq, table.num_committed, tokens, salt), g, page);
    }
  }
}

}  // namespace quire

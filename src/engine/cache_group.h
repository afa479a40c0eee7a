// What layers keep of a sequence. Layers that keep the same tokens form a cache group, which has one page
// table.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/visibility.h"

namespace quire {

constexpr int kMaxCacheGroups = 8;

enum class Retention : std::uint8_t {
  kAllTokens,   // keys and values of every token
  kWindow,      // of those that a later token can still see
  kFixedState,  // one state a sequence, which every token replaces, however many there are
};

// Pages of all groups are equal in bytes and come from one pool.
struct CacheGroup {
  Retention keep = Retention::kAllTokens;
  int window = 0;      // kWindow: keys that a token sees, its own included; else 0
  int page_scale = 1;  // a page holds the keys and values of page_scale * KvCacheConfig::page_size tokens

  bool grows() const { return keep != Retention::kFixedState; }

  // kWindow: the first key that a token at `position` sees, not below 0; and how many keys it sees left of
  // itself, if there are so many.
  int first_key(int position) const { return std::max(0, sees().first_key(position)); }
  int num_seen_left() const { return -sees().first_key(0); }

  bool operator==(const CacheGroup&) const = default;

 private:
  Visibility sees() const { return {1, std::min(window, kMaxContext)}; }
};

inline CacheGroup window_group(int window, int page_scale = 1) {
  return {Retention::kWindow, window, page_scale};
}
inline CacheGroup state_group() { return {Retention::kFixedState, 0, 1}; }

struct KvCacheConfig {
  int num_pages = 0;   // in memory, the null page (page 0) included
  int page_size = 16;  // tokens; prefixes are compared in units of it
  bool has_prefix_cache = true;
  std::vector<CacheGroup> groups = {CacheGroup{}};

  int page_tokens(std::size_t group) const { return page_size * groups[group].page_scale; }
};

}  // namespace quire

// Which layers share a page table, and where in a page of the cache each of them has its keys and values.
//
// Layers that keep the same tokens (all, or a window of the same length) form a group of the cache. All
// groups take pages from one pool, so that its memory goes where requests need it. A page consists of lanes;
// a lane has room for what one layer keeps of page_size tokens. A group with as many layers as a page has
// lanes stores page_size tokens of all its layers in a page. A group with a third as many layers stores three
// times as many tokens. Layers beyond the number of lanes form further groups. In memory the pool is
// [num_lanes, num_pages, lane], so that the pages of one layer are contiguous, as if each layer had a pool of
// its own.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/cache_group.h"

namespace quire {

// What one layer keeps in the cache.
struct LayerCache {
  int window = 0;              // tokens; 0 = all
  std::size_t page_bytes = 0;  // of page_size tokens
};

struct CachePlan {
  struct Place {
    int group = 0;
    // The lane of the layer's first page_size tokens in a page. The i-th page_size tokens are in lane
    // lane + i * lanes_of_group[group].
    int lane = 0;
  };
  std::vector<CacheGroup> groups;
  std::vector<int> lanes_of_group;  // [groups.size()] lanes that page_size tokens take
  std::vector<Place> places;        // [num_layers]
  int num_lanes = 0;
  std::size_t lane_bytes = 0;

  std::size_t page_bytes() const { return static_cast<std::size_t>(num_lanes) * lane_bytes; }
  // The share of a page of the group that no layer uses, from 0 to 1.
  double waste(std::size_t group) const;
};

// Chooses the number of lanes with the fewest groups of which none wastes more than 4 % of a page. If there
// is no such number it chooses the one that wastes least, where one group less is worth half a percent of
// waste. A page never has more than 8 * page_size tokens. If there are more different windows than groups,
// layers with short windows keep as many tokens as those with a longer one. Throws Error{kUnsupported} if
// layers keep different numbers of bytes a token.
CachePlan plan_cache(std::span<const LayerCache> layers);

}  // namespace quire

// Which layers share a page table, and where in a page of the cache each of them has its place.
//
// Layers that keep the same (all tokens, or a window of the same length) form a group of the cache. One pool
// of pages serves all groups, so that memory goes where requests need it: a page is a number of lanes, each
// as long as what one layer keeps of page_size tokens. A group with as many layers as a page has lanes puts
// page_size tokens of all its layers into a page; one with a third of them three times as many tokens; and
// layers that are more than the lanes form several groups. The pool lies in memory lane by lane, [num_lanes,
// num_pages, lane], so that what one layer keeps of consecutive pages is contiguous, as if each layer had a
// pool of its own.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/cache_group.h"

namespace quire {

// What one layer keeps.
struct LayerCache {
  int window = 0;              // tokens; 0 = all
  std::size_t page_bytes = 0;  // of page_size tokens
};

struct CachePlan {
  struct Place {
    int group = 0;
    int lane =
        0;  // of the first page_size tokens of a page; those of the i-th lie i * lanes_of_group further
  };
  std::vector<CacheGroup> groups;
  std::vector<int> lanes_of_group;  // [groups.size()] lanes that page_size tokens take
  std::vector<Place> places;        // [num_layers]
  int num_lanes = 0;
  std::size_t lane_bytes = 0;

  std::size_t page_bytes() const { return static_cast<std::size_t>(num_lanes) * lane_bytes; }
  // Of the bytes of a page of the group, those that no layer uses.
  double waste(std::size_t group) const;
};

// Chooses the number of lanes with the fewest groups of which none wastes more than 4 % of a page; if there
// is none, the one that wastes least, where a group less makes up for half a percent. A page never holds more
// than 8 * page_size tokens. With more different windows than groups, short windows are kept as long as
// longer ones. Throws Error{kUnsupported} where layers keep different numbers of bytes.
CachePlan plan_cache(std::span<const LayerCache> layers);

}  // namespace quire

// Pages of keys and values, counted by reference. The pool knows page numbers only: what lies in a page and
// what its tokens hash to is the business of others.
//
// Free pages form a doubly linked list through an array, so that a page which turns out to be useful (a
// prefix hit) leaves the middle of the list in O(1). The front is handed out first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace quire {

using PageId = std::int32_t;

// Never handed out; stands in page tables for pages that a sliding window has left behind. Its memory is
// never read.
constexpr PageId kNullPage = 0;

enum class FreeListEnd : std::uint8_t { kFront, kBack };  // reused first, reused last

class PagePool {
 public:
  // `num_pages` counts the null page. Throws kInvalidArgument when there is no page besides it.
  explicit PagePool(int num_pages);

  int num_usable_pages() const { return static_cast<int>(nodes_.size()) - 2; }
  int num_free_pages() const { return num_free_; }
  bool is_free(PageId page) const { return nodes_[index(page)].num_refs == 0; }
  int num_refs(PageId page) const { return nodes_[index(page)].num_refs; }

  // Takes the page at the front of the free list, with one reference. Throws kInternal when none is free: ask
  // first.
  PageId allocate();

  // One more reference; a free page leaves the free list.
  void add_ref(PageId page);

  // One reference less; the last one puts the page at the given end of the free list.
  void release(PageId page, FreeListEnd end);

  // Puts every page back to the free list, whoever held it.
  void reset();

  // Walks everything and throws Error{kInternal} with the numbers unless the list is sound and holds exactly
  // the pages without references. O(num_pages).
  void check_integrity() const;

 private:
  struct Node {
    std::int32_t prev;
    std::int32_t next;
    std::int32_t num_refs;
  };
  static std::size_t index(PageId page) { return static_cast<std::size_t>(page); }
  void link(PageId page, PageId before);
  void unlink(PageId page);

  std::vector<Node> nodes_;  // [num_pages + 1]: the last one is the list's sentinel
  PageId sentinel_;
  int num_free_ = 0;
};

}  // namespace quire

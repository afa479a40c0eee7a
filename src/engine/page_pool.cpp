#include "engine/page_pool.h"

#include "base/check.h"

namespace quire {

PagePool::PagePool(int num_pages) : sentinel_(num_pages) {
  QUIRE_CHECK(num_pages >= 2, "num_pages is {}, a page pool needs the null page and at least one more",
              num_pages);
  nodes_.resize(static_cast<std::size_t>(num_pages) + 1);
  reset();
}

void PagePool::reset() {
  for (Node& node : nodes_) node = {sentinel_, sentinel_, 0};
  nodes_[kNullPage].num_refs = 1;
  num_free_ = 0;
  for (PageId page = 1; page < sentinel_; ++page) link(page, sentinel_);
}

void PagePool::link(PageId page, PageId before) {
  Node& next = nodes_[index(before)];
  nodes_[index(page)].prev = next.prev;
  nodes_[index(page)].next = before;
  nodes_[index(next.prev)].next = page;
  next.prev = page;
  ++num_free_;
}

void PagePool::unlink(PageId page) {
  const Node& node = nodes_[index(page)];
  nodes_[index(node.prev)].next = node.next;
  nodes_[index(node.next)].prev = node.prev;
  --num_free_;
}

PageId PagePool::allocate() {
  QUIRE_CHECK_KIND(kInternal, num_free_ > 0, "a page was taken from a pool with 0 of {} free",
                   num_usable_pages());
  const PageId page = nodes_[index(sentinel_)].next;
  unlink(page);
  nodes_[index(page)].num_refs = 1;
  return page;
}

void PagePool::add_ref(PageId page) {
  if (nodes_[index(page)].num_refs++ == 0) unlink(page);
}

void PagePool::release(PageId page, FreeListEnd end) {
  Node& node = nodes_[index(page)];
  QUIRE_CHECK_KIND(kInternal, page != kNullPage && node.num_refs > 0, "page {} released with {} references",
                   page, node.num_refs);
  if (--node.num_refs > 0) return;
  link(page, end == FreeListEnd::kBack ? sentinel_ : nodes_[index(sentinel_)].next);
}

void PagePool::check_integrity() const {
  int num_listed = 0;
  for (PageId page = nodes_[index(sentinel_)].next, prev = sentinel_; page != sentinel_;
       prev = page, page = nodes_[index(page)].next) {
    QUIRE_CHECK_KIND(kInternal, page > kNullPage && page < sentinel_, "free list holds page {} of {}", page,
                     sentinel_);
    const Node& node = nodes_[index(page)];
    QUIRE_CHECK_KIND(kInternal, node.num_refs == 0, "free list holds page {} with {} references", page,
                     node.num_refs);
    QUIRE_CHECK_KIND(kInternal, node.prev == prev, "page {} follows page {} but points back to {}", page,
                     prev, node.prev);
    QUIRE_CHECK_KIND(kInternal, ++num_listed <= num_free_, "free list is longer than its count of {}",
                     num_free_);
  }
  int num_unreferenced = 0;
  for (PageId page = 1; page < sentinel_; ++page) {
    QUIRE_CHECK_KIND(kInternal, nodes_[index(page)].num_refs >= 0, "page {} has {} references", page,
                     nodes_[index(page)].num_refs);
    num_unreferenced += nodes_[index(page)].num_refs == 0;
  }
  QUIRE_CHECK_KIND(kInternal, num_listed == num_free_ && num_unreferenced == num_free_,
                   "{} pages counted free, {} in the free list, {} without references", num_free_, num_listed,
                   num_unreferenced);
}

}  // namespace quire

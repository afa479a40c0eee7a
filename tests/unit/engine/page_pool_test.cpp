#include "engine/page_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <random>

#include "base/error.h"

namespace quire {
namespace {

TEST(PagePool, HandsOutFromTheFront) {
  PagePool pool(5);
  EXPECT_EQ(pool.num_usable_pages(), 4);
  EXPECT_EQ(pool.allocate(), 1);
  EXPECT_EQ(pool.allocate(), 2);
  pool.release(1, FreeListEnd::kBack);
  EXPECT_EQ(pool.allocate(), 3);
  pool.release(2, FreeListEnd::kFront);
  EXPECT_EQ(pool.allocate(), 2);
  EXPECT_EQ(pool.allocate(), 4);
  EXPECT_EQ(pool.allocate(), 1);
  EXPECT_THROW(pool.allocate(), Error);
}

TEST(PagePool, RefusesWhatBreaksIt) {
  EXPECT_THROW(PagePool(1), Error);
  PagePool pool(3);
  EXPECT_THROW(pool.release(1, FreeListEnd::kBack), Error);
  EXPECT_THROW(pool.release(kNullPage, FreeListEnd::kBack), Error);
  pool.check_integrity();
}

// The model is a list for the order and a map for the references.
TEST(PagePool, MatchesModelUnderRandomOperations) {
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    const int num_pages = 2 + static_cast<int>(random() % 40);
    PagePool pool(num_pages);
    std::list<PageId> free;
    std::map<PageId, int> refs;
    for (PageId page = 1; page < num_pages; ++page) free.push_back(page), refs[page] = 0;
    for (int i = 0; i < 2000; ++i) {
      const auto page = static_cast<PageId>(1 + random() % static_cast<unsigned>(num_pages - 1));
      const unsigned operation = random() % 4;
      if (operation == 0 && !free.empty()) {
        ASSERT_EQ(pool.allocate(), free.front());
        refs[free.front()] = 1;
        free.pop_front();
      } else if (operation == 1) {
        if (refs[page]++ == 0) free.remove(page);
        pool.add_ref(page);
      } else if (refs[page] > 0) {
        const auto end = operation == 2 ? FreeListEnd::kFront : FreeListEnd::kBack;
        pool.release(page, end);
        if (--refs[page] == 0) free.insert(end == FreeListEnd::kFront ? free.begin() : free.end(), page);
      }
      ASSERT_EQ(pool.num_free_pages(), static_cast<int>(free.size()));
      ASSERT_EQ(pool.num_refs(page), refs[page]);
      pool.check_integrity();
    }
    pool.reset();
    ASSERT_EQ(pool.num_free_pages(), num_pages - 1);
    pool.check_integrity();
  }
}

}  // namespace
}  // namespace quire

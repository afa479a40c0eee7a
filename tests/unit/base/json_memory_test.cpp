// Trees from outside end without memory: a destructor that allocates would end the process when there is
// none.
#include <gtest/gtest.h>

#include "../failing_new.h"
#include "base/error.h"
#include "base/json.h"

namespace quire {
namespace {

const std::string kNested =
    R"({"a":[1,[2,[3,{"b":[[],{}]}]]],"c":{"d":{"e":"a string that is too long for its object"}}})";

TEST(JsonMemory, ATreeEndsWithoutMemory) {
  Json tree = parse_json(kNested, "nested");
  fail_allocations(0, kNoFailure);
  dismantle(tree);
  tree = nullptr;
  const std::int64_t num = num_allocations;
  fail_allocations(kNoFailure, 0);
  EXPECT_EQ(num, 0);
}

TEST(JsonMemory, ParsingFailsAtAnyAllocationAndLeavesNothing) {
  fail_allocations(kNoFailure, 0);
  {
    Json tree = parse_json(kNested, "nested");
    dismantle(tree);
  }
  const std::int64_t num = num_allocations;
  ASSERT_GT(num, 10);
  for (std::int64_t first = 0; first < num; ++first) {
    bool has_failed = false;
    fail_allocations(first, kNoFailure);  // all from this one on
    try {
      Json tree = parse_json(kNested, "nested");
      dismantle(tree);
    } catch (const std::bad_alloc&) {
      has_failed = true;
    } catch (const std::exception&) {
    }
    fail_allocations(kNoFailure, 0);
    EXPECT_TRUE(has_failed) << first;
  }
}

}  // namespace
}  // namespace quire

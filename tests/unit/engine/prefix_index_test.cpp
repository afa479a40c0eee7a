#include "engine/prefix_index.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

#include "base/error.h"

namespace quire {
namespace {

std::string hex(const PageHash& hash) {
  std::string text;
  for (const std::uint8_t byte : hash) text += fmt::format("{:02x}", byte);
  return text;
}

// Expected digests: Python's hashlib over bytes(32) + struct.pack("<3i", 1, 2, 70000) + b"salt", and so on.
TEST(PageHasher, HasTheDocumentedEncoding) {
  PageHasher hasher;
  const std::vector<std::int32_t> first = {1, 2, 70000}, second = {-1, 0, 5};
  const PageHash root = hasher.hash(nullptr, first, "");
  EXPECT_EQ(hex(root), "955afec4f7c8750a6f3edab0977aa85b4e6cb6eb7b36d3ab79af2c64d65d66c3");
  EXPECT_EQ(hex(hasher.hash(nullptr, first, "salt")),
            "076197cca533a37c7605ad8d0e706dfbcf5ad18f4266b4c75bc48a2a4518b379");
  EXPECT_EQ(hex(hasher.hash(&root, second, "salt")),
            "00cb5036289a0d83569495ad5ff91a0aad777193791c13ce557a2bb6ae0c95aa");
}

PageHash digest(std::uint8_t value) {
  PageHash hash{};
  hash[0] = value % 4;  // collides in the table on purpose
  hash[31] = value;
  return hash;
}

TEST(PrefixIndex, MatchesModelUnderRandomOperations) {
  std::mt19937 random(2);
  PrefixIndex index(64);
  std::map<PageId, std::pair<std::uint8_t, std::size_t>> name_of;
  for (int i = 0; i < 20000; ++i) {
    const auto page = static_cast<PageId>(1 + random() % 63);
    const auto value = static_cast<std::uint8_t>(random() % 16);
    const std::size_t group = random() % 3;
    if (random() % 2 == 0 && !name_of.contains(page)) {
      index.insert(digest(value), group, page);
      name_of[page] = {value, group};
    } else {
      index.erase(page);
      name_of.erase(page);
    }
    const PageId found = index.find(digest(value), group);
    const bool is_known = std::any_of(name_of.begin(), name_of.end(),
                                      [&](auto& e) { return e.second == std::pair(value, group); });
    ASSERT_EQ(found != kNullPage, is_known);
    if (is_known) {
      ASSERT_EQ(name_of.at(found), std::pair(value, group));
      ASSERT_EQ(index.group_of(found), group);
    }
    ASSERT_EQ(index.num_pages(), static_cast<int>(name_of.size()));
    ASSERT_EQ(index.contains(page), name_of.contains(page));
    index.check_integrity();
  }
  EXPECT_THROW(index.insert(digest(1), 0, kNullPage), Error);
  index.clear();
  index.check_integrity();
  EXPECT_EQ(index.num_pages(), 0);
}

TEST(PrefixIndex, RefusesASecondDigest) {
  PrefixIndex index(4);
  index.insert(digest(1), 0, 2);
  EXPECT_THROW(index.insert(digest(2), 1, 2), Error);
}

}  // namespace
}  // namespace quire

#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace quire {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens count_up(int num_tokens, int from = 0) {
  Tokens tokens(static_cast<std::size_t>(num_tokens));
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

// Takes a sequence through the cache as a scheduler would, in one step.
SequencePages run_once(KvCache& kv, const Tokens& tokens, std::string_view salt = "") {
  SequencePages seq;
  const PrefixHit hit = kv.find_prefix(seq, tokens, salt);
  kv.allocate(seq, hit, static_cast<int>(tokens.size()));
  kv.commit(seq, tokens, salt, static_cast<int>(tokens.size()));
  return seq;
}

TEST(KvCache, FullyCachedPromptRecomputesItsLastPage) {
  KvCache kv({.num_pages = 10, .page_size = 16});
  const Tokens prompt = count_up(48);
  SequencePages first = run_once(kv, prompt);
  EXPECT_EQ(first.groups[0].pages, (std::vector<PageId>{1, 2, 3}));
  SequencePages second;
  const PrefixHit hit = kv.find_prefix(second, prompt, "");
  EXPECT_EQ(hit.hit_len, 32);
  EXPECT_EQ(hit.num_hit_pages[0], 2);
  EXPECT_EQ(hit.num_free_pages, 0);
  kv.allocate(second, hit, 48);
  EXPECT_EQ(second.groups[0].pages, (std::vector<PageId>{1, 2, 4}));
  kv.commit(second, prompt, "", 48);  // page 4 is a duplicate of page 3
  const SequencePages* both[] = {&first, &second};
  kv.check_integrity(both);
  kv.free(first);
  kv.free(second);
  kv.check_idle();
  SequencePages third;
  EXPECT_EQ(kv.find_prefix(third, count_up(49), "").hit_len, 48);
}

TEST(KvCache, SaltsAndHistoriesSeparate) {
  KvCache kv({.num_pages = 20, .page_size = 4});
  const Tokens prompt = count_up(13);
  SequencePages seq = run_once(kv, prompt, "alice");
  const auto hit_len = [&](const Tokens& tokens, std::string_view salt) {
    SequencePages probe;
    return kv.find_prefix(probe, tokens, salt).hit_len;
  };
  EXPECT_EQ(hit_len(prompt, "alice"), 12);
  EXPECT_EQ(hit_len(prompt, "bob"), 0);
  EXPECT_EQ(hit_len(prompt, ""), 0);
  Tokens other = prompt;
  other[1] = 99;  // everything after the first page hashes differently too
  EXPECT_EQ(hit_len(other, "alice"), 0);
  other = prompt;
  other[5] = 99;
  EXPECT_EQ(hit_len(other, "alice"), 4);
  EXPECT_EQ(hit_len(count_up(4), "alice"), 0);  // at most num_tokens - 1
  EXPECT_EQ(hit_len(count_up(5), "alice"), 4);
}

TEST(KvCache, EvictsUnhashedFirstThenTailsOfTheOldest) {
  KvCache kv({.num_pages = 9, .page_size = 2});
  SequencePages old = run_once(kv, count_up(6, 0)),
                young = run_once(kv, count_up(5, 100));  // pages 1 2 3, 4 5 6
  kv.free(old);
  kv.free(young);  // page 6 has no digest: it goes to the front
  SequencePages next;
  kv.allocate(next, 16);
  EXPECT_EQ(next.groups[0].pages, (std::vector<PageId>{6, 7, 8, 3, 2, 1, 5, 4}));
}

TEST(KvCache, AHitSavesFreePagesFromEviction) {
  KvCache kv({.num_pages = 5, .page_size = 2});
  SequencePages old = run_once(kv, count_up(8));
  kv.free(old);
  SequencePages next;
  const PrefixHit hit = kv.find_prefix(next, count_up(6), "");
  EXPECT_EQ(hit.num_free_pages, 2);
  EXPECT_TRUE(kv.can_allocate(next, 8));
  kv.allocate(next, hit, 8);
  EXPECT_EQ(next.groups[0].pages, (std::vector<PageId>{1, 2, 4, 3}));
  EXPECT_FALSE(kv.can_allocate(next, 9));
  EXPECT_THROW(kv.allocate(next, 9), Error);
}

TEST(KvCache, DiscardKeepsContentOutOfTheIndex) {
  KvCache kv({.num_pages = 9, .page_size = 2});
  SequencePages seq = run_once(kv, count_up(8));
  kv.discard(seq);
  kv.check_idle();
  SequencePages probe;
  EXPECT_EQ(kv.find_prefix(probe, count_up(8), "").hit_len, 0);
}

TEST(KvCache, CountsUnusedSlots) {
  KvCache kv({.num_pages = 9, .page_size = 8});
  SequencePages seq;
  kv.allocate(seq, 9);
  EXPECT_EQ(kv.num_unused_slots(), 7);
  kv.allocate(seq, 16);
  EXPECT_EQ(kv.num_unused_slots(), 0);
  kv.allocate(seq, 17);
  EXPECT_EQ(kv.num_unused_slots(), 7);
  EXPECT_EQ(kv.num_held_pages(), 3);
  kv.free(seq);
  EXPECT_EQ(kv.num_unused_slots(), 0);
}

TEST(KvCache, GivesBackWhatTheWindowLeaves) {
  KvCache kv({.num_pages = 20, .page_size = 4, .groups = {window_group(6)}});
  SequencePages seq;
  kv.allocate(seq, 16);
  kv.release_outside_window(seq, 8);  // the token at 8 sees 3..8
  EXPECT_EQ(seq.groups[0].num_released, 0);
  kv.release_outside_window(seq, 9);  // 4..9
  EXPECT_EQ(seq.groups[0].num_released, 1);
  kv.release_outside_window(seq, 16);  // 11..16: pages 0 and 1 are out of sight, page 2 holds position 11
  EXPECT_EQ(seq.groups[0].pages, (std::vector<PageId>{kNullPage, kNullPage, 3, 4}));
  EXPECT_EQ(kv.num_held_pages(), 2);
  const SequencePages* held[] = {&seq};
  kv.check_integrity(held);
}

TEST(KvCache, WindowHitNeedsOnlyTheVisiblePages) {
  KvCache kv({.num_pages = 7,
              .page_size = 4,
              .groups = {window_group(6)}});  // ceil(5 / 4) = 2 pages before the end of the hit
  const Tokens prompt = count_up(21);
  SequencePages first = run_once(kv, prompt);  // pages 1..6, the last one unhashed
  kv.free(first);
  SequencePages thief;
  kv.allocate(thief, 12);  // takes pages 6, 5, 4: of the first prompt, pages 0..2 of the table stay
  SequencePages probe;
  PrefixHit hit = kv.find_prefix(probe, prompt, "");
  EXPECT_EQ(hit.hit_len, 12);
  EXPECT_EQ(std::vector<PageId>(hit.pages[0].begin(), hit.pages[0].end()),
            (std::vector<PageId>{kNullPage, 2, 3}));
  EXPECT_EQ(hit.num_free_pages, 2);
  kv.allocate(probe, hit, 16);
  EXPECT_EQ(probe.groups[0].num_released, 1);
  const SequencePages* held[] = {&thief, &probe};
  kv.check_integrity(held);
}

TEST(KvCache, CapacityUnderAWindowHasNoEnd) {
  EXPECT_EQ(KvCache({.num_pages = 11, .page_size = 4}).capacity_len(8), 40);
  EXPECT_EQ(KvCache({.num_pages = 11, .page_size = 4, .groups = {window_group(100)}}).capacity_len(8), 40);
  EXPECT_GT(KvCache({.num_pages = 11, .page_size = 4, .groups = {window_group(16)}}).capacity_len(8),
            1000000);
}

TEST(KvCache, RefusesBadConfigurations) {
  EXPECT_THROW(KvCache({.num_pages = 1, .page_size = 4}), Error);
  EXPECT_THROW(KvCache({.num_pages = 4, .page_size = 0}), Error);
  EXPECT_THROW(KvCache({.num_pages = 4, .page_size = 4, .groups = {window_group(-1)}}), Error);
  EXPECT_THROW(KvCache({.num_pages = 1 << 30, .page_size = 16}), Error);
  EXPECT_THROW(KvCache({.num_pages = 1 << 28, .page_size = 4, .groups = {window_group(8, 3)}}), Error);
  EXPECT_THROW(KvCache({.num_pages = 4, .page_size = 4, .groups = {}}), Error);
  EXPECT_THROW(KvCache({.num_pages = 4, .page_size = 4, .groups = std::vector<CacheGroup>(9)}), Error);
  EXPECT_THROW(KvCache({.num_pages = 4, .page_size = 4, .groups = {window_group(0)}}), Error);
  EXPECT_THROW(KvCache({.num_pages = 4, .page_size = 4, .groups = {{Retention::kAllTokens, 7, 1}}}), Error);
  EXPECT_THROW(KvCache({.num_pages = 4, .page_size = 4, .groups = {{Retention::kAllTokens, 0, 0}}}), Error);
}

}  // namespace
}  // namespace quire

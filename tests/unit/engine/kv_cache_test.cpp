#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <string>

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
  EXPECT_EQ(first.pages, (std::vector<PageId>{1, 2, 3}));
  SequencePages second;
  const PrefixHit hit = kv.find_prefix(second, prompt, "");
  EXPECT_EQ(hit.hit_len, 32);
  EXPECT_EQ(hit.num_hit_pages, 2);
  EXPECT_EQ(hit.num_free_pages, 0);
  kv.allocate(second, hit, 48);
  EXPECT_EQ(second.pages, (std::vector<PageId>{1, 2, 4}));
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
  EXPECT_EQ(next.pages, (std::vector<PageId>{6, 7, 8, 3, 2, 1, 5, 4}));
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
  EXPECT_EQ(next.pages, (std::vector<PageId>{1, 2, 4, 3}));
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
  KvCache kv({.num_pages = 20, .page_size = 4, .window = 6});
  SequencePages seq;
  kv.allocate(seq, 16);
  kv.release_outside_window(seq, 8);  // the token at 8 sees 3..8
  EXPECT_EQ(seq.num_released, 0);
  kv.release_outside_window(seq, 9);  // 4..9
  EXPECT_EQ(seq.num_released, 1);
  kv.release_outside_window(seq, 16);  // 11..16: pages 0 and 1 are out of sight, page 2 holds position 11
  EXPECT_EQ(seq.pages, (std::vector<PageId>{kNullPage, kNullPage, 3, 4}));
  EXPECT_EQ(kv.num_held_pages(), 2);
  const SequencePages* held[] = {&seq};
  kv.check_integrity(held);
}

TEST(KvCache, WindowHitNeedsOnlyTheVisiblePages) {
  KvCache kv(
      {.num_pages = 7, .page_size = 4, .window = 6});  // ceil(5 / 4) = 2 pages before the end of the hit
  const Tokens prompt = count_up(21);
  SequencePages first = run_once(kv, prompt);  // pages 1..6, the last one unhashed
  kv.free(first);
  SequencePages thief;
  kv.allocate(thief, 12);  // takes pages 6, 5, 4: of the first prompt, pages 0..2 of the table stay
  SequencePages probe;
  PrefixHit hit = kv.find_prefix(probe, prompt, "");
  EXPECT_EQ(hit.hit_len, 12);
  EXPECT_EQ(std::vector<PageId>(hit.pages.begin(), hit.pages.end()), (std::vector<PageId>{kNullPage, 2, 3}));
  EXPECT_EQ(hit.num_free_pages, 2);
  kv.allocate(probe, hit, 16);
  EXPECT_EQ(probe.num_released, 1);
  const SequencePages* held[] = {&thief, &probe};
  kv.check_integrity(held);
}

TEST(KvCache, CapacityUnderAWindowHasNoEnd) {
  EXPECT_EQ(KvCache({.num_pages = 11, .page_size = 4}).capacity_len(8), 40);
  EXPECT_EQ(KvCache({.num_pages = 11, .page_size = 4, .window = 100}).capacity_len(8), 40);
  EXPECT_GT(KvCache({.num_pages = 11, .page_size = 4, .window = 16}).capacity_len(8), 1000000);
}

TEST(KvCache, RefusesBadConfigurations) {
  EXPECT_THROW(KvCache({.num_pages = 1, .page_size = 4}), Error);
  EXPECT_THROW(KvCache({.num_pages = 4, .page_size = 0}), Error);
  EXPECT_THROW(KvCache({.num_pages = 4, .page_size = 4, .window = -1}), Error);
  EXPECT_THROW(KvCache({.num_pages = 1 << 30, .page_size = 16}), Error);
}

// A world of sequences over few tokens (so that prefixes repeat), with the memory modelled slot by slot: what
// a sequence reads through its table must always be its own history.
class RandomWorld {
 public:
  explicit RandomWorld(unsigned seed)
      : random_(seed),
        config_{.num_pages = 8 + pick(40),
                .page_size = 1 + pick(6),
                .has_prefix_cache = pick(4) > 0,
                .window = pick(2) == 0 ? 0 : 1 + pick(20)},
        kv_(config_),
        memory_(static_cast<std::size_t>(config_.num_pages * config_.page_size)) {}

  void step() {
    switch (pick(5)) {
      case 0:
        admit();
        break;
      case 1:
      case 2:
      case 3:
        grow();
        break;
      default:
        drop();
    }
    std::vector<const SequencePages*> held;
    for (auto& [id, sequence] : live_) held.push_back(&sequence.seq);
    kv_.check_integrity(held);
    for (auto& [id, sequence] : live_) check_content(sequence);
  }

  void finish() {
    while (!live_.empty()) drop();
    kv_.check_idle();
  }
  int num_hits() const { return num_hits_; }

 private:
  struct Sequence {
    Tokens tokens;
    std::string salt;
    SequencePages seq;
  };
  int pick(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

  void admit() {
    Sequence sequence;
    for (int i = 1 + pick(60); i-- > 0;) sequence.tokens.push_back(pick(20) == 0 ? 1 : 0);
    sequence.salt = pick(3) == 0 ? "salt" : "";
    const PrefixHit hit = kv_.find_prefix(sequence.seq, sequence.tokens, sequence.salt);
    ASSERT_LT(hit.hit_len, static_cast<int>(sequence.tokens.size()));
    const int kv_len = hit.hit_len + 1 + pick(static_cast<int>(sequence.tokens.size()) - hit.hit_len);
    const int num_new =
        (kv_len + config_.page_size - 1) / config_.page_size - static_cast<int>(hit.pages.size());
    if (num_new + hit.num_free_pages > kv_.num_free_pages()) return;
    num_hits_ += hit.hit_len > 0;
    kv_.allocate(sequence.seq, hit, kv_len);
    compute(sequence, hit.hit_len);
    live_.emplace(next_id_++, std::move(sequence));
  }

  void grow() {
    if (live_.empty()) return;
    Sequence& sequence = std::next(live_.begin(), pick(static_cast<int>(live_.size())))->second;
    const int computed_len = sequence.seq.slots_len, kv_len = computed_len + 1 + pick(5);
    while (static_cast<int>(sequence.tokens.size()) < kv_len) sequence.tokens.push_back(pick(2));
    kv_.release_outside_window(sequence.seq, computed_len);
    if (!kv_.can_allocate(sequence.seq, kv_len)) return;
    kv_.allocate(sequence.seq, kv_len);
    compute(sequence, computed_len);
  }

  void drop() {
    if (live_.empty()) return;
    const auto victim = std::next(live_.begin(), pick(static_cast<int>(live_.size())));
    pick(8) == 0 ? kv_.discard(victim->second.seq) : kv_.free(victim->second.seq);
    live_.erase(victim);
  }

  // The content of a slot stands for keys and values: the salt and every token up to there.
  void compute(Sequence& sequence, int from) {
    for (int i = from; i < sequence.seq.slots_len; ++i) slot(sequence, i) = history(sequence, i);
    kv_.commit(sequence.seq, sequence.tokens, sequence.salt, sequence.seq.slots_len);
  }
  std::string history(const Sequence& sequence, int position) const {
    std::string text = sequence.salt;
    for (int i = 0; i <= position; ++i)
      text += static_cast<char>('0' + sequence.tokens[static_cast<std::size_t>(i)]);
    return text;
  }
  std::string& slot(const Sequence& sequence, int position) {
    const PageId page = sequence.seq.pages.at(static_cast<std::size_t>(position / config_.page_size));
    return memory_.at(static_cast<std::size_t>(page * config_.page_size + position % config_.page_size));
  }
  void check_content(const Sequence& sequence) {
    const int next = sequence.seq.slots_len;
    const int from = config_.window > 0 ? std::max(0, next - config_.window + 1) : 0;
    for (int i = from; i < next; ++i) {
      ASSERT_NE(sequence.seq.pages[static_cast<std::size_t>(i / config_.page_size)], kNullPage);
      ASSERT_EQ(slot(sequence, i), history(sequence, i));
    }
  }

  std::mt19937 random_;
  KvCacheConfig config_;
  KvCache kv_;
  std::vector<std::string> memory_;
  std::map<int, Sequence> live_;
  int next_id_ = 0;
  int num_hits_ = 0;
};

TEST(KvCache, KeepsEveryHistoryUnderRandomOperations) {
  int num_hits = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    RandomWorld world(seed);
    for (int i = 0; i < 400 && !HasFatalFailure(); ++i) world.step();
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
    world.finish();
    num_hits += world.num_hits();
  }
  EXPECT_GT(num_hits, 500);
}

}  // namespace
}  // namespace quire

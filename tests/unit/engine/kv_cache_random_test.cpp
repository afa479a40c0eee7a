// Random operations on the cache, with the memory modelled slot by slot: what a sequence reads through its
// tables must always be its own history.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "base/error.h"
#include "engine/kv_cache.h"

namespace quire {
namespace {

// A world of sequences over few tokens, so that prefixes repeat.
class RandomWorld {
 public:
  explicit RandomWorld(unsigned seed) : random_(seed), config_(random_config()), kv_(config_) {
    std::size_t most_tokens = 1;
    for (std::size_t g = 0; g < config_.groups.size(); ++g) {
      most_tokens = std::max(most_tokens, static_cast<std::size_t>(config_.page_tokens(g)));
    }
    memory_.assign(static_cast<std::size_t>(config_.num_pages), std::vector<std::string>(most_tokens));
  }

  void step() {
    switch (pick(6)) {
      case 0:
        admit();
        break;
      case 1:
      case 2:
      case 3:
        grow();
        break;
      case 4:
        cut();
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
  int num_cuts() const { return num_cuts_; }             // of drafts
  int num_shorter_cuts() const { return num_shorter_; }  // that kept less than they were asked to

 private:
  struct Sequence {
    std::vector<std::int32_t> tokens;
    std::string salt;
    SequencePages seq;
    int released_len = 0;  // the window was moved up to the token at this position
  };
  int pick(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

  KvCacheConfig random_config() {
    KvCacheConfig config{
        .num_pages = 8 + pick(40), .page_size = 1 + pick(6), .has_prefix_cache = pick(4) > 0};
    config.groups[0] = random_group(1);
    while (pick(2) == 0 && config.groups.size() < kMaxCacheGroups) {
      config.groups.push_back(pick(8) == 0 ? state_group() : random_group(1 + pick(3)));
      config.num_pages += 20;
    }
    return config;
  }
  CacheGroup random_group(int scale) {
    return pick(2) == 0 ? CacheGroup{Retention::kAllTokens, 0, scale} : window_group(1 + pick(20), scale);
  }
  bool has_state() const {
    return std::any_of(config_.groups.begin(), config_.groups.end(),
                       [](const CacheGroup& group) { return !group.grows(); });
  }

  void admit() {
    Sequence sequence;
    for (int i = 1 + pick(60); i-- > 0;) sequence.tokens.push_back(pick(20) == 0 ? 1 : 0);
    sequence.salt = pick(3) == 0 ? "salt" : "";
    const PrefixHit hit = kv_.find_prefix(sequence.seq, sequence.tokens, sequence.salt);
    ASSERT_LT(hit.hit_len, static_cast<int>(sequence.tokens.size()));
    ASSERT_TRUE(hit.hit_len == 0 || !has_state());
    const int kv_len = hit.hit_len + 1 + pick(static_cast<int>(sequence.tokens.size()) - hit.hit_len);
    const int num_new = kv_.num_missing_pages(sequence.seq, hit, kv_len, 1 << 20);
    if (num_new + hit.num_free_pages > kv_.num_free_pages()) return;
    num_hits_ += hit.hit_len > 0;
    const int num_free = kv_.num_free_pages();
    kv_.allocate(sequence.seq, hit, kv_len);
    ASSERT_EQ(num_free - kv_.num_free_pages(), num_new + hit.num_free_pages);
    compute(sequence, hit.hit_len, kv_len);
    live_.emplace(next_id_++, std::move(sequence));
  }

  Sequence& any_sequence() { return std::next(live_.begin(), pick(static_cast<int>(live_.size())))->second; }

  void grow() {
    if (live_.empty()) return;
    Sequence& sequence = any_sequence();
    const int computed_len = sequence.seq.slots_len, kv_len = computed_len + 1 + pick(5);
    while (static_cast<int>(sequence.tokens.size()) < kv_len) sequence.tokens.push_back(pick(2));
    kv_.release_outside_window(sequence.seq, computed_len);
    sequence.released_len = computed_len;
    if (!kv_.can_allocate(sequence.seq, kv_len)) return;
    kv_.allocate(sequence.seq, kv_len);
    // Of tokens that may turn out to be drafts, only those that hold are named.
    compute(sequence, computed_len, computed_len + pick(kv_len - computed_len + 1));
  }

  // Rejects the newest tokens, mostly a few that came after the window was moved last.
  void cut() {
    if (live_.empty()) return;
    Sequence& sequence = any_sequence();
    SequencePages& seq = sequence.seq;
    if (has_state()) {
      EXPECT_THROW(kv_.truncate(seq, seq.slots_len - 1), Error);
      return;
    }
    const bool is_draft = pick(4) > 0;
    const int least = is_draft ? std::min(sequence.released_len, seq.slots_len) : 0;
    const int len = least + pick(seq.slots_len - least + 1), slots_len = seq.slots_len;
    const int kept = kv_.truncate(seq, len);
    ASSERT_LE(kept, len);
    ASSERT_EQ(seq.slots_len, kept);
    num_cuts_ += kept < slots_len;
    num_shorter_ += kept < len;
    sequence.tokens.resize(static_cast<std::size_t>(kept));
    sequence.released_len = std::min(sequence.released_len, kept);
    if (kept == 0) {
      for (const GroupPages& table : seq.groups) ASSERT_TRUE(table.pages.empty());
      sequence.tokens.push_back(pick(2));
    }
  }

  void drop() {
    if (live_.empty()) return;
    const auto victim = std::next(live_.begin(), pick(static_cast<int>(live_.size())));
    pick(8) == 0 ? kv_.discard(victim->second.seq) : kv_.free(victim->second.seq);
    live_.erase(victim);
  }

  // The content of a slot stands for keys and values: the salt and every token up to there.
  void compute(Sequence& sequence, int from, int certain_len) {
    for (std::size_t g = 0; g < config_.groups.size(); ++g) {
      if (!config_.groups[g].grows()) continue;
      for (int i = from; i < sequence.seq.slots_len; ++i) slot(sequence, g, i) = history(sequence, g, i);
    }
    kv_.commit(sequence.seq, sequence.tokens, sequence.salt, certain_len);
  }
  std::string history(const Sequence& sequence, std::size_t g, int position) const {
    std::string text = std::to_string(g) + sequence.salt;
    for (int i = 0; i <= position; ++i)
      text += static_cast<char>('0' + sequence.tokens[static_cast<std::size_t>(i)]);
    return text;
  }
  std::string& slot(const Sequence& sequence, std::size_t g, int position) {
    const int page_tokens = config_.page_tokens(g);
    const PageId page = sequence.seq.groups[g].pages.at(static_cast<std::size_t>(position / page_tokens));
    return memory_.at(static_cast<std::size_t>(page)).at(static_cast<std::size_t>(position % page_tokens));
  }
  void check_content(const Sequence& sequence) {
    const int next = sequence.seq.slots_len;
    for (std::size_t g = 0; g < config_.groups.size(); ++g) {
      const CacheGroup& group = config_.groups[g];
      if (!group.grows()) {
        ASSERT_EQ(sequence.seq.groups[g].num_pages(), next > 0);
        continue;
      }
      for (int i = group.window > 0 ? std::max(0, next - group.window + 1) : 0; i < next; ++i) {
        ASSERT_NE(sequence.seq.groups[g].pages[static_cast<std::size_t>(i / config_.page_tokens(g))],
                  kNullPage);
        ASSERT_EQ(slot(sequence, g, i), history(sequence, g, i));
      }
    }
  }

  std::mt19937 random_;
  KvCacheConfig config_;
  KvCache kv_;
  std::vector<std::vector<std::string>> memory_;  // of each page
  std::map<int, Sequence> live_;
  int next_id_ = 0;
  int num_hits_ = 0, num_cuts_ = 0, num_shorter_ = 0;
};

TEST(KvCacheRandom, EverySequenceReadsItsOwnHistory) {
  int num_hits = 0, num_cuts = 0, num_shorter = 0;
  for (unsigned seed = 0; seed < 120; ++seed) {
    RandomWorld world(seed);
    for (int i = 0; i < 400 && !testing::Test::HasFatalFailure(); ++i) world.step();
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed;
    world.finish();
    num_hits += world.num_hits();
    num_cuts += world.num_cuts();
    num_shorter += world.num_shorter_cuts();
  }
  EXPECT_GT(num_hits, 500);
  EXPECT_GT(num_cuts, 1000);
  EXPECT_GT(num_shorter, 20);
}

}  // namespace
}  // namespace quire

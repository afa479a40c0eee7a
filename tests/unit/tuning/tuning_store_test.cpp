// Where a device's configurations come from: the user's table, a shipped one, heuristics; and what happens to
// tables that are wrong.
#include "tuning/tuning_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

const Chip kChip{"cuda", "sm_99", "Some GPU", 10};
const AttentionClass kDecode{DType::kBF16, 128, BatchKind::kDecode},
    kPrefill{DType::kBF16, 128, BatchKind::kPrefill}, kMixed{DType::kBF16, 128, BatchKind::kMixed};

AttentionTuning config_of(int num_warps, int item_cost) {
  return {{num_warps, 64, 64, 128, 1, 0}, {1, 128, item_cost, 3}};
}

ConfigRules rules() {
  return {[](const AttentionClass&) { return config_of(4, 2); },
          [](const AttentionClass&, const AttentionTuning& c) {
            return c.tiles.num_warps > 8 ? std::string("too many warps") : std::string();
          }};
}

class AttentionConfigsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "quire_configs_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  void keep(const TunedTable& table) { write_tuned_table(tuned_table_path(folder_, kChip), table); }
  TuningStore opened(const std::string& shipped = {}) const {
    TuningStore configs(rules());
    const NamedText text{"shipped.json", shipped};
    configs.read_tables(kChip, folder_, {&text, shipped.empty() ? std::size_t{0} : std::size_t{1}});
    return configs;
  }

  fs::path folder_;
};

TEST_F(AttentionConfigsTest, TheUsersTableThenTheShippedOneThenHeuristics) {
  const std::string shipped =
      tuned_table_text({kChip, {{kDecode, config_of(4, 5), 1.1}, {kPrefill, config_of(4, 6), 1.1}}});
  keep({kChip, {{kDecode, config_of(4, 7), 1.2}}});
  const TuningStore configs = opened(shipped);
  EXPECT_EQ(configs.of(kDecode), config_of(4, 7));
  EXPECT_EQ(configs.source_of(kDecode), tuned_table_path(folder_, kChip).string());
  EXPECT_EQ(configs.of(kPrefill), config_of(4, 6));
  EXPECT_EQ(configs.source_of(kPrefill), "shipped table");
  EXPECT_EQ(configs.of(kMixed), config_of(4, 2));
  EXPECT_EQ(configs.source_of(kMixed), "heuristics");
}

TEST_F(AttentionConfigsTest, TablesOfOtherChipsAreNotTaken) {
  Chip other = kChip;
  other.num_units = 11;
  keep({other, {{kDecode, config_of(4, 7), 1.2}}});
  const TuningStore configs = opened(tuned_table_text({other, {{kDecode, config_of(4, 5), 1.1}}}));
  EXPECT_EQ(configs.of(kDecode), config_of(4, 2));
  const std::string source = configs.source_of(kDecode);
  EXPECT_EQ(source.rfind("heuristics (", 0), 0u) << source;
  EXPECT_NE(source.find("11 units"), std::string::npos)
      << "the user's file is at the wrong place: " << source;
}

// One illegal value, and nothing of the table is taken: what comes next in the order serves.
TEST_F(AttentionConfigsTest, IllegalTablesAreRefusedAsAWhole) {
  const std::string shipped = tuned_table_text({kChip, {{kDecode, config_of(4, 5), 1.1}}});
  keep({kChip, {{kDecode, config_of(4, 7), 1.2}, {kPrefill, config_of(16, 2), 1.2}}});
  const TuningStore configs = opened(shipped);
  EXPECT_EQ(configs.of(kDecode), config_of(4, 5));
  EXPECT_NE(configs.source_of(kDecode).find("too many warps"), std::string::npos)
      << configs.source_of(kDecode);
  EXPECT_EQ(configs.of(kPrefill), config_of(4, 2));
}

TEST_F(AttentionConfigsTest, PrefillAndMixedBatchesTakeBlocksOfEqualRows) {
  keep({kChip, {{kPrefill, config_of(8, 2), 1.2}}});
  const TuningStore refused = opened();
  EXPECT_EQ(refused.of(kPrefill), config_of(4, 2));
  EXPECT_NE(refused.source_of(kPrefill).find("8 warps for prefill, but 4"), std::string::npos)
      << refused.source_of(kPrefill);
  keep({kChip, {{kPrefill, config_of(8, 2), 1.2}, {kMixed, config_of(8, 3), 1.2}}});
  EXPECT_EQ(opened().of(kMixed), config_of(8, 3));
}

TEST_F(AttentionConfigsTest, DamagedFilesAreNamedAndPassedOver) {
  std::ofstream(tuned_table_path(folder_, kChip)) << "{\"format\": ";
  const TuningStore configs = opened();
  EXPECT_EQ(configs.of(kDecode), config_of(4, 2));
  EXPECT_NE(configs.source_of(kDecode).find("refused"), std::string::npos) << configs.source_of(kDecode);
}

TEST_F(AttentionConfigsTest, ATunerMayNotSetWhatIsIllegal) {
  TuningStore configs = opened();
  configs.set(kDecode, config_of(8, 4));
  EXPECT_EQ(configs.of(kDecode), config_of(8, 4));
  EXPECT_THROW(configs.set(kDecode, config_of(9, 4)), Error);
  EXPECT_EQ(configs.of(kDecode), config_of(8, 4));
}

}  // namespace
}  // namespace quire

#include "measure/batch_spec.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace quire {
namespace {

using Lens = std::vector<std::int32_t>;

TEST(BatchSpecTest, ReadsEveryForm) {
  EXPECT_EQ(parse_batch_spec("q512").query_len, Lens{512});
  EXPECT_EQ(parse_batch_spec("q512").kv_len, Lens{512});
  EXPECT_EQ(parse_batch_spec("q1ks2k").query_len, Lens{1024});
  EXPECT_EQ(parse_batch_spec("q1ks2k").kv_len, Lens{2048});
  EXPECT_EQ(parse_batch_spec("2q1ks4k").query_len, (Lens{1024, 1024}));
  EXPECT_EQ(parse_batch_spec("3q4s100").kv_len, (Lens{100, 100, 100}));
}

TEST(BatchSpecTest, JoinsSegmentsInOrder) {
  const BatchSpec batch = parse_batch_spec("2q2k_3q1s1k");
  EXPECT_EQ(batch.name, "2q2k_3q1s1k");
  EXPECT_EQ(batch.query_len, (Lens{2048, 2048, 1, 1, 1}));
  EXPECT_EQ(batch.kv_len, (Lens{2048, 2048, 1024, 1024, 1024}));
}

std::string complaint(const char* spec) {
  try {
    parse_batch_spec(spec);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalidArgument) << spec;
    return e.what();
  }
  ADD_FAILURE() << "accepted: " << spec;
  return "";
}

TEST(BatchSpecTest, RefusesWhatIsWrongAndSaysWhy) {
  EXPECT_NE(complaint("").find("no q in \"\""), std::string::npos);
  EXPECT_NE(complaint("32").find("no q"), std::string::npos);
  EXPECT_NE(complaint("q").find("q needs a number"), std::string::npos);
  EXPECT_NE(complaint("q-5").find("q needs a number"), std::string::npos);
  EXPECT_NE(complaint("q0").find("q must be 1 to"), std::string::npos);
  EXPECT_NE(complaint("0q1").find("the count must be 1 to"), std::string::npos);
  EXPECT_NE(complaint("q1s").find("s needs a number"), std::string::npos);
  EXPECT_NE(complaint("q8s4").find("s (4) is less than q (8)"), std::string::npos);
  EXPECT_NE(complaint("q1s2kk").find("\"k\" is too much"), std::string::npos);
  EXPECT_NE(complaint("q1_").find("no q in \"\""), std::string::npos);
  EXPECT_NE(complaint("q1__q2").find("no q in \"\""), std::string::npos);
  EXPECT_NE(complaint("q99999999999").find("q must be 1 to"), std::string::npos);
  EXPECT_NE(complaint("q16000000k").find("at most"), std::string::npos);
  EXPECT_NE(complaint("60000q1_60000q1").find("more than 65536 requests"), std::string::npos);
  EXPECT_NE(complaint("q1s2k 8q1").find("is too much"), std::string::npos);
}

}  // namespace
}  // namespace quire

#include "files/weights.h"

#include <gtest/gtest.h>

#include "model_folder.h"

namespace quire {
namespace {

using Shape = std::vector<std::int64_t>;

// A file of one-row f32 tensors, each [2].
std::string shard(std::initializer_list<std::string> names, const std::string& dtype = "F32") {
  std::string header = "{";
  int offset = 0;
  for (const std::string& name : names) {
    header += (offset ? ",\"" : "\"") + name + R"(":{"dtype":")" + dtype +
              R"(","shape":[2],"data_offsets":[)" + std::to_string(offset) + "," +
              std::to_string(offset + 8) + "]}";
    offset += 8;
  }
  return safetensors_bytes(header + "}", std::string(static_cast<std::size_t>(offset), 'x'));
}

TEST(Weights, SingleFile) {
  const ModelFolder folder;
  folder.write("model.safetensors", shard({"a", "b", "c"}));
  Weights weights = Weights::open(folder.path());
  std::vector<WeightsProgress> seen;
  weights.on_progress([&seen](const WeightsProgress& progress) { seen.push_back(progress); });
  EXPECT_EQ(weights.get("b", Shape{2}).bytes.size(), 8u);
  weights.get("b", Shape{2});
  weights.get("c", Shape{2});
  EXPECT_EQ(weights.surplus(), std::vector<std::string>{"a"});
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].num_tensors, 2u);
  EXPECT_EQ(seen[1].total_tensors, 3u);
  EXPECT_EQ(seen[1].read_bytes, 16u);
  EXPECT_EQ(seen[1].total_bytes, 24u);
}

TEST(Weights, RefusalsNameFileTensorAndShapes) {
  const ModelFolder folder;
  folder.write("model.safetensors", shard({"a"}));
  Weights weights = Weights::open(folder.path());
  expect_error(ErrorKind::kCorruptFile, {"model.safetensors: tensor \"a\" has shape [2], expected [2, 3]"},
               [&] {
                 weights.get("a", Shape{2, 3});
               });
  expect_error(ErrorKind::kCorruptFile, {"model.safetensors: tensor \"b\" of shape [4] is missing"},
               [&] { weights.get("b", Shape{4}); });
  EXPECT_EQ(weights.surplus().size(), 1u);
}

TEST(Weights, RefusesTypesThatKernelsDoNotTake) {
  const ModelFolder folder;
  folder.write("model.safetensors", shard({"a"}, "I32"));
  Weights weights = Weights::open(folder.path());
  expect_error(ErrorKind::kUnsupported, {"tensor \"a\" has dtype I32, supported: F32, F16, BF16"},
               [&] { weights.get("a", Shape{2}); });
}

TEST(Weights, Shards) {
  const ModelFolder folder;
  folder.write("x-1.safetensors", shard({"a", "b"}));
  folder.write("x-2.safetensors", shard({"c"}));
  folder.write(
      "model.safetensors.index.json",
      R"({"metadata":{"total_size":24},"weight_map":{"a":"x-1.safetensors","b":"x-1.safetensors","c":"x-2.safetensors"}})");
  Weights weights = Weights::open(folder.path());
  EXPECT_EQ(weights.num_tensors(), 3u);
  EXPECT_EQ(weights.total_bytes(), 24u);
  EXPECT_TRUE(weights.get("a", Shape{2}).file.ends_with("x-1.safetensors"));
  EXPECT_TRUE(weights.get("c", Shape{2}).file.ends_with("x-2.safetensors"));
}

TEST(Weights, NothingThere) {
  const ModelFolder folder;
  expect_error(ErrorKind::kNotFound, {"holds neither model.safetensors nor model.safetensors.index.json"},
               [&] { Weights::open(folder.path()); });
}

struct IndexCase {
  const char* name;
  std::string index;
  std::string fragment;
  ErrorKind kind = ErrorKind::kCorruptFile;
};

std::string map_to(const std::string& shard_json) { return R"({"weight_map":{"a":)" + shard_json + "}}"; }

class IndexRejects : public testing::TestWithParam<IndexCase> {};
TEST_P(IndexRejects, WithFileAndReason) {
  const ModelFolder folder;
  folder.write("ab.safetensors", shard({"a", "b"}));
  folder.write("b.safetensors", shard({"b"}));
  folder.write("a.safetensors", shard({"a"}));
  folder.write("model.safetensors.index.json", GetParam().index);
  expect_error(GetParam().kind, {GetParam().fragment, folder.path().string()},
               [&] { Weights::open(folder.path()); });
}
const std::string kPlain = "expected the name of a .safetensors file in the same folder";
INSTANTIATE_TEST_SUITE_P(
    Index, IndexRejects,
    testing::Values(
        IndexCase{"Parent", map_to(R"("../a.safetensors")"), kPlain},
        IndexCase{"Absolute", map_to(R"("/a.safetensors")"), kPlain},
        IndexCase{"Below", map_to(R"("x/a.safetensors")"), kPlain},
        IndexCase{"Dots", map_to(R"("a..safetensors")"), kPlain},
        IndexCase{"Backslash", map_to(R"("x\\a.safetensors")"), kPlain},
        IndexCase{"Zero", map_to(R"("a\u0000.safetensors")"), kPlain},
        IndexCase{"Empty", map_to(R"("")"), kPlain}, IndexCase{"Hidden", map_to(R"(".safetensors")"), kPlain},
        IndexCase{"Pickle", map_to(R"("pytorch_model.bin")"), kPlain},
        IndexCase{"Number", map_to("1"), kPlain},
        IndexCase{"Long", map_to("\"" + std::string(300, 'a') + ".safetensors\""), kPlain},
        IndexCase{"NoMap", "{}", "field \"weight_map\" is missing"},
        IndexCase{"EmptyMap", R"({"weight_map":{}})", "at least one tensor"},
        IndexCase{"MapList", R"({"weight_map":["a"]})", "field \"weight_map\" is an array"},
        IndexCase{"List", "[]", "the file is an array, expected an object"},
        IndexCase{"Twice", R"({"weight_map":{"a":"a.safetensors","a":"b.safetensors"}})",
                  "\"a\" appears twice"},
        IndexCase{"NoShard", map_to(R"("gone.safetensors")"), "gone.safetensors: cannot open",
                  ErrorKind::kNotFound},
        IndexCase{"AbsentTensor", R"({"weight_map":{"a":"a.safetensors","q":"a.safetensors"}})",
                  "tensor \"q\" is not in its shard \"a.safetensors\""},
        IndexCase{"Unlisted", map_to(R"("ab.safetensors")"),
                  "tensor \"b\" is in shard \"ab.safetensors\" but not in the index"},
        IndexCase{"DuplicateAcrossShards", R"({"weight_map":{"a":"ab.safetensors","b":"b.safetensors"}})",
                  "tensor \"b\" is in shard \"ab.safetensors\" although the index names \"b.safetensors\""}),
    kCaseName);

}  // namespace
}  // namespace quire

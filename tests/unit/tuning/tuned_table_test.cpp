#include "tuning/tuned_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "base/error.h"
#include "base/json.h"
#include "hostile/values.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "quire_tuned_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

TunedTable random_table(std::mt19937& random) {
  const auto between = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  TunedTable table{{"cuda", "sm_90a", "NVIDIA \"H200\" \\ é", between(1, 200)}, {}};
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const int head_dim : kHeadDimBounds) {
      for (const BatchKind kind : kBatchKinds) {
        if (between(0, 1) == 0) continue;
        TunedEntry entry{{dtype, head_dim, kind}, {}, 1 + between(0, 1000) / 1000.0};
        if (between(0, 1) == 0)
          entry.config.tiles = {between(1, 8),    between(1, 256), between(0, 256),
                                between(1, 1024), between(1, 2),   between(0, 128)};
        entry.config.split_policy = {between(1, 8), between(0, 500), between(0, 9), between(0, 9)};
        table.entries.push_back(entry);
      }
    }
  }
  return table;
}

// A small right file to spoil.
Json right_file() {
  return Json::parse(R"({"format": "quire-tuned", "version": 1,
    "chip": {"target": "cuda", "architecture": "sm_90a", "description": "NVIDIA H200", "num_units": 132},
    "attention": [{"dtype": "bf16", "head_dim": 128, "kind": "decode", "speedup": 1.5,
      "tiles": {"num_warps": 8, "keys": 128, "few_keys": 128, "ring_keys": 384, "blocks_per_sm": 1, "producer_registers": 88},
      "split_policy": {"min_split_tiles": 1, "key_cost_rows": 128, "item_cost_tiles": 2, "merge_cost_tiles": 3}}]})");
}

void expect_refused(const std::string& text, const std::string& words,
                    ErrorKind kind = ErrorKind::kCorruptFile) {
  try {
    parse_tuned_table(text, "t.json");
    FAIL() << "accepted: " << text;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    EXPECT_EQ(std::string(e.what()).rfind("t.json", 0), 0u) << e.what();
    EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what() << "\nlacks: " << words;
  }
}

TEST(TunedTable, ComesBackAsItWasWritten) {
  std::mt19937 random(std::random_device{}());
  const Folder folder;
  for (int i = 0; i < 50; ++i) {
    const TunedTable table = random_table(random);
    const fs::path path = folder.path() / "sub" / "t.json";
    write_tuned_table(path, table);
    const TunedTable back = read_tuned_table(path);
    EXPECT_EQ(back.chip, table.chip);
    ASSERT_EQ(back.entries.size(), table.entries.size());
    for (const TunedEntry& e : table.entries) {
      const TunedEntry* found = back.find(e.problem);
      ASSERT_NE(found, nullptr) << to_string(e.problem);
      EXPECT_EQ(found->config, e.config) << to_string(e.problem);
      EXPECT_DOUBLE_EQ(found->speedup, e.speedup);
    }
  }
}

TEST(TunedTable, NamesAreSafeAndTellChipsApart) {
  const Chip h200{"cuda", "sm_90a", "NVIDIA H200", 132};
  EXPECT_EQ(tuned_table_path("/x", h200), "/x/tuned-cuda-sm_90a-132-nvidia-h200.json");
  const Chip odd{"cpu", "x86-64-v3", "../..//AMD\n(R) EPYC \xc3\xa9" + std::string(500, 'a'), 4};
  const std::string name = tuned_table_path("/x", odd).filename().string();
  EXPECT_EQ(tuned_table_path("/x", odd).parent_path(), "/x");
  EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_."), std::string::npos) << name;
  EXPECT_LT(name.size(), 100u);
}

TEST(TunedTable, HostileFilesAreRefusedWithWords) {
  parse_tuned_table(right_file().dump(), "t.json");
  expect_refused("", "t.json");
  expect_refused("[]", "not an object");
  expect_refused(right_file().dump().substr(0, 100), "t.json");
  expect_refused(right_file().dump() + std::string(1, '\0'), "zero byte");
  expect_refused(std::string(2u << 20, ' '), "at most");
  const auto spoil = [](const char* pointer, const Json& value) {
    Json file = right_file();
    file[Json::json_pointer(pointer)] = value;
    return file.dump();
  };
  expect_refused(spoil("/version", 2), "\"version\" is 2; this build reads 1", ErrorKind::kUnsupported);
  expect_refused(spoil("/version", "1"), "\"version\"");
  expect_refused(spoil("/format", "other"), "\"format\" is \"other\"");
  expect_refused(spoil("/more", 1), "unknown member \"more\"");
  expect_refused(spoil("/chip", 7), "\"chip\" is not an object");
  expect_refused(spoil("/chip/num_units", 0), "\"num_units\" is 0, not an integer from 1 to");
  expect_refused(spoil("/chip/target", ""), "\"target\"");
  expect_refused(spoil("/attention", Json::object()), "is not an array");
  expect_refused(spoil("/attention/0/dtype", "f8"), "\"dtype\" is \"f8\", not one of f32, f16, bf16");
  expect_refused(spoil("/attention/0/kind", "both"), "not one of decode, prefill, mixed");
  expect_refused(spoil("/attention/0/head_dim", 100), "\"head_dim\" is 100, not one of 64, 128, 192, 256");
  expect_refused(spoil("/attention/0/speedup", -1), "\"speedup\" is -1");
  expect_refused(spoil("/attention/0/tiles/keys", -128), "\"keys\" is -128, not an integer from 0 to");
  expect_refused(spoil("/attention/0/tiles/keys", 128.5), "\"keys\" is 128.5");
  expect_refused(spoil("/attention/0/tiles/keys", 18446744073709551615u), "\"keys\" is 18446744073709551615");
  expect_refused(spoil("/attention/0/tiles/rows", 1), "unknown member \"rows\"");
  expect_refused(spoil("/attention/0/split_policy/min_split_tiles", 0),
                 "\"min_split_tiles\" is 0, not an integer from 1 to");
  Json twice = right_file();
  twice["attention"].push_back(twice["attention"][0]);
  expect_refused(twice.dump(), "bf16 d128 decode stands there twice");
  for (const char* name : {"format", "version", "chip", "attention"}) {
    Json file = right_file();
    file.erase(name);
    expect_refused(file.dump(), std::string("\"") + name + "\" is missing");
  }
}

TEST(TunedTable, EveryHostileValueIsRefused) {
  const Table right = Table::parse(right_file().dump());
  const Kinds kinds = {{"/version", "count"}, {"/format", "word"}};
  for_each_spoiled(right, kinds, "index", [](const Spoiled& spoiled) {
    try {
      parse_tuned_table(spoiled.text, "t.json");
      ADD_FAILURE() << spoiled.pointer << " = " << spoiled.value << " was taken";
    } catch (const Error& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("t.json")) << error.what();
    }
  });
  for (const HostileText& document : broken_documents()) expect_refused(document.text, "t.json");
  for (const std::string& text : documents_without_object()) expect_refused(text, "t.json");
}

TEST(TunedTable, AFileThatIsNotThereOrCannotBeWrittenIsNamed) {
  const Folder folder;
  try {
    read_tuned_table(folder.path() / "none.json");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kNotFound);
    EXPECT_NE(std::string(e.what()).find("none.json"), std::string::npos);
  }
  std::ofstream(folder.path() / "file") << "x";
  try {
    write_tuned_table(folder.path() / "file" / "t.json", {{"cpu", "a", "b", 1}, {}});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kExhausted);
  }
}

}  // namespace
}  // namespace quire

// Downloads that brought something else, and the one road to a model's files: regular ones, of a bounded
// size.
#include "files/file_kind.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>

#include "base/error.h"
#include "files/generation_config.h"
#include "files/mapped_file.h"
#include "files/model_config.h"
#include "files/safetensors.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 4976698672\n";
constexpr std::string_view kPage =
    "\n<!DOCTYPE html>\n<html><head><title>401 Unauthorized</title></head></html>";

template <class Act>
std::string refusal_of(Act act) {
  try {
    act();
  } catch (const Error& e) {
    return e.what();
  }
  return "taken";
}

TEST(FileKind, SaysWhatItIs) {
  EXPECT_EQ(foreign_kind(kPointer),
            "a Git LFS pointer and not the file of 4976698672 bytes that it stands for; fetch it with `git "
            "lfs pull`");
  EXPECT_NE(foreign_kind(kPage).find("a web page"), std::string::npos);
  EXPECT_NE(foreign_kind("\xEF\xBB\xBF<HTML>").find("a web page"), std::string::npos);
  EXPECT_NE(foreign_kind("GGUF\3\0\0\0").find("GGUF"), std::string::npos);
  EXPECT_NE(foreign_kind("PK\3\4....").find("zip archive"), std::string::npos);
  EXPECT_NE(foreign_kind("\x1f\x8b\x08").find("gzip"), std::string::npos);
  EXPECT_NE(foreign_kind("\xfd"
                         "7zXZ.")
                .find("xz"),
            std::string::npos);
  EXPECT_NE(foreign_kind("BZh91AY").find("bzip2"), std::string::npos);
  EXPECT_NE(foreign_kind("7z\xbc\xaf\x27\x1c").find("7z archive"), std::string::npos);
  EXPECT_NE(foreign_kind("\x93NUMPY\1").find("NumPy"), std::string::npos);
}

TEST(FileKind, IsSilentAboutTheRest) {
  using std::string_view_literals::operator""sv;
  for (const std::string_view bytes :
       {""sv, "{}"sv, "\x10\0\0\0\0\0\0\0{\"a\":"sv, "<|im_start|>"sv, "{{ bos_token }}"sv, "<"sv, "vers"sv})
    EXPECT_EQ(foreign_kind(bytes), "");
}

TEST(FileKind, WeightsThatAreSomethingElseAreCalledThat) {
  for (const auto& [bytes, words] : {std::pair(kPointer, "model.safetensors: is a Git LFS pointer"),
                                     std::pair(kPage, "model.safetensors: is a web page"),
                                     std::pair(std::string_view("Entry not found"),
                                               "model.safetensors: is no safetensors file but begins with "
                                               "the text \"Entry not found\""),
                                     std::pair(std::string_view(R"({"error": "Repository not found"})"),
                                               "model.safetensors: is no safetensors file but begins with "
                                               "the text \"{\\\"error\\\"")}) {
    const std::string text = refusal_of([&] {
      SafetensorsFile::from_bytes(std::as_bytes(std::span(bytes.data(), bytes.size())), "model.safetensors");
    });
    EXPECT_TRUE(text.starts_with(words)) << text;
  }
}

class ModelFileTest : public testing::Test {
 protected:
  ModelFileTest() {
    std::string pattern = (fs::temp_directory_path() / "quire-files-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~ModelFileTest() override { fs::remove_all(root_); }
  void write(const std::string& name, std::string_view text) const { std::ofstream(root_ / name) << text; }
  std::string refusal_of_text(const std::string& name, std::uint64_t max_bytes = 1000) const {
    return refusal_of([&] { MappedFile::open_text(root_ / name, max_bytes); });
  }
  fs::path root_;
};

TEST_F(ModelFileTest, PipesDevicesAndFoldersAreRefusedAtOnce) {
  ASSERT_EQ(::mkfifo((root_ / "pipe").c_str(), 0600), 0);
  fs::create_symlink("/dev/zero", root_ / "zero");
  fs::create_directory(root_ / "folder");
  for (const char* name : {"pipe", "zero", "folder"}) {
    EXPECT_NE(refusal_of_text(name).find("not a regular file"), std::string::npos) << name;
  }
}

TEST_F(ModelFileTest, SizeIsLookedAtBeforeAnythingIsRead) {
  write("long", "x");
  fs::resize_file(root_ / "long", std::uintmax_t{1} << 40);
  EXPECT_NE(refusal_of_text("long").find("1099511627776 bytes, at most 1000 are read"), std::string::npos);
  write("page", kPage);
  EXPECT_NE(refusal_of_text("page").find("is a web page"), std::string::npos);
  write("good", "{}");
  EXPECT_EQ(refusal_of_text("good"), "taken");
}

TEST_F(ModelFileTest, EachConfigurationFileTakesThisRoad) {
  write("config.json", kPointer);
  EXPECT_NE(refusal_of([&] { load_model_config(root_); }).find("Git LFS pointer"), std::string::npos);
  write("config.json", "{}");
  // A file that only conversations need may be left out with a warning.
  const auto told = [&] {
    std::string warnings;
    const std::string refusal = refusal_of([&] {
      for (const std::string& warning : load_generation_defaults(root_).warnings) warnings += warning;
    });
    return refusal + warnings;
  };
  for (const char* name :
       {"generation_config.json", "tokenizer_config.json", "chat_template.json", "chat_template.jinja"}) {
    fs::create_symlink("/dev/zero", root_ / name);
    EXPECT_NE(told().find("not a regular file"), std::string::npos) << name << ": " << told();
    fs::remove(root_ / name);
    write(name, kPage);
    EXPECT_NE(told().find("is a web page"), std::string::npos) << name << ": " << told();
    fs::remove(root_ / name);
  }
}

}  // namespace
}  // namespace quire

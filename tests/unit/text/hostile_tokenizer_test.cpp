// Every field of tokenizer.json gets every value that its kind must refuse, and the file stands once for each
// thing that is no such file (tests/hostile).
#include <cstdlib>

#include "base/error.h"
#include "hostile/files.h"
#include "hostile/values.h"
#include "text/tokenizer.h"

namespace quire {
namespace {

constexpr const char* kFile = "tokenizer.json";

template <class Load>
void expect_refused(const Load& load, const std::string& what) {
  try {
    load();
    ADD_FAILURE() << what << " was taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(kFile), std::string::npos) << what << ": " << error.what();
    EXPECT_NE(error.kind(), ErrorKind::kInternal) << what << ": " << error.what();
  }
}

TEST(HostileTokenizer, EachValueIsRefusedByName) {
  int num_cases = 0;
  for (const Table& entry : hostile_table("model_files.json").at(kFile)) {
    Tokenizer::from_json(entry.at("document").dump(), kFile);
    for_each_spoiled(entry.at("document"), entry.at("kinds"), "id", [&](const Spoiled& spoiled) {
      expect_refused([&] { Tokenizer::from_json(spoiled.text, kFile); },
                     spoiled.pointer + " = " + spoiled.value);
      ++num_cases;
    });
  }
  EXPECT_GT(num_cases, 1500);
}

TEST(HostileTokenizer, WhatIsNoObjectOfJsonIsRefusedByName) {
  for (const HostileText& document : broken_documents())
    expect_refused([&] { Tokenizer::from_json(document.text, kFile); }, document.name);
  for (const std::string& text : documents_without_object())
    expect_refused([&] { Tokenizer::from_json(text, kFile); }, text);
}

TEST(HostileTokenizer, WhatIsNoFileIsRefusedByName) {
  namespace fs = std::filesystem;
  std::string pattern = (fs::temp_directory_path() / "quire-hostile-XXXXXX").string();
  const fs::path folder = ::mkdtemp(pattern.data());
  for (const HostileFile& hostile : hostile_files()) {
    fs::remove_all(folder / kFile);
    hostile.place(folder / kFile);
    expect_refused([&] { Tokenizer::from_file((folder / kFile).string()); }, hostile.name);
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace quire

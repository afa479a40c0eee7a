// Every field of every file of a model gets every value that its kind must refuse, and every file stands once
// for each thing that is no such file (tests/hostile). What only conversations need is left out with a
// warning instead.
#include <algorithm>

#include "files/generation_config.h"
#include "files/model_config.h"
#include "files/safetensors.h"
#include "files/weights.h"
#include "hostile/files.h"
#include "hostile/values.h"
#include "model_folder.h"

namespace quire {
namespace {

// What was said of a file: the message of its refusal, or the warnings; "taken" where nothing was.
template <class Load>
std::string words_of(const Load& load) {
  try {
    std::string words;
    for (const std::string& warning : load()) words += warning + "\n";
    return words.empty() ? "taken" : words;
  } catch (const Error& error) {
    EXPECT_NE(error.kind(), ErrorKind::kInternal) << error.what();
    return error.what();
  }
}

std::string say_of_text(const std::string& file, const std::string& text) {
  return words_of([&]() -> std::vector<std::string> {
    GenerationDefaults defaults;
    if (file == "config.json") {
      parse_model_config(text, file);
    } else if (file == "model.safetensors") {
      SafetensorsFile::from_bytes(as_byte_span(safetensors_bytes(text, std::string(9, 'x'))), file);
    } else if (file == "generation_config.json") {
      merge_generation_config(text, file, defaults);
    } else if (file == "tokenizer_config.json") {
      merge_tokenizer_config(text, file, defaults);
    } else {
      merge_special_tokens_map(text, file, defaults);
    }
    return defaults.warnings;
  });
}

// A folder that holds a right model but for what a test changes.
class HostileModel : public testing::Test {
 protected:
  HostileModel() {
    folder_.write("config.json", R"({"eos_token_id": 1})");
    const std::string entry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
    for (const std::string name : {"a", "b"})
      folder_.write(name + ".safetensors", safetensors_bytes("{\"" + name + "\":" + entry, "x"));
  }
  std::string say_of_folder(const std::string& file) const {
    return words_of([&]() -> std::vector<std::string> {
      if (file.starts_with("model.safetensors")) {
        Weights::open(folder_.path());
        return {};
      }
      if (file == "config.json") load_model_config(folder_.path());
      return load_generation_defaults(folder_.path()).warnings;
    });
  }
  ModelFolder folder_;
};

const char* const kReadAsText[] = {"config.json", "generation_config.json", "tokenizer_config.json",
                                   "special_tokens_map.json", "model.safetensors"};
const char* const kReadFromFolder[] = {"chat_template.json", "model.safetensors.index.json"};

void expect_named(const std::string& words, const std::string& file, const std::string& what) {
  EXPECT_NE(words, "taken") << what;
  EXPECT_NE(words.find(file), std::string::npos) << what << ": " << words;
  EXPECT_EQ(std::count_if(words.begin(), words.end(), [](char c) { return c > 0 && c < 0x20 && c != '\n'; }),
            0)
      << what << ": control characters reach a terminal";
}

TEST_F(HostileModel, EachValueOfEachFileIsRefusedByName) {
  int num_cases = 0;
  const Table& files = hostile_table("model_files.json");
  const auto check = [&](const std::string& file, const auto& say) {
    for (const Table& entry : files.at(file)) {
      const Table& document = entry.at("document");
      EXPECT_EQ(say(document.dump()), "taken") << file;
      const char* integer = file == "config.json" || file == "generation_config.json" ? "count" : "natural";
      for_each_spoiled(document, entry.at("kinds"), integer, [&](const Spoiled& spoiled) {
        expect_named(say(spoiled.text), file, file + " " + spoiled.pointer + " = " + spoiled.value);
        ++num_cases;
      });
    }
  };
  for (const std::string file : kReadAsText)
    check(file, [&](const std::string& text) { return say_of_text(file, text); });
  for (const std::string file : kReadFromFolder) {
    check(file, [&](const std::string& text) {
      folder_.write(file, text);
      return say_of_folder(file);
    });
  }
  EXPECT_GT(num_cases, 1500);
}

TEST_F(HostileModel, WhatIsNoObjectOfJsonIsRefusedByName) {
  const auto check = [&](const std::string& file, const std::string& text, const std::string& name) {
    if (std::ranges::count(kReadAsText, file) > 0)
      return expect_named(say_of_text(file, text), file, file + " " + name);
    folder_.write(file, text);
    expect_named(say_of_folder(file), file, file + " " + name);
  };
  for (const auto& [file, entries] : hostile_table("model_files.json").items()) {
    if (file == "note" || file == "tokenizer.json") continue;  // the latter: tests/unit/text
    for (const HostileText& document : broken_documents()) check(file, document.text, document.name);
    for (const std::string& text : documents_without_object()) check(file, text, text);
  }
}

TEST_F(HostileModel, WhatIsNoFileIsRefusedByName) {
  for (const std::string file :
       {"config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json",
        "chat_template.json", "chat_template.jinja", "model.safetensors.index.json", "model.safetensors"}) {
    for (const HostileFile& hostile : hostile_files()) {
      // Of a template any bytes may be a part; its parser refuses what is no UTF-8.
      if (file == "chat_template.jinja" && hostile.name == "bytes that are no UTF-8") continue;
      std::filesystem::remove_all(folder_.path() / file);
      hostile.place(folder_.path() / file);
      expect_named(say_of_folder(file), file, file + " is " + hostile.name);
    }
    std::filesystem::remove_all(folder_.path() / file);
    if (file == "config.json") folder_.write(file, "{}");
  }
}

}  // namespace
}  // namespace quire

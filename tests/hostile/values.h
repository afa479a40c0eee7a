// The table of hostile values (values.json), for tests in C++.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace quire {

// Objects keep the order of the file.
using Table = nlohmann::ordered_json;

// A table in the folder of this file.
inline const Table& hostile_table(const std::string& name) {
  static std::map<std::string, Table> tables;
  if (const auto known = tables.find(name); known != tables.end()) return known->second;
  const std::string path = std::string(QUIRE_SOURCE_DIR) + "/tests/hostile/" + name;
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return tables[name] = Table::parse(file);
}
inline const Table& hostile_values() { return hostile_table("values.json"); }

// JSON texts that a field of this kind must refuse.
inline std::vector<std::string> hostile_values(const std::string& kind) {
  std::vector<std::string> texts;
  for (const Table& sample : hostile_values().at("refused").at(kind)) {
    for (const Table& text : hostile_values().at("samples").at(sample.get<std::string>()))
      texts.push_back(text);
  }
  return texts;
}

// Characters of the table are bytes.
inline std::string bytes_of_latin1(const std::string& utf8) {
  std::string bytes;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto first = static_cast<unsigned char>(utf8[i]);
    if (first < 0x80) {
      bytes += utf8[i];
    } else {
      bytes += static_cast<char>((first & 3) << 6 | (static_cast<unsigned char>(utf8[++i]) & 0x3f));
    }
  }
  return bytes;
}

struct HostileText {
  std::string name, text;
};

// What is no JSON.
inline std::vector<HostileText> broken_documents() {
  std::vector<HostileText> documents;
  for (const auto& [name, entry] : hostile_values().at("broken_documents").items()) {
    if (name == "note") continue;
    const std::string once = bytes_of_latin1(entry.at("text"));
    std::string text;
    for (int i = entry.value("times", 1); i > 0; --i) text += once;
    documents.push_back({name, std::move(text)});
  }
  return documents;
}

// What is no UTF-8.
inline std::vector<std::string> texts_without_utf8() {
  std::vector<std::string> texts;
  for (const Table& text : hostile_values().at("no_utf8")) texts.push_back(bytes_of_latin1(text));
  return texts;
}

// What is JSON, but no object.
inline std::vector<std::string> documents_without_object() { return hostile_values().at("no_objects"); }

// Kinds of values by JSON pointer; "any" leaves a value alone, with all in it.
using Kinds = std::map<std::string, std::string>;

struct Spoiled {
  std::string pointer;
  std::string value;  // JSON text
  std::string text;   // of the document with the value at the pointer
};

// Each value of a right document replaced by each one that its kind must refuse. Kinds that are not given
// follow from the value; `integer` is that of whole numbers.
inline void for_each_spoiled(const Table& document, const Kinds& kinds, const std::string& integer,
                             const std::function<void(const Spoiled&)>& visit) {
  const auto kind_of = [&](const std::string& pointer, const Table& value) -> std::string {
    if (const auto given = kinds.find(pointer); given != kinds.end()) return given->second;
    if (value.is_boolean()) return "boolean";
    if (value.is_number_integer()) return integer;
    if (value.is_number()) return "number";
    return value.is_string() ? "text" : value.is_array() ? "list" : "object";
  };
  const std::string place = "put it here";
  const std::function<void(const Table&, const std::string&)> walk = [&](const Table& value,
                                                                         const std::string& path) {
    const std::string kind = kind_of(path, value);
    if (kind == "any") return;
    Table changed = document;
    changed[Table::json_pointer(path)] = place;
    const std::string text = changed.dump();
    const std::size_t at = text.find("\"" + place + "\"");
    for (const std::string& hostile : hostile_values(kind)) {
      if (!path.empty()) visit({path, hostile, std::string(text).replace(at, place.size() + 2, hostile)});
    }
    if (!value.is_structured()) return;
    std::size_t i = 0;
    for (const auto& [key, inner] : value.items()) {
      std::string name = value.is_array() ? std::to_string(i++) : key;
      for (std::size_t k = 0; (k = name.find_first_of("~/", k)) != std::string::npos; k += 2)
        name.replace(k, 1, name[k] == '~' ? "~0" : "~1");
      walk(inner, path + "/" + name);
    }
  };
  walk(document, "");
}

}  // namespace quire

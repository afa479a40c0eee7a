// Every field of every endpoint gets every value that its kind must refuse (tests/hostile).
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "hostile/values.h"
#include "server/api_error.h"
#include "server/request_fields.h"
#include "server/request_schema.h"

namespace quire {
namespace {

const Table& requests() { return hostile_table("requests.json"); }

RequestLimits limits() {
  RequestLimits limits;
  limits.model_names = {"demo"};
  limits.vocab_size = 100;
  limits.max_model_len = 64;
  limits.max_prompt_bytes = 1000;
  return limits;
}

void parse_call(const std::string& path, const Json& body) {
  if (path == "/v1/completions") {
    parse_completion_call(body, limits());
  } else if (path == "/v1/chat/completions") {
    parse_chat_call(body, limits());
  } else if (path == "/tokenize") {
    parse_tokenize_call(body, limits());
  } else {
    parse_detokenize_call(body, limits());
  }
}

struct Verdict {
  int status = 200;
  std::string param, message;
};

Verdict judge(const std::string& path, const std::string& body) {
  try {
    parse_call(path, parse_request_body(body));
  } catch (const ApiError& error) {
    return {error.status(), error.param(), error.what()};
  } catch (const Error& error) {  // ranges, which the engine knows
    const ApiError told = api_error_of(error);
    return {told.status(), told.param(), told.what()};
  }
  return {};
}

// The outermost name of a pointer: what a message has to name at least.
std::string field_of(const std::string& pointer) { return pointer.substr(1, pointer.find('/', 1) - 1); }

TEST(HostileFields, RightBodiesAreTaken) {
  for (const auto& [path, call] : requests().at("endpoints").items()) {
    const Verdict verdict = judge(path, call.at("body").dump());
    EXPECT_EQ(verdict.status, 200) << path << ": " << verdict.message;
  }
}

TEST(HostileFields, EachValueIsRefusedByName) {
  int num_cases = 0;
  for (const auto& [path, call] : requests().at("endpoints").items()) {
    for_each_spoiled(call.at("body"), call.at("kinds"), "integer", [&](const Spoiled& spoiled) {
      const Verdict verdict = judge(path, spoiled.text);
      const bool is_declined = call.at("kinds").value(spoiled.pointer, "") == "declined";
      EXPECT_EQ(verdict.status, is_declined ? 501 : 400)
          << path << " " << spoiled.pointer << " = " << spoiled.value << ": " << verdict.message;
      EXPECT_NE(verdict.param.find(field_of(spoiled.pointer)), std::string::npos)
          << path << " " << spoiled.pointer << " = " << spoiled.value << ": " << verdict.param << ": "
          << verdict.message;
      ++num_cases;
    });
  }
  EXPECT_GT(num_cases, 2000);
}

TEST(HostileFields, WhatOtherServersKnowIsDeclinedByName) {
  for (const std::string path : {"/v1/completions", "/v1/chat/completions"}) {
    for (const std::string name : requests().at("declined")) {
      for (const std::string& value : hostile_values("declined")) {
        std::string body = requests().at("endpoints").at(path).at("body").dump();
        body.insert(1, "\"" + name + "\":" + value + ",");
        const Verdict verdict = judge(path, body);
        if (name == "chat_template" && path == "/v1/completions") continue;  // has none
        EXPECT_TRUE(verdict.status == 400 || verdict.status == 501) << path << " " << name << " = " << value;
        EXPECT_EQ(verdict.param.substr(0, name.size()), name) << verdict.message;
      }
    }
  }
}

TEST(HostileFields, WhatIsNoObjectOfJsonIsRefused) {
  for (const auto& [path, call] : requests().at("endpoints").items()) {
    for (const HostileText& document : broken_documents())
      EXPECT_EQ(judge(path, document.text).status, 400) << path << " " << document.name;
    for (const std::string& text : documents_without_object())
      EXPECT_EQ(judge(path, text).status, 400) << path << " " << text;
  }
}

// Names in the calls that read a field, and in the lists of names.
std::set<std::string> names_in(const std::string& source) {
  std::ifstream file(std::string(QUIRE_SOURCE_DIR) + "/src/server/" + source);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_FALSE(text.empty()) << source;
  std::set<std::string> names;
  const auto add = [&names](const std::string& part, const std::regex& pattern) {
    for (std::sregex_iterator match(part.begin(), part.end(), pattern), end; match != end; ++match)
      names.insert((*match)[1]);
  };
  add(text,
      std::regex(R"re((?:boolean|integer|number|string|strings|token_ids|object|array|find)\("(\w+)")re"));
  add(text, std::regex(R"re((?:parse_renamed|check_idle)\(fields, "(\w+)")re"));
  const std::regex lists(
      R"re((?:for \(const char\* name :|k(?:Names|Refused|RefusedUnless)\[\] =)[^;]*?\}(?=[;)]))re");
  for (std::sregex_iterator match(text.begin(), text.end(), lists), end; match != end; ++match)
    add((*match)[0], std::regex(R"re([{\s]"(\w+)")re"));
  return names;
}

void add_names(const Table& value, std::set<std::string>& names) {
  for (const auto& [key, inner] : value.items()) {
    if (value.is_object()) names.insert(key);
    if (inner.is_structured()) add_names(inner, names);
  }
}

TEST(HostileFields, EveryFieldOfTheParsersIsInTheTable) {
  std::set<std::string> known;
  for (const auto& [path, call] : requests().at("endpoints").items()) add_names(call.at("body"), known);
  for (const std::string name : requests().at("declined")) known.insert(name);
  add_names(requests().at("elsewhere"), known);
  int num_names = 0;
  for (const char* source : {"request_schema.cpp", "later_features.cpp"}) {
    for (const std::string& name : names_in(source)) {
      EXPECT_TRUE(known.contains(name))
          << source << " reads \"" << name << "\": give it a place in requests.json";
      ++num_names;
    }
  }
  EXPECT_GT(num_names, 100) << "the pattern that finds names has gone stale";
}

}  // namespace
}  // namespace quire

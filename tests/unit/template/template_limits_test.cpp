// Hostile templates and conversations end with an error that names the limit, soon and without much memory.
#include <gtest/gtest.h>

#include "base/error.h"
#include "hostile/values.h"
#include "template/chat_template.h"

namespace quire {
namespace {

using nlohmann::ordered_json;

std::string repeat(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

// Sanitizers make everything slow; only the test of time limits time.
constexpr TemplateLimits kPatient = {.max_cpu_s = 100.0};

// The message of the refusal.
std::string refusal(const std::string& source, ErrorKind kind, const TemplateLimits& limits = kPatient) {
  try {
    const auto chat = ChatTemplate::parse(source, "", "");
    const std::string text = chat.render(ordered_json::array(), false, {}, {.now_s = 0, .limits = limits});
    ADD_FAILURE() << source.substr(0, 200) << " gave " << text.size() << " bytes";
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
}

void expect_limit(const std::string& source, const std::string& words,
                  const TemplateLimits& limits = kPatient) {
  const std::string message = refusal(source, ErrorKind::kInvalidArgument, limits);
  EXPECT_NE(message.find(words), std::string::npos) << source.substr(0, 200) << "\n" << message;
}

TEST(TemplateLimitsTest, ParserDepth) {
  for (const std::string& source :
       {repeat("{% if a %}", 6000) + repeat("{% endif %}", 6000),
        "{{ " + repeat("(", 6000) + "1" + repeat(")", 6000) + " }}",
        "{{ " + repeat("[", 6000) + repeat("]", 6000) + " }}", "{{ " + repeat("not ", 6000) + "1 }}",
        "{{ " + repeat("-", 6000) + "1 }}", "{{ a" + repeat(".b", 6000) + " }}",
        "{{ a" + repeat("|trim", 6000) + " }}", "{{ a" + repeat("(", 6000),
        "{{ " + repeat("1 if 1 else ", 6000) + "1 }}", "{{ a" + repeat(" is defined", 6000) + " }}",
        "{% set " + repeat("(", 6000) + "a", "{{ a" + repeat("[0]", 6000) + " }}",
        repeat("{% macro m() %}", 6000)}) {
    refusal(source, ErrorKind::kCorruptFile);
  }
}

TEST(TemplateLimitsTest, LongChainsAreNotDeep) {
  const std::string sum = "{{ 0" + repeat(" + 1", 5000) + " }}";
  EXPECT_EQ(ChatTemplate::parse(sum, "", "").render(ordered_json::array(), false), "5000");
  const std::string branches = "{% if 0 %}" + repeat("{% elif 0 %}", 5000) + "{% else %}e{% endif %}";
  EXPECT_EQ(ChatTemplate::parse(branches, "", "").render(ordered_json::array(), false), "e");
}

TEST(TemplateLimitsTest, RunDepth) {
  expect_limit("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nests deeper than 400 levels");
  expect_limit(
      "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% "
      "endmacro %}{{ g() }}",
      "nests deeper");
  expect_limit(
      "{% macro f() %}{% if true %}{{ [f()] | map('upper') | list }}{% endif %}{% endmacro %}{{ f() }}",
      "nests deeper");
}

TEST(TemplateLimitsTest, Steps) {
  const std::string loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
  expect_limit(loops, "more than 2000000 steps");
  expect_limit(loops, "more than 1000 steps", {.max_steps = 1000});
  expect_limit(
      "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
      "{% set ns.y = [1] %}{% for i in range(60) %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y "
      "}}",
      "steps");
}

TEST(TemplateLimitsTest, Texts) {
  expect_limit("{{ 'x' * 1000000000 }}", "text or list of 1000000000 bytes");
  expect_limit("{{ 1000000000 * [0] }}", "text or list");
  expect_limit("{{ 'x' * 9223372036854775807 }}", "text or list");
  expect_limit(
      "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
      "bytes");
  expect_limit("{% for i in range(1000) %}{{ 'x' * 10000 }}{% endfor %}", "at most 4194304");
  expect_limit(
      "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ "
      "ns.x }}",
      "bytes");
  expect_limit(
      "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ "
      "ns.x | tojson }}",
      "bytes");
  expect_limit("{{ ('a' * 2000000) | replace('a', 'bbbbbbbb') }}", "bytes");
  expect_limit("{{ ('a' * 2000000) | replace('', 'bbbbbbbb') }}", "bytes");
  expect_limit("{{ ('a\n' * 100000) | indent(1000) }}", "bytes");
  expect_limit("{{ '%999s' % 'a' * 100000 }}", "bytes");
  expect_limit("{{ range(1000) | join('x' * 10000) }}", "bytes");
  expect_limit("{{ ('x' * 10000).join(range(1000) | map('string')) }}", "bytes");
  expect_limit("{{ ('{0}' * 1000).format('x' * 10000) }}", "bytes");
  expect_limit("{{ [[[[1]]]] | tojson(indent=' ' * 2000000) }}", "bytes");
  expect_limit("{% for i in range(100) %}{% set x = 'y' * 4000000 %}{% endfor %}", "intermediate values");
  expect_limit("{% for i in range(1000) %}{% set x %}{{ 'y' * 400000 }}{% endset %}{% endfor %}",
               "intermediate values");
}

TEST(TemplateLimitsTest, Ranges) {
  expect_limit("{{ range(1000000000) }}", "range makes more than 100000");
  expect_limit("{{ range(-9223372036854775807, 9223372036854775807) }}", "range makes more than 100000");
  EXPECT_EQ(ChatTemplate::parse("{{ range(9223372036854775806, 9223372036854775807) }}", "", "")
                .render(ordered_json::array(), false),
            "[9223372036854775806]");
}

TEST(TemplateLimitsTest, Numbers) {
  for (const char* source :
       {"{{ 9223372036854775807 + 1 }}", "{{ 2 ** 64 }}", "{{ 3 ** 9223372036854775807 }}",
        "{{ -9223372036854775807 - 2 }}", "{{ 9223372036854775807 * 2 }}",
        "{{ -(-9223372036854775807 - 1) }}", "{{ (-9223372036854775807 - 1) // -1 }}"}) {
    expect_limit(source, "does not fit in 64 bits");
  }
  EXPECT_EQ(ChatTemplate::parse("{{ (-9223372036854775807 - 1) % -1 }}{{ 1 ** 9223372036854775807 }}", "", "")
                .render(ordered_json::array(), false),
            "01");
  EXPECT_EQ(ChatTemplate::parse("{{ 'abc'[9223372036854775807:] }}{{ 'abc'[::9223372036854775807] }}{{ "
                                "'abc'[::-9223372036854775807] }}",
                                "", "")
                .render(ordered_json::array(), false),
            "ac");
}

TEST(TemplateLimitsTest, SortingWithoutAnOrder) {
  const auto chat = ChatTemplate::parse(
      "{% set n = 'nan' | float %}{{ (range(100) | list + [n] * 50 + range(100) | list) | sort | length }}",
      "", "");
  EXPECT_EQ(chat.render(ordered_json::array(), false), "250");
}

TEST(TemplateLimitsTest, Time) {
  expect_limit("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
               "processor time", {.max_cpu_s = 0.0});
  // Searches for long needles in long texts of one letter.
  expect_limit(
      "{% set t = 'a' * 2000000 %}{% set p = 'a' * 1000000 + 'b' %}{% for i in range(100000) %}{% if p in t "
      "%}{% endif %}{% endfor %}",
      "the template takes more than", {.max_cpu_s = 0.3});
  expect_limit(
      "{% set t = 'a' * 2000000 %}{% set p = 'b' + 'a' * 1000000 %}{% for i in range(100000) %}{{ t.rfind(p) "
      "}}{% endfor %}",
      "the template takes more than", {.max_cpu_s = 0.3});
}

TEST(TemplateLimitsTest, ValuesThatHoldOneAnother) {
  expect_limit("{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}",
               "nests deeper");
  expect_limit(
      "{% set ns = namespace(x={}) %}{% for i in range(9999) %}{% set ns.x = {'a': ns.x}.get %}{% endfor %}",
      "");
  expect_limit(
      "{% set ns = namespace(x={}) %}{% for i in range(9999) %}{% set ns.x = {'a': ns.x} %}{% endfor %}",
      "nests deeper");
  // Chains of namespaces, loops, macros and scopes end well.
  for (const char* source : {"{% set ns = namespace() %}{% set ns.me = ns %}",
                             "{% set ns = namespace(x=1) %}{% for i in range(50000) %}{% set ns.x = "
                             "namespace(y=ns.x) %}{% endfor %}",
                             "{% set ns = namespace(x=1) %}{% for i in range(9999) %}{% macro f() %}{{ i "
                             "}}{% endmacro %}{% set y = ns.x %}{% set ns.x = f %}{% endfor %}",
                             "{% set ns = namespace(x=1) %}{% for i in [1, 2] %}{% set ns.x = loop %}{% "
                             "endfor %}{{ ns.x.index }}"}) {
    EXPECT_NO_THROW(ChatTemplate::parse(source, "", "").render(ordered_json::array(), false)) << source;
  }
  expect_limit(
      "{% set ns = namespace() %}{% macro a() %}{% macro b() %}{{ ns.f() }}{% endmacro %}{% set ns.f = b "
      "%}{% endmacro %}{{ a() }}{{ ns.f() }}",
      "nests deeper");
  expect_limit(
      "{% set ns = namespace() %}{% for i in range(3) %}{% set ns.x = loop %}{% for j in [ns.x] %}{% set "
      "ns.x = loop %}{% endfor %}{% endfor %}{{ ns.x.nope.y }}",
      "no member");
}

// They would reach the prompt, which would be refused as if its caller had written them.
TEST(TemplateLimitsTest, BytesThatAreNoUtf8) {
  for (const std::string& bytes : texts_without_utf8()) {
    for (const std::string& source : {bytes, "{{ '" + bytes + "' }}", "{# " + bytes + " #}"}) {
      try {
        ChatTemplate::parse(source, "", "");
        ADD_FAILURE() << source << " was taken";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kCorruptFile);
        EXPECT_NE(std::string(error.what()).find("is not valid UTF-8"), std::string::npos) << error.what();
      }
    }
  }
}

TEST(TemplateLimitsTest, LargeButHonestConversations) {
  ordered_json messages = ordered_json::array();
  for (int i = 0; i < 4000; ++i)
    messages.push_back({{"role", i % 2 ? "assistant" : "user"}, {"content", std::string(200, 'x')}});
  const auto chat = ChatTemplate::parse(
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content | trim + '<|im_end|>\n' }}{% "
      "endfor %}",
      "", "");
  EXPECT_GT(chat.render(messages, true).size(), 800'000u);
  EXPECT_GT(chat.render({{{"role", "user"}, {"content", std::string(3 << 20, 'y')}}}, true).size(), 3u << 20);
}

TEST(TemplateLimitsTest, ManyKeys) {
  ordered_json object = ordered_json::object();
  std::string text = "{";
  for (int i = 0; i < 2000; ++i) text += "\"key" + std::to_string(i) + "\":1,";
  text += "\"last\":2}";
  const ordered_json extra = {{"x", ordered_json::parse(text)}};
  EXPECT_EQ(
      ChatTemplate::parse("{{ x.last }}{{ x | length }}", "", "").render(ordered_json::array(), false, extra),
      "22001");
}

}  // namespace
}  // namespace quire

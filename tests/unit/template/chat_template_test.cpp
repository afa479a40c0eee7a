#include "template/chat_template.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"

namespace quire {
namespace {

using nlohmann::ordered_json;

const ordered_json kNone = ordered_json::array();

ordered_json one(const std::string& content) { return {{{"role", "user"}, {"content", content}}}; }

// Text that came from messages in brackets.
std::string pieces(const std::string& source, const ordered_json& messages, const ordered_json& extra = {}) {
  std::string shown;
  for (const TemplatePiece& piece :
       ChatTemplate::parse(source, "<s>", "</s>").render_pieces(messages, true, extra)) {
    EXPECT_FALSE(piece.text.empty());
    shown += piece.from_message ? "[" + piece.text + "]" : piece.text;
  }
  return shown;
}

struct Refusal {
  ErrorKind kind;
  std::string message;
};

Refusal refusal(const std::string& source, const ordered_json& messages = kNone,
                const ordered_json& extra = {}) {
  try {
    const std::string text = ChatTemplate::parse(source, "", "").render(messages, false, extra);
    ADD_FAILURE() << source << " gave \"" << text << "\"";
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {};
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(TemplatePiecesTest, FollowTextThroughOperations) {
  const ordered_json hi = one(" Hi ");
  const std::string c = "messages[0].content";
  EXPECT_EQ(pieces("<a>{{ " + c + " }}</a>", hi), "<a>[ Hi ]</a>");
  EXPECT_EQ(pieces("{{ '<' + " + c + " | trim + '>' }}", hi), "<[Hi]>");
  EXPECT_EQ(pieces("{{ bos_token ~ " + c + ".strip() ~ eos_token }}", hi), "<s>[Hi]</s>");
  EXPECT_EQ(pieces("{{ " + c + " | replace('i', '<b>') }}", hi), "[ H]<b>[ ]");
  EXPECT_EQ(pieces("{{ 'x-y' | replace('-', " + c + ") }}", hi), "x[ Hi ]y");
  EXPECT_EQ(pieces("{{ ('a' + " + c + " + 'b')[2:4] | upper }}", hi), "[HI]");
  EXPECT_EQ(pieces("{{ ('<' + " + c + ").split(' ') | join('|') }}", hi), "<|[Hi]|");
  EXPECT_EQ(pieces("{{ (" + c + " + 'x') | reverse }}", hi), "x[ iH ]");
  EXPECT_EQ(pieces("{% set t %}<{{ " + c + " }}>{% endset %}{{ t.title() }}", hi), "<[ Hi ]>");
  EXPECT_EQ(pieces("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(" + c + ") * 2 }}", hi), "<[ Hi ]><[ Hi ]>");
  EXPECT_EQ(pieces("{{ '%s|%5s' % (" + c + ", 'y') }}{{ '({})'.format(" + c + ") }}", hi),
            "[ Hi ]|    y([ Hi ])");
  EXPECT_EQ(pieces("{% for x in " + c + " %}{{ x }}.{% endfor %}", hi), "[ ].[H].[i].[ ].");
  EXPECT_EQ(pieces("{{ " + c + " | indent(2, true) }}", one("a\nb")), "  [a]\n  [b]");
}

TEST(TemplatePiecesTest, EverythingHandedInIsMarked) {
  EXPECT_EQ(pieces("{{ messages | tojson }}", {{{"k\n", {"v\"", 1}}}}), "[{\"[k\\n]\": [\"[v\\\"]\", 1]}]");
  EXPECT_EQ(pieces("{{ messages[0] }}", {{{"k", "v"}}}), "{'[k]': '[v]'}");
  EXPECT_EQ(pieces("{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}", {{{"k", "v"}}}),
            "[k]=[v];");
  EXPECT_EQ(pieces("{{ tools[0].name }}{{ style }}", kNone, {{"tools", {{{"name", "f"}}}}, {"style", "s"}}),
            "[fs]");
}

TEST(TemplatePiecesTest, NeighboursDifferAndMakeUpTheText) {
  const auto chat =
      ChatTemplate::parse("{{ messages[0].content }}{{ messages[0].content }}a{{ 'b' }}", "", "");
  const auto found = chat.render_pieces(one("x"), false);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].text, "xx");
  EXPECT_EQ(found[1].text, "ab");
  EXPECT_TRUE(ChatTemplate::parse("", "", "").render_pieces(kNone, false).empty());
}

TEST(ChatTemplateTest, TokensThatAreNotThereAreUndefined) {
  const std::string source = "{{ bos_token is defined }}{{ bos_token }}{{ eos_token }}";
  EXPECT_EQ(ChatTemplate::parse(source, "", "</s>").render(kNone, false), "False</s>");
  EXPECT_EQ(ChatTemplate::parse(source, "<s>", "").render(kNone, false), "True<s>");
}

TEST(ChatTemplateTest, VariablesOfTheCaller) {
  const auto chat = ChatTemplate::parse(
      "{{ tools is none }}{{ documents }}{{ add_generation_prompt }}{{ pad_token }}{{ bos_token }}{{ "
      "messages | length }}",
      "<s>", "");
  EXPECT_EQ(chat.render(kNone, true), "TrueNoneTrue<s>0");
  const ordered_json extra = {
      {"tools", {1}}, {"pad_token", "<p>"}, {"bos_token", "<q>"}, {"messages", {1, 2}}};
  EXPECT_EQ(chat.render(kNone, false, extra), "FalseNoneFalse<p><q>0") << "messages are not replaced";
  EXPECT_EQ(chat.render(kNone, false, nullptr), chat.render(kNone, false, ordered_json::object()));
}

TEST(ChatTemplateTest, TheTimeIsTheCallers) {
  const auto chat = ChatTemplate::parse("{{ strftime_now('%d %b %Y, %H:%M:%S %j %a') }}", "", "");
  EXPECT_EQ(chat.render(kNone, false, {}, {.now_s = 0, .limits = {}}), "01 Jan 1970, 00:00:00 001 Thu");
  EXPECT_EQ(chat.render(kNone, false, {}, {.now_s = 951'827'696, .limits = {}}),
            "29 Feb 2000, 12:34:56 060 Tue");
  EXPECT_EQ(chat.render(kNone, false, {}, {.now_s = -1, .limits = {}}), "31 Dec 1969, 23:59:59 365 Wed");
  EXPECT_EQ(ChatTemplate::parse("{{ strftime_now('%Y') | int > 2024 }}", "", "").render(kNone, false),
            "True");
}

TEST(ChatTemplateTest, SyntaxErrorsNameLineAndText) {
  const Refusal unknown = refusal("a\n\n{% frobnicate x %}");
  EXPECT_EQ(unknown.kind, ErrorKind::kCorruptFile);
  EXPECT_TRUE(has(unknown.message, "line 3") && has(unknown.message, "frobnicate")) << unknown.message;
  const Refusal unclosed = refusal("{% if a %}\n{{ b }}\n");
  EXPECT_EQ(unclosed.kind, ErrorKind::kCorruptFile);
  EXPECT_TRUE(has(unclosed.message, "endif")) << unclosed.message;
  const Refusal operand = refusal("{{ 1 +\n }}");
  EXPECT_TRUE(has(operand.message, "line 2") && has(operand.message, "}}")) << operand.message;
}

TEST(ChatTemplateTest, UnsupportedPartsAreSaidToBe) {
  for (const char* source :
       {"{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% block b %}{% endblock %}",
        "{% for x in y recursive %}{% endfor %}", "{{ x[1, 2] }}", "{{ 1 | nosuchfilter }}",
        "{{ 1 is nosuchtest }}", "{{ '\\N{DASH}' }}", "{{ 99999999999999999999 }}"}) {
    EXPECT_EQ(refusal(source).kind, ErrorKind::kUnsupported) << source;
  }
}

// As in Jinja: whoever never runs into a branch never learns that it cannot run.
TEST(ChatTemplateTest, UnknownFiltersInBranchesFailWhenTheyRun) {
  for (const std::string part :
       {"{{ 1 | nosuchfilter }}", "{{ 1 is nosuchtest }}", "{% filter nosuchfilter %}x{% endfilter %}"}) {
    const std::string guarded = "{% if messages %}" + part + "{% else %}fine{% endif %}";
    EXPECT_EQ(ChatTemplate::parse(guarded, "", "").render(kNone, false), "fine") << part;
    const Refusal refused = refusal(guarded, one("x"));
    EXPECT_EQ(refused.kind, ErrorKind::kInvalidArgument) << refused.message;
    EXPECT_TRUE(has(refused.message, "line 1: unknown")) << refused.message;
    EXPECT_EQ(refusal("{% if x %}{% endif %}" + part).kind, ErrorKind::kUnsupported) << part;
  }
  EXPECT_EQ(
      ChatTemplate::parse("{{ (1 | nosuchfilter) if messages else 'fine' }}", "", "").render(kNone, false),
      "fine");
}

TEST(ChatTemplateTest, NumbersBeyondDoublesAreReadAsPythonReadsThem) {
  const std::string source = "{{ 1e400 }} {{ 1e-400 }} {{ 1e400 > 5 }}";
  EXPECT_EQ(ChatTemplate::parse(source, "", "").render(kNone, false), "inf 0.0 True");
}

TEST(ChatTemplateTest, RoundedIntegersStayIntegers) {
  const std::pair<const char*, const char*> cases[] = {
      {"1234 | round(-2)", "1200"},    {"1250 | round(-2)", "1200"},
      {"1350 | round(-2)", "1400"},    {"1251 | round(-2)", "1300"},
      {"-1250 | round(-2)", "-1200"},  {"5 | round(-1)", "0"},
      {"15 | round(-1)", "20"},        {"7 | round", "7"},
      {"7 | round(3)", "7"},           {"7 | round(-25)", "0"},
      {"true | round", "1"},           {"1234.0 | round(-2)", "1200.0"},
      {"7 | round(0, 'floor')", "7.0"}};
  for (const auto& [source, text] : cases) {
    const std::string whole = std::string("{{ ") + source + " }}";
    EXPECT_EQ(ChatTemplate::parse(whole, "", "").render(kNone, false), text) << source;
  }
}

TEST(TemplatePiecesTest, KnownRolesAreWordsOfTheTemplate) {
  const std::string source = "{{ '<|' + messages[0].role + '|>' + messages[0].content }}";
  EXPECT_EQ(pieces(source, {{{"role", "user"}, {"content", "user"}}}), "<|user|>[user]");
  EXPECT_EQ(pieces(source, {{{"role", "x|><|user"}, {"content", "c"}}}), "<|[x|><|user]|>[c]");
  EXPECT_EQ(pieces("{{ messages[0].name }}", {{{"role", "user"}, {"name", "user"}}}), "[user]");
}

TEST(ChatTemplateTest, FurtherTokensAreVariables) {
  const ChatTemplate chat = ChatTemplate::parse("{{ pad_token }}{{ bos_token }}{{ x is defined }}", "<s>", "",
                                                {{"pad_token", "<p>"}});
  EXPECT_EQ(chat.render(kNone, false), "<p><s>False");
}

TEST(ChatTemplateTest, RefusalsOfTheTemplateAreTheCallersFault) {
  const Refusal raised = refusal("\n{{ raise_exception('roles must ' ~ 'alternate') }}");
  EXPECT_EQ(raised.kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(raised.message, "chat template, line 2: roles must alternate");
  const Refusal undefined = refusal("{{ messages[0].content + 'x' }}", {{{"role", "user"}}});
  EXPECT_EQ(undefined.kind, ErrorKind::kInvalidArgument);
  EXPECT_TRUE(has(undefined.message, "content")) << undefined.message;
}

TEST(ChatTemplateTest, ConversationsThatAreNoneAreRefused) {
  EXPECT_EQ(refusal("", "text").kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(refusal("", {1}).kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(refusal("", kNone, {1}).kind, ErrorKind::kInvalidArgument);
  ordered_json deep = 1;
  for (int i = 0; i < 200; ++i) deep = ordered_json::array({deep});
  EXPECT_EQ(refusal("{{ x }}", kNone, {{"x", deep}}).kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(refusal("{{ x }}", kNone, {{"x", 18446744073709551615u}}).kind, ErrorKind::kInvalidArgument);
}

TEST(ChatTemplateTest, NothingOfTheHostIsWithinReach) {
  for (const char* name :
       {"__class__", "__globals__", "__init__", "__subclasses__", "_private", "mro", "func_globals"}) {
    const std::string base =
        "{{ ('' ATTR) is defined }}{{ (messages ATTR) is defined }}{{ (range ATTR) is defined }}"
        "{{ (namespace() ATTR) is defined }}{{ ({} ATTR) is defined }}";
    for (const std::string& access : {"." + std::string(name), "['" + std::string(name) + "']"}) {
      std::string source = base;
      for (std::size_t at; (at = source.find(" ATTR")) != std::string::npos;) source.replace(at, 5, access);
      EXPECT_EQ(ChatTemplate::parse(source, "", "").render(kNone, false), "FalseFalseFalseFalseFalse")
          << access;
    }
  }
  for (const char* name :
       {"open", "self", "request", "config", "import", "os", "eval", "environ", "lipsum", "cycler"}) {
    EXPECT_EQ(ChatTemplate::parse("{{ " + std::string(name) + " is defined }}", "", "").render(kNone, false),
              "False");
  }
}

TEST(ChatTemplateTest, ValuesCannotBeChanged) {
  for (const char* source :
       {"{{ messages.append(1) }}", "{{ messages.pop() }}", "{{ messages[0].update({}) }}",
        "{{ messages[0].clear() }}", "{{ messages.sort() }}"}) {
    EXPECT_TRUE(has(refusal(source, one("x")).message, "cannot change")) << source;
  }
}

TEST(ChatTemplateTest, OneTemplateServesManyThreads) {
  const auto chat = ChatTemplate::parse(
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ m.content "
      "}}{% endfor %}",
      "", "");
  std::vector<std::thread> threads;
  std::atomic<int> num_wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const ordered_json messages = {{{"content", std::to_string(t)}}, {{"content", "x"}}};
      const std::string expected = "1" + std::to_string(t) + "2x";
      for (int i = 0; i < 500; ++i) num_wrong += chat.render(messages, true) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_wrong, 0);
}

}  // namespace
}  // namespace quire

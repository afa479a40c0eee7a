// Which form of content a template wants, found from what it does with it.
#include "template/content_format.h"

#include <gtest/gtest.h>

namespace quire {
namespace {

ContentFormat format_of(const std::string& source) {
  return ChatTemplate::parse(source, "", "").content_format();
}

TEST(ContentFormat, TextIsWhatMostTemplatesWant) {
  for (const char* source :
       {"", "{{ messages }}", "{% for m in messages %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m['content'] | trim + 'x' }}{% endfor %}",
        "{% for m in messages %}{% for line in m.content.split('\n') %}{{ line }}{% endfor %}{% endfor %}",
        "{% for m in messages %}{{ m.content[:5] }}{% if m.content[0] == ' ' %}x{% endif %}{% endfor %}",
        "{% for m in messages %}{% for t in m.tool_calls %}{{ t.content }}{% endfor %}{% endfor %}",
        "{% for t in tools %}{% for c in t.content %}{{ c.text }}{% endfor %}{% endfor %}",
        "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% endif %}{% endfor %}",
        "{% set content = messages[0].content | length %}{{ content }}"}) {
    EXPECT_EQ(format_of(source), ContentFormat::kText) << source;
  }
}

TEST(ContentFormat, LoopsAndIndicesWantParts) {
  for (const char* source :
       {"{% for m in messages %}{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endfor %}",
        "{% for m in messages %}{% for c in m.content %}{{ c.text }}{% endfor %}{% endfor %}",
        "{% for m in messages[1:] %}{% for c in m.get('content') %}{{ c }}{% endfor %}{% endfor %}",
        "{% for m in messages | reverse %}{% for c in m.content | list %}{{ c }}{% endfor %}{% endfor %}",
        "{{ messages[0].content[0].text }}", "{{ messages[0]['content'][0]['text'] }}",
        "{{ (messages | last).content[-1]['type'] }}",
        "{% set c = messages[0]['content'] %}{{ c[0]['text'] }}",
        "{% set first = messages | first %}{% set part = first.content | first %}{{ part.text }}",
        "{% set loop_messages = messages[1:] %}{% for m in loop_messages %}{% for c in m.content %}{% endfor "
        "%}{% endfor %}",
        "{% set ns = namespace(all=messages) %}{% for m in ns.all %}{% for c in m.content %}{% endfor %}{% "
        "endfor %}",
        "{% macro show(content) %}{% for c in content %}{{ c.text }}{% endfor %}{% endmacro %}"
        "{% for m in messages %}{{ show(m.content) }}{% endfor %}",
        "{% macro show(x, y='') %}{% for c in y %}{{ c.text }}{% endfor %}{% endmacro %}"
        "{% for m in messages %}{{ show(1, y=m.content) }}{% endfor %}",
        "{% for m in messages %}{{ m.content | map(attribute='text') | join }}{% endfor %}",
        "{% for m in messages %}{{ m.content | selectattr('type', 'equalto', 'text') | list }}{% endfor %}",
        "{% with all = messages %}{% for m in all %}{% for c in m.content %}{% endfor %}{% endfor %}{% "
        "endwith %}",
        "{% for m in messages %}{% for c in (m.content or []) %}{{ c.text }}{% endfor %}{% endfor %}"}) {
    EXPECT_EQ(format_of(source), ContentFormat::kParts) << source;
  }
}

TEST(ContentFormat, WhoLooksAtTheTypeTakesEither) {
  for (const char* source :
       {"{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for c in m.content %}{{ c.text }}{% endfor %}{% endif %}{% endfor %}",
        "{% macro show(c) %}{% if c is not string %}{% for p in c %}{{ p.text }}{% endfor %}{% endif %}"
        "{% endmacro %}{% for m in messages %}{{ show(m.content) }}{% endfor %}"}) {
    EXPECT_EQ(format_of(source), ContentFormat::kEither) << source;
  }
}

}  // namespace
}  // namespace quire

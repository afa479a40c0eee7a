#include "template/chat_template.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "template/content_format.h"
#include "template/interpreter.h"
#include "template/parser.h"

namespace quire {
namespace {

using jinja::Ast;
using jinja::Runtime;
using jinja::Text;
using jinja::Value;
using nlohmann::ordered_json;

constexpr std::size_t kMaxSourceBytes = 4u << 20;
constexpr int kMaxJsonDepth = 128;

Value json_value(const ordered_json& json, Runtime& runtime, int depth);

Value json_object(const ordered_json& json, Runtime& runtime, int depth) {
  jinja::Dict dict;
  for (const auto& [key, member] : json.items()) {
    dict.set(make_text(Text(key, true), runtime.budget), json_value(member, runtime, depth + 1),
             runtime.budget);
  }
  return make_dict(std::move(dict), runtime.budget);
}

// A value that was handed in: all its text is marked.
Value json_value(const ordered_json& json, Runtime& runtime, int depth) {
  QUIRE_CHECK(depth < kMaxJsonDepth, "the conversation nests deeper than {} levels", kMaxJsonDepth);
  switch (json.type()) {
    case ordered_json::value_t::null:
      return Value(jinja::None{});
    case ordered_json::value_t::boolean:
      return Value(json.get<bool>());
    case ordered_json::value_t::number_unsigned:
      QUIRE_CHECK(json.get<std::uint64_t>() <= INT64_MAX, "the number {} does not fit in 63 bits",
                  json.get<std::uint64_t>());
      return Value(json.get<std::int64_t>());
    case ordered_json::value_t::number_integer:
      return Value(json.get<std::int64_t>());
    case ordered_json::value_t::number_float:
      return Value(json.get<double>());
    case ordered_json::value_t::string:
      return make_text(Text(json.get_ref<const std::string&>(), true), runtime.budget);
    case ordered_json::value_t::array: {
      std::vector<Value> items;
      for (const ordered_json& item : json) items.push_back(json_value(item, runtime, depth + 1));
      return make_list(std::move(items), runtime.budget);
    }
    case ordered_json::value_t::object:
      return json_object(json, runtime, depth);
    default:
      throw_error(ErrorKind::kInvalidArgument, "the conversation holds a value that is not JSON");
  }
}

// A message; a role that we know is no word of a stranger.
Value message_value(const ordered_json& message, Runtime& runtime) {
  jinja::Dict dict;
  for (const auto& [key, member] : message.items()) {
    const bool is_role =
        key == "role" && member.is_string() &&
        std::find(kRoles.begin(), kRoles.end(), member.get_ref<const std::string&>()) != kRoles.end();
    Value value = is_role ? make_text(member.get_ref<const std::string&>(), runtime.budget)
                          : json_value(member, runtime, 2);
    dict.set(make_text(Text(key, true), runtime.budget), std::move(value), runtime.budget);
  }
  return make_dict(std::move(dict), runtime.budget);
}

Value messages_value(const ordered_json& messages, Runtime& runtime) {
  std::vector<Value> items;
  for (const ordered_json& message : messages) items.push_back(message_value(message, runtime));
  return make_list(std::move(items), runtime.budget);
}

// A broken byte would reach the prompt, which would then be refused as if its caller had written it.
void check_utf8(std::string_view source) {
  const auto num_bytes = static_cast<std::int32_t>(source.size());
  for (std::int32_t at = 0; at < num_bytes;) {
    const std::int32_t begin = at;
    UChar32 code_point = 0;
    U8_NEXT(source.data(), at, num_bytes, code_point);
    QUIRE_CHECK_KIND(kCorruptFile, code_point >= 0, "chat template: byte {} is not valid UTF-8", begin);
  }
}

std::int64_t clock_s() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count();
}

}  // namespace

struct ChatTemplate::Program {
  Ast ast;
  std::string bos_token, eos_token;
  NamedTokens other_tokens;
  ContentFormat content_format = ContentFormat::kText;

  Text run(const ordered_json& messages, bool add_generation_prompt, const ordered_json& extra,
           const TemplateRun& run) const;

 private:
  using Variables = std::vector<std::pair<jinja::NameId, Value>>;
  Variables variables(const ordered_json& messages, bool add_generation_prompt, const ordered_json& extra,
                      Runtime& runtime) const;
};

ChatTemplate ChatTemplate::parse(std::string_view source, std::string bos_token, std::string eos_token,
                                 NamedTokens other_tokens) {
  QUIRE_CHECK_KIND(kCorruptFile, source.size() <= kMaxSourceBytes,
                   "chat template of {} bytes, at most {} are read", source.size(), kMaxSourceBytes);
  check_utf8(source);
  auto program = std::make_shared<Program>();
  program->ast = jinja::parse_template(source);
  program->bos_token = std::move(bos_token);
  program->eos_token = std::move(eos_token);
  program->other_tokens = std::move(other_tokens);
  program->content_format = jinja::find_content_format(program->ast);
  return ChatTemplate(std::move(program));
}

ContentFormat ChatTemplate::content_format() const { return program_->content_format; }

// Later entries win; names that the template does not speak of are left out.
ChatTemplate::Program::Variables ChatTemplate::Program::variables(const ordered_json& messages,
                                                                  bool add_generation_prompt,
                                                                  const ordered_json& extra,
                                                                  Runtime& runtime) const {
  Variables found;
  const auto add = [&](std::string_view name, auto make) {
    for (std::size_t id = 0; id < ast.names.size(); ++id) {
      if (ast.names[id] != name) continue;
      std::erase_if(found, [id](const auto& entry) { return entry.first == static_cast<jinja::NameId>(id); });
      found.emplace_back(static_cast<jinja::NameId>(id), make());
    }
  };
  for (const auto& [name, token] : other_tokens) add(name, [&] { return make_text(token, runtime.budget); });
  if (!bos_token.empty()) add("bos_token", [&] { return make_text(bos_token, runtime.budget); });
  if (!eos_token.empty()) add("eos_token", [&] { return make_text(eos_token, runtime.budget); });
  for (const char* name : {"tools", "documents"}) add(name, [] { return Value(jinja::None{}); });
  if (extra.is_object()) {
    for (const auto& [name, value] : extra.items()) add(name, [&] { return json_value(value, runtime, 0); });
  }
  add("messages", [&] { return messages_value(messages, runtime); });
  add("add_generation_prompt", [&] { return Value(add_generation_prompt); });
  return found;
}

Text ChatTemplate::Program::run(const ordered_json& messages, bool add_generation_prompt,
                                const ordered_json& extra, const TemplateRun& options) const {
  QUIRE_CHECK(messages.is_array(), "messages must be an array, got {}", messages.type_name());
  for (const ordered_json& message : messages) {
    QUIRE_CHECK(message.is_object(), "each message must be an object, got {}", message.type_name());
  }
  QUIRE_CHECK(extra.is_object() || extra.is_null() || extra.empty(),
              "template variables must be an object, got {}", extra.type_name());
  Runtime runtime{jinja::Budget(options.limits), options.now_s ? *options.now_s : clock_s(), {}};
  jinja::Interpreter interpreter(ast, runtime);
  try {
    return interpreter.run(variables(messages, add_generation_prompt, extra, runtime));
  } catch (const Error& error) {
    throw_error(error.kind(), "chat template, line {}: {}", interpreter.line(), error.what());
  }
}

std::string ChatTemplate::render(const ordered_json& messages, bool add_generation_prompt,
                                 const ordered_json& extra, const TemplateRun& run) const {
  return program_->run(messages, add_generation_prompt, extra, run).bytes();
}

std::vector<TemplatePiece> ChatTemplate::render_pieces(const ordered_json& messages,
                                                       bool add_generation_prompt, const ordered_json& extra,
                                                       const TemplateRun& run) const {
  const Text text = program_->run(messages, add_generation_prompt, extra, run);
  std::vector<TemplatePiece> pieces;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin + 1;
    while (end < text.size() && text.is_marked(end) == text.is_marked(begin)) ++end;
    pieces.push_back({text.bytes().substr(begin, end - begin), text.is_marked(begin)});
    begin = end;
  }
  return pieces;
}

}  // namespace quire

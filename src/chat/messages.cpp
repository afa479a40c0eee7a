#include "chat/messages.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace quire {
namespace {

using nlohmann::ordered_json;

// Of a key that a model wrote twice the last counts, as for those who would call the tool.
constexpr JsonLimits kArgumentLimits = {
    .max_bytes = 8u << 20, .max_depth = 64, .max_values = 1'000'000, .reject_duplicate_keys = false};

// Order matters to templates, so the text is read a second time once it is known to be harmless.
ordered_json parsed_arguments(const std::string& text) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) return ordered_json::object();
  try {
    Json value = parse_json(text, "arguments", kArgumentLimits);
    const TreeScope scope(value);
    if (value.is_object() || value.is_array()) return ordered_json::parse(text);
  } catch (const Error&) {  // a model wrote it: what is no JSON is shown as it is
  } catch (const ordered_json::exception&) {
  }
  return text;
}

std::string joined_parts(const ordered_json& parts) {
  std::string text;
  bool is_first = true;
  for (const ordered_json& part : parts) {
    const auto piece = part.is_object() ? part.find("text") : part.end();
    if (!part.is_object() || piece == part.end() || !piece->is_string()) continue;
    if (!std::exchange(is_first, false)) text += '\n';
    text += piece->get_ref<const std::string&>();
  }
  return text;
}

}  // namespace

ordered_json with_reasoning_fields(ordered_json messages) {
  static constexpr const char* kNames[] = {"reasoning_content", "thinking", "reasoning"};
  for (ordered_json& message : messages) {
    if (!message.is_object()) continue;
    for (const char* name : kNames) {
      const auto thought = message.find(name);
      if (thought == message.end() || thought->is_null()) continue;
      const ordered_json text = *thought;  // adding members moves the others
      if (!message.contains("thinking")) message["thinking"] = text;
      message["reasoning_content"] = text;
      break;
    }
  }
  return messages;
}

ordered_json with_parsed_arguments(ordered_json messages) {
  for (ordered_json& message : messages) {
    if (!message.is_object() || !message.contains("tool_calls") || !message["tool_calls"].is_array())
      continue;
    for (ordered_json& call : message["tool_calls"]) {
      if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) continue;
      ordered_json& arguments = call["function"]["arguments"];
      if (arguments.is_null()) arguments = ordered_json::object();
      if (arguments.is_string()) arguments = parsed_arguments(arguments.get_ref<const std::string&>());
    }
  }
  return messages;
}

ordered_json with_content_format(ordered_json messages, ContentFormat format) {
  for (ordered_json& message : messages) {
    if (!message.is_object() || !message.contains("content")) continue;
    ordered_json& content = message["content"];
    if (format == ContentFormat::kText && content.is_array()) {
      std::string text = joined_parts(content);
      dismantle(content);
      content = std::move(text);
    } else if (format == ContentFormat::kParts && content.is_string()) {
      ordered_json part = ordered_json::object();  // lists of members would be trees that end here
      part["type"] = "text";
      part["text"] = std::move(content);
      content = ordered_json::array();
      content.push_back(std::move(part));
    }
  }
  return messages;
}

}  // namespace quire

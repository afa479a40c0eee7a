// Messages as clients send them, turned into what a template reads.
#pragma once

#include <nlohmann/json.hpp>

#include "template/chat_template.h"

namespace quire {

// Templates read the thoughts of a message under one of three names; whichever one is there is copied to the
// others, as Hugging Face does.
nlohmann::ordered_json with_reasoning_fields(nlohmann::ordered_json messages);

// tool_calls[].function.arguments as values: clients send them as JSON in a string, templates write them with
// tojson or walk over them. A string that is no JSON object or array stays as it is; an absent or empty one
// is an object without members.
nlohmann::ordered_json with_parsed_arguments(nlohmann::ordered_json messages);

// Contents in the form that a template wants: parts joined to one text with a line feed between, or a text
// wrapped as the only part. Parts are objects with "text"; other values of `content` stay as they are.
nlohmann::ordered_json with_content_format(nlohmann::ordered_json messages, ContentFormat format);

}  // namespace quire

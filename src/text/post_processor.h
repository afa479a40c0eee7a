// Post-processors of tokenizer.json: TemplateProcessing, ByteLevel (which only moves offsets), Sequence.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "text/json_field.h"

namespace quire {

// What a template puts around the ids of one text.
struct PostProcessor {
  std::vector<std::int32_t> prefix;
  std::vector<std::int32_t> suffix;
};

// `has_token` says whether an id has a token. Throws Error{kUnsupported, kCorruptFile}.
PostProcessor make_post_processor(const JsonField& field, const std::function<bool(std::int32_t)>& has_token);

}  // namespace quire

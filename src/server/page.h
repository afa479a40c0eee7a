// The live page inside the program: index.html at /, and the files that it names at /page/NAME.
#pragma once

#include <memory>
#include <string_view>

#include "base/named_text.h"
#include "server/http_message.h"

namespace quire {

std::span<const NamedText> live_page();

// The file at that path, with its content type. Throws ApiError 404.
std::unique_ptr<Reply> page_reply(std::string_view path);

}  // namespace quire

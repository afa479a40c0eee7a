// What a file is that was meant to be something else. Downloads fail in a few well-known ways, and the bytes
// that come instead say which.
#pragma once

#include <string>
#include <string_view>

namespace quire {

// What the bytes are, and what to do about it, if they are the beginning of: a Git LFS pointer, a web page,
// an archive, a compressed file, or weights in another format than safetensors. Empty for everything else.
std::string foreign_kind(std::string_view bytes);

// Throws Error{kCorruptFile} that starts with `origin` (a file name) for bytes of a foreign kind.
void refuse_foreign(std::string_view bytes, const std::string& origin);

}  // namespace quire

// Texts that whoever starts the program names: its configuration, a prompt, a trace. Files of models are read
// by files/mapped_file.h instead, which trusts nobody.
#pragma once

#include <cstddef>
#include <istream>
#include <string>

namespace quire {

// The whole file; a pipe will do, as a shell makes one of <(...). `what` is for messages: "the prompt file".
// Throws Error{kNotFound} when it cannot be read (a folder cannot), and Error{kInvalidArgument} when it is
// longer than `max_bytes`, of which a file without end is an example.
std::string read_text_file(const std::string& path, std::size_t max_bytes, const std::string& what);

// The rest of a stream, likewise; `origin` is its name.
std::string read_text(std::istream& in, std::size_t max_bytes, const std::string& origin);

}  // namespace quire

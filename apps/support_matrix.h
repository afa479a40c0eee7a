// Which attention backend can do what, made from the backends' own answers.
#pragma once

#include <string>

namespace quire {

std::string support_matrix_text();      // for a terminal
std::string support_matrix_markdown();  // for the docs

}  // namespace quire

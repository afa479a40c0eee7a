// Which attention backend can do what, made from the backends' own answers.
#pragma once

#include "device/device.h"

#include <string>

namespace quire {

std::string support_matrix_text(const Device& device);      // for a terminal
std::string support_matrix_markdown(const Device& device);  // for the docs

}  // namespace quire

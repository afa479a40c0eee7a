// The backends of this library; the rest of the program sees them through attention_backends().
#pragma once

#include <memory>

#include "attention/attention.h"

namespace quire {

std::unique_ptr<AttentionBackend> make_unified_backend();
std::unique_ptr<AttentionBackend> make_reference_backend();

}  // namespace quire

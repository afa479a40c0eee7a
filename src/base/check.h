// Checks that throw quire::Error with the values in the message:
//   QUIRE_CHECK(num_pages > 0, "page pool needs at least 1 page, got {}", num_pages);        // kInvalidArgument
//   QUIRE_CHECK_KIND(kCorruptFile, end <= file_bytes, "{}: tensor ends at {}", path, end);
//   throw_error(ErrorKind::kNotFound, "no model at {}", path);
#pragma once

#include <fmt/format.h>

#include <utility>

#include "base/error.h"

namespace quire {

template <class... Args>
[[noreturn]] void throw_error(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace quire

#define QUIRE_CHECK_KIND(kind, condition, ...) \
  ((condition) ? (void)0 : ::quire::throw_error(::quire::ErrorKind::kind, __VA_ARGS__))
#define QUIRE_CHECK(condition, ...) QUIRE_CHECK_KIND(kInvalidArgument, condition, __VA_ARGS__)

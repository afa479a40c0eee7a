// What a call throws, for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace quire {

// The message of the Error that f throws; a failure of the test if it throws none, or one of another kind.
template <class F>
std::string message_of(const F& f, ErrorKind kind) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

}  // namespace quire

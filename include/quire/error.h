// The one error type of the library. Nothing in it ends the process: bad input becomes a quire::Error whose
// message carries the values that were wrong, thrown before anything is allocated.
#pragma once

#include <stdexcept>
#include <string>

namespace quire {

enum class ErrorKind {
  kInvalidArgument,  // the caller's input is wrong
  kNotFound,         // a named thing does not exist
  kUnsupported,      // a valid wish that this build, model or device cannot fulfil
  kExhausted,        // out of pages, memory, queue places or time
  kCorruptFile,      // a file breaks its format
  kInternal,         // a promise inside Quire is broken
};

const char* to_string(ErrorKind kind);

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace quire

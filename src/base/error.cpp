#include "base/error.h"

namespace quire {

const char* to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument: return "invalid argument";
    case ErrorKind::kNotFound: return "not found";
    case ErrorKind::kUnsupported: return "unsupported";
    case ErrorKind::kExhausted: return "exhausted";
    case ErrorKind::kCorruptFile: return "corrupt file";
    case ErrorKind::kInternal: return "internal";
  }
  return "unknown";
}

}  // namespace quire

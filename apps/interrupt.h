// Ctrl-C as a question instead of an end, for as long as an object lives.
#pragma once

namespace quire {

class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  // Whether Ctrl-C came since the last call.
  bool take();
};

}  // namespace quire

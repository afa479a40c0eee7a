// Text for tests: token t is the letter 'a' + t % 26, and every token divisible by 13 is held back until the
// next one.
#pragma once

#include <memory>
#include <string>

#include "engine/text_decoder.h"

namespace quire {

class FakeDecoder : public TextDecoder {
 public:
  std::string push(std::int32_t token) override {
    pending_ += letter(token);
    return token % 13 == 0 ? std::string() : std::exchange(pending_, {});
  }
  std::string finish() override { return std::exchange(pending_, {}); }

  static char letter(std::int32_t token) { return static_cast<char>('a' + token % 26); }

 private:
  std::string pending_;
};

inline std::unique_ptr<TextDecoder> make_fake_decoder(std::span<const std::int32_t>, bool) {
  return std::make_unique<FakeDecoder>();
}

}  // namespace quire

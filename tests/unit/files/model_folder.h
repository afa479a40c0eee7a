// Builds safetensors bytes and model folders for the tests of this group.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "base/error.h"

namespace quire {

// The bytes of a file with this header and data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes + header + data;
}

inline std::span<const std::byte> as_byte_span(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// A folder that lives as long as the test.
class ModelFolder {
 public:
  ModelFolder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(testing::TempDir()) / (std::string("quire_") + test->test_suite_name() +
                                                         "_" + test->name() + "_" + std::to_string(getpid()));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ModelFolder() { std::filesystem::remove_all(path_); }
  ModelFolder(const ModelFolder&) = delete;
  ModelFolder& operator=(const ModelFolder&) = delete;

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Names the cases of a table by their field `name`.
constexpr auto kCaseName = [](const auto& test) { return std::string(test.param.name); };

// Runs `act`, which must throw an Error of `kind` whose message holds every one of `fragments`.
template <class Act>
void expect_error(ErrorKind kind, std::initializer_list<std::string> fragments, Act act) {
  try {
    act();
  } catch (const Error& e) {
    EXPECT_EQ(to_string(e.kind()), std::string(to_string(kind))) << e.what();
    for (const std::string& fragment : fragments) {
      EXPECT_NE(std::string(e.what()).find(fragment), std::string::npos)
          << "no <" << fragment << "> in: " << e.what();
    }
    return;
  }
  ADD_FAILURE() << "nothing thrown, expected: " << *fragments.begin();
}

}  // namespace quire

// A file that is cut while it is mapped ends the program with its name and an exit code.
#include "apps/cut_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "apps/command.h"
#include "files/mapped_file.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

int read_after_cut(const fs::path& path) {
  report_cut_files();
  const MappedFile file = MappedFile::open(path);
  fs::resize_file(path, 10);
  int sum = 0;
  for (const std::byte byte : file.bytes()) sum += std::to_integer<int>(byte);
  return sum;
}

int raise_without_a_file() {
  report_cut_files();
  return ::raise(SIGBUS);
}

TEST(CutFileDeathTest, NamesTheFile) {
  std::string pattern = (fs::temp_directory_path() / "quire-cut-XXXXXX").string();
  const int fd = ::mkstemp(pattern.data());
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::ftruncate(fd, 1 << 20), 0);
  EXPECT_EXIT(std::exit(read_after_cut(pattern) & 1), testing::ExitedWithCode(kExitInternal),
              "quire: " + pattern + ": was cut by another process");
  ::close(fd);
  fs::remove(pattern);
}

TEST(CutFileDeathTest, OtherBusErrorsStaySignals) {
  EXPECT_EXIT(std::exit(raise_without_a_file()), testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace quire

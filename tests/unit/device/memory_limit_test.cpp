// Made-up control groups in both versions of the interface, as containers and services see them.
#include "device/memory_limit.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace quire {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMiB = 1 << 20;

class MemoryLimitTest : public testing::Test {
 protected:
  MemoryLimitTest() {
    std::string pattern = (fs::temp_directory_path() / "quire-memory-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    files_ = {root_ / "meminfo", root_ / "own", root_ / "cgroup"};
    write("meminfo",
          "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    8388608 kB\n");
  }
  ~MemoryLimitTest() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  void expect_host(std::uint64_t total_mib, std::uint64_t free_mib) const {
    const MemoryLimit memory = host_memory(files_);
    EXPECT_EQ(memory.total_bytes, total_mib * kMiB);
    EXPECT_EQ(memory.free_bytes, free_mib * kMiB);
  }

  fs::path root_;
  MemoryFiles files_;
};

TEST_F(MemoryLimitTest, WithoutGroupsItIsTheMachines) {
  expect_host(16384, 8192);
  EXPECT_FALSE(cgroup_memory(files_));
  write("own", "0::/\n");
  EXPECT_FALSE(cgroup_memory(files_));
}

TEST_F(MemoryLimitTest, VersionTwoInAContainerOfItsOwnNamespace) {
  write("own", "0::/\n");
  write("cgroup/memory.max", "2147483648\n");
  write("cgroup/memory.high", "max\n");
  write("cgroup/memory.current", "1073741824\n");
  write("cgroup/memory.stat", "anon 805306368\nfile 268435456\ninactive_file 134217728\nactive_file 1\n");
  expect_host(2048, 1024 + 128);  // the cache of files that were not touched lately can be had
}

TEST_F(MemoryLimitTest, VersionTwoTakesTheTightestOfAllGroupsAround) {
  write("own", "0::/system.slice/quire.service\n");
  write("cgroup/system.slice/memory.max", "4294967296\n");
  write("cgroup/system.slice/memory.current", "4026531840\n");
  write("cgroup/system.slice/quire.service/memory.max", "max\n");
  write("cgroup/system.slice/quire.service/memory.high", "3221225472\n");
  write("cgroup/system.slice/quire.service/memory.current", "104857600\n");
  expect_host(3072, 256);
}

TEST_F(MemoryLimitTest, VersionOne) {
  write("own", "12:pids:/docker/abc\n5:cpu,memory:/docker/abc\n1:name=systemd:/docker/abc\n");
  write("cgroup/memory/docker/abc/memory.limit_in_bytes", "1073741824\n");
  write("cgroup/memory/docker/abc/memory.usage_in_bytes", "536870912\n");
  write("cgroup/memory/docker/abc/memory.stat", "cache 7\ntotal_inactive_file 268435456\n");
  write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");  // none
  write("cgroup/memory/memory.usage_in_bytes", "9000000000\n");
  expect_host(1024, 768);
}

TEST_F(MemoryLimitTest, VersionOneWhereTheContainersGroupIsMountedAtTheRoot) {
  write("own", "5:memory:/docker/of-the-host\n0::/docker/of-the-host\n");
  write("cgroup/memory/memory.limit_in_bytes", "1073741824\n");
  write("cgroup/memory/memory.usage_in_bytes", "0\n");
  expect_host(1024, 1024);
}

TEST_F(MemoryLimitTest, UseBeyondTheLimitLeavesNothing) {
  write("own", "0::/../../elsewhere\n");
  write("cgroup/memory.max", "1048576\n");
  write("cgroup/memory.current", "2097152\n");
  expect_host(1, 0);
}

TEST_F(MemoryLimitTest, LimitsAboveTheMachineAndNonsenseChangeNothing) {
  write("own", "0::/\nnonsense\n:\n");
  write("cgroup/memory.max", "99999999999999\n");
  write("cgroup/memory.current", "5\n");
  expect_host(16384, 8192);
  write("cgroup/memory.max", "-1\n");
  EXPECT_FALSE(cgroup_memory(files_));
  write("cgroup/memory.max", "123abc\n");
  EXPECT_FALSE(cgroup_memory(files_));
}

TEST_F(MemoryLimitTest, WhereTheKernelDoesNotSay) {
  fs::remove(root_ / "meminfo");
  expect_host(1024, 1024);
}

}  // namespace
}  // namespace quire

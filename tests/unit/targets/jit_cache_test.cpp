// A cache file is used only if it is whole and meant; readers and writers at the same time see whole files.
#include "targets/jit/jit_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace quire {
namespace {

namespace fs = std::filesystem;

JitKey key_of(std::string_view text) {
  const std::string_view parts[] = {text};
  return make_jit_key(parts);
}

class JitCacheTest : public testing::Test {
 protected:
  JitCacheTest() {
    std::string pattern = (fs::temp_directory_path() / "quire-jit-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~JitCacheTest() override { fs::remove_all(root_); }

  fs::path only_file() const {
    const auto entries = cache().list();
    EXPECT_EQ(entries.size(), 1u);
    return entries.at(0).path;
  }
  JitCache cache() const { return JitCache(root_ / "a/b"); }

  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  fs::path root_;
  const CompiledKernel kernel_{"attention_bf16", "Used 128 registers",
                               std::string("\0\x7f"
                                           "ELF\0code",
                                           10)};
  const JitKey key_ = key_of("k");
};

TEST_F(JitCacheTest, GivesBackWhatWasStored) {
  EXPECT_FALSE(cache().try_load(key_));
  ASSERT_EQ(cache().store(key_, kernel_), "");
  const auto found = cache().try_load(key_);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, kernel_.name);
  EXPECT_EQ(found->log, kernel_.log);
  EXPECT_EQ(found->binary, kernel_.binary);
  EXPECT_FALSE(cache().try_load(key_of("other")));
  EXPECT_EQ(fs::status(cache().folder()).permissions(), fs::perms::owner_all);
}

TEST_F(JitCacheTest, WithoutAFolderNothingIsKept) {
  const JitCache none("");
  EXPECT_EQ(none.store(key_, kernel_), "");
  EXPECT_FALSE(none.try_load(key_));
  EXPECT_TRUE(none.list().empty());
  EXPECT_EQ(none.clear(), 0);
}

TEST_F(JitCacheTest, EveryTruncationIsFound) {
  cache().store(key_, kernel_);
  const fs::path path = only_file();
  const std::string whole = read(path);
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    write(path, whole.substr(0, bytes));
    EXPECT_FALSE(cache().try_load(key_)) << bytes << " of " << whole.size();
  }
  write(path, whole + "x");
  EXPECT_FALSE(cache().try_load(key_));
  write(path, whole);
  EXPECT_TRUE(cache().try_load(key_));
}

TEST_F(JitCacheTest, EveryFlippedBitIsFound) {
  cache().store(key_, kernel_);
  const fs::path path = only_file();
  const std::string whole = read(path);
  for (std::size_t byte = 0; byte < whole.size(); ++byte) {
    std::string damaged = whole;
    damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << byte % 8));
    write(path, damaged);
    EXPECT_FALSE(cache().try_load(key_)) << "byte " << byte;
  }
  ASSERT_EQ(cache().list().size(), 1u);
  EXPECT_FALSE(cache().list()[0].is_valid);
  ASSERT_EQ(cache().store(key_, kernel_), "");
  EXPECT_TRUE(cache().list()[0].is_valid);
}

TEST_F(JitCacheTest, AFileUnderAnotherKeysNameIsNotTaken) {
  cache().store(key_, kernel_);
  const fs::path path = only_file();
  const JitKey other = key_of("other");
  cache().store(other, kernel_);
  for (const JitCacheEntry& entry : cache().list()) {
    if (entry.path != path) fs::copy_file(path, entry.path, fs::copy_options::overwrite_existing);
  }
  EXPECT_TRUE(cache().try_load(key_));
  EXPECT_FALSE(cache().try_load(other));
}

TEST_F(JitCacheTest, KeysKnowWhereAPartEnds) {
  const std::string_view a[] = {"ab", "c"}, b[] = {"a", "bc"}, c[] = {"ab", "c", ""};
  EXPECT_NE(make_jit_key(a), make_jit_key(b));
  EXPECT_NE(make_jit_key(a), make_jit_key(c));
  EXPECT_EQ(make_jit_key(a), make_jit_key(a));
  const std::string zeros(8, '\0');
  const std::string_view one[] = {zeros}, two[] = {"", ""};
  EXPECT_NE(make_jit_key(one), make_jit_key(two));
}

TEST_F(JitCacheTest, ClearLeavesWhatIsNotItsOwn) {
  cache().store(key_, kernel_);
  cache().store(key_of("second"), kernel_);
  write(cache().folder() / "notes.txt", "mine");
  write(cache().folder() / "short.kernel", "mine");
  write(cache().folder() / "partial-abcdef", "left behind");
  EXPECT_EQ(cache().list().size(), 2u);
  EXPECT_EQ(cache().clear(), 2);
  EXPECT_TRUE(fs::exists(cache().folder() / "notes.txt"));
  EXPECT_TRUE(fs::exists(cache().folder() / "short.kernel"));
  EXPECT_FALSE(fs::exists(cache().folder() / "partial-abcdef"));
  EXPECT_EQ(cache().clear(), 0);
}

TEST_F(JitCacheTest, AFolderThatCannotBeMadeIsAReason) {
  write(root_ / "file", "");
  const JitCache blocked(root_ / "file" / "folder");
  EXPECT_NE(blocked.store(key_, kernel_).find("cannot make the folder"), std::string::npos);
  EXPECT_FALSE(blocked.try_load(key_));
}

// Writers of one key, with contents that differ in length, and a reader: it meets nothing but whole files.
TEST_F(JitCacheTest, ConcurrentWritersPublishWholeFiles) {
  std::atomic<bool> is_done{false};
  std::vector<std::jthread> writers;
  for (char name = 'a'; name < 'd'; ++name) {
    writers.emplace_back([this, name] {
      const CompiledKernel kernel{std::string(1, name), "",
                                  std::string(100'000 + static_cast<std::size_t>(name), name)};
      for (int i = 0; i < 40; ++i) EXPECT_EQ(cache().store(key_, kernel), "");
    });
  }
  std::jthread reader([&] {
    while (!cache().try_load(key_)) std::this_thread::yield();
    while (!is_done) {
      const auto found = cache().try_load(key_);
      ASSERT_TRUE(found);
      EXPECT_EQ(found->binary,
                std::string(100'000 + static_cast<std::size_t>(found->name[0]), found->name[0]));
    }
  });
  writers.clear();
  is_done = true;
  reader.join();
  for (const auto& file : fs::directory_iterator(cache().folder()))
    EXPECT_EQ(file.path().extension(), ".kernel");
}

TEST_F(JitCacheTest, FilesThatOthersMayWriteAreNotUsed) {
  ASSERT_EQ(cache().store(key_, kernel_), "");
  const fs::path file = only_file();
  ASSERT_EQ(::chmod(file.c_str(), 0620), 0);
  EXPECT_FALSE(cache().try_load(key_));
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  EXPECT_TRUE(cache().try_load(key_));
}

TEST_F(JitCacheTest, FoldersThatOthersMayWriteAreNotUsed) {
  ASSERT_EQ(cache().store(key_, kernel_), "");
  ASSERT_EQ(::chmod(cache().folder().c_str(), 0777), 0);
  EXPECT_FALSE(cache().try_load(key_));
  EXPECT_NE(cache().store(key_, kernel_).find("can be written by others (mode 777)"), std::string::npos);
  ASSERT_EQ(cache().list().size(), 1u);
  EXPECT_FALSE(cache().list()[0].is_valid);
  EXPECT_EQ(cache().list()[0].name, "not trusted");
  ASSERT_EQ(::chmod(cache().folder().c_str(), 0755), 0);
  EXPECT_TRUE(cache().try_load(key_));
}

TEST_F(JitCacheTest, LinksAreNotFollowed) {
  ASSERT_EQ(cache().store(key_, kernel_), "");
  const fs::path file = only_file();
  fs::rename(file, root_ / "elsewhere");
  fs::create_symlink(root_ / "elsewhere", file);
  EXPECT_FALSE(cache().try_load(key_));
}

TEST_F(JitCacheTest, FilesAndFoldersOfOtherUsersAreNotUsed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  ASSERT_EQ(cache().store(key_, kernel_), "");
  const fs::path file = only_file();
  ASSERT_EQ(::chown(file.c_str(), 12345, 12345), 0);
  EXPECT_FALSE(cache().try_load(key_));
  ASSERT_EQ(::chown(file.c_str(), 0, 0), 0);
  ASSERT_EQ(::chown(cache().folder().c_str(), 12345, 12345), 0);
  EXPECT_FALSE(cache().try_load(key_));
  EXPECT_NE(cache().store(key_, kernel_).find("belongs to user 12345"), std::string::npos);
}

}  // namespace
}  // namespace quire

// What may stand where a file should: things that wait, never end, lead elsewhere or are of another kind.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace quire {

struct HostileFile {
  std::string name;
  std::function<void(const std::filesystem::path&)> place;  // there is nothing yet
};

inline void place_socket(const std::filesystem::path& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.string().size(), sizeof(address.sun_path)) << path;
  path.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0) << path;
  ::close(fd);
}

inline std::vector<HostileFile> hostile_files() {
  namespace fs = std::filesystem;
  const auto link = [](const char* to) {
    return [to](const fs::path& path) { fs::create_symlink(to, path); };
  };
  const auto text = [](std::string bytes) {
    return
        [bytes = std::move(bytes)](const fs::path& path) { std::ofstream(path, std::ios::binary) << bytes; };
  };
  return {
      {"a pipe", [](const fs::path& path) { EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0); }},
      {"a socket", place_socket},
      {"a folder", [](const fs::path& path) { fs::create_directory(path); }},
      {"a device without end", link("/dev/zero")},
      {"a device without bytes", link("/dev/null")},
      {"a terminal", link("/dev/tty")},
      {"a link to nothing", link("nothing/there")},
      {"a link to itself", [](const fs::path& path) { fs::create_symlink(path.filename(), path); }},
      {"a link to a file of the system", link("/proc/self/mem")},
      {"an empty file", text("")},
      {"a file of 2^40 zero bytes",
       [](const fs::path& path) {
         std::ofstream(path) << "{";
         fs::resize_file(path, std::uintmax_t{1} << 40);
       }},
      {"a pointer of Git LFS", text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 727\n")},
      {"a web page", text("<!DOCTYPE html>\n<html><title>404</title></html>")},
      {"a GGUF file", text("GGUF\3")},
      {"a zip archive", text("PK\3\4")},
      {"a pickle", text("\x80\x02}q\1.")},
      {"gzip", text("\x1f\x8b\x08")},
      {"bytes that are no UTF-8", text("\xff\xfe\xc0\x80")}};
}

}  // namespace quire

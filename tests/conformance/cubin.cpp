#include "cubin.h"

#include <cstdint>
#include <cstring>
#include <regex>

#include "base/check.h"

namespace quire {
namespace {

template <class T>
T read_at(std::string_view bytes, std::uint64_t offset) {
  QUIRE_CHECK_KIND(kCorruptFile, offset <= bytes.size() && sizeof(T) <= bytes.size() - offset,
                   "cubin: {} bytes at {} of {}", sizeof(T), offset, bytes.size());
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::string_view part(std::string_view bytes, std::uint64_t offset, std::uint64_t num_bytes) {
  QUIRE_CHECK_KIND(kCorruptFile, offset <= bytes.size() && num_bytes <= bytes.size() - offset,
                   "cubin: {} bytes at {} of {}", num_bytes, offset, bytes.size());
  return bytes.substr(offset, num_bytes);
}

struct SectionHeader {  // Elf64_Shdr
  std::uint32_t name, type;
  std::uint64_t flags, address, offset, num_bytes;
  std::uint32_t link, info;
  std::uint64_t alignment, entry_bytes;
};
static_assert(sizeof(SectionHeader) == 64);

std::string_view section(std::string_view elf, const std::string& wanted) {
  QUIRE_CHECK_KIND(kCorruptFile,
                   elf.starts_with("\x7f"
                                   "ELF\x02\x01"),
                   "cubin: not a little-endian ELF file of 64 bits");
  const auto table = read_at<std::uint64_t>(elf, 40);
  const auto num_sections = read_at<std::uint16_t>(elf, 60), names_idx = read_at<std::uint16_t>(elf, 62);
  const auto header = [&](unsigned i) {
    return read_at<SectionHeader>(elf, table + i * sizeof(SectionHeader));
  };
  const SectionHeader names = header(names_idx);
  for (unsigned i = 0; i < num_sections; ++i) {
    const SectionHeader h = header(i);
    const std::string_view name =
        part(elf, names.offset, names.num_bytes).substr(std::min<std::uint64_t>(h.name, names.num_bytes));
    if (name.substr(0, name.find('\0')) == wanted) return part(elf, h.offset, h.num_bytes);
  }
  throw_error(ErrorKind::kCorruptFile, "cubin: no section {}", wanted);
}

int number_before(const std::string& log, const std::string& words) {
  std::smatch match;
  QUIRE_CHECK_KIND(kCorruptFile, std::regex_search(log, match, std::regex("(\\d+) " + words)),
                   "no number of {} in: {}", words, log);
  return std::stoi(match[1]);
}

}  // namespace

std::map<unsigned, int> count_opcodes(std::string_view cubin, const std::string& function) {
  std::map<unsigned, int> counts;
  const std::string_view code = section(cubin, ".text." + function);
  for (std::size_t at = 0; at + 16 <= code.size(); at += 16)
    ++counts[read_at<std::uint64_t>(code, at) & 0xfff];
  return counts;
}

KernelResources parse_resources(const std::string& log) {
  return {number_before(log, "registers"), number_before(log, "bytes spill stores"),
          number_before(log, "bytes spill loads")};
}

}  // namespace quire

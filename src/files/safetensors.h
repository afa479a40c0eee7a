// One .safetensors file: 8 bytes of little-endian header length, a JSON header, tensor data. The header is
// checked whole before any of it is believed: the data section must be tiled by the tensors without holes or
// overlaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace quire {

// Every element type that the format knows, in the order of its table in safetensors.cpp.
// clang-format off
enum class StorageType : std::uint8_t {
  kBool, kF4, kF6E2M3, kF6E3M2, kU8, kI8, kF8E5M2, kF8E4M3, kF8E8M0, kF8E4M3Fnuz, kF8E5M2Fnuz,
  kI16, kU16, kF16, kBF16, kI32, kU32, kF32, kC64, kF64, kI64, kU64,
};
// clang-format on

const char* to_string(StorageType type);               // the format's own spelling, "BF16"
int storage_bits(StorageType type);                    // bits of one element
std::optional<DType> compute_dtype(StorageType type);  // nullopt for types that kernels do not take

// A tensor of a file. Its bytes are row-major, little-endian, and aligned to nothing: a file may put them
// anywhere.
struct TensorFile {
  std::string name;
  StorageType type;
  std::vector<std::int64_t> shape;  // [] is a scalar; an extent of 0 makes an empty tensor
  std::span<const std::byte> bytes;
  std::string_view file;  // where it was found, for messages
};

class SafetensorsFile {
 public:
  // Maps the file. Throws Error{kNotFound}, or Error{kCorruptFile} naming file, tensor, field and value.
  static SafetensorsFile open(const std::filesystem::path& path);
  // The same checks on bytes in memory, which must outlive the object and all its tensors.
  static SafetensorsFile from_bytes(std::span<const std::byte> bytes, const std::string& origin);

  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
  ~SafetensorsFile();

  const std::string& origin() const;
  const std::vector<TensorFile>& tensors()
      const;  // in the order of their data; addresses survive a move of the file
  const TensorFile* find(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const;

 private:
  struct Contents;
  explicit SafetensorsFile(std::unique_ptr<Contents> contents);
  std::unique_ptr<const Contents> contents_;  // on the heap, so that views into it survive moves
};

}  // namespace quire

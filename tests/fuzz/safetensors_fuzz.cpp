// Any bytes either parse, and then every tensor lies inside the file, or are refused with kCorruptFile.
#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "files/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t num_bytes) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), num_bytes);
  try {
    const auto file = quire::SafetensorsFile::from_bytes(bytes, "fuzz.safetensors");
    unsigned sum = 0;
    for (const quire::TensorFile& tensor : file.tensors()) {
      if (file.find(tensor.name) != &tensor) __builtin_trap();
      for (const std::byte byte : tensor.bytes)
        sum += std::to_integer<unsigned>(byte);  // the sanitizer checks reach
    }
    volatile unsigned keep = sum;
    (void)keep;
  } catch (const quire::Error& e) {
    if (e.kind() != quire::ErrorKind::kCorruptFile) __builtin_trap();
  }
  return 0;
}

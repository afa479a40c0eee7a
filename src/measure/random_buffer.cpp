#include "measure/random_buffer.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace quire {

std::unique_ptr<Buffer> random_buffer(Device& device, std::size_t num_elems, DType dtype) {
  constexpr std::size_t kChunk = 1 << 16;
  std::unique_ptr<Buffer> buffer = device.allocate(num_elems * dtype_bytes(dtype));
  std::vector<std::byte> chunk(kChunk * dtype_bytes(dtype));
  std::uint32_t state = 12345;
  for (std::size_t begin = 0; begin < num_elems; begin += kChunk) {
    const std::size_t count = std::min(kChunk, num_elems - begin);
    for (std::size_t i = 0; i < count; ++i) {
      state = state * 1664525u + 1013904223u;
      const float value = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f;
      if (dtype == DType::kF32) {
        std::memcpy(chunk.data() + i * 4, &value, 4);
      } else {
        const std::uint16_t bits = dtype == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
        std::memcpy(chunk.data() + i * 2, &bits, 2);
      }
    }
    device.copy_to_device(buffer->data() + begin * dtype_bytes(dtype), chunk.data(),
                          count * dtype_bytes(dtype));
  }
  return buffer;
}

}  // namespace quire

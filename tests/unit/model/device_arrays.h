// Arrays of numbers in a device's memory, for tests that compare kernels with float64.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "device/registry.h"
#include "model/tensor_source.h"
#include "targets/cpu/cpu_device.h"

namespace quire {

inline std::unique_ptr<Device> open_cpu() {
  TargetRegistry registry;
  register_cpu_target(registry);
  DeviceOptions options;
  options.settings = {{"cpu.threads", "2"}};
  return registry.open("cpu", options);
}

// The relative error of a number that is rounded to an element type.
inline double rounding_of(DType dtype) {
  return dtype == DType::kF32 ? 0x1p-24 : dtype == DType::kF16 ? 0x1p-11 : 0x1p-8;
}

// Values as the device has them: rounded to `dtype`.
inline std::vector<double> random_values(std::size_t num, DType dtype, unsigned seed, double scale = 1.0) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, static_cast<float>(scale));
  std::vector<double> values(num);
  for (double& x : values) x = static_cast<double>(rounded_to(dtype, normal(random)));
  return values;
}

inline std::unique_ptr<Buffer> to_device(Device& device, const std::vector<double>& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * dtype_bytes(dtype));
  for (std::size_t i = 0; i < values.size(); ++i)
    write_element(bytes.data() + i * dtype_bytes(dtype), dtype, static_cast<float>(values[i]));
  auto buffer = device.allocate(bytes.size());
  device.copy_to_device(buffer->data(), bytes.data(), bytes.size());
  return buffer;
}

template <class T>
std::unique_ptr<Buffer> to_device(Device& device, const std::vector<T>& values) {
  auto buffer = device.allocate(values.size() * sizeof(T));
  device.copy_to_device(buffer->data(), values.data(), buffer->bytes());
  return buffer;
}

inline std::vector<double> from_device(Device& device, const Buffer& buffer, DType dtype) {
  std::vector<std::byte> bytes(buffer.bytes());
  device.copy_to_host(bytes.data(), buffer.data(), bytes.size());
  std::vector<double> values(bytes.size() / dtype_bytes(dtype));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<double>(read_element(bytes.data() + i * dtype_bytes(dtype), dtype));
  return values;
}

}  // namespace quire

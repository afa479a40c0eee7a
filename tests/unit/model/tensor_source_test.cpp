// Elements of weights, from files in every type and from the generator.
#include "model/tensor_source.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "files/weights.h"
#include "unit/files/model_folder.h"

namespace quire {
namespace {

TEST(Elements, AreReadAndWrittenAtAnyAddress) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    std::byte bytes[16] = {};
    for (const float x : {0.0f, -1.5f, 0.25f, 192.0f, -0.0078125f}) {
      write_element(bytes + 3, dtype, x);
      EXPECT_EQ(read_element(bytes + 3, dtype), x) << to_string(dtype);
    }
    EXPECT_EQ(bytes[2], std::byte{0});
    EXPECT_EQ(bytes[3 + dtype_bytes(dtype)], std::byte{0});
  }
}

TEST(Elements, AreRoundedToNearestEven) {
  // bf16 has 8 significant bits, f16 has 11: steps of 2^-7 and 2^-10 above 1.
  EXPECT_EQ(rounded_to(DType::kBF16, 1.0f + 0x1p-8f), 1.0f);
  EXPECT_EQ(rounded_to(DType::kBF16, 1.0f + 3 * 0x1p-8f), 1.0f + 0x1p-6f);
  EXPECT_EQ(rounded_to(DType::kBF16, 1.0f + 0x1p-8f + 0x1p-20f), 1.0f + 0x1p-7f);
  EXPECT_EQ(rounded_to(DType::kF16, 1.0f + 0x1p-11f), 1.0f);
  EXPECT_EQ(rounded_to(DType::kF16, -1.0f - 3 * 0x1p-11f), -1.0f - 0x1p-9f);
  EXPECT_EQ(rounded_to(DType::kF16, 65520.0f), INFINITY);
  EXPECT_EQ(rounded_to(DType::kF32, 0.1f), 0.1f);
}

// A tensor [3, 4] with the values of value_at in each stored type.
double value_at(std::int64_t row, std::int64_t col) {
  return static_cast<double>(row) + static_cast<double>(col) / 3.0;
}

std::string stored(DType dtype) {
  std::string bytes(12 * dtype_bytes(dtype), '\0');
  for (std::int64_t i = 0; i < 12; ++i) {
    write_element(
        reinterpret_cast<std::byte*>(bytes.data()) + static_cast<std::size_t>(i) * dtype_bytes(dtype), dtype,
        static_cast<float>(value_at(i / 4, i % 4)));
  }
  return bytes;
}

TEST(FileSource, ConvertsRowsFromEveryTypeToEveryType) {
  const std::pair<DType, const char*> types[] = {
      {DType::kF32, "F32"}, {DType::kF16, "F16"}, {DType::kBF16, "BF16"}};
  for (const auto& [from, name] : types) {
    const ModelFolder folder;
    const std::string data = stored(from);
    folder.write("model.safetensors", safetensors_bytes(R"({"w":{"dtype":")" + std::string(name) +
                                                            R"(","shape":[3,4],"data_offsets":[0,)" +
                                                            std::to_string(data.size()) + "]}}",
                                                        data));
    Weights weights = Weights::open(folder.path());
    const auto source = file_source(weights);
    const WeightSpec spec{WeightRole::kQProj, 0, "w", {3, 4}};
    for (const auto& [to, to_name] : types) {
      std::byte out[2 * 4 * 4 + 1];
      source->read_rows(spec, 1, 2, to, out + 1);
      for (std::int64_t i = 0; i < 8; ++i) {
        const double x = value_at(1 + i / 4, i % 4);
        const float expected = rounded_to(to, rounded_to(from, static_cast<float>(x)));
        EXPECT_EQ(read_element(out + 1 + static_cast<std::size_t>(i) * dtype_bytes(to), to), expected)
            << name << " to " << to_name << ", element " << i;
      }
    }
  }
}

TEST(FileSource, NamesATensorOfAnotherShape) {
  const ModelFolder folder;
  folder.write(
      "model.safetensors",
      safetensors_bytes(R"({"w":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}})", stored(DType::kF32)));
  Weights weights = Weights::open(folder.path());
  const auto source = file_source(weights);
  float out[12];
  expect_error(ErrorKind::kCorruptFile, {"w", "[4, 3]", "[3, 4]"}, [&] {
    source->read_rows({WeightRole::kQProj, 0, "w", {4, 3}}, 0, 1, DType::kF32, out);
  });
}

TEST(RandomSource, WeightsHaveTheVarianceOfTheirFanInAndNormsAreOne) {
  constexpr std::int64_t kRows = 400, kFanIn = 256;
  const auto source = random_source(3);
  std::vector<float> w(static_cast<std::size_t>(kRows * kFanIn));
  source->read_rows({WeightRole::kQProj, 0, "w", {kRows, kFanIn}}, 0, kRows, DType::kF32, w.data());
  double sum = 0, square = 0;
  for (const float x : w) sum += x, square += double{x} * x;
  const auto num = static_cast<double>(w.size());
  EXPECT_NEAR(sum / num, 0, 0.001);
  EXPECT_NEAR(square / num * kFanIn, 1.0, 0.02);
  EXPECT_NE(std::memcmp(w.data(), w.data() + kFanIn, kFanIn * sizeof(float)), 0) << "rows differ";
  std::vector<float> norm(77);
  source->read_rows({WeightRole::kFinalNorm, -1, "norm", {77}}, 0, 1, DType::kF32, norm.data());
  EXPECT_EQ(norm, std::vector<float>(77, 1.0f));
}

TEST(RandomSource, DependsOnTheSeedAlone) {
  const WeightSpec spec{WeightRole::kQProj, 0, "w", {5, 64}};
  const auto read = [&](std::uint64_t seed) {
    std::vector<float> w(5 * 64);
    random_source(seed)->read_rows(spec, 0, 5, DType::kF32, w.data());
    return w;
  };
  EXPECT_EQ(read(1), read(1));
  EXPECT_NE(read(1), read(2));
}

TEST(RandomSource, RowsMayBeLongerThanTheTable) {
  constexpr std::int64_t kLong = (1 << 20) + 5000;
  std::vector<float> w(kLong);
  random_source(1)->read_rows({WeightRole::kDownProj, 0, "w", {1, kLong}}, 0, 1, DType::kF32, w.data());
  const double bound = std::sqrt(3.0 / static_cast<double>(kLong)) * 1.0001;
  std::size_t num_zeros = 0;
  for (const float x : w) {
    ASSERT_LE(std::abs(x), bound);
    num_zeros += x == 0.0f ? 1 : 0;
  }
  EXPECT_LT(num_zeros, 10u) << "every element is written";
}

}  // namespace
}  // namespace quire

#include "files/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "model_folder.h"

namespace quire {
namespace {

SafetensorsFile parse(const std::string& bytes) {
  return SafetensorsFile::from_bytes(as_byte_span(bytes), "m.st");
}

struct Rejection {
  const char* name;
  std::string bytes;
  std::string fragment;
};

std::string length_bytes(std::uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

// One tensor "t" with these fields over `num_data` bytes.
std::string one_tensor(const std::string& fields, std::size_t num_data) {
  return safetensors_bytes("{\"t\": {" + fields + "}}", std::string(num_data, 'x'));
}

std::string two_tensors(const std::string& first, const std::string& second, std::size_t num_data) {
  const std::string entry = R"({"dtype": "U8", "shape": [4], "data_offsets": )";
  return safetensors_bytes("{\"a\": " + entry + first + "}, \"b\": " + entry + second + "}}",
                           std::string(num_data, 'x'));
}

std::vector<Rejection> header_rejections() {
  const std::string good = R"({"t":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})";
  std::string many = "{";
  for (int i = 0; i <= 100'001; ++i) {
    many += (i ? "," : "") + std::string("\"") + std::to_string(i) +
            R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  return {
      {"Empty", "", "0 bytes are too few"},
      {"SevenBytes", "\1\0\0\0\0\0\0", "too few"},
      {"NoHeader", length_bytes(0), "does not start with '{'"},
      {"LengthOverLimit", length_bytes(100'000'001) + "{}",
       "header length 100000001 exceeds the limit of 100000000"},
      {"LengthHuge", length_bytes(~0ull) + "{}", "header length 18446744073709551615"},
      {"LengthBeyondFile", length_bytes(3) + "{}", "header length 3 goes beyond the file of 10 bytes"},
      {"LengthWithinLengthField", length_bytes(10) + "{}", "goes beyond the file"},
      {"Array", safetensors_bytes("[]", ""), "does not start with '{'"},
      {"LeadingSpace", safetensors_bytes(" {}", ""), "does not start with '{'"},
      {"CutJson", safetensors_bytes("{\"t\":", ""), "m.st: "},
      {"Trailer", safetensors_bytes("{}x", ""), "m.st: "},
      {"ZeroByte", safetensors_bytes(std::string("{}\0junk", 7), ""), "zero byte"},
      {"BadUtf8", safetensors_bytes("{\"\xff\": 1}", ""), "m.st: "},
      {"DuplicateTensor", safetensors_bytes(good.substr(0, good.size() - 1) + "," + good.substr(1), "x"),
       "\"t\" appears twice"},
      {"DuplicateField", one_tensor(R"("dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1])", 1),
       "\"dtype\" appears twice"},
      {"Deep", safetensors_bytes(R"({"t":{"shape":[[[[1]]]]}})", ""), "deeper than 4"},
      {"VeryDeep", safetensors_bytes("{\"t\":" + std::string(1'000'000, '['), ""), "deeper than 4"},
      {"TooMany", safetensors_bytes(many + "}", ""), "100002 tensors, at most 100000"},
      {"MetadataNumber", safetensors_bytes(R"({"__metadata__":{"format":1}})", ""),
       "__metadata__ field \"format\" is no string"},
      {"MetadataList", safetensors_bytes(R"({"__metadata__":["a"]})", ""), "__metadata__ is no object"},
  };
}

std::vector<Rejection> tensor_rejections() {
  return {
      {"EntryNumber", safetensors_bytes(R"({"t": 1})", ""), "tensor \"t\": its entry is no object"},
      {"NoDtype", one_tensor(R"("shape":[1],"data_offsets":[0,1])", 1), "field \"dtype\" is missing"},
      {"NoShape", one_tensor(R"("dtype":"U8","data_offsets":[0,1])", 1), "field \"shape\" is missing"},
      {"NoOffsets", one_tensor(R"("dtype":"U8","shape":[1])", 1), "field \"data_offsets\" is missing"},
      {"UnknownDtype", one_tensor(R"("dtype":"F12","shape":[1],"data_offsets":[0,1])", 1),
       "unknown dtype \"F12\""},
      {"DtypeNumber", one_tensor(R"("dtype":8,"shape":[1],"data_offsets":[0,1])", 1), "dtype is no string"},
      {"ShapeNumber", one_tensor(R"("dtype":"U8","shape":1,"data_offsets":[0,1])", 1), "shape is no array"},
      {"NegativeExtent", one_tensor(R"("dtype":"U8","shape":[-1],"data_offsets":[0,1])", 1),
       "shape holds -1"},
      {"FloatExtent", one_tensor(R"("dtype":"U8","shape":[1.0],"data_offsets":[0,1])", 1), "shape holds 1.0"},
      {"StringExtent", one_tensor(R"("dtype":"U8","shape":["1"],"data_offsets":[0,1])", 1),
       "shape holds \"1\""},
      {"Extent2To63", one_tensor(R"("dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1])", 1),
       "shape holds 9223372036854775808"},
      {"Extent2To64", one_tensor(R"("dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1])", 1),
       "shape holds 1.8446744073709552e+19"},
      {"Overflow", one_tensor(R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0])", 0),
       "shape [4294967296, 4294967296] of U8 overflows"},
      {"OverflowByBits", one_tensor(R"("dtype":"F32","shape":[576460752303423488],"data_offsets":[0,0])", 0),
       "overflows 64 bits"},
      {"OverflowBeforeZero",
       one_tensor(R"("dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0])", 0),
       "overflows 64 bits"},
      {"HalfByte", one_tensor(R"("dtype":"F4","shape":[3],"data_offsets":[0,1])", 1),
       "no whole number of bytes"},
      {"OffsetsShort", one_tensor(R"("dtype":"U8","shape":[1],"data_offsets":[1])", 1), "no pair"},
      {"OffsetsNegative", one_tensor(R"("dtype":"U8","shape":[1],"data_offsets":[-1,0])", 1), "no pair"},
      {"OffsetsFloat", one_tensor(R"("dtype":"U8","shape":[1],"data_offsets":[0,1e0])", 1), "no pair"},
      {"OffsetsReversed", one_tensor(R"("dtype":"U8","shape":[1],"data_offsets":[1,0])", 1),
       "data_offsets [1, 0] leave"},
      {"EndBeyondFile", one_tensor(R"("dtype":"U8","shape":[2],"data_offsets":[0,2])", 1),
       "data_offsets [0, 2] leave the data section of 1 bytes"},
      {"EndHuge",
       one_tensor(R"("dtype":"U8","shape":[1],"data_offsets":[18446744073709551615,18446744073709551615])",
                  1),
       "leave the data section"},
      {"SpanTooLong", one_tensor(R"("dtype":"U8","shape":[1],"data_offsets":[0,2])", 2),
       "span 2 bytes, but U8 [1] takes 1"},
      {"SpanTooShort", one_tensor(R"("dtype":"F32","shape":[],"data_offsets":[0,2])", 2),
       "span 2 bytes, but F32 [] takes 4"},
      {"LaterStart", one_tensor(R"("dtype":"U8","shape":[1],"data_offsets":[1,2])", 2),
       "begin at 1, which leaves a hole after 0"},
      {"Trailing", one_tensor(R"("dtype":"U8","shape":[1],"data_offsets":[0,1])", 2),
       "end at byte 1 of the data section, which holds 2"},
      {"DataWithoutTensors", safetensors_bytes("{}", "x"),
       "end at byte 0 of the data section, which holds 1"},
      {"Overlap", two_tensors("[0,4]", "[2,6]", 6),
       "tensor \"b\": data_offsets begin at 2, which overlaps the tensor that ends at 4"},
      {"SamePlace", two_tensors("[0,4]", "[0,4]", 4), "overlaps"},
      {"Hole", two_tensors("[0,4]", "[5,9]", 9),
       "tensor \"b\": data_offsets begin at 5, which leaves a hole after 4"},
      {"TerminalEscape", safetensors_bytes(R"({"\u001b[2J": 1})", ""), "tensor \"\\x1b[2J\""},
  };
}

class SafetensorsRejects : public testing::TestWithParam<Rejection> {};
TEST_P(SafetensorsRejects, WithFileAndReason) {
  expect_error(ErrorKind::kCorruptFile, {GetParam().fragment, "m.st: "}, [] { parse(GetParam().bytes); });
}
INSTANTIATE_TEST_SUITE_P(Headers, SafetensorsRejects, testing::ValuesIn(header_rejections()), kCaseName);
INSTANTIATE_TEST_SUITE_P(Tensors, SafetensorsRejects, testing::ValuesIn(tensor_rejections()), kCaseName);

TEST(Safetensors, ReadsTensorsInDataOrder) {
  const std::string bytes = safetensors_bytes(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
      R"("scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"void":{"dtype":"F16","shape":[7,0],"data_offsets":[4,4]},)"
      R"("packed":{"dtype":"F4","shape":[4],"data_offsets":[16,18]}}   )",
      "0123456789abcdefgh");
  const SafetensorsFile file = parse(bytes);
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.tensors()[0].name, "scalar");
  EXPECT_EQ(file.tensors()[1].name, "void");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.find("nothing"), nullptr);
  const TensorFile& a = *file.find("a");
  EXPECT_EQ(a.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(compute_dtype(a.type), DType::kBF16);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(a.bytes.data()), a.bytes.size()), "456789abcdef");
  EXPECT_EQ(compute_dtype(file.find("packed")->type), std::nullopt);
  EXPECT_TRUE(parse(safetensors_bytes("{}", "")).tensors().empty());
}

TEST(Safetensors, EveryTypeHasItsNameAndWidth) {
  for (int i = 0; i <= static_cast<int>(StorageType::kU64); ++i) {
    const auto type = static_cast<StorageType>(i);
    const std::string fields = std::string(R"("dtype":")") + to_string(type) +
                               R"(","shape":[8],"data_offsets":[0,)" + std::to_string(storage_bits(type)) +
                               "]";
    EXPECT_EQ(parse(one_tensor(fields, static_cast<std::size_t>(storage_bits(type)))).find("t")->type, type);
  }
  EXPECT_STREQ(to_string(StorageType::kF8E4M3Fnuz), "F8_E4M3FNUZ");
  EXPECT_STREQ(to_string(StorageType::kBF16), "BF16");
  EXPECT_STREQ(to_string(StorageType::kU64), "U64");
}

TEST(Safetensors, MappedTensorsSurviveMoves) {
  const ModelFolder folder;
  folder.write("f.safetensors", one_tensor(R"("dtype":"U8","shape":[3],"data_offsets":[0,3])", 3));
  SafetensorsFile first = SafetensorsFile::open(folder.path() / "f.safetensors");
  const TensorFile& tensor = *first.find("t");
  const SafetensorsFile second = std::move(first);
  EXPECT_EQ(&tensor, second.find("t"));
  EXPECT_EQ(std::to_integer<char>(tensor.bytes[2]), 'x');
  EXPECT_EQ(tensor.file, second.origin());
}

TEST(Safetensors, OpenRefusesWhatIsNoFile) {
  const ModelFolder folder;
  expect_error(ErrorKind::kNotFound, {"missing.safetensors: cannot open"},
               [&] { SafetensorsFile::open(folder.path() / "missing.safetensors"); });
  expect_error(ErrorKind::kInvalidArgument, {"not a regular file"},
               [&] { SafetensorsFile::open(folder.path()); });
  folder.write("empty.safetensors", "");
  expect_error(ErrorKind::kCorruptFile, {"empty.safetensors: 0 bytes"},
               [&] { SafetensorsFile::open(folder.path() / "empty.safetensors"); });
}

}  // namespace
}  // namespace quire

#include "files/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "files/file_kind.h"
#include "files/mapped_file.h"
#include "files/quote.h"

namespace quire {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::size_t kMaxTensors = 100'000;            // sharded giants stay below 30,000 in one file
constexpr JsonLimits kHeaderLimits = {.max_bytes = kMaxHeaderBytes, .max_depth = 4, .max_values = 2'000'000};

// Printable ASCII and white space.
bool is_text(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) {
    const int c = std::to_integer<int>(byte);
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r' || c == '\t';
  });
}

struct StorageRow {
  const char* name;
  int bits;
};
constexpr std::array<StorageRow, 22> kStorageTypes = {{
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64},
}};

// One entry of the header while it is checked.
class EntryReader {
 public:
  EntryReader(const std::string& origin, const std::string& name, const Json& entry)
      : origin_(origin), name_(name), entry_(entry) {
    QUIRE_CHECK_KIND(kCorruptFile, entry.is_object(), "{}: tensor {}: its entry is no object", origin,
                     quote(name));
  }

  // `data` is the whole data section.
  TensorFile read(std::span<const std::byte> data) const {
    TensorFile tensor{name_, read_type(), read_shape(), {}, origin_};
    const std::uint64_t num_bytes = count_bytes(tensor.type, tensor.shape);
    const auto [begin, end] = read_offsets();
    check(begin <= end && end <= data.size(), "data_offsets [{}, {}] leave the data section of {} bytes",
          begin, end, data.size());
    check(end - begin == num_bytes, "data_offsets [{}, {}] span {} bytes, but {} {} takes {}", begin, end,
          end - begin, to_string(tensor.type), shape_text(tensor.shape), num_bytes);
    tensor.bytes = data.subspan(begin, num_bytes);
    return tensor;
  }

 private:
  template <class... Args>
  void check(bool ok, fmt::format_string<Args...> format, Args&&... args) const {
    QUIRE_CHECK_KIND(kCorruptFile, ok, "{}: tensor {}: {}", origin_, quote(name_),
                     fmt::format(format, std::forward<Args>(args)...));
  }

  const Json& field(const char* key) const {
    const auto found = entry_.find(key);
    check(found != entry_.end(), "field \"{}\" is missing", key);
    return *found;
  }

  StorageType read_type() const {
    const Json& dtype = field("dtype");
    check(dtype.is_string(), "dtype is no string");
    const auto& text = dtype.get_ref<const std::string&>();
    const auto row = std::find_if(kStorageTypes.begin(), kStorageTypes.end(),
                                  [&text](const StorageRow& candidate) { return text == candidate.name; });
    check(row != kStorageTypes.end(), "unknown dtype {}", quote(text));
    return static_cast<StorageType>(row - kStorageTypes.begin());
  }

  std::vector<std::int64_t> read_shape() const {
    const Json& json = field("shape");
    check(json.is_array(), "shape is no array");
    std::vector<std::int64_t> shape;
    for (const Json& extent : json) {
      check(extent.is_number_unsigned(), "shape holds {}, which is no integer from 0 to 2^63 - 1",
            scalar_text(extent));
      const auto value = extent.get<std::uint64_t>();
      check(value >> 63 == 0, "shape holds {}, which is no integer from 0 to 2^63 - 1", value);
      shape.push_back(static_cast<std::int64_t>(value));
    }
    return shape;
  }

  // Overflow is refused even where a later extent of 0 would make the product small again.
  std::uint64_t count_bytes(StorageType type, const std::vector<std::int64_t>& shape) const {
    auto num_bits = static_cast<std::uint64_t>(storage_bits(type));
    for (const std::int64_t extent : shape) {
      const bool overflows = __builtin_mul_overflow(num_bits, static_cast<std::uint64_t>(extent), &num_bits);
      check(!overflows, "shape {} of {} overflows 64 bits", shape_text(shape), to_string(type));
    }
    check(num_bits % 8 == 0, "shape {} of {} is no whole number of bytes", shape_text(shape),
          to_string(type));
    return num_bits / 8;
  }

  std::pair<std::uint64_t, std::uint64_t> read_offsets() const {
    const Json& json = field("data_offsets");
    const bool ok =
        json.is_array() && json.size() == 2 && json[0].is_number_unsigned() && json[1].is_number_unsigned();
    check(ok, "data_offsets is no pair of unsigned integers");
    return {json[0].get<std::uint64_t>(), json[1].get<std::uint64_t>()};
  }

  static std::string scalar_text(const Json& value) {
    return value.is_structured() ? "an array" : value.dump().substr(0, 40);
  }

  const std::string& origin_;
  const std::string& name_;
  const Json& entry_;
};

// The JSON text of the header, its length checked against the file.
std::string_view header_text(std::span<const std::byte> bytes, const std::string& origin) {
  refuse_foreign({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, origin);
  QUIRE_CHECK_KIND(kCorruptFile, bytes.size() >= kLengthBytes,
                   "{}: {} bytes are too few for a safetensors file", origin, bytes.size());
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    header_bytes |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  if (header_bytes > kMaxHeaderBytes && is_text(bytes.first(kLengthBytes))) {
    const std::size_t num_shown = std::min<std::size_t>(bytes.size(), 40);
    throw_error(ErrorKind::kCorruptFile,
                "{}: is no safetensors file but begins with the text {}, most likely an error of the server "
                "that it was fetched from; fetch it again",
                origin, quote({reinterpret_cast<const char*>(bytes.data()), num_shown}));
  }
  QUIRE_CHECK_KIND(kCorruptFile, header_bytes <= kMaxHeaderBytes,
                   "{}: header length {} exceeds the limit of {}", origin, header_bytes, kMaxHeaderBytes);
  QUIRE_CHECK_KIND(kCorruptFile, header_bytes <= bytes.size() - kLengthBytes,
                   "{}: header length {} goes beyond the file of {} bytes", origin, header_bytes,
                   bytes.size());
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, header_bytes);
  QUIRE_CHECK_KIND(kCorruptFile, text.starts_with('{'), "{}: the header does not start with '{{'", origin);
  // The JSON parser takes a zero byte for the end of its input; what follows would be hidden from every
  // check.
  QUIRE_CHECK_KIND(kCorruptFile, text.find('\0') == std::string_view::npos,
                   "{}: the header holds a zero byte", origin);
  return text;
}

std::map<std::string, std::string> read_metadata(const Json& json, const std::string& origin) {
  QUIRE_CHECK_KIND(kCorruptFile, json.is_object(), "{}: __metadata__ is no object", origin);
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : json.items()) {
    QUIRE_CHECK_KIND(kCorruptFile, value.is_string(), "{}: __metadata__ field {} is no string", origin,
                     quote(key));
    metadata.emplace(key, value.get_ref<const std::string&>());
  }
  return metadata;
}

// Tensors, sorted by their place, must tile the data section.
void check_tiling(const std::vector<TensorFile>& tensors, std::span<const std::byte> data,
                  const std::string& origin) {
  std::size_t covered = 0;
  for (const TensorFile& tensor : tensors) {
    const auto begin = static_cast<std::size_t>(tensor.bytes.data() - data.data());
    QUIRE_CHECK_KIND(kCorruptFile, begin >= covered,
                     "{}: tensor {}: data_offsets begin at {}, which overlaps the tensor that ends at {}",
                     origin, quote(tensor.name), begin, covered);
    QUIRE_CHECK_KIND(kCorruptFile, begin <= covered,
                     "{}: tensor {}: data_offsets begin at {}, which leaves a hole after {}", origin,
                     quote(tensor.name), begin, covered);
    covered += tensor.bytes.size();
  }
  QUIRE_CHECK_KIND(kCorruptFile, covered == data.size(),
                   "{}: the tensors end at byte {} of the data section, which holds {}", origin, covered,
                   data.size());
}

}  // namespace

const char* to_string(StorageType type) { return kStorageTypes[static_cast<std::size_t>(type)].name; }
int storage_bits(StorageType type) { return kStorageTypes[static_cast<std::size_t>(type)].bits; }

std::optional<DType> compute_dtype(StorageType type) {
  switch (type) {
    case StorageType::kF32:
      return DType::kF32;
    case StorageType::kF16:
      return DType::kF16;
    case StorageType::kBF16:
      return DType::kBF16;
    default:
      return std::nullopt;
  }
}

struct SafetensorsFile::Contents {
  MappedFile mapped;  // empty when the bytes belong to the caller
  std::string origin;
  std::vector<TensorFile> tensors;
  std::unordered_map<std::string_view, const TensorFile*> by_name;
  std::map<std::string, std::string> metadata;

  void read(std::span<const std::byte> bytes) {
    const std::string_view text = header_text(bytes, origin);
    const Json header = parse_json(text, origin, kHeaderLimits);
    QUIRE_CHECK_KIND(kCorruptFile, header.size() <= kMaxTensors + 1, "{}: {} tensors, at most {} are read",
                     origin, header.size(), kMaxTensors);
    const auto data = bytes.subspan(kLengthBytes + text.size());
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        metadata = read_metadata(entry, origin);
      } else {
        tensors.push_back(EntryReader(origin, name, entry).read(data));
      }
    }
    // Of tensors that begin at one place all but the last are empty, so ends break ties.
    std::sort(tensors.begin(), tensors.end(), [](const TensorFile& a, const TensorFile& b) {
      return std::tuple(a.bytes.data(), a.bytes.size()) < std::tuple(b.bytes.data(), b.bytes.size());
    });
    check_tiling(tensors, data, origin);
    for (const TensorFile& tensor : tensors) by_name.emplace(tensor.name, &tensor);
  }
};

SafetensorsFile::SafetensorsFile(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  auto contents = std::make_unique<Contents>();
  contents->origin = path.string();
  contents->mapped = MappedFile::open(path);
  contents->read(contents->mapped.bytes());
  return SafetensorsFile(std::move(contents));
}

SafetensorsFile SafetensorsFile::from_bytes(std::span<const std::byte> bytes, const std::string& origin) {
  auto contents = std::make_unique<Contents>();
  contents->origin = origin;
  contents->read(bytes);
  return SafetensorsFile(std::move(contents));
}

const std::string& SafetensorsFile::origin() const { return contents_->origin; }
const std::vector<TensorFile>& SafetensorsFile::tensors() const { return contents_->tensors; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return contents_->metadata; }

const TensorFile* SafetensorsFile::find(std::string_view name) const {
  const auto found = contents_->by_name.find(name);
  return found == contents_->by_name.end() ? nullptr : found->second;
}

}  // namespace quire

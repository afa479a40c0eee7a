#include "tuning/tuned_table.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <set>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/json.h"
#include "base/text_file.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "quire-tuned";
constexpr int kVersion = 1;
constexpr JsonLimits kLimits{1u << 20, 6, 20000, true};
constexpr std::size_t kMaxNameChars = 80;
constexpr const char* kTileFields[] = {"num_warps", "keys",          "few_keys",
                                       "ring_keys", "blocks_per_sm", "producer_registers"};
constexpr int AttentionTiles::*kTileMembers[] = {
    &AttentionTiles::num_warps, &AttentionTiles::keys,          &AttentionTiles::few_keys,
    &AttentionTiles::ring_keys, &AttentionTiles::blocks_per_sm, &AttentionTiles::producer_registers};
constexpr const char* kPolicyFields[] = {"min_split_tiles", "key_cost_rows", "item_cost_tiles",
                                         "merge_cost_tiles"};
constexpr int SplitPolicy::*kPolicyMembers[] = {&SplitPolicy::min_split_tiles, &SplitPolicy::key_cost_rows,
                                                &SplitPolicy::item_cost_tiles,
                                                &SplitPolicy::merge_cost_tiles};
constexpr int kMostOfPolicy[] = {1 << 16, 1 << 16, 1 << 10, 1 << 10}, kLeastOfPolicy[] = {1, 0, 0, 0};
constexpr int kMostOfTiles = 1 << 16;

// One object: every member is asked for by name, and none is left over.
class Members {
 public:
  Members(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    QUIRE_CHECK_KIND(kCorruptFile, object.is_object(), "{} is not an object", where_);
  }

  bool has(const char* name) const { return object_.contains(name); }
  const Json& take(const char* name) {
    QUIRE_CHECK_KIND(kCorruptFile, has(name), "{}: \"{}\" is missing", where_, name);
    taken_.insert(name);
    return object_[name];
  }
  std::string where(const char* name) const { return fmt::format("{}: \"{}\"", where_, name); }

  int take_int(const char* name, int least, int most) {
    const Json& value = take(name);
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<std::uint64_t>() <= 1u << 30) &&
                      value.get<std::int64_t>() >= least && value.get<std::int64_t>() <= most;
    QUIRE_CHECK_KIND(kCorruptFile, fits, "{} is {}, not an integer from {} to {}", where(name),
                     value.dump().substr(0, 40), least, most);
    return value.get<int>();
  }
  double take_positive(const char* name) {
    const Json& value = take(name);
    QUIRE_CHECK_KIND(kCorruptFile, value.is_number() && value.get<double>() > 0 && value.get<double>() < 1e6,
                     "{} is {}, not a number above 0 and below 1e6", where(name), value.dump().substr(0, 40));
    return value.get<double>();
  }
  std::string take_text(const char* name) {
    const Json& value = take(name);
    QUIRE_CHECK_KIND(kCorruptFile,
                     value.is_string() && !value.get_ref<const std::string&>().empty() &&
                         value.get_ref<const std::string&>().size() <= 200,
                     "{} is not a text of 1 to 200 bytes", where(name));
    return value.get<std::string>();
  }
  // The one of `values` that `to_text` gives this member's text for.
  template <class Values, class ToText>
  auto take_one_of(const char* name, const Values& values, const ToText& to_text) {
    const std::string text = take_text(name);
    std::string known;
    for (const auto value : values) {
      if (to_text(value) == text) return value;
      known += (known.empty() ? "" : ", ") + std::string(to_text(value));
    }
    throw_error(ErrorKind::kCorruptFile, "{} is \"{}\", not one of {}", where(name), text.substr(0, 40),
                known);
  }

  void finish() const {
    for (const auto& [name, value] : object_.items()) {
      QUIRE_CHECK_KIND(kCorruptFile, taken_.contains(name), "{}: unknown member \"{}\"", where_,
                       name.substr(0, 80));
    }
  }

 private:
  const Json& object_;
  const std::string where_;
  std::set<std::string> taken_;
};

Chip parse_chip(const Json& object, const std::string& where) {
  Members members(object, where);
  Chip chip;
  chip.target = members.take_text("target");
  chip.architecture = members.take_text("architecture");
  chip.description = members.take_text("description");
  chip.num_units = members.take_int("num_units", 1, 1 << 20);
  members.finish();
  return chip;
}

AttentionTuning parse_config(Members& entry) {
  AttentionTuning config;
  if (entry.has("tiles")) {
    Members tiles(entry.take("tiles"), entry.where("tiles"));
    for (std::size_t i = 0; i < std::size(kTileFields); ++i)
      config.tiles.*kTileMembers[i] = tiles.take_int(kTileFields[i], 0, kMostOfTiles);
    tiles.finish();
  }
  Members policy(entry.take("split_policy"), entry.where("split_policy"));
  for (std::size_t i = 0; i < std::size(kPolicyFields); ++i) {
    config.split_policy.*kPolicyMembers[i] =
        policy.take_int(kPolicyFields[i], kLeastOfPolicy[i], kMostOfPolicy[i]);
  }
  policy.finish();
  return config;
}

TunedEntry parse_entry(const Json& object, const std::string& where) {
  constexpr DType kDTypes[] = {DType::kF32, DType::kF16, DType::kBF16};
  Members members(object, where);
  TunedEntry entry;
  entry.problem.dtype = members.take_one_of("dtype", kDTypes, [](DType t) { return to_string(t); });
  entry.problem.head_dim = members.take_int("head_dim", 1, kHeadDimBounds[std::size(kHeadDimBounds) - 1]);
  QUIRE_CHECK_KIND(kCorruptFile, head_dim_bound(entry.problem.head_dim) == entry.problem.head_dim,
                   "{} is {}, not one of {}", members.where("head_dim"), entry.problem.head_dim,
                   fmt::join(kHeadDimBounds, ", "));
  entry.problem.kind = members.take_one_of("kind", kBatchKinds, [](BatchKind k) { return to_string(k); });
  entry.speedup = members.take_positive("speedup");
  entry.config = parse_config(members);
  members.finish();
  return entry;
}

Json json_of(const TunedEntry& entry) {
  Json json = {{"dtype", to_string(entry.problem.dtype)},
               {"head_dim", entry.problem.head_dim},
               {"kind", to_string(entry.problem.kind)},
               {"speedup", entry.speedup}};
  if (entry.config.tiles != AttentionTiles{}) {
    for (std::size_t i = 0; i < std::size(kTileFields); ++i)
      json["tiles"][kTileFields[i]] = entry.config.tiles.*kTileMembers[i];
  }
  for (std::size_t i = 0; i < std::size(kPolicyFields); ++i) {
    json["split_policy"][kPolicyFields[i]] = entry.config.split_policy.*kPolicyMembers[i];
  }
  return json;
}

}  // namespace

std::string to_string(const Chip& chip) {
  return fmt::format("{} ({} {}, {} unit{})", chip.description, chip.target, chip.architecture,
                     chip.num_units, chip.num_units == 1 ? "" : "s");
}

const TunedEntry* TunedTable::find(const AttentionClass& problem) const {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const TunedEntry& e) { return e.problem == problem; });
  return found == entries.end() ? nullptr : &*found;
}

TunedTable parse_tuned_table(std::string_view text, const std::string& origin) {
  const Json root = parse_json(text, origin, kLimits);
  Members members(root, origin);
  const std::string format = members.take_text("format");
  QUIRE_CHECK_KIND(kCorruptFile, format == kFormat, "{} is \"{}\", not \"{}\"", members.where("format"),
                   format.substr(0, 40), kFormat);
  const int version = members.take_int("version", 1, 1 << 30);
  QUIRE_CHECK_KIND(kUnsupported, version == kVersion, "{} is {}; this build reads {}",
                   members.where("version"), version, kVersion);
  TunedTable table;
  table.chip = parse_chip(members.take("chip"), members.where("chip"));
  const Json& entries = members.take("attention");
  QUIRE_CHECK_KIND(kCorruptFile, entries.is_array(), "{} is not an array", members.where("attention"));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string where = fmt::format("{} [{}]", members.where("attention"), i);
    const TunedEntry entry = parse_entry(entries[i], where);
    QUIRE_CHECK_KIND(kCorruptFile, table.find(entry.problem) == nullptr, "{}: {} stands there twice", where,
                     to_string(entry.problem));
    table.entries.push_back(entry);
  }
  members.finish();
  return table;
}

std::string tuned_table_text(const TunedTable& table) {
  Json entries = Json::array();
  for (const TunedEntry& entry : table.entries) entries.push_back(json_of(entry));
  const Json root = {{"format", kFormat},
                     {"version", kVersion},
                     {"chip",
                      {{"target", table.chip.target},
                       {"architecture", table.chip.architecture},
                       {"description", table.chip.description},
                       {"num_units", table.chip.num_units}}},
                     {"attention", entries}};
  return root.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

fs::path tuned_table_path(const fs::path& folder, const Chip& chip) {
  std::string name;
  for (const char c :
       fmt::format("{} {} {} {}", chip.target, chip.architecture, chip.num_units, chip.description)) {
    const auto letter = static_cast<unsigned char>(c);
    if (std::isalnum(letter) != 0 && letter < 128) {
      name += static_cast<char>(std::tolower(letter));
    } else if (c == '_') {
      name += c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  name = name.substr(0, kMaxNameChars);
  while (name.ends_with('-')) name.pop_back();
  return folder / fmt::format("tuned-{}.json", name);
}

TunedTable read_tuned_table(const fs::path& path) {
  return parse_tuned_table(read_text_file(path.string(), kLimits.max_bytes, "the tuned table"),
                           path.string());
}

void write_tuned_table(const fs::path& path, const TunedTable& table) {
  const std::string text = tuned_table_text(table);
  const std::string_view parts[] = {text};
  const std::string failure = write_atomically(path, parts);
  QUIRE_CHECK_KIND(kExhausted, failure.empty(), "{}", failure);
}

}  // namespace quire

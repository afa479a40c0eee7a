#include "text/post_processor.h"

#include "base/check.h"
#include "text/vocabulary.h"

namespace quire {
namespace {

constexpr std::size_t kMaxTemplateIds = 1024;
using HasToken = std::function<bool(std::int32_t)>;

// The ids of one special token of a template, from {"ids": […]}.
void append_ids(const JsonField& special_token, const HasToken& has_token, std::vector<std::int32_t>& out) {
  const JsonField ids = special_token.at("ids");
  for (std::size_t i = 0; i < ids.num_elements(); ++i) {
    const JsonField id = ids.element(i);
    out.push_back(static_cast<std::int32_t>(id.as_int(0, kMaxTokenId)));
    if (!has_token(out.back())) id.corrupt("no token has this id");
    if (out.size() > kMaxTemplateIds)
      ids.unsupported(fmt::format("a template of more than {} ids", kMaxTemplateIds));
  }
}

PostProcessor read_template(const JsonField& field, const HasToken& has_token) {
  PostProcessor out;
  const JsonField single = field.at("single");
  bool has_text = false;
  for (std::size_t i = 0; i < single.num_elements(); ++i) {
    const JsonField piece = single.element(i);
    if (const auto sequence = piece.find("Sequence")) {
      const JsonField id = sequence->at("id");
      if (id.as_string() != "A") id.corrupt("a template for one text can only use A");
      if (has_text) piece.unsupported("a template that repeats the text");
      has_text = true;
      continue;
    }
    const JsonField id = piece.at("SpecialToken").at("id");
    const JsonField tokens = field.at("special_tokens");
    if (!tokens.find(id.as_string())) id.corrupt("special_tokens does not define it");
    append_ids(tokens.at(id.as_string()), has_token, has_text ? out.suffix : out.prefix);
  }
  if (!has_text) single.unsupported("a template without the text");
  return out;
}

// Returns whether `out` was set.
bool read_processor(const JsonField& field, const HasToken& has_token, bool is_set, PostProcessor& out) {
  const std::string& type = field.at("type").as_string();
  if (type == "ByteLevel") return is_set;
  if (type == "TemplateProcessing") {
    if (is_set) field.unsupported("a second template");
    out = read_template(field, has_token);
    return true;
  }
  if (type != "Sequence") field.at("type").unsupported("this post-processor is not known");
  const JsonField members = field.at("processors");
  for (std::size_t i = 0; i < members.num_elements(); ++i) {
    is_set = read_processor(members.element(i), has_token, is_set, out);
  }
  return is_set;
}

}  // namespace

PostProcessor make_post_processor(const JsonField& field,
                                  const std::function<bool(std::int32_t)>& has_token) {
  PostProcessor out;
  read_processor(field, has_token, false, out);
  return out;
}

}  // namespace quire

// JSON from outside: size, depth and duplicate keys are limited while parsing, so that a hostile file costs little.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace quire {

using Json = nlohmann::json;  // objects are sorted maps: looking up one of 100,000 keys must not be linear

struct JsonLimits {
  std::size_t max_bytes = 256u << 20;
  int max_depth = 64;
  std::size_t max_values = 20'000'000;  // objects, arrays and scalars together
  bool reject_duplicate_keys = true;
};

// Empties a tree from its leaves. The destructor of a tree allocates memory where children have children, and
// cannot fail; what is left here is destroyed without.
template <class Tree>
void dismantle(Tree& tree) noexcept {
  if (!tree.is_structured()) return;
  for (Tree& child : tree) dismantle(child);
  tree.clear();
}

// Dismantles a tree from outside when the scope ends.
template <class Tree>
class TreeScope {
 public:
  explicit TreeScope(Tree& tree) : tree_(tree) {}
  ~TreeScope() { dismantle(tree_); }
  TreeScope(const TreeScope&) = delete;
  TreeScope& operator=(const TreeScope&) = delete;

 private:
  Tree& tree_;
};

// Parses `text`. Throws Error{kCorruptFile} that starts with `origin` (a file name) and names byte offset and limit.
Json parse_json(std::string_view text, const std::string& origin, const JsonLimits& limits = {});

}  // namespace quire

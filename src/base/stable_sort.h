// A stable sort that bears any comparison: one that throws, and one that is no order (NaN). Clang compiles it without a word, unlike
// std::stable_sort of GCC 12's library, which calls what C++17 deprecates.
#pragma once

#include <algorithm>
#include <iterator>
#include <vector>

namespace quire {

template <class Item, class Less>
void sort_stably(std::vector<Item>& items, Less less) {
  const std::size_t size = items.size();
  std::vector<Item> merged(size);
  const auto at = [&items](std::size_t i) {
    return std::make_move_iterator(items.begin() + static_cast<std::ptrdiff_t>(i));
  };
  for (std::size_t width = 1; width < size; width *= 2) {
    auto out = merged.begin();
    for (std::size_t begin = 0; begin < size; begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, size), end = std::min(begin + 2 * width, size);
      out = std::merge(at(begin), at(middle), at(middle), at(end), out, less);
    }
    items.swap(merged);
  }
}

}  // namespace quire

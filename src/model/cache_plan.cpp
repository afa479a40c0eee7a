#include "model/cache_plan.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/check.h"

namespace quire {
namespace {

constexpr int kMaxScale = 8;
constexpr double kMaxWaste = 0.04;
constexpr double kGroupCost = 0.005;  // one page table less is worth so much waste, see plan_cache

// Layers that keep the same tokens.
struct LayerClass {
  int window = 0;  // 0 = all
  std::vector<std::size_t> layers;

  int num_layers() const { return static_cast<int>(layers.size()); }
};

// How the layers of a class are stored in pages of a given number of lanes.
struct ClassLayout {
  int num_groups, page_scale;
  double waste;
};

ClassLayout lay_out(int num_layers, int num_lanes) {
  const int num_groups = num_layers > num_lanes ? (num_layers + num_lanes - 1) / num_lanes : 1;
  const int page_scale = std::clamp(num_lanes / num_layers, 1, kMaxScale);
  return {num_groups, page_scale, 1.0 - double(num_layers) * page_scale / (double(num_groups) * num_lanes)};
}

// First the class that keeps all tokens, then the others by window, the longest first.
std::vector<LayerClass> classes_of(std::span<const LayerCache> layers) {
  std::map<int, std::vector<std::size_t>, std::greater<>> by_window;
  std::vector<LayerClass> classes;
  for (std::size_t i = 0; i < layers.size(); ++i) by_window[layers[i].window].push_back(i);
  if (const auto all = by_window.find(0); all != by_window.end()) {
    classes.push_back({0, all->second});
    by_window.erase(all);
  }
  for (auto& [window, of_window] : by_window) {
    if (classes.size() < kMaxCacheGroups) {
      classes.push_back({window, of_window});
    } else {
      classes.back().layers.insert(classes.back().layers.end(), of_window.begin(), of_window.end());
    }
  }
  return classes;
}

int choose_num_lanes(const std::vector<LayerClass>& classes) {
  int most_layers = 0;
  for (const LayerClass& c : classes) most_layers = std::max(most_layers, c.num_layers());
  int best = most_layers, best_groups = kMaxCacheGroups + 1, best_scale = 0;
  double best_waste = 2.0;
  for (int num_lanes = 1; num_lanes <= 2 * most_layers; ++num_lanes) {
    int num_groups = 0, scale = 1;
    double waste = 0.0;
    for (const LayerClass& c : classes) {
      const ClassLayout layout = lay_out(c.num_layers(), num_lanes);
      num_groups += layout.num_groups;
      scale = std::max(scale, layout.page_scale);
      waste = std::max(waste, layout.waste);
    }
    if (num_groups > kMaxCacheGroups) continue;
    const bool is_good = waste <= kMaxWaste, was_good = best_waste <= kMaxWaste;
    const bool has_less = is_good ? std::pair(num_groups, scale) < std::pair(best_groups, best_scale)
                                  : waste + kGroupCost * num_groups < best_waste + kGroupCost * best_groups;
    if (is_good != was_good ? !is_good : !has_less) continue;
    best = num_lanes, best_groups = num_groups, best_scale = scale, best_waste = waste;
  }
  return best;
}

}  // namespace

double CachePlan::waste(std::size_t group) const {
  const auto num_layers = std::count_if(places.begin(), places.end(), [&](const Place& place) {
    return place.group == static_cast<int>(group);
  });
  return 1.0 - double(num_layers) * groups[group].page_scale / num_lanes;
}

CachePlan plan_cache(std::span<const LayerCache> layers) {
  CachePlan plan;
  plan.lane_bytes = layers[0].page_bytes;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    QUIRE_CHECK_KIND(kUnsupported, layers[i].page_bytes == plan.lane_bytes,
                     "layer {} keeps {} bytes in a page and layer 0 {}; supported: the same in all layers", i,
                     layers[i].page_bytes, plan.lane_bytes);
  }
  const std::vector<LayerClass> classes = classes_of(layers);
  plan.num_lanes = choose_num_lanes(classes);
  plan.places.resize(layers.size());
  for (const LayerClass& c : classes) {
    const ClassLayout layout = lay_out(c.num_layers(), plan.num_lanes);
    const int first_group = static_cast<int>(plan.groups.size());
    for (std::size_t i = 0; i < c.layers.size(); ++i) {
      const int idx = static_cast<int>(i);
      plan.places[c.layers[i]] = {first_group + idx / plan.num_lanes, idx % plan.num_lanes};
    }
    for (int g = 0; g < layout.num_groups; ++g) {
      plan.groups.push_back(c.window > 0 ? window_group(c.window, layout.page_scale)
                                         : CacheGroup{Retention::kAllTokens, 0, layout.page_scale});
      plan.lanes_of_group.push_back(std::min(c.num_layers(), plan.num_lanes));
    }
  }
  return plan;
}

}  // namespace quire

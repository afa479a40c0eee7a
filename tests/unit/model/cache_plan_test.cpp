#include "model/cache_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "base/error.h"

namespace quire {
namespace {

std::vector<LayerCache> layers_of(const std::vector<int>& windows, std::size_t page_bytes = 1024) {
  std::vector<LayerCache> layers;
  for (const int window : windows) layers.push_back({window, page_bytes});
  return layers;
}

// `num_windows` layers with a window to each that sees all, `num_layers` in all.
std::vector<LayerCache> hybrid(int num_layers, int num_windows) {
  std::vector<int> windows;
  for (int i = 0; i < num_layers; ++i) windows.push_back(i % (num_windows + 1) == num_windows ? 0 : 512);
  return layers_of(windows);
}

double most_waste(const CachePlan& plan) {
  std::map<std::pair<int, int>, double> unused;  // by window and scale: of all groups of a class together
  double waste = 0;
  for (std::size_t g = 0; g < plan.groups.size(); ++g) waste = std::max(waste, plan.waste(g));
  return waste;
}

TEST(CachePlan, EqualLayersShareOnePage) {
  const CachePlan plan = plan_cache(layers_of({0, 0, 0}));
  EXPECT_EQ(plan.groups, std::vector<CacheGroup>{CacheGroup{}});
  EXPECT_EQ(plan.num_lanes, 3);
  EXPECT_EQ(plan.page_bytes(), 3 * 1024u);
  for (int layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(plan.places[static_cast<std::size_t>(layer)].group, 0);
    EXPECT_EQ(plan.places[static_cast<std::size_t>(layer)].lane, layer);
  }
  EXPECT_EQ(plan_cache(layers_of({7, 7})).groups, std::vector<CacheGroup>{window_group(7)});
}

TEST(CachePlan, AlternatingLayersTakeHalfAPageEach) {
  const CachePlan plan = plan_cache(hybrid(26, 1));
  EXPECT_EQ(plan.groups, (std::vector<CacheGroup>{CacheGroup{}, window_group(512)}));
  EXPECT_EQ(plan.num_lanes, 13);  // a page is half of what 26 layers keep of its tokens
  EXPECT_EQ(plan.page_bytes(), 13 * 1024u);
  EXPECT_EQ(plan.places[0].group, 1);
  EXPECT_EQ(plan.places[1].group, 0);
  EXPECT_EQ(plan.places[25].lane, 12);
}

TEST(CachePlan, FewerLayersPutMoreTokensIntoAPage) {
  const CachePlan plan = plan_cache(hybrid(32, 3));  // 24 with a window, 8 without
  EXPECT_EQ(plan.groups, (std::vector<CacheGroup>{{Retention::kAllTokens, 0, 3}, window_group(512)}));
  EXPECT_EQ(plan.num_lanes, 24);
  EXPECT_EQ(plan.lanes_of_group, (std::vector<int>{8, 24}));
  EXPECT_EQ(plan.waste(0), 0.0);
}

TEST(CachePlan, WastesLittleOnPublishedShapes) {
  struct Shape {
    int num_layers, num_windows;
    double waste;
  };
  // One layer in six sees all: 18, 34, 48, 62 layers of one family, whose 26 do not come out even. The
  // others: one in two, one in four.
  const Shape shapes[] = {{18, 5, 0.04}, {34, 5, 0.04}, {48, 5, 0.04}, {62, 5, 0.04}, {26, 5, 0.1},
                          {24, 1, 0.0},  {36, 1, 0.0},  {36, 3, 0.04}, {64, 3, 0.04}, {40, 3, 0.04}};
  for (const Shape& shape : shapes) {
    const CachePlan plan = plan_cache(hybrid(shape.num_layers, shape.num_windows));
    EXPECT_LE(plan.groups.size(), 4u) << shape.num_layers;
    EXPECT_LE(most_waste(plan), shape.waste + 1e-9) << shape.num_layers << " layers, " << shape.num_windows;
  }
}

TEST(CachePlan, RefusesLayersOfDifferentSizes) {
  std::vector<LayerCache> layers = layers_of({0, 0});
  layers[1].page_bytes = 2048;
  try {
    plan_cache(layers);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_STREQ(error.what(),
                 "layer 1 keeps 2048 bytes in a page and layer 0 1024; supported: the same in all layers");
  }
}

TEST(CachePlan, ShortWindowsShareAGroupWhenThereAreTooMany) {
  std::vector<int> windows;
  for (int i = 1; i <= 12; ++i) windows.push_back(10 * i);
  const CachePlan plan = plan_cache(layers_of(windows));
  EXPECT_LE(plan.groups.size(), static_cast<std::size_t>(kMaxCacheGroups));
  for (std::size_t layer = 0; layer < windows.size(); ++layer) {
    EXPECT_GE(plan.groups[static_cast<std::size_t>(plan.places[layer].group)].window, windows[layer]);
  }
}

// Whatever the layers are: each has lanes of its own in its group's pages, and the group keeps what it sees.
TEST(CachePlan, PlacesNeverOverlap) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int> windows;
    const unsigned num_kinds = 1 + random() % 10, num_layers = 1 + random() % 70;
    for (unsigned i = 0; i < num_layers; ++i) windows.push_back(static_cast<int>(random() % num_kinds) * 100);
    const CachePlan plan = plan_cache(layers_of(windows));
    ASSERT_LE(plan.groups.size(), static_cast<std::size_t>(kMaxCacheGroups));
    ASSERT_EQ(plan.places.size(), windows.size());
    std::set<std::pair<int, int>> taken;  // group and lane
    for (std::size_t layer = 0; layer < windows.size(); ++layer) {
      const CachePlan::Place place = plan.places[layer];
      const CacheGroup& group = plan.groups[static_cast<std::size_t>(place.group)];
      ASSERT_TRUE(group.window == 0 || (windows[layer] > 0 && windows[layer] <= group.window));
      for (int part = 0; part < group.page_scale; ++part) {
        const int lane = place.lane + part * plan.lanes_of_group[static_cast<std::size_t>(place.group)];
        ASSERT_LT(lane, plan.num_lanes);
        ASSERT_TRUE(taken.insert({place.group, lane}).second);
      }
    }
  }
}

}  // namespace
}  // namespace quire

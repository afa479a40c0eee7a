#include "load/svg_plot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace quire {
namespace {

// Whether tags nest, attributes are quoted and text holds no bare markup. Not all of XML: what the writer may
// use.
bool is_well_formed(const std::string& xml) {
  std::vector<std::string> open;
  std::size_t at = 0;
  while (at < xml.size()) {
    if (xml[at] != '<') {
      if (xml[at] == '>') return false;
      if (xml[at] == '&') {
        const auto end = xml.find(';', at);
        const std::string name = xml.substr(at + 1, end - at - 1);
        if (name != "lt" && name != "gt" && name != "amp" && name != "quot") return false;
      }
      ++at;
      continue;
    }
    const auto end = xml.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = xml.substr(at + 1, end - at - 1);
    at = end + 1;
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0 || tag.find('<') != std::string::npos) return false;
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag.front() == '/') {
      if (open.empty() || "/" + open.back() != tag) return false;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
  }
  return open.empty() && xml.rfind("<svg", 0) == 0;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Svg, TheCheckSeesFaults) {
  EXPECT_TRUE(is_well_formed("<svg a=\"1\"><b/><c>x &lt;</c></svg>"));
  for (const char* bad : {"<svg>", "<svg></b></svg>", "<svg><b></svg></b>", "<svg>a & b</svg>",
                          "<svg a=\"x></svg>", "<svg> > </svg>"})
    EXPECT_FALSE(is_well_formed(bad)) << bad;
}

TEST(Svg, IsWellFormedWithAnyWords) {
  const Plot plot{"<script>&\"\x01",
                  "a < b",
                  "c & d",
                  false,
                  false,
                  {{"p50 <\">", {{1, 2}, {2, 3}}, true}, {"q", {}, false}}};
  const std::string svg = render_svg("<b>\"", "&", {plot, plot, plot}, 2);
  EXPECT_TRUE(is_well_formed(svg)) << svg;
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(svg.find('\x01'), std::string::npos);
}

TEST(Svg, DrawsWhatCanBeDrawn) {
  Plot plot{"t", "x", "y", true, true, {{"s", {{1, 10}, {INFINITY, 5}, {2, 0}, {4, NAN}, {8, 80}}, false}}};
  std::string svg = render_svg("h", "n", {plot}, 1);
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_EQ(count_of(svg, "<circle"), 2u);
  EXPECT_EQ(count_of(svg, "nan") + count_of(svg, "inf"), 0u);
  for (const bool is_log : {false, true}) {
    plot = {"t", "x", "y", is_log, is_log, {{"none", {}, false}, {"one", {{3, 3}}, false}}};
    svg = render_svg("h", "n", {plot}, 1);
    EXPECT_TRUE(is_well_formed(svg));
    EXPECT_EQ(count_of(svg, "<circle"), 1u);
    EXPECT_EQ(count_of(svg, "nan") + count_of(svg, "inf"), 0u);
  }
  EXPECT_TRUE(is_well_formed(render_svg("h", "n", {}, 2)));
}

TEST(Ticks, AreRoundAndCover) {
  EXPECT_EQ(axis_ticks(0, 10, 5, false), (std::vector<double>{0, 2.5, 5, 7.5, 10}));
  EXPECT_EQ(axis_ticks(0, 7, 5, false), (std::vector<double>{0, 2, 4, 6, 8}));
  EXPECT_EQ(axis_ticks(1, 8, 5, true), (std::vector<double>{1, 2, 5, 10}));
  EXPECT_EQ(axis_ticks(3, 40, 5, true), (std::vector<double>{2, 5, 10, 20, 50}));
  for (const double low : {0.0013, 0.5, 3.0, 77.0}) {
    for (const double factor : {1.01, 2.0, 13.0, 3000.0, 1e7}) {
      for (const bool is_log : {false, true}) {
        const auto ticks = axis_ticks(low, low * factor, 5, is_log);
        ASSERT_GE(ticks.size(), 2u) << low << " " << factor << is_log;
        EXPECT_LE(ticks.front(), low * 1.001);
        EXPECT_GE(ticks.back(), low * factor * 0.998);
        EXPECT_TRUE(std::is_sorted(ticks.begin(), ticks.end()));
        EXPECT_LE(ticks.size(), 14u);
      }
    }
  }
}

}  // namespace
}  // namespace quire

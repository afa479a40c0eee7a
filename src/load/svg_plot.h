// Line charts as SVG, for the results of a load test.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace quire {

struct PlotSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  // (x, y); points that are not finite, or not positive on a
                                                  // logarithmic axis, are left out
  bool is_dashed = false;
};

struct Plot {
  std::string title, x_label, y_label;
  bool has_log_x = false,
       has_log_y = false;  // where values differ by a factor of 5 or more; else the axis begins at 0
  std::vector<PlotSeries> series;
};

// The plots side by side, `columns` in a row, below a heading and a line of small print.
std::string render_svg(const std::string& heading, const std::string& note, const std::vector<Plot>& plots,
                       int columns);

// Round numbers that divide [low, high], about `wanted` of them, the first not above `low` and the last not
// below `high`. On a logarithmic axis: 1, 2, 5 times powers of ten.
std::vector<double> axis_ticks(double low, double high, int wanted, bool is_log);

}  // namespace quire

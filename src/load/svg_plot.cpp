#include "load/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace quire {
namespace {

constexpr double kWidth = 420, kHeight = 300;  // of one plot with its labels
constexpr double kLeft = 58, kRight = 16, kTop = 30, kBottom = 44, kHead = 56, kLegendRow = 17;
constexpr const char* kColors[] = {"#3572b8", "#d18f1f", "#b14a86", "#2e7d4f", "#7a5fc0", "#8a8378"};

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '&':
        result += "&amp;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += static_cast<unsigned char>(c) < ' ' ? ' ' : c;  // XML knows no control characters
    }
  }
  return result;
}

// A value's place between 0 and 1.
struct Axis {
  double low, high;
  bool is_log;
  std::vector<double> ticks;

  double place(double value) const {
    return is_log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  }
};

bool is_drawn(const Plot& plot, const std::pair<double, double>& point) {
  return std::isfinite(point.first) && std::isfinite(point.second) && (!plot.has_log_x || point.first > 0) &&
         (!plot.has_log_y || point.second > 0);
}

Axis make_axis(const Plot& plot, bool is_x) {
  bool is_log = is_x ? plot.has_log_x : plot.has_log_y;
  double low = INFINITY, high = -INFINITY;
  for (const PlotSeries& series : plot.series) {
    for (const auto& point : series.points) {
      if (!is_drawn(plot, point)) continue;
      const double value = is_x ? point.first : point.second;
      low = std::min(low, value), high = std::max(high, value);
    }
  }
  if (!(low <= high)) low = is_log ? 1 : 0, high = is_log ? 10 : 1;
  if (high < 5 * low) is_log = false;  // too few round numbers to read by
  if (!is_log) low = std::min(low, 0.0);
  if (low == high) high = is_log ? low * 2 : low + 1;
  Axis axis{0, 0, is_log, axis_ticks(low, high, is_x ? 6 : 5, is_log)};
  axis.low = axis.ticks.front(), axis.high = axis.ticks.back();
  return axis;
}

std::string number_text(double value) {
  if (std::abs(value) >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (std::abs(value) >= 1e4) return fmt::format("{:.4g}k", value / 1e3);
  return fmt::format("{:.4g}", std::abs(value) < 1e-12 ? 0 : value);
}

class PlotWriter {
 public:
  PlotWriter(const Plot& plot, double left, double top)
      : plot_(plot),
        x_(make_axis(plot, true)),
        y_(make_axis(plot, false)),
        left_(left + kLeft),
        top_(top + kTop) {}

  std::string write() {
    text(left_ + kPlotWidth / 2, top_ - 12, "middle", plot_.title, " font-weight=\"600\"");
    write_axes();
    for (std::size_t i = 0; i < plot_.series.size(); ++i) write_series(i);
    return std::move(svg_);
  }

 private:
  static constexpr double kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;

  double x_of(double value) const { return left_ + x_.place(value) * kPlotWidth; }
  double y_of(double value) const { return top_ + (1 - y_.place(value)) * kPlotHeight; }

  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(svg_), format, std::forward<Args>(args)...);
  }

  void text(double x, double y, const char* anchor, const std::string& words, const char* more = "") {
    add("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more,
        escaped(words));
  }

  void write_axes() {
    for (const double tick : y_.ticks) {
      add("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#e2dccf\"/>\n", left_,
          left_ + kPlotWidth, y_of(tick), y_of(tick));
      text(left_ - 6, y_of(tick) + 4, "end", number_text(tick), " fill=\"#67625a\"");
    }
    const double bottom = top_ + kPlotHeight;
    add("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#67625a\"/>\n", left_,
        left_ + kPlotWidth, bottom, bottom);
    for (const double tick : x_.ticks) {
      add("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#67625a\"/>\n", x_of(tick),
          x_of(tick), bottom, bottom + 4);
      text(x_of(tick), bottom + 17, "middle", number_text(tick), " fill=\"#67625a\"");
    }
    text(left_ + kPlotWidth / 2, bottom + 36, "middle", plot_.x_label);
    const double x = left_ - 44, y = top_ + kPlotHeight / 2;
    add("<text transform=\"translate({:.1f} {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n", x, y,
        escaped(plot_.y_label));
  }

  void write_series(std::size_t number) {
    const PlotSeries& series = plot_.series[number];
    const char* color = kColors[number % std::size(kColors)];
    std::string path, dots;
    for (const auto& point : series.points) {
      if (!is_drawn(plot_, point)) continue;
      const double x = x_of(point.first), y = y_of(point.second);
      fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x, y);
      fmt::format_to(std::back_inserter(dots), "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n",
                     x, y, color);
    }
    const char* dash = series.is_dashed ? " stroke-dasharray=\"6 4\"" : "";
    if (!path.empty())
      add("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\" stroke-linejoin=\"round\"{}/>\n{}",
          path, color, dash, dots);
    // The legend lies in the upper left corner, on a ground that keeps lines off its words.
    const double y = top_ + 13 + kLegendRow * static_cast<double>(number);
    add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#fffdf8\" "
        "fill-opacity=\"0.85\"/>\n",
        left_ + 4, y - 12, 34 + 6.6 * static_cast<double>(series.name.size()), kLegendRow);
    add("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
        "stroke-width=\"2\"{}/>\n",
        left_ + 8, left_ + 28, y - 4, y - 4, color, dash);
    text(left_ + 34, y, "start", series.name);
  }

  const Plot& plot_;
  const Axis x_, y_;
  const double left_, top_;
  std::string svg_;
};

}  // namespace

std::vector<double> axis_ticks(double low, double high, int wanted, bool is_log) {
  std::vector<double> ticks;
  if (is_log) {
    const double decades = std::log10(high / low);
    for (double power = std::pow(10, std::floor(std::log10(low)));
         ticks.empty() || ticks.back() < high * 0.999; power *= 10) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        if (decades > 3 && factor != 1) continue;
        const double tick = factor * power;
        if (tick <= low * 1.001) ticks.clear();
        if (ticks.empty() || ticks.back() < high * 0.999) ticks.push_back(tick);
      }
    }
    return ticks;
  }
  const double raw = (high - low) / std::max(1, wanted - 1), unit = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * unit;
  for (const double factor : {5.0, 2.5, 2.0, 1.0}) {
    if (factor * unit >= raw * 0.999) step = factor * unit;
  }
  for (double tick = std::floor(low / step + 1e-9) * step; ticks.empty() || ticks.back() < high - step * 1e-6;
       tick += step)
    ticks.push_back(tick);
  return ticks;
}

std::string render_svg(const std::string& heading, const std::string& note, const std::vector<Plot>& plots,
                       int columns) {
  const int num_plots = static_cast<int>(plots.size()), num_rows = (num_plots + columns - 1) / columns;
  const double width = kWidth * std::min(columns, std::max(1, num_plots)) + 16,
               height = kHead + kHeight * num_rows + 8;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#23201b\" "
      "role=\"img\">\n<title>{2}</title>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fffdf8\"/>\n"
      "<text x=\"16\" y=\"24\" font-size=\"16\" font-weight=\"600\">{2}</text>\n"
      "<text x=\"16\" y=\"43\" fill=\"#67625a\">{3}</text>\n",
      width, height, escaped(heading), escaped(note));
  for (int i = 0; i < num_plots; ++i)
    svg += PlotWriter(plots[static_cast<std::size_t>(i)], kWidth * (i % columns),
                      kHead + kHeight * (i / columns))
               .write();
  return svg + "</svg>\n";
}

}  // namespace quire

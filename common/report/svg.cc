#include "common/report/svg.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/report/escape.h"

namespace mellow::report {
namespace {

std::string Points(const std::vector<std::pair<double, double>>& points) {
  std::string out;
  for (const auto& [x, y] : points)
    absl::StrAppendFormat(&out, "%s%.1f,%.1f", out.empty() ? "" : " ", x, y);
  return out;
}

}  // namespace

Svg::Svg(int width, int height, absl::string_view title, absl::string_view description) {
  out_ = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" "
      "aria-label=\"%s\">\n<desc>%s</desc>\n",
      width, height, EscapeHtml(title), EscapeHtml(description));
}

void Svg::Shape(absl::string_view element, absl::string_view hint) {
  const absl::string_view name = element.substr(0, element.find(' '));
  if (hint.empty()) {
    absl::StrAppend(&out_, "<", element, "/>\n");
  } else {
    absl::StrAppend(&out_, "<", element, "><title>", EscapeHtml(hint), "</title></", name, ">\n");
  }
}

void Svg::Line(absl::string_view css_class, double x1, double y1, double x2, double y2) {
  Shape(absl::StrFormat("line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"",
                        css_class, x1, y1, x2, y2),
        "");
}

void Svg::Rect(absl::string_view css_class, double x, double y, double width, double height,
               absl::string_view hint) {
  Shape(absl::StrFormat("rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"",
                        css_class, x, y, width, height),
        hint);
}

void Svg::Circle(absl::string_view css_class, double x, double y, double radius,
                 absl::string_view hint) {
  Shape(absl::StrFormat("circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"", css_class, x, y,
                        radius),
        hint);
}

void Svg::Polyline(absl::string_view css_class,
                   const std::vector<std::pair<double, double>>& points) {
  Shape(absl::StrFormat("polyline class=\"%s\" fill=\"none\" points=\"%s\"", css_class,
                        Points(points)),
        "");
}

void Svg::Polygon(absl::string_view css_class,
                  const std::vector<std::pair<double, double>>& points) {
  Shape(absl::StrFormat("polygon class=\"%s\" points=\"%s\"", css_class, Points(points)), "");
}

void Svg::Text(absl::string_view css_class, Anchor anchor, double x, double y,
               absl::string_view text) {
  constexpr const char* kAnchors[] = {"start", "middle", "end"};
  absl::StrAppendFormat(&out_,
                        "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                        css_class, kAnchors[static_cast<int>(anchor)], x, y, EscapeHtml(text));
}

std::string Svg::Finish() && {
  out_ += "</svg>";
  return std::move(out_);
}

}  // namespace mellow::report

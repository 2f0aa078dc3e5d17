#ifndef MELLOW_COMMON_REPORT_SVG_H_
#define MELLOW_COMMON_REPORT_SVG_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace mellow::report {

// Builds one <svg> element for use inside HTML: well-formed XML, scaled to the width that it gets,
// colored by the classes of the page's style sheet only. Coordinates are in units of the viewBox,
// y downwards, written with one decimal. All texts are escaped here.
class Svg {
 public:
  // `title` and `description` are what a screen reader says.
  Svg(int width, int height, absl::string_view title, absl::string_view description);

  enum class Anchor { kStart, kMiddle, kEnd };

  void Line(absl::string_view css_class, double x1, double y1, double x2, double y2);
  // `hint`: what a pointer shows; may be empty.
  void Rect(absl::string_view css_class, double x, double y, double width, double height,
            absl::string_view hint = "");
  void Circle(absl::string_view css_class, double x, double y, double radius,
              absl::string_view hint = "");
  void Polyline(absl::string_view css_class, const std::vector<std::pair<double, double>>& points);
  void Polygon(absl::string_view css_class, const std::vector<std::pair<double, double>>& points);
  void Text(absl::string_view css_class, Anchor anchor, double x, double y, absl::string_view text);

  // The element. Call once.
  [[nodiscard]] std::string Finish() &&;

 private:
  void Shape(absl::string_view element, absl::string_view hint);

  std::string out_;
};

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_SVG_H_

#ifndef MELLOW_COMMON_REPORT_REPORT_JSON_H_
#define MELLOW_COMMON_REPORT_REPORT_JSON_H_

#include <string>
#include <vector>

#include "common/report/findings.h"
#include "common/report/input.h"
#include "common/report/lineage.h"

namespace mellow::report {

// Grows when a field changes its meaning or goes. New fields do not count.
inline constexpr int kReportSchema = 1;

// Report::json (report.h): two spaces of indentation, a newline at the end; numbers read back as
// the same double, those that are not finite are null.
[[nodiscard]] std::string ToJson(const ReportInput& input, const Findings& findings,
                                 const std::vector<ArmLineage>& lineage);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_REPORT_JSON_H_

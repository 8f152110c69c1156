// The findings of `memfusectl doctor` as text and as JSON.

#ifndef MEMFUSE_SRC_CLI_DOCTOR_REPORT_H_
#define MEMFUSE_SRC_CLI_DOCTOR_REPORT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "src/cli/doctor_checks.h"

namespace memfuse::cli {

struct ReportStyle {
  bool colour = false;
  size_t width = 0;  // lines are broken between words before this column; 0: never
};

// For standard output: both only on a terminal, and no colour with NO_COLOR or TERM=dumb.
ReportStyle StyleOfStandardOutput();

// One line for each finding, and below it the advice after "->"; then a line with the numbers of
// problems, warnings and notes. `mount_point` is empty for the machine.
std::string DoctorText(const Findings& findings, uint32_t uid, const std::string& mount_point,
                       const ReportStyle& style);

// memfusectl(1) describes the members.
std::string DoctorJson(const Findings& findings, uint32_t uid, const std::string& mount_point);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_DOCTOR_REPORT_H_

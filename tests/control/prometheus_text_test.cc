// The text format of Prometheus, byte by byte. `promtool check metrics` reads the real metrics in
// tests/mount/programs/metrics.sh.

#include "src/control/prometheus_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace memfuse::control {
namespace {

using ::testing::HasSubstr;

TEST(PrometheusTextTest, AFamilyAndItsSamples) {
  PrometheusText text;
  text.Family("memfuse_inodes", "gauge", "Inodes in use.");
  text.Sample({}, uint64_t{18446744073709551615u});
  text.Family("x_total", "counter", "X.");
  text.Sample({{"a", "1"}, {"b", "two"}}, 0.25);
  EXPECT_EQ(text.text(),
            "# HELP memfuse_inodes Inodes in use.\n"
            "# TYPE memfuse_inodes gauge\n"
            "memfuse_inodes 18446744073709551615\n"
            "# HELP x_total X.\n"
            "# TYPE x_total counter\n"
            "x_total{a=\"1\",b=\"two\"} 0.25\n");
}

TEST(PrometheusTextTest, LabelsAreEscapedAndUtf8) {
  PrometheusText text;
  text.Family("x", "gauge", "X.");
  text.Sample({{"path", "a\"b\\c\nd\te \xc3\xa4 \xff"}}, uint64_t{1});
  EXPECT_THAT(text.text(), HasSubstr("x{path=\"a\\\"b\\\\c\\nd\te \xc3\xa4 \xef\xbf\xbd\"} 1\n"));
}

TEST(PrometheusTextTest, HistogramsAreCumulative) {
  LatencyHistogram latency;
  latency.counts[0] = 3;
  latency.counts[2] = 4;
  latency.counts[23] = 1;
  latency.sum_nanoseconds = 5'000'000'250;
  PrometheusText text;
  text.Family("d", "histogram", "D.");
  text.Histogram({{"op", "READ"}}, latency);
  EXPECT_THAT(text.text(), HasSubstr("d_bucket{op=\"READ\",le=\"1.024e-06\"} 3\n"
                                     "d_bucket{op=\"READ\",le=\"2.048e-06\"} 3\n"
                                     "d_bucket{op=\"READ\",le=\"4.096e-06\"} 7\n"));
  EXPECT_THAT(text.text(), HasSubstr("d_bucket{op=\"READ\",le=\"4.294967296\"} 7\n"
                                     "d_bucket{op=\"READ\",le=\"+Inf\"} 8\n"
                                     "d_sum{op=\"READ\"} 5.00000025\n"
                                     "d_count{op=\"READ\"} 8\n"));
}

}  // namespace
}  // namespace memfuse::control

#include "src/control/prometheus_text.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"

namespace memfuse::control {
namespace {

// Exact for the bounds of the buckets, which are multiples of a nanosecond.
std::string Number(double value) { return absl::StrFormat("%.12g", value); }

// A pass through JSON replaces bytes that are no UTF-8.
std::string Utf8(const std::string& text) {
  using nlohmann::json;
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace))
      .get<std::string>();
}

std::string Quoted(const std::string& value) {
  std::string quoted = "\"";
  for (const char c : Utf8(value)) {
    if (c == '\n') {
      quoted += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

void PrometheusText::Family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  for (const auto& [word, value] : {std::pair("# HELP ", help), std::pair("# TYPE ", type)}) {
    text_.append(word).append(name).append(" ").append(value).append("\n");
  }
}

void PrometheusText::Sample(const Labels& labels, uint64_t value) {
  Line("", labels, std::to_string(value));
}

void PrometheusText::Sample(const Labels& labels, double value) { Line("", labels, Number(value)); }

void PrometheusText::Histogram(const Labels& labels, const LatencyHistogram& latency) {
  Labels with_bound = labels;
  with_bound.emplace_back("le", "");
  uint64_t sum = 0;
  for (size_t i = 0; i < latency.counts.size(); ++i) {
    const uint64_t bound = LatencyHistogram::UpperBound(i);
    sum += latency.counts[i];
    with_bound.back().second =
        bound == LatencyHistogram::kUnbounded ? "+Inf" : Number(static_cast<double>(bound) * 1e-9);
    Line("_bucket", with_bound, std::to_string(sum));
  }
  Line("_sum", labels, Number(static_cast<double>(latency.sum_nanoseconds) * 1e-9));
  Line("_count", labels, std::to_string(sum));
}

void PrometheusText::Line(std::string_view suffix, const Labels& labels, std::string_view value) {
  text_.append(name_).append(suffix);
  const char* separator = "{";
  for (const auto& [label, text] : labels) {
    text_.append(separator).append(label).append("=").append(Quoted(text));
    separator = ",";
  }
  if (!labels.empty()) text_ += '}';
  text_.append(" ").append(value).append("\n");
}

}  // namespace memfuse::control

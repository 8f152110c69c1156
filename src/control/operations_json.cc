#include "src/control/operations_json.h"

#include <nlohmann/json.hpp>
#include <string>

#include "src/control/names.h"

namespace memfuse::control {
namespace {

using nlohmann::json;

constexpr double kNanosecond = 1e-9;

json LatencyToJson(const LatencyHistogram& latency) {
  json buckets = json::array();
  for (size_t i = 0; i < latency.counts.size(); ++i) {
    const uint64_t bound = LatencyHistogram::UpperBound(i);
    const bool bounded = bound != LatencyHistogram::kUnbounded;
    buckets.push_back(json::array(
        {bounded ? json(static_cast<double>(bound) * kNanosecond) : json(), latency.counts[i]}));
  }
  return {{"count", latency.total()},
          {"sum_seconds", static_cast<double>(latency.sum_nanoseconds) * kNanosecond},
          {"p50_seconds", latency.Quantile(0.5) * kNanosecond},
          {"p99_seconds", latency.Quantile(0.99) * kNanosecond},
          {"buckets", buckets}};
}

}  // namespace

json OperationsToJson(const std::vector<OperationStatistics>& operations) {
  json result = json::object();
  for (const OperationStatistics& operation : operations) {
    if (operation.requests == 0) continue;
    json errors = json::object();
    for (const ErrorCount& error : operation.error_numbers) {
      errors[ErrorName(error.number)] = error.count;
    }
    result[std::string(operation.name)] = {{"requests", operation.requests},
                                           {"errors", operation.errors},
                                           {"error_numbers", errors},
                                           {"bytes", operation.bytes},
                                           {"latency", LatencyToJson(operation.latency)}};
  }
  return result;
}

}  // namespace memfuse::control

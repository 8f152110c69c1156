// The JSON of GET /v1/statistics.

#ifndef MEMFUSE_SRC_CONTROL_OPERATIONS_JSON_H_
#define MEMFUSE_SRC_CONTROL_OPERATIONS_JSON_H_

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "memfuse/statistics.h"

namespace memfuse::control {

// An object with a member for each operation that was requested at least once, by its name:
//
//   "LOOKUP": {
//     "requests": 12, "errors": 3, "error_numbers": {"ENOENT": 3}, "bytes": 0,
//     "latency": {"count": 12, "sum_seconds": 8.1e-05, "p50_seconds": 4.2e-06,
//                 "p99_seconds": 2.0e-05, "buckets": [[1.024e-06, 0], ..., [null, 0]]}}
//
// memfuse/statistics.h describes the numbers. A bucket is its upper bound in seconds (null: none)
// and its own count. The error number 0 is "other". Throws std::bad_alloc.
nlohmann::json OperationsToJson(const std::vector<OperationStatistics>& operations);

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_OPERATIONS_JSON_H_

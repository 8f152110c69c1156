#include "src/transport/request_statistics.h"

#include <algorithm>
#include <vector>

namespace memfuse::transport {
namespace {

void AddError(int number, uint64_t count, OperationStatistics* sum) {
  std::vector<ErrorCount>& errors = sum->error_numbers;
  const auto at =
      std::lower_bound(errors.begin(), errors.end(), number,
                       [](const ErrorCount& error, int value) { return error.number < value; });
  if (at != errors.end() && at->number == number) {
    at->count += count;
  } else {
    errors.insert(at, {number, count});
  }
  sum->errors += count;
}

}  // namespace

void RequestStatistics::End(const RecentRequest& request, uint64_t bytes) {
  Operation& operation = operations_[IndexOf(request.opcode)];
  operation.latency_sum.Add(request.latency_nanoseconds);
  operation.latency[LatencyHistogram::BucketOf(request.latency_nanoseconds)].Add(1);
  if (bytes != 0) operation.bytes.Add(bytes);
  // Last, so that a reader that begins with the errors finds no more errors than requests.
  if (request.error != 0) CountError(request.error, &operation);
  RecentRequest recent = request;
  recent.opcode = static_cast<uint32_t>(IndexOf(request.opcode));
  recent_.Add(recent);
}

void RequestStatistics::CountError(int number, Operation* operation) {
  for (ErrorCounter& error : operation->error_numbers) {
    const int present = error.number.load(std::memory_order_relaxed);
    if (present == 0) error.number.store(number, std::memory_order_relaxed);
    if (present == 0 || present == number) {
      error.count.Add(1);
      return;
    }
  }
  operation->other_errors.Add(1);
}

void RequestStatistics::AddTo(absl::Span<OperationStatistics> sums) const {
  for (size_t i = 0; i < operations_.size(); ++i) {
    const Operation& operation = operations_[i];
    if (operation.requests.value() == 0) continue;
    const bool known = protocol::FindOpcode(static_cast<uint32_t>(i)) != nullptr;
    OperationStatistics& sum = sums[known ? i : 0];
    for (const ErrorCounter& error : operation.error_numbers) {
      // A count above 0 was stored after its number.
      if (const uint64_t count = error.count.value(); count != 0) {
        AddError(error.number.load(std::memory_order_relaxed), count, &sum);
      }
    }
    if (const uint64_t count = operation.other_errors.value(); count != 0) AddError(0, count, &sum);
    for (size_t bucket = 0; bucket < operation.latency.size(); ++bucket) {
      sum.latency.counts[bucket] += operation.latency[bucket].value();
    }
    sum.latency.sum_nanoseconds += operation.latency_sum.value();
    sum.bytes += operation.bytes.value();
    // Last: a request is counted before its outcome.
    sum.requests += operation.requests.value();
  }
}

uint64_t RequestStatistics::total() const {
  uint64_t sum = 0;
  for (const Operation& operation : operations_) sum += operation.requests.value();
  return sum;
}

}  // namespace memfuse::transport

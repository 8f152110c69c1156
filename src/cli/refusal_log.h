// The log lines for operations that a limit has refused.

#ifndef MEMFUSE_SRC_CLI_REFUSAL_LOG_H_
#define MEMFUSE_SRC_CLI_REFUSAL_LOG_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "memfuse/quota.h"

namespace memfuse::cli {

// A sentence for users: what was refused to which process, and which limit has how much left.
std::string DescribeRefusal(const Refusal& refusal);

// Decides which refusals are logged: for each limit at most one line in kInterval. Not
// synchronised.
class RefusalLog {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(10);

  // Takes the present list (MemoryFileSystem::Refusals) and returns the lines for what is new in
  // it. `now` never decreases. Throws std::bad_alloc.
  std::vector<std::string> NewLines(absl::Span<const Refusal> refusals, absl::Time now);

 private:
  using Key = std::tuple<Refusal::Limit, Refusal::Owner, uint64_t>;
  struct Logged {
    uint64_t count = 0;
    absl::Time time = absl::InfinitePast();
  };

  std::map<Key, Logged> logged_;  // of the limits in the last list
};

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_REFUSAL_LOG_H_

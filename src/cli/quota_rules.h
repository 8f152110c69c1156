// The value of --quota: limits for users, groups and directory trees.

#ifndef MEMFUSE_SRC_CLI_QUOTA_RULES_H_
#define MEMFUSE_SRC_CLI_QUOTA_RULES_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "memfuse/quota.h"

namespace memfuse::cli {

// Rules separated by commas, each KIND:SUBJECT=BYTES[/INODES]. KIND is uid, gid or path. SUBJECT is
// a number or a name, or * for all that have no rule of their own; or, for path, the path of a
// directory from the root of the mount, which contains no comma. BYTES is an amount as for --size,
// where a percentage is one of `size_limit`; INODES is a count as for --nr_inodes. Each may be
// empty, and 0 means no limit. Of two rules for the same subject, the later one replaces the limits
// that it gives.
//
// Errors: InvalidArgument, with a sentence that quotes the wrong part.
absl::StatusOr<std::vector<QuotaRule>> ParseQuotaRules(absl::string_view text, uint64_t size_limit);

// The same for a change of rules that exist.
struct QuotaChange {
  QuotaRule rule;
  bool has_bytes = false;   // the text gives a limit in bytes
  bool has_inodes = false;  // the text gives a limit in inodes
};
absl::StatusOr<std::vector<QuotaChange>> ParseQuotaChanges(absl::string_view text,
                                                           uint64_t size_limit);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_QUOTA_RULES_H_

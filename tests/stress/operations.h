// The operations of the stress program, and the errors that each may return.

#ifndef MEMFUSE_TESTS_STRESS_OPERATIONS_H_
#define MEMFUSE_TESTS_STRESS_OPERATIONS_H_

#include <cstddef>

namespace memfuse::stress {

enum class Operation {
  kMkdir,
  kRmdir,
  kCreate,
  kOpen,
  kWrite,
  kRead,
  kTruncate,
  kPunch,
  kUnlink,
  kLink,
  kSymlink,
  kReadlink,
  kStat,
  kReaddir,
  kRename,
  kRenameNoReplace,
  kRenameExchange,
  kMoveOwn,
  kRemoveAll,
};
inline constexpr size_t kOperations = static_cast<size_t>(Operation::kRemoveAll) + 1;

const char* NameOf(Operation operation);

// Whether tmpfs may return this errno while other processes change the same few names.
bool MayFailWith(Operation operation, int error);

}  // namespace memfuse::stress

#endif  // MEMFUSE_TESTS_STRESS_OPERATIONS_H_

// The words that the control socket and the metrics use for values of enumerations.

#ifndef MEMFUSE_SRC_CONTROL_NAMES_H_
#define MEMFUSE_SRC_CONTROL_NAMES_H_

#include <string>

#include "memfuse/quota.h"

namespace memfuse::control {

// "uid", "gid" or "path".
const char* KindName(QuotaKind kind);
// "bytes" or "inodes".
const char* LimitName(Refusal::Limit limit);
// "uid", "gid", "path", "memory" or "file system".
const char* OwnerName(Refusal::Owner owner);
// "ENOENT" for an error number. 0, which stands for numbers that are not counted by themselves, is
// "other"; a number that the C library does not know is shown as such.
std::string ErrorName(int number);

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_NAMES_H_

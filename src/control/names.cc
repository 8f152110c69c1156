#include "src/control/names.h"

#include <cstring>

namespace memfuse::control {

const char* KindName(QuotaKind kind) {
  switch (kind) {
    case QuotaKind::kGroup:
      return "gid";
    case QuotaKind::kTree:
      return "path";
    case QuotaKind::kUser:
      break;
  }
  return "uid";
}

const char* LimitName(Refusal::Limit limit) {
  return limit == Refusal::Limit::kBytes ? "bytes" : "inodes";
}

const char* OwnerName(Refusal::Owner owner) {
  switch (owner) {
    case Refusal::Owner::kUser:
      return "uid";
    case Refusal::Owner::kGroup:
      return "gid";
    case Refusal::Owner::kTree:
      return "path";
    case Refusal::Owner::kMemory:
      return "memory";
    case Refusal::Owner::kFileSystem:
      break;
  }
  return "file system";
}

std::string ErrorName(int number) {
  if (number == 0) return "other";
  const char* const name = strerrorname_np(number);
  return name == nullptr ? std::to_string(number) : name;
}

}  // namespace memfuse::control

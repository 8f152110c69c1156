#include "tests/stress/operations.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

namespace memfuse::stress {
namespace {

struct Expectation {
  const char* name;
  std::vector<int> errors;
};

// Every path may contain a name that was removed (ENOENT), that is a file now (ENOTDIR), or that is
// a symbolic link in a loop (ELOOP). Operations on an open file have an empty list, because they
// always succeed.
const std::array<Expectation, kOperations>& Expectations() {
  static const auto* const table = new std::array<Expectation, kOperations>{{
      {"mkdir", {ENOENT, ENOTDIR, ELOOP, EEXIST}},
      {"rmdir", {ENOENT, ENOTDIR, ELOOP, ENOTEMPTY}},
      {"create", {ENOENT, ENOTDIR, ELOOP, EEXIST}},
      {"open", {ENOENT, ENOTDIR, ELOOP, EISDIR}},
      {"write", {}},
      {"read", {}},
      {"truncate", {}},
      {"punch", {}},
      {"unlink", {ENOENT, ENOTDIR, ELOOP, EISDIR}},
      // EPERM: a directory cannot have a second name.
      {"link", {ENOENT, ENOTDIR, ELOOP, EEXIST, EPERM}},
      {"symlink", {ENOENT, ENOTDIR, ELOOP, EEXIST}},
      // EINVAL: the object is no symbolic link.
      {"readlink", {ENOENT, ENOTDIR, ELOOP, EINVAL}},
      {"stat", {ENOENT, ENOTDIR, ELOOP}},
      {"readdir", {ENOENT, ENOTDIR, ELOOP}},
      // EINVAL: a directory into itself or a descendant. ENOTEMPTY: also onto an ancestor.
      {"rename", {ENOENT, ENOTDIR, ELOOP, EISDIR, ENOTEMPTY, EINVAL}},
      {"rename NOREPLACE", {ENOENT, ENOTDIR, ELOOP, EEXIST, EINVAL}},
      {"rename EXCHANGE", {ENOENT, ENOTDIR, ELOOP, EINVAL}},
      {"move own", {}},
      {"remove all", {ENOENT}},
  }};
  return *table;
}

}  // namespace

const char* NameOf(Operation operation) {
  return Expectations()[static_cast<size_t>(operation)].name;
}

bool MayFailWith(Operation operation, int error) {
  const std::vector<int>& errors = Expectations()[static_cast<size_t>(operation)].errors;
  return std::find(errors.begin(), errors.end(), error) != errors.end();
}

}  // namespace memfuse::stress

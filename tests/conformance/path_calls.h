// Every call that takes a path, for tests of their common properties: path resolution, and the
// permissions that it needs.

#ifndef MEMFUSE_TESTS_CONFORMANCE_PATH_CALLS_H_
#define MEMFUSE_TESTS_CONFORMANCE_PATH_CALLS_H_

#include <string>
#include <vector>

namespace memfuse::conformance {

struct PathCall {
  // The type of object that the path must name for the call to succeed.
  enum class Wants { kFile, kDirectory, kSymlink, kNothing };

  const char* name;
  Wants wants;
  bool follows;                   // a symbolic link at the end of the path
  bool writes_parent;             // needs write permission there
  int (*call)(const char* path);  // 0, or an errno
};

// Some calls make a file "other-UID" in the working directory, to link or rename from.
const std::vector<PathCall>& PathCalls();

// Makes the object that `call` needs. A file is executable, so that execve(2) can be tested.
void MakeWanted(const PathCall& call, const std::string& path);

}  // namespace memfuse::conformance

#endif  // MEMFUSE_TESTS_CONFORMANCE_PATH_CALLS_H_

// Every call that takes a path, for what holds for all of them: how a path is walked, and who may
// walk it.

#ifndef MEMFUSE_TESTS_CONFORMANCE_PATH_CALLS_H_
#define MEMFUSE_TESTS_CONFORMANCE_PATH_CALLS_H_

#include <string>
#include <vector>

namespace memfuse::conformance {

struct PathCall {
  // What the path has to name for the call to succeed.
  enum class Wants { kFile, kDirectory, kSymlink, kNothing };

  const char* name;
  Wants wants;
  bool follows;                   // a symbolic link at the end of the path
  bool writes_parent;             // needs write permission there
  int (*call)(const char* path);  // 0, or an errno
};

// Some make a file "other-UID" in the working directory, to link or rename from.
const std::vector<PathCall>& PathCalls();

// Makes what `call` wants. A file is executable, so that it can be tried.
void MakeWanted(const PathCall& call, const std::string& path);

}  // namespace memfuse::conformance

#endif  // MEMFUSE_TESTS_CONFORMANCE_PATH_CALLS_H_

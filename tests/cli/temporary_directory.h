// A directory that is removed with its contents after the test.

#ifndef MEMFUSE_TESTS_CLI_TEMPORARY_DIRECTORY_H_
#define MEMFUSE_TESTS_CLI_TEMPORARY_DIRECTORY_H_

#include <string>

namespace memfuse::cli {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  // Makes a directory, with its parents, or a file, with its parents, and returns the full path.
  std::string MakeDirectory(const std::string& name) const;
  std::string WriteFile(const std::string& name, const std::string& text) const;

 private:
  std::string path_;
};

}  // namespace memfuse::cli

#endif  // MEMFUSE_TESTS_CLI_TEMPORARY_DIRECTORY_H_

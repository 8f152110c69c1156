#include "tests/cli/temporary_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace memfuse::cli {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = testing::TempDir() + "/memfuse_cli.XXXXXX";
  if (mkdtemp(name.data()) == nullptr) std::abort();
  // Other users must be able to reach the files that a test makes for them.
  chmod(name.c_str(), 0755);
  path_ = std::filesystem::canonical(name).string();
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::string TemporaryDirectory::MakeDirectory(const std::string& name) const {
  const std::string path = path_ + "/" + name;
  std::filesystem::create_directories(path);
  return path;
}

std::string TemporaryDirectory::WriteFile(const std::string& name, const std::string& text) const {
  const std::filesystem::path path = path_ + "/" + name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
  return path.string();
}

}  // namespace memfuse::cli

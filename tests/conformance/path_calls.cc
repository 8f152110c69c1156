#include "tests/conformance/path_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

using Wants = PathCall::Wants;

std::string Other() {
  const std::string name = "other-" + std::to_string(geteuid());
  const UniqueFd fd(open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
  return name;
}

int OpenErrno(const char* path, int flags) {
  const UniqueFd fd(open(path, flags | O_CLOEXEC, 0644));
  return fd.valid() ? 0 : errno;
}

}  // namespace

const std::vector<PathCall>& PathCalls() {
  constexpr bool kFollows = true;
  constexpr bool kWritesParent = true;
  static const auto* const calls = new std::vector<PathCall>{
      {"stat", Wants::kFile, kFollows, false,
       [](const char* path) {
         struct stat s;
         return ErrnoOf(stat(path, &s));
       }},
      {"lstat", Wants::kFile, false, false,
       [](const char* path) {
         struct stat s;
         return ErrnoOf(lstat(path, &s));
       }},
      {"statx", Wants::kFile, kFollows, false,
       [](const char* path) {
         struct statx s;
         return ErrnoOf(statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &s));
       }},
      {"access", Wants::kFile, kFollows, false,
       [](const char* path) { return ErrnoOf(access(path, F_OK)); }},
      {"open for reading", Wants::kFile, kFollows, false,
       [](const char* path) { return OpenErrno(path, O_RDONLY); }},
      {"open for writing", Wants::kFile, kFollows, false,
       [](const char* path) { return OpenErrno(path, O_WRONLY); }},
      {"open as a path", Wants::kFile, kFollows, false,
       [](const char* path) { return OpenErrno(path, O_PATH); }},
      {"open of a directory", Wants::kDirectory, kFollows, false,
       [](const char* path) { return OpenErrno(path, O_RDONLY | O_DIRECTORY); }},
      {"chmod", Wants::kFile, kFollows, false,
       [](const char* path) { return ErrnoOf(chmod(path, 0755)); }},
      {"chown", Wants::kFile, kFollows, false,
       [](const char* path) { return ErrnoOf(chown(path, -1, -1)); }},
      {"lchown", Wants::kFile, false, false,
       [](const char* path) { return ErrnoOf(lchown(path, -1, -1)); }},
      {"truncate", Wants::kFile, kFollows, false,
       [](const char* path) { return ErrnoOf(truncate(path, 0)); }},
      {"utimensat", Wants::kFile, kFollows, false,
       [](const char* path) {
         // glibc itself refuses a null path; the kernel checks every other invalid pointer.
         return ErrnoOf(utimensat(AT_FDCWD, path, nullptr, 0));
       }},
      {"statfs", Wants::kFile, kFollows, false,
       [](const char* path) {
         struct statfs s;
         return ErrnoOf(statfs(path, &s));
       }},
      {"listxattr", Wants::kFile, kFollows, false,
       [](const char* path) { return listxattr(path, nullptr, 0) < 0 ? errno : 0; }},
      {"readlink", Wants::kSymlink, false, false,
       [](const char* path) {
         char target[16];
         return readlink(path, target, sizeof(target)) < 0 ? errno : 0;
       }},
      {"chdir", Wants::kDirectory, kFollows, false,
       [](const char* path) {
         const UniqueFd here(open(".", O_PATH | O_CLOEXEC));
         const int result = ErrnoOf(chdir(path));
         return fchdir(here.get()) == 0 ? result : EIO;
       }},
      {"unlink", Wants::kFile, false, kWritesParent,
       [](const char* path) { return ErrnoOf(unlink(path)); }},
      {"rmdir", Wants::kDirectory, false, kWritesParent,
       [](const char* path) { return ErrnoOf(rmdir(path)); }},
      {"link from", Wants::kFile, false, false,
       [](const char* path) {
         const std::string to = Other();
         if (unlink(to.c_str()) != 0) return EIO;
         return ErrnoOf(link(path, to.c_str()));
       }},
      {"rename from", Wants::kFile, false, kWritesParent,
       [](const char* path) { return ErrnoOf(rename(path, Other().c_str())); }},
      {"open to create", Wants::kNothing, kFollows, kWritesParent,
       [](const char* path) { return OpenErrno(path, O_CREAT | O_WRONLY); }},
      {"open to create exclusively", Wants::kNothing, false, kWritesParent,
       [](const char* path) { return OpenErrno(path, O_CREAT | O_EXCL | O_WRONLY); }},
      {"mkdir", Wants::kNothing, false, kWritesParent,
       [](const char* path) { return ErrnoOf(mkdir(path, 0755)); }},
      {"mkfifo", Wants::kNothing, false, kWritesParent,
       [](const char* path) { return ErrnoOf(mkfifo(path, 0644)); }},
      {"mknod", Wants::kNothing, false, kWritesParent,
       [](const char* path) { return ErrnoOf(mknod(path, S_IFREG | 0644, 0)); }},
      {"symlink", Wants::kNothing, false, kWritesParent,
       [](const char* path) { return ErrnoOf(symlink("target", path)); }},
      {"link to", Wants::kNothing, false, kWritesParent,
       [](const char* path) { return ErrnoOf(link(Other().c_str(), path)); }},
      {"rename to", Wants::kNothing, false, kWritesParent,
       [](const char* path) { return ErrnoOf(rename(Other().c_str(), path)); }},
  };
  return *calls;
}

void MakeWanted(const PathCall& call, const std::string& path) {
  switch (call.wants) {
    case Wants::kFile:
      MakeFile(path, "", 0777);
      break;
    case Wants::kDirectory:
      MakeDirectory(path, 0777);
      break;
    case Wants::kSymlink:
      ASSERT_EQ(symlink("target", path.c_str()), 0);
      break;
    case Wants::kNothing:
      break;
  }
}

}  // namespace memfuse::conformance

// Path resolution, path_resolution(7): the same for every call.

#include <limits.h>
#include <sys/mman.h>

#include <algorithm>

#include "tests/conformance/conformance.h"
#include "tests/conformance/path_calls.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Path);
ROOT_CONFORMANCE_SUITE(PathAsRoot);

using Wants = PathCall::Wants;

// Makes the object that the call needs at `path`, and removes it afterwards. The call may
// temporarily fail with the error `transient`.
void CallSucceeds(const PathCall& call, const std::string& made, const std::string& path,
                  int transient = 0) {
  MakeWanted(call, made);
  int error = 0;
  (void)Eventually([&] {
    error = call.call(path.c_str());
    return error == 0 || error != transient;
  });
  EXPECT_EQ(error, 0);
  if (unlink(made.c_str()) != 0) rmdir(made.c_str());
}

TEST_P(Path, EmptyPathFails) {
  for (const PathCall& call : PathCalls()) {
    TRACE(call.name);
    EXPECT_EQ(call.call(""), ENOENT);
  }
}

TEST_P(Path, OutsideOfTheAddressSpaceIsAFault) {
  void* const hole = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(hole, MAP_FAILED);
  for (const PathCall& call : PathCalls()) {
    TRACE(call.name);
    EXPECT_EQ(call.call(static_cast<const char*>(hole)), EFAULT);
    EXPECT_EQ(call.call(reinterpret_cast<const char*>(-1)), EFAULT);
  }
  munmap(hole, 4096);
}

TEST_P(Path, ComponentsHaveAtMost255Bytes) {
  for (const PathCall& call : PathCalls()) {
    TRACE(call.name);
    CallSucceeds(call, LongName(255), LongName(255));
    EXPECT_EQ(call.call(LongName(256).c_str()), ENAMETOOLONG);
    EXPECT_EQ(call.call((LongName(256) + "/x").c_str()), ENAMETOOLONG);
    EXPECT_EQ(call.call(("./" + LongName(1024)).c_str()), ENAMETOOLONG);
    EXPECT_EQ(call.call(LongName(1025).c_str()), ENAMETOOLONG);
    EXPECT_EQ(call.call(LongName(4000).c_str()), ENAMETOOLONG);
  }
}

TEST_P(Path, HasAtMost4095Bytes) {
  std::string dots;
  while (dots.size() < PATH_MAX - 2) dots += "./";
  const std::string longest = dots + "x";
  ASSERT_EQ(longest.size(), size_t{PATH_MAX - 1});
  for (const PathCall& call : PathCalls()) {
    TRACE(call.name);
    CallSucceeds(call, "x", longest);
    EXPECT_EQ(call.call((dots + "xy").c_str()), ENAMETOOLONG);
    EXPECT_EQ(call.call((longest + longest).c_str()), ENAMETOOLONG);
  }
}

TEST_P(Path, GoesDeeperThanPathMaxByTheWorkingDirectory) {
  const std::string name = LongName(200);
  for (int i = 0; i < 30; ++i) {
    MakeDirectory(name);
    ASSERT_EQ(chdir(name.c_str()), 0);
  }
  MakeFile("f", "deep");
  EXPECT_EQ(ReadFile("f"), "deep");
  for (int i = 0; i < 30; ++i) ASSERT_EQ(chdir(".."), 0);
  EXPECT_THAT(List("."), testing::ElementsAre(name));
}

TEST_P(Path, ThroughAnythingButADirectoryIsRefused) {
  for (const Type type : TypesWithoutPrivilege()) {
    if (type == Type::kDirectory || type == Type::kSymlink) continue;
    MakeObject(type, ToString(type));
    ASSERT_EQ(symlink(ToString(type).c_str(), (ToString(type) + " link").c_str()), 0);
    for (const PathCall& call : PathCalls()) {
      TRACE(call.name << " through a " << ToString(type));
      EXPECT_EQ(call.call((ToString(type) + "/x").c_str()), ENOTDIR);
      EXPECT_EQ(call.call((ToString(type) + "/..").c_str()), ENOTDIR);
      EXPECT_EQ(call.call((ToString(type) + " link/x").c_str()), ENOTDIR);
    }
  }
}

TEST_P(PathAsRoot, ThroughADeviceIsRefused) {
  for (const Type type : {Type::kCharDevice, Type::kBlockDevice}) {
    MakeObject(type, "device");
    for (const PathCall& call : PathCalls()) {
      TRACE(call.name);
      EXPECT_EQ(call.call("device/x"), ENOTDIR);
    }
    ASSERT_EQ(unlink("device"), 0);
  }
}

TEST_P(Path, ThroughAMissingNameFails) {
  ASSERT_EQ(symlink("missing", "dangling"), 0);
  for (const PathCall& call : PathCalls()) {
    TRACE(call.name);
    EXPECT_EQ(call.call("missing/x"), ENOENT);
    EXPECT_EQ(call.call("missing/../x"), ENOENT);
    EXPECT_EQ(call.call("dangling/x"), ENOENT);
    if (call.wants != Wants::kNothing) {
      EXPECT_EQ(call.call("missing"), ENOENT);
    }
  }
}

TEST_P(Path, LoopsFail) {
  ASSERT_EQ(symlink("loop", "loop"), 0);
  ASSERT_EQ(symlink("b", "a"), 0);
  ASSERT_EQ(symlink("a", "b"), 0);
  for (const PathCall& call : PathCalls()) {
    TRACE(call.name);
    EXPECT_EQ(call.call("loop/x"), ELOOP);
    EXPECT_EQ(call.call("a/x"), ELOOP);
    if (call.follows) {
      EXPECT_EQ(call.call("loop"), ELOOP);
      EXPECT_EQ(call.call("b"), ELOOP);
    }
  }
}

TEST_P(Path, FollowsFortyLinksAndNoMore) {
  MakeDirectory("0");
  for (int i = 1; i <= 41; ++i) {
    ASSERT_EQ(symlink(std::to_string(i - 1).c_str(), std::to_string(i).c_str()), 0);
  }
  for (const PathCall& call : PathCalls()) {
    TRACE(call.name);
    // If a process mounts something during a walk, the kernel starts again without a reset of its
    // counter.
    CallSucceeds(call, "0/x", "40/x", /*transient=*/ELOOP);
    EXPECT_EQ(call.call("41/x"), ELOOP);
  }
}

TEST_P(Path, WalksThroughLinksAndDots) {
  MakeDirectory("d");
  MakeDirectory("d/e");
  ASSERT_EQ(symlink("d/e", "relative"), 0);
  ASSERT_EQ(symlink(Absolute("d").c_str(), "absolute"), 0);
  for (const PathCall& call : PathCalls()) {
    TRACE(call.name);
    for (const char* path : {"d/x", "./d/./x", "d//x", "d///e/..//x", "relative/../x", "absolute/x",
                             "absolute/e/../../d/x"}) {
      TRACE(path);
      CallSucceeds(call, "d/x", path);
    }
  }
}

TEST_P(Path, WithASlashAtTheEndNamesADirectory) {
  MakeDirectory("d");
  MakeFile("f");
  ASSERT_EQ(symlink("d", "link"), 0);
  ASSERT_EQ(symlink("f", "file link"), 0);
  for (const PathCall& call : PathCalls()) {
    TRACE(call.name);
    if (call.wants == Wants::kNothing) continue;
    EXPECT_EQ(call.call("f/"), ENOTDIR);
    EXPECT_EQ(call.call("f/."), ENOTDIR);
    EXPECT_EQ(call.call("file link/"), ENOTDIR);
    EXPECT_EQ(call.call("missing/"), ENOENT);
  }
  EXPECT_TRUE(S_ISDIR(LStat("link/").st_mode));
  EXPECT_EQ(ErrnoOf(unlink("d/")), EISDIR);
  EXPECT_EQ(ErrnoOf(unlink("link/")), ENOTDIR);
  EXPECT_EQ(ErrnoOf(rmdir("link/")), ENOTDIR);
  EXPECT_EQ(ErrnoOf(rename("link/", "other")), ENOTDIR);
  EXPECT_EQ(ErrnoOf(rename("f", "new/")), ENOTDIR);
  EXPECT_EQ(rename("d/", "e/"), 0);
  EXPECT_EQ(rmdir("e//"), 0);
}

TEST_P(Path, WithASlashAtTheEndMakesDirectoriesOnly) {
  EXPECT_EQ(mkdir("d/", 0755), 0);
  MakeFile("f");
  EXPECT_EQ(ErrnoOf(mkdir("d/", 0755)), EEXIST);
  EXPECT_EQ(ErrnoOf(mkdir("f/", 0755)), EEXIST);
  EXPECT_EQ(ErrnoOf(open("n/", O_CREAT | O_WRONLY, 0644)), EISDIR);
  EXPECT_EQ(ErrnoOf(open("f/", O_CREAT | O_WRONLY, 0644)), EISDIR);
  EXPECT_EQ(ErrnoOf(mknod("n/", S_IFREG | 0644, 0)), ENOENT);
  EXPECT_EQ(ErrnoOf(mkfifo("n/", 0644)), ENOENT);
  EXPECT_EQ(ErrnoOf(symlink("target", "n/")), ENOENT);
  EXPECT_EQ(ErrnoOf(link("f", "n/")), ENOENT);
  EXPECT_EQ(ErrnoOf(mknod("f/", S_IFREG | 0644, 0)), EEXIST);
  EXPECT_EQ(ErrnoOf(symlink("target", "d/")), EEXIST);
  EXPECT_EQ(ErrnoOf(link("f", "d/")), EEXIST);
  ASSERT_EQ(symlink("missing", "dangling"), 0);
  EXPECT_EQ(ErrnoOf(mkdir("dangling/", 0755)), EEXIST);
  EXPECT_FALSE(Exists("missing"));
}

TEST_P(Path, DotAndDotDotExistAndCannotBeChanged) {
  MakeDirectory("d");
  EXPECT_EQ(Stat("d/.").st_ino, Stat("d").st_ino);
  EXPECT_EQ(Stat("d/..").st_ino, Stat(".").st_ino);
  for (const char* path : {".", "..", "d/.", "d/.."}) {
    TRACE(path);
    EXPECT_EQ(ErrnoOf(mkdir(path, 0755)), EEXIST);
    EXPECT_EQ(ErrnoOf(mknod(path, S_IFREG | 0644, 0)), EEXIST);
    EXPECT_EQ(ErrnoOf(symlink("target", path)), EEXIST);
    EXPECT_EQ(ErrnoOf(open(path, O_CREAT | O_RDONLY, 0644)), EISDIR);
    EXPECT_EQ(ErrnoOf(open(path, O_CREAT | O_EXCL | O_RDONLY, 0644)), EEXIST);
    EXPECT_EQ(ErrnoOf(unlink(path)), EISDIR);
    EXPECT_EQ(ErrnoOf(rename(path, "n")), EBUSY);
    EXPECT_EQ(ErrnoOf(rename("d", path)), EBUSY);
  }
  EXPECT_EQ(ErrnoOf(rmdir("d/.")), EINVAL);
  EXPECT_EQ(ErrnoOf(rmdir(".")), EINVAL);
  EXPECT_EQ(ErrnoOf(rmdir("..")), ENOTEMPTY);
  EXPECT_EQ(ErrnoOf(rmdir("d/..")), ENOTEMPTY);
}

TEST_P(Path, NamesAreAnyBytesButSlashAndNul) {
  std::vector<std::string> names;
  for (int byte = 1; byte < 256; ++byte) {
    if (byte == '/') continue;
    const std::string one(1, static_cast<char>(byte));
    for (const std::string& name : {one, "x" + one, one + one + one}) {
      if (name == "." || name == one + "x") continue;
      names.push_back(name);
    }
  }
  for (const std::string& name : names) MakeFile(name, name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(List("."), names);
  for (const std::string& name : names) EXPECT_EQ(ReadFile(name), name);
}

TEST_P(Path, NamesDifferByCaseAndNormalForm) {
  for (const char* name : {"name", "Name", "NAME", "name ", " name", "\xc3\xa9", "e\xcc\x81"}) {
    MakeFile(name, name);
  }
  EXPECT_EQ(List(".").size(), 7u);
  EXPECT_EQ(ReadFile("Name"), "Name");
  EXPECT_EQ(ReadFile("e\xcc\x81"), "e\xcc\x81");
}

TEST_P(Path, RelativeToADescriptor) {
  MakeDirectory("d");
  MakeFile("d/f");
  MakeFile("file");
  const UniqueFd dir = Open("d", O_RDONLY | O_DIRECTORY);
  const UniqueFd path = Open("d", O_PATH);
  const UniqueFd file = Open("file", O_RDONLY);
  struct stat s;
  EXPECT_EQ(fstatat(dir.get(), "f", &s, 0), 0);
  EXPECT_EQ(fstatat(path.get(), "f", &s, 0), 0);
  EXPECT_EQ(ErrnoOf(fstatat(file.get(), "f", &s, 0)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(fstatat(-1, "f", &s, 0)), EBADF);
  EXPECT_EQ(ErrnoOf(fstatat(dir.get(), "", &s, 0)), ENOENT);
  EXPECT_EQ(fstatat(file.get(), "", &s, AT_EMPTY_PATH), 0);
  EXPECT_EQ(fstatat(-1, Absolute("d").c_str(), &s, 0), 0);
  EXPECT_EQ(ErrnoOf(openat(file.get(), "f", O_RDONLY)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(openat(-1, "f", O_RDONLY)), EBADF);
  EXPECT_EQ(ErrnoOf(mkdirat(file.get(), "n", 0755)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(mkdirat(-1, "n", 0755)), EBADF);
  EXPECT_EQ(ErrnoOf(mknodat(file.get(), "n", S_IFREG, 0)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(symlinkat("target", file.get(), "n")), ENOTDIR);
  EXPECT_EQ(ErrnoOf(linkat(file.get(), "f", dir.get(), "n", 0)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(linkat(dir.get(), "f", file.get(), "n", 0)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(unlinkat(file.get(), "f", 0)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(unlinkat(-1, "f", 0)), EBADF);
  EXPECT_EQ(ErrnoOf(renameat(dir.get(), "f", file.get(), "n")), ENOTDIR);
  EXPECT_EQ(ErrnoOf(renameat(dir.get(), "f", -1, "n")), EBADF);
  EXPECT_EQ(mkdirat(dir.get(), "n", 0755), 0);
  EXPECT_EQ(mknodat(path.get(), "m", S_IFREG | 0644, 0), 0);
  EXPECT_THAT(List("d"), testing::ElementsAre("f", "m", "n"));
}

TEST_P(Path, FromARemovedDirectoryFails) {
  MakeDirectory("d");
  MakeFile("other-file");
  const std::string outside = Absolute("other-file");
  ASSERT_EQ(chdir("d"), 0);
  ASSERT_EQ(rmdir("../d"), 0);
  EXPECT_EQ(Stat(".").st_nlink, 0u);
  EXPECT_THAT(List("."), testing::IsEmpty());
  EXPECT_EQ(ErrnoOf(open("f", O_CREAT | O_WRONLY, 0644)), ENOENT);
  EXPECT_EQ(ErrnoOf(open("f", O_RDONLY)), ENOENT);
  // The call adds no name, so it does not fail.
  EXPECT_TRUE(Open(".", O_TMPFILE | O_RDWR, 0600).valid());
  EXPECT_EQ(ErrnoOf(mkdir("n", 0755)), ENOENT);
  EXPECT_EQ(ErrnoOf(mknod("n", S_IFREG, 0)), ENOENT);
  EXPECT_EQ(ErrnoOf(symlink("target", "n")), ENOENT);
  EXPECT_EQ(ErrnoOf(link(outside.c_str(), "n")), ENOENT);
  EXPECT_EQ(ErrnoOf(rename(outside.c_str(), "n")), ENOENT);
  EXPECT_EQ(ErrnoOf(rmdir("../d")), ENOENT);
  char buffer[PATH_MAX];
  EXPECT_EQ(getcwd(buffer, sizeof(buffer)), nullptr);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(chdir(".."), 0);
  EXPECT_EQ(Stat(".").st_ino, Stat(directory()).st_ino);
}

}  // namespace
}  // namespace memfuse::conformance

// name_to_handle_at(2), open_by_handle_at(2).

#include <sys/mount.h>

#include <cstring>
#include <memory>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Handle);
ROOT_CONFORMANCE_SUITE(HandleAsRoot);

class Handle128 {
 public:
  Handle128() { header().handle_bytes = MAX_HANDLE_SZ; }

  file_handle& header() { return *reinterpret_cast<file_handle*>(storage_); }
  friend bool operator==(Handle128& a, Handle128& b) {
    return a.header().handle_bytes == b.header().handle_bytes &&
           a.header().handle_type == b.header().handle_type &&
           std::memcmp(a.header().f_handle, b.header().f_handle, a.header().handle_bytes) == 0;
  }

 private:
  alignas(file_handle) unsigned char storage_[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
};

int HandleOf(const char* path, Handle128* handle, int flags = 0, int dir = AT_FDCWD) {
  int mount_id;
  *handle = Handle128();
  return ErrnoOf(name_to_handle_at(dir, path, &handle->header(), &mount_id, flags));
}

class Opener {
 public:
  explicit Opener(const std::string& path) : mount_(Open(path, O_RDONLY | O_DIRECTORY)) {}
  UniqueFd operator()(Handle128* handle, int flags = O_RDONLY) const {
    return UniqueFd(open_by_handle_at(mount_.get(), &handle->header(), flags | O_CLOEXEC));
  }

 private:
  UniqueFd mount_;
};

// Makes the kernel drop unused dentries and inodes.
void DropCaches() {
  const UniqueFd fd = Open("/proc/sys/vm/drop_caches", O_WRONLY);
  ASSERT_EQ(write(fd.get(), "2", 1), 1);
}

std::string PathOf(const UniqueFd& fd) {
  char path[4096];
  const ssize_t size =
      readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), path, sizeof(path));
  return size < 0 ? "" : std::string(path, static_cast<size_t>(size));
}

TEST_P(Handle, EveryTypeHasOne) {
  for (const Type type : TypesWithoutPrivilege()) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    Handle128 handle, again;
    EXPECT_EQ(HandleOf("o", &handle), 0);
    EXPECT_GT(handle.header().handle_bytes, 0u);
    EXPECT_EQ(HandleOf("o", &again), 0);
    EXPECT_TRUE(handle == again);
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(Handle, BelongsToTheInode) {
  MakeFile("f");
  MakeFile("other");
  ASSERT_EQ(symlink("f", "l"), 0);
  Handle128 handle, other, renamed, linked, through, descriptor;
  ASSERT_EQ(HandleOf("f", &handle), 0);
  ASSERT_EQ(HandleOf("other", &other), 0);
  EXPECT_FALSE(handle == other);
  ASSERT_EQ(HandleOf("l", &through, AT_SYMLINK_FOLLOW), 0);
  EXPECT_TRUE(through == handle);
  ASSERT_EQ(HandleOf("l", &through), 0);
  EXPECT_FALSE(through == handle);
  ASSERT_EQ(HandleOf("", &descriptor, AT_EMPTY_PATH, Open("f", O_PATH).get()), 0);
  EXPECT_TRUE(descriptor == handle);
  ASSERT_EQ(link("f", "g"), 0);
  ASSERT_EQ(HandleOf("g", &linked), 0);
  EXPECT_TRUE(linked == handle);
  ASSERT_EQ(rename("f", "h"), 0);
  ASSERT_EQ(HandleOf("h", &renamed), 0);
  EXPECT_TRUE(renamed == handle);
}

TEST_P(Handle, Errors) {
  MakeFile("f");
  Handle128 handle;
  handle.header().handle_bytes = 0;
  int mount_id;
  EXPECT_EQ(ErrnoOf(name_to_handle_at(AT_FDCWD, "f", &handle.header(), &mount_id, 0)), EOVERFLOW);
  EXPECT_GT(handle.header().handle_bytes, 0u);
  EXPECT_LE(handle.header().handle_bytes, static_cast<unsigned>(MAX_HANDLE_SZ));
  EXPECT_EQ(HandleOf("missing", &handle), ENOENT);
  EXPECT_EQ(HandleOf("f/x", &handle), ENOTDIR);
  EXPECT_EQ(HandleOf("f", &handle, 0x40000000), EINVAL);
  EXPECT_EQ(HandleOf("", &handle), ENOENT);
  EXPECT_EQ(HandleOf("f", &handle, 0, Open("f", O_RDONLY).get()), ENOTDIR);
  handle.header().handle_bytes = MAX_HANDLE_SZ + 1;
  EXPECT_EQ(ErrnoOf(name_to_handle_at(AT_FDCWD, "f", &handle.header(), &mount_id, 0)), EINVAL);
}

TEST_P(HandleAsRoot, OpensTheFileWithAndWithoutCaches) {
  MakeFile("f", "content");
  const Opener opener(".");
  Handle128 handle;
  ASSERT_EQ(HandleOf("f", &handle), 0);
  const ino_t number = Stat("f").st_ino;
  for (int round = 0; round < 4; ++round) {
    SCOPED_TRACE(round);
    const UniqueFd fd = opener(&handle, O_RDWR);
    ASSERT_TRUE(fd.valid()) << strerror(errno);
    struct stat s;
    ASSERT_EQ(fstat(fd.get(), &s), 0);
    EXPECT_EQ(s.st_ino, number);
    char content[10];
    EXPECT_EQ(pread(fd.get(), content, sizeof(content), 0), 7);
    DropCaches();
  }
}

TEST_P(HandleAsRoot, FollowsARename) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("f", "content");
  const Opener opener(".");
  Handle128 handle;
  ASSERT_EQ(HandleOf("f", &handle), 0);
  ASSERT_EQ(rename("f", "d/g"), 0);
  DropCaches();
  const UniqueFd fd = opener(&handle);
  ASSERT_TRUE(fd.valid());
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_ino, Stat("d/g").st_ino);
}

TEST_P(HandleAsRoot, OfARemovedFileIsStale) {
  const Opener opener(".");
  for (const bool drop : {false, true}) {
    SCOPED_TRACE(drop);
    Handle128 handle;
    MakeFile("f");
    ASSERT_EQ(HandleOf("f", &handle), 0);
    if (drop) DropCaches();
    ASSERT_EQ(unlink("f"), 0);
    if (drop) DropCaches();
    EXPECT_FALSE(opener(&handle).valid());
    EXPECT_EQ(errno, ESTALE);
    // A new file has another handle.
    MakeFile("f");
    EXPECT_FALSE(opener(&handle).valid());
    EXPECT_EQ(errno, ESTALE);
    ASSERT_EQ(unlink("f"), 0);
    ASSERT_EQ(mkdir("d", 0755), 0);
    ASSERT_EQ(HandleOf("d", &handle), 0);
    ASSERT_EQ(rmdir("d"), 0);
    if (drop) DropCaches();
    EXPECT_FALSE(opener(&handle).valid());
    EXPECT_EQ(errno, ESTALE);
  }
}

TEST_P(HandleAsRoot, DirectoriesKnowTheirPath) {
  ASSERT_EQ(mkdir("a", 0755), 0);
  ASSERT_EQ(mkdir("a/b", 0755), 0);
  ASSERT_EQ(mkdir("a/b/c", 0755), 0);
  MakeFile("a/b/c/f");
  const Opener opener(".");
  Handle128 handle;
  ASSERT_EQ(HandleOf("a/b/c", &handle), 0);
  for (const char* moved_to : {"a/b/c", "a/moved", "top"}) {
    SCOPED_TRACE(moved_to);
    ASSERT_EQ(rename(Exists("a/b/c") ? "a/b/c" : "a/moved", moved_to), 0);
    const ino_t parent = Stat(std::string(moved_to) + "/..").st_ino;
    for (const bool drop : {true, false}) {
      if (drop) DropCaches();
      const UniqueFd fd = opener(&handle, O_RDONLY | O_DIRECTORY);
      ASSERT_TRUE(fd.valid()) << strerror(errno);
      EXPECT_EQ(PathOf(fd), Absolute(moved_to));
      struct stat s;
      ASSERT_EQ(fstatat(fd.get(), "..", &s, 0), 0);
      EXPECT_EQ(s.st_ino, parent);
      EXPECT_EQ(fstatat(fd.get(), "f", &s, 0), 0);
      EXPECT_EQ(ErrnoOf(mkdirat(fd.get(), "new", 0755)), 0);
      EXPECT_EQ(ErrnoOf(unlinkat(fd.get(), "new", AT_REMOVEDIR)), 0);
    }
  }
}

TEST_P(HandleAsRoot, OfTheRootOfTheMount) {
  const Opener opener(".");
  Handle128 handle;
  ASSERT_EQ(HandleOf(mount_directory().c_str(), &handle), 0);
  const UniqueFd fd = opener(&handle, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(fd.valid());
  EXPECT_EQ(PathOf(fd), mount_directory());
}

TEST_P(HandleAsRoot, OtherTypesAreOpenedAsPaths) {
  const Opener opener(".");
  for (const Type type : AllTypes()) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    Handle128 handle;
    ASSERT_EQ(HandleOf("o", &handle), 0);
    DropCaches();
    const UniqueFd fd = opener(&handle, O_PATH);
    ASSERT_TRUE(fd.valid()) << strerror(errno);
    struct stat s;
    ASSERT_EQ(fstatat(fd.get(), "", &s, AT_EMPTY_PATH), 0);
    EXPECT_EQ(s.st_ino, LStat("o").st_ino);
    EXPECT_EQ(s.st_mode, LStat("o").st_mode);
    if (type == Type::kSymlink) {
      char target[10];
      EXPECT_EQ(readlinkat(fd.get(), "", target, sizeof(target)), 6);
      EXPECT_FALSE(opener(&handle).valid());
      EXPECT_EQ(errno, ELOOP);
    }
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(HandleAsRoot, AnOpenRemovedFileIsStillThere) {
  MakeFile("f", "content");
  const Opener opener(".");
  Handle128 handle;
  ASSERT_EQ(HandleOf("f", &handle), 0);
  const UniqueFd keeper = Open("f", O_RDONLY);
  ASSERT_EQ(unlink("f"), 0);
  const UniqueFd fd = opener(&handle);
  struct stat s;
  // tmpfs finds every existing inode.
  ASSERT_TRUE(fd.valid()) << strerror(errno);
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_nlink, 0u);
}

TEST_P(HandleAsRoot, IsForThePrivileged) {
  MakeFile("f", "", 0666);
  const Opener opener(".");
  Handle128 handle;
  ASSERT_EQ(HandleOf("f", &handle), 0);
  EXPECT_EQ(As(kAlice, [&] { return opener(&handle).valid() ? 0 : errno; }), EPERM);
  // A caller with access to a file may get its handle.
  EXPECT_EQ(As(kAlice, [&] { return HandleOf("f", &handle); }), 0);
  ASSERT_EQ(mkdir("d", 0700), 0);
  MakeFile("d/f");
  EXPECT_EQ(As(kAlice, [&] { return HandleOf("d/f", &handle); }), EACCES);
}

TEST_P(HandleAsRoot, GarbageIsStaleOrInvalid) {
  MakeFile("f");
  const Opener opener(".");
  Handle128 handle;
  ASSERT_EQ(HandleOf("f", &handle), 0);
  Handle128 other = handle;
  // Bytes after the header, accessed by pointer, because the array in the structure has no size.
  auto* const bytes = reinterpret_cast<unsigned char*>(&other) + sizeof(file_handle);
  bytes[0] ^= 0x5a;
  bytes[5] ^= 0x5a;
  EXPECT_FALSE(opener(&other).valid());
  EXPECT_EQ(errno, ESTALE);
  other = handle;
  other.header().handle_bytes = 0;
  EXPECT_FALSE(opener(&other).valid());
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(ErrnoOf(open_by_handle_at(-1, &handle.header(), O_RDONLY)), EBADF);
}

}  // namespace
}  // namespace memfuse::conformance

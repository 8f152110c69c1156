// Read-only, nosuid and bind mounts, remounting, umount(2).

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "absl/cleanup/cleanup.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {
namespace {

ROOT_CONFORMANCE_SUITE(ReadOnlyMount);
ROOT_CONFORMANCE_SUITE(BindMount);

// The whole file system, wherever it is mounted.
int RemountAll(const std::string& directory, unsigned long flags) {
  return ErrnoOf(mount(nullptr, directory.c_str(), nullptr, MS_REMOUNT | flags, nullptr));
}

void MakeObjects() {
  MakeFile("f", "content", 0666);
  MakeFile("g", "", 0666);
  ASSERT_EQ(mkdir("d", 0777), 0);
  ASSERT_EQ(mkdir("e", 0777), 0);
  ASSERT_EQ(symlink("f", "l"), 0);
  ASSERT_EQ(mkfifo("p", 0666), 0);
  ASSERT_EQ(setxattr("f", "user.a", "1", 1, 0), 0);
}

// Tries every operation that would change something in the working directory.
void ExpectReadOnly() {
  const struct {
    const char* name;
    std::function<int()> call;
  } calls[] = {
      {"open O_WRONLY", [] { return ErrnoOf(open("f", O_WRONLY)); }},
      {"open O_RDWR", [] { return ErrnoOf(open("f", O_RDWR)); }},
      {"open O_TRUNC", [] { return ErrnoOf(open("f", O_RDONLY | O_TRUNC)); }},
      {"open O_CREAT of a new name", [] { return ErrnoOf(open("x", O_CREAT | O_RDONLY, 0644)); }},
      {"O_TMPFILE", [] { return ErrnoOf(open(".", O_TMPFILE | O_RDWR, 0644)); }},
      {"mkdir", [] { return ErrnoOf(mkdir("x", 0755)); }},
      {"mknod", [] { return ErrnoOf(mknod("x", S_IFREG | 0644, 0)); }},
      {"mkfifo", [] { return ErrnoOf(mkfifo("x", 0644)); }},
      {"mknod of a device", [] { return ErrnoOf(mknod("x", S_IFCHR | 0644, makedev(1, 3))); }},
      {"symlink", [] { return ErrnoOf(symlink("f", "x")); }},
      {"link", [] { return ErrnoOf(link("f", "x")); }},
      {"unlink", [] { return ErrnoOf(unlink("f")); }},
      {"rmdir", [] { return ErrnoOf(rmdir("d")); }},
      {"rename", [] { return ErrnoOf(rename("f", "x")); }},
      {"rename onto", [] { return ErrnoOf(rename("f", "g")); }},
      {"rename of a directory", [] { return ErrnoOf(rename("d", "e")); }},
      {"truncate", [] { return ErrnoOf(truncate("f", 0)); }},
      {"chmod", [] { return ErrnoOf(chmod("f", 0600)); }},
      {"chmod of a directory", [] { return ErrnoOf(chmod("d", 0700)); }},
      {"fchmod", [] { return ErrnoOf(fchmod(open("f", O_RDONLY | O_CLOEXEC), 0600)); }},
      {"chown", [] { return ErrnoOf(chown("f", 1, 1)); }},
      {"lchown", [] { return ErrnoOf(lchown("l", 1, 1)); }},
      {"utimensat", [] { return ErrnoOf(utimensat(AT_FDCWD, "f", nullptr, 0)); }},
      {"futimens", [] { return ErrnoOf(futimens(open("f", O_RDONLY | O_CLOEXEC), nullptr)); }},
      {"setxattr", [] { return ErrnoOf(setxattr("f", "user.b", "1", 1, 0)); }},
      {"removexattr", [] { return ErrnoOf(removexattr("f", "user.a")); }},
      {"access W_OK", [] { return ErrnoOf(access("f", W_OK)); }},
      {"access W_OK of a directory", [] { return ErrnoOf(access("d", W_OK)); }},
  };
  for (const bool as_root : {true, false}) {
    for (const auto& call : calls) {
      SCOPED_TRACE(std::string(call.name) + (as_root ? " as root" : " as a user"));
      const int result = As(as_root ? kRoot : kAlice, call.call);
      if (!as_root && strcmp(call.name, "mknod of a device") == 0) {
        EXPECT_THAT(result, testing::AnyOf(EROFS, EPERM));
      } else {
        EXPECT_EQ(result, EROFS);
      }
    }
  }
}

// The operations that still succeed.
void ExpectReadable() {
  EXPECT_EQ(ReadFile("f"), "content");
  EXPECT_EQ(List(".").size(), 6u);
  EXPECT_EQ(ErrnoOf(open("f", O_CREAT | O_RDONLY, 0644)), 0) << "nothing to create";
  EXPECT_EQ(ErrnoOf(open("f", O_CREAT | O_EXCL | O_RDONLY, 0644)), EEXIST);
  EXPECT_EQ(ErrnoOf(mkdir("d", 0755)), EEXIST);
  EXPECT_EQ(ErrnoOf(open("p", O_RDWR)), 0) << "a fifo is not on the disk";
  EXPECT_EQ(ErrnoOf(access("p", W_OK)), 0);
  char value;
  EXPECT_EQ(getxattr("f", "user.a", &value, 1), 1);
  struct statvfs s;
  ASSERT_EQ(statvfs(".", &s), 0);
  EXPECT_NE(s.f_flag & ST_RDONLY, 0u);
}

TEST_P(ReadOnlyMount, ABindMountRefusesEveryChange) {
  NEEDS_USER_ATTRIBUTES();
  ASSERT_EQ(mkdir("o", 0777), 0);
  ASSERT_EQ(chdir("o"), 0);
  MakeObjects();
  ASSERT_EQ(chdir(".."), 0);
  const PrivateMounts mounts;
  ASSERT_EQ(BindAt("o", "m", MS_RDONLY), 0);
  ASSERT_EQ(chdir("m"), 0);
  ExpectReadOnly();
  ExpectReadable();
  ASSERT_EQ(chdir(".."), 0);
  // Renames and links across the border of a mount fail.
  EXPECT_EQ(ErrnoOf(rename("o/f", "m/x")), EXDEV);
  EXPECT_EQ(ErrnoOf(link("m/f", "x")), EXDEV);
  // The original directory is writable, and its changes are visible.
  EXPECT_EQ(ErrnoOf(chmod("o/f", 0600)), 0);
  EXPECT_EQ(Permissions("m/f"), 0600u);
  MakeFile("o/new");
  EXPECT_TRUE(Exists("m/new"));
  ASSERT_EQ(unlink("o/new"), 0);
  EXPECT_FALSE(Exists("m/new"));
  ASSERT_EQ(RemountAll("m", MS_BIND), 0);
  EXPECT_EQ(ErrnoOf(chmod("m/f", 0644)), 0);
}

TEST_P(ReadOnlyMount, TheWholeFileSystem) {
  NEEDS_USER_ATTRIBUTES();
  MakeObjects();
  ASSERT_EQ(RemountAll(mount_directory(), MS_RDONLY), 0) << strerror(errno);
  const absl::Cleanup back = [this] { EXPECT_EQ(RemountAll(mount_directory(), 0), 0); };
  ExpectReadOnly();
  ExpectReadable();
}

TEST_P(ReadOnlyMount, ReadWriteAgain) {
  NEEDS_USER_ATTRIBUTES();
  MakeObjects();
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(RemountAll(mount_directory(), MS_RDONLY), 0);
    EXPECT_EQ(ErrnoOf(mkdir("x", 0755)), EROFS);
    ASSERT_EQ(RemountAll(mount_directory(), 0), 0);
    EXPECT_EQ(ErrnoOf(mkdir("x", 0755)), 0);
    EXPECT_EQ(ErrnoOf(rmdir("x")), 0);
  }
  EXPECT_EQ(ReadFile("f"), "content");
}

TEST_P(ReadOnlyMount, IsRefusedWithAnOpenWriter) {
  MakeFile("f", "content");
  {
    const UniqueFd writer = Open("f", O_WRONLY);
    EXPECT_EQ(RemountAll(mount_directory(), MS_RDONLY), EBUSY);
    EXPECT_EQ(write(writer.get(), "x", 1), 1);
  }
  {
    const UniqueFd reader = Open("f", O_RDONLY);
    EXPECT_EQ(RemountAll(mount_directory(), MS_RDONLY), 0);
    EXPECT_EQ(RemountAll(mount_directory(), 0), 0);
    ASSERT_EQ(unlink("f"), 0);
    EXPECT_EQ(RemountAll(mount_directory(), MS_RDONLY), EBUSY) << "its removal is yet to come";
  }
  EXPECT_TRUE(Eventually([this] { return RemountAll(mount_directory(), MS_RDONLY) == 0; }));
  EXPECT_EQ(RemountAll(mount_directory(), 0), 0);
}

TEST_P(ReadOnlyMount, FlagsOfOneMountAreItsOwn) {
  MakeFile("f");
  const PrivateMounts mounts;
  ASSERT_EQ(BindAt(".", "m"), 0);
  for (const unsigned long flag : {MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_RDONLY, MS_NOATIME}) {
    ASSERT_EQ(RemountAll("m", MS_BIND | flag), 0);
    struct statvfs inside, outside;
    ASSERT_EQ(statvfs("m", &inside), 0);
    ASSERT_EQ(statvfs(".", &outside), 0);
    EXPECT_EQ(inside.f_flag & flag, flag);
    EXPECT_EQ(outside.f_flag & flag & (ST_NOEXEC | ST_RDONLY), 0u);
  }
}

TEST_P(BindMount, FilesAndDirectories) {
  MakeFile("f", "content");
  MakeFile("place");
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/x", "inside");
  const PrivateMounts mounts;
  ASSERT_EQ(mount("f", "place", nullptr, MS_BIND, nullptr), 0);
  EXPECT_EQ(ReadFile("place"), "content");
  EXPECT_EQ(Stat("place").st_ino, Stat("f").st_ino);
  ASSERT_EQ(BindAt("d", "m"), 0);
  EXPECT_EQ(ReadFile("m/x"), "inside");
  EXPECT_EQ(Stat("m/..").st_ino, Stat(".").st_ino);
  // A mount point cannot be removed.
  EXPECT_EQ(ErrnoOf(rmdir("m")), EBUSY);
  EXPECT_EQ(ErrnoOf(unlink("place")), EBUSY);
  EXPECT_EQ(ErrnoOf(rename("m", "n")), EBUSY);
  EXPECT_EQ(ErrnoOf(rename("f", "place")), EBUSY);
  EXPECT_EQ(ErrnoOf(rename("m/x", "y")), EXDEV);
  EXPECT_EQ(ErrnoOf(link("m/x", "y")), EXDEV);
  ASSERT_EQ(umount("place"), 0);
  EXPECT_EQ(ReadFile("place"), "");
  ASSERT_EQ(umount("m"), 0);
  EXPECT_TRUE(List("m").empty());
}

TEST_P(BindMount, InAnotherNamespaceDoesNotBlockRemoval) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(mkdir("m", 0755), 0);
  const PrivateMounts mounts;
  ASSERT_EQ(mount("d", "m", nullptr, MS_BIND, nullptr), 0);
  EXPECT_EQ(ErrnoOf(rmdir("m")), EBUSY);
  {
    const PrivateMounts others;
    ASSERT_EQ(umount("m"), 0);
    EXPECT_EQ(ErrnoOf(rmdir("m")), 0);
  }
  EXPECT_FALSE(Exists("m"));
}

TEST_P(BindMount, UnmountingIsRefusedWhileInUse) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/f", "content");
  const PrivateMounts mounts;
  ASSERT_EQ(BindAt("d", "m"), 0);
  {
    const UniqueFd fd = Open("m/f", O_RDONLY);
    EXPECT_EQ(ErrnoOf(umount("m")), EBUSY);
  }
  ASSERT_EQ(chdir("m"), 0);
  EXPECT_EQ(ErrnoOf(umount("../m")), EBUSY);
  ASSERT_EQ(chdir(".."), 0);
  EXPECT_EQ(ErrnoOf(umount("m")), 0);
  EXPECT_EQ(ErrnoOf(umount("m")), EINVAL);
  ASSERT_EQ(BindAt("d", "m"), 0);
  const UniqueFd fd = Open("m/f", O_RDWR);
  EXPECT_EQ(ErrnoOf(umount2("m", MNT_DETACH)), 0);
  EXPECT_FALSE(Exists("m/f"));
  char byte;
  EXPECT_EQ(read(fd.get(), &byte, 1), 1);
  EXPECT_EQ(write(fd.get(), "x", 1), 1);
}

TEST_P(BindMount, MappingsKeepAMountBusy) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/f", "content");
  const PrivateMounts mounts;
  ASSERT_EQ(BindAt("d", "m"), 0);
  void* const map = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, Open("m/f", O_RDONLY).get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(ErrnoOf(umount("m")), EBUSY);
  munmap(map, 4096);
  EXPECT_EQ(ErrnoOf(umount("m")), 0);
}

TEST_P(BindMount, OtherFileSystemsCanBeMountedOnTop) {
  ASSERT_EQ(mkdir("m", 0755), 0);
  MakeFile("m/below");
  const PrivateMounts mounts;
  ASSERT_EQ(mount("tmpfs", "m", "tmpfs", 0, nullptr), 0);
  EXPECT_TRUE(List("m").empty());
  MakeFile("m/above");
  EXPECT_NE(Stat("m").st_dev, Stat(".").st_dev);
  ASSERT_EQ(umount("m"), 0);
  EXPECT_THAT(List("m"), testing::ElementsAre("below"));
}

TEST_P(BindMount, IsForThePrivileged) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(mount("d", "d", nullptr, MS_BIND, nullptr)); }), EPERM);
  EXPECT_EQ(As(kAlice, [this] { return ErrnoOf(umount(mount_directory().c_str())); }), EPERM);
  EXPECT_EQ(As(kAlice, [this] { return RemountAll(mount_directory(), MS_RDONLY); }), EPERM);
}

}  // namespace
}  // namespace memfuse::conformance

// Idmapped mounts: the owners of new objects, and permissions.

#include "tests/conformance/idmapped_mount.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

namespace memfuse::conformance {
namespace {

IDMAPPED_MOUNT_SUITE(IdmappedMount);

TEST_P(IdmappedMount, ShowsOwnersAsItMapsThem) {
  MakeFile("d/f");
  Give("d/f", kAlice);
  EXPECT_EQ(Owner("m/f"), IdsOf(Mapped(kAlice)));
  EXPECT_EQ(Owner("d/f"), IdsOf(kAlice));
  ASSERT_EQ(chown("d/f", 0, kIds - 1), 0);
  EXPECT_EQ(Owner("m/f"), (OwnerIds{kShift, kShift + kIds - 1}));
  ASSERT_EQ(chown("d/f", kIds, kShift), 0);
  EXPECT_EQ(Owner("m/f"), (OwnerIds{kOverflowId, kOverflowId}));
  // Listings with attributes, and by descriptor.
  const UniqueFd fd = Open("m/f", O_RDONLY);
  ASSERT_EQ(fchown(Open("d/f", O_RDONLY).get(), kBob.uid, kAlice.gid), 0);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_uid, kBob.uid + kShift);
  EXPECT_EQ(s.st_gid, kAlice.gid + kShift);
}

struct Maker {
  const char* name;
  int (*make)();  // makes "m/x"; 0, or an errno
};
const Maker kMakers[] = {
    {"open", [] { return ErrnoOf(open("m/x", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644)); }},
    {"mkdir", [] { return ErrnoOf(mkdir("m/x", 0755)); }},
    {"mknod", [] { return ErrnoOf(mknod("m/x", S_IFREG | 0644, 0)); }},
    {"mkfifo", [] { return ErrnoOf(mkfifo("m/x", 0644)); }},
    {"socket", [] { return ErrnoOf(mknod("m/x", S_IFSOCK | 0644, 0)); }},
    {"symlink", [] { return ErrnoOf(symlink("target", "m/x")); }},
    {"tmpfile",
     [] {
       const UniqueFd fd(open("m", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644));
       if (!fd.valid()) return errno;
       const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
       return ErrnoOf(linkat(AT_FDCWD, path.c_str(), AT_FDCWD, "m/x", AT_SYMLINK_FOLLOW));
     }},
};

TEST_P(IdmappedMount, NewInodesBelongToTheMappedCaller) {
  for (const Maker& maker : kMakers) {
    TRACE(maker.name);
    EXPECT_EQ(As(Mapped(kAlice), maker.make), 0);
    EXPECT_EQ(Owner("d/x"), IdsOf(kAlice));
    EXPECT_EQ(Owner("m/x"), IdsOf(Mapped(kAlice)));
    EXPECT_EQ(remove("m/x"), 0);
    // Outside the idmapped mount nothing changes.
    MakeFile("d/y");
    EXPECT_EQ(Owner("d/y"), IdsOf(kRoot));
    EXPECT_EQ(unlink("d/y"), 0);
  }
}

TEST_P(IdmappedMount, NewInodesBelongToTheUserOfTheNamespace) {
  for (const Maker& maker : kMakers) {
    for (const User& user : {kRoot, kAlice}) {
      TRACE(maker.name << " by " << user.uid);
      EXPECT_EQ(Inside(user, maker.make), 0);
      EXPECT_EQ(Owner("d/x"), IdsOf(user));
      EXPECT_EQ(remove("d/x"), 0);
    }
  }
}

TEST_P(IdmappedMount, AnUnmappedCallerCannotCreate) {
  MakeFile("d/there", "content", 0666);
  for (const User& user : {kRoot, kAlice}) {
    for (const Maker& maker : kMakers) {
      TRACE(maker.name << " by " << user.uid);
      EXPECT_EQ(As(user, maker.make), EOVERFLOW);
      EXPECT_FALSE(Exists("d/x"));
    }
    // An unmapped caller can make no link either. It may use existing objects.
    EXPECT_EQ(As(user, [] { return ErrnoOf(link("m/there", "m/x")); }), EOVERFLOW);
    EXPECT_EQ(As(user, [] { return ErrnoOf(rename("m/there", "m/x")); }), EOVERFLOW);
    EXPECT_EQ(As(user, [] { return ErrnoOf(open("m/there", O_RDWR | O_TRUNC)); }), 0);
  }
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(unlink("m/there")); }), 0);
}

TEST_P(IdmappedMount, AWhiteoutBelongsToTheMappedCaller) {
  MakeFile("d/f");
  Give("d/f", kAlice);
  EXPECT_EQ(As(Mapped(kAlice),
               [] {
                 return ErrnoOf(
                     syscall(SYS_renameat2, AT_FDCWD, "m/f", AT_FDCWD, "m/g", RENAME_WHITEOUT));
               }),
            0);
  EXPECT_EQ(Owner("d/f"), IdsOf(kAlice));
  EXPECT_TRUE(S_ISCHR(LStat("d/f").st_mode));
  EXPECT_EQ(Owner("d/g"), IdsOf(kAlice));
}

TEST_P(IdmappedMount, ChecksFollowTheMapping) {
  MakeFile("d/f", "content", 0600);
  Give("d/f", kAlice);
  for (int round = 0; round < 2; ++round) {  // the second finds attributes in the kernel's cache
    EXPECT_EQ(As(Mapped(kAlice), [] { return OpenToRead("m/f"); }), 0);
    EXPECT_EQ(As(kAlice, [] { return OpenToRead("m/f"); }), EACCES);
    EXPECT_EQ(As(Mapped(kBob), [] { return OpenToRead("m/f"); }), EACCES);
    EXPECT_EQ(As(kAlice, [] { return OpenToRead("d/f"); }), 0);
    EXPECT_EQ(As(Mapped(kAlice), [] { return OpenToRead("d/f"); }), EACCES);
    EXPECT_EQ(Inside(kAlice, [] { return OpenToRead("m/f"); }), 0);
    EXPECT_EQ(Inside(kBob, [] { return OpenToRead("m/f"); }), EACCES);
    EXPECT_EQ(Inside(kRoot, [] { return OpenToRead("m/f"); }), 0);
    EXPECT_EQ(Inside(kRoot, [] { return OpenToRead("d/f"); }), EACCES);
  }
  // By group.
  ASSERT_EQ(chown("d/f", 0, kShared), 0);
  ASSERT_EQ(chmod("d/f", 0640), 0);
  EXPECT_EQ(As(Mapped(kBob), [] { return OpenToRead("m/f"); }), 0);
  EXPECT_EQ(As(kBob, [] { return OpenToRead("m/f"); }), EACCES);
  EXPECT_EQ(As(Mapped(kStranger), [] { return OpenToRead("m/f"); }), EACCES);
  EXPECT_EQ(As(Mapped(kBob), [] { return ErrnoOf(access("m/f", R_OK)); }), 0);
  EXPECT_EQ(As(Mapped(kBob), [] { return ErrnoOf(access("m/f", W_OK)); }), EACCES);
}

TEST_P(IdmappedMount, TheMappedOwnerMayChangeAttributes) {
  MakeFile("d/f", "content", 0600);
  Give("d/f", kAlice);
  const auto change = [] {
    const timespec times[2] = {{1000, 0}, {2000, 0}};
    const UniqueFd fd(open("m/f", O_RDONLY | O_CLOEXEC));
    int flags = FS_NODUMP_FL;
    if (chmod("m/f", 0640) != 0) return errno;
    if (utimensat(AT_FDCWD, "m/f", times, 0) != 0) return errno;
    if (setxattr("m/f", "user.a", "v", 1, 0) != 0) return errno;
    if (ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) != 0) return errno;
    return ErrnoOf(truncate("m/f", 3));
  };
  EXPECT_EQ(As(kAlice, change), EPERM);
  EXPECT_EQ(As(Mapped(kBob), change), EPERM);
  EXPECT_EQ(As(Mapped(kAlice), change), 0);
  EXPECT_EQ(Permissions("d/f"), 0640u);
  EXPECT_EQ(Stat("d/f").st_size, 3);
}

TEST_P(IdmappedMount, ChownTakesMappedIds) {
  MakeFile("d/f");
  ASSERT_EQ(chown("m/f", kBob.uid + kShift, kAlice.gid + kShift), 0);
  EXPECT_EQ(Owner("d/f"), (OwnerIds{kBob.uid, kAlice.gid}));
  ASSERT_EQ(chown("m/f", static_cast<uid_t>(-1), kShift), 0);
  EXPECT_EQ(Owner("d/f"), (OwnerIds{kBob.uid, 0}));
  // The ID has no mapping in "d".
  EXPECT_EQ(ErrnoOf(chown("m/f", kBob.uid, static_cast<gid_t>(-1))), EOVERFLOW);
  EXPECT_EQ(ErrnoOf(chown("m/f", static_cast<uid_t>(-1), kBob.gid)), EOVERFLOW);
  EXPECT_EQ(Owner("d/f"), (OwnerIds{kBob.uid, 0}));
  // The owner sets a group that it is in.
  EXPECT_EQ(As(Mapped(kBob), [] { return ErrnoOf(chown("m/f", -1, kShared + kShift)); }), 0);
  EXPECT_EQ(Owner("d/f"), (OwnerIds{kBob.uid, kShared}));
  EXPECT_EQ(As(Mapped(kBob), [] { return ErrnoOf(chown("m/f", -1, kAlice.gid + kShift)); }), EPERM);
  EXPECT_EQ(As(kBob, [] { return ErrnoOf(chown("m/f", -1, kShared + kShift)); }), EPERM);
  // With IDs of the namespace.
  EXPECT_EQ(Inside(kRoot, [] { return ErrnoOf(chown("m/f", kAlice.uid, kAlice.gid)); }), 0);
  EXPECT_EQ(Owner("d/f"), IdsOf(kAlice));
  EXPECT_EQ(Inside(kRoot, [] { return ErrnoOf(chown("d/f", 0, 0)); }), EPERM);
}

TEST_P(IdmappedMount, StickyDirectoriesUseMappedOwners) {
  MakeDirectory("d/s", 01777);
  const auto fill = [] {
    MakeFile("d/s/f");
    Give("d/s/f", kAlice);
  };
  fill();
  const auto remove = [] { return ErrnoOf(unlink("m/s/f")); };
  const auto move = [] { return ErrnoOf(rename("m/s/f", "m/s/g")); };
  EXPECT_EQ(As(Mapped(kBob), remove), EPERM);
  EXPECT_EQ(As(Mapped(kBob), move), EPERM);
  EXPECT_EQ(As(kAlice, remove), EPERM);
  EXPECT_EQ(Inside(kBob, remove), EPERM);
  EXPECT_EQ(As(Mapped(kAlice), remove), 0);
  fill();
  EXPECT_EQ(Inside(kAlice, remove), 0);
  fill();
  EXPECT_EQ(Inside(kRoot, remove), 0);
  // The owner of the directory.
  fill();
  Give("d/s", kBob);
  EXPECT_EQ(As(kBob, remove), EPERM);
  EXPECT_EQ(As(Mapped(kBob), remove), 0);
}

TEST_P(IdmappedMount, NewObjectsInheritTheGroupOfSetgidDirectories) {
  MakeDirectory("d/s");
  ASSERT_EQ(chown("d/s", 0, kShared), 0);
  ASSERT_EQ(chmod("d/s", 02777), 0);
  const auto make = [] {
    const UniqueFd fd(open("m/s/f", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 02775));
    return fd.valid() ? ErrnoOf(mkdir("m/s/e", 0755)) : errno;
  };
  const auto check = [&](const User& user, mode_t file_mode) {
    EXPECT_EQ(Owner("d/s/f"), (OwnerIds{user.uid, kShared}));
    EXPECT_EQ(Owner("m/s/e"), (OwnerIds{user.uid + kShift, kShared + kShift}));
    EXPECT_EQ(Permissions("d/s/f"), file_mode);
    EXPECT_EQ(Permissions("d/s/e"), 02755u);
    ASSERT_EQ(unlink("d/s/f"), 0);
    ASSERT_EQ(rmdir("d/s/e"), 0);
  };
  EXPECT_EQ(As(Mapped(kAlice), make), 0);
  check(kAlice, 02775);
  EXPECT_EQ(As(Mapped(kStranger), make), 0);
  check(kStranger, 0775);
  EXPECT_EQ(Inside(kBob, make), 0);
  check(kBob, 02775);
  EXPECT_EQ(Inside(kStranger, make), 0);
  check(kStranger, 0775);
  EXPECT_EQ(Inside(kRoot, make), 0);
  check(kRoot, 02775);
}

TEST_P(IdmappedMount, LinksAndRenamesUseTheMapping) {
  MakeFile("d/f", "content", 0600);
  Give("d/f", kAlice);
  EXPECT_EQ(As(Mapped(kAlice), [] { return ErrnoOf(link("m/f", "m/l")); }), 0);
  EXPECT_EQ(Owner("d/l"), IdsOf(kAlice));
  EXPECT_EQ(As(Mapped(kAlice), [] { return ErrnoOf(rename("m/l", "m/k")); }), 0);
  // Between the two mounts of the directory.
  EXPECT_EQ(ErrnoOf(rename("m/k", "d/k2")), EXDEV);
  EXPECT_EQ(ErrnoOf(link("m/k", "d/k2")), EXDEV);
  // A file whose owner has no mapping can neither be linked nor removed.
  ASSERT_EQ(chown("d/f", kIds, kIds), 0);
  EXPECT_EQ(As(Mapped(kAlice), [] { return ErrnoOf(link("m/f", "m/j")); }), EOVERFLOW);
  EXPECT_EQ(As(Mapped(kAlice), [] { return ErrnoOf(unlink("m/f")); }), EOVERFLOW);
}

TEST_P(IdmappedMount, DataIsWrittenAndReadThroughBoth) {
  EXPECT_EQ(As(Mapped(kAlice),
               [] {
                 const UniqueFd fd(open("m/f", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
                 return ErrnoOf(write(fd.get(), "through m", 9));
               }),
            0);
  EXPECT_EQ(ReadFile("d/f"), "through m");
  EXPECT_EQ(As(kAlice,
               [] {
                 const UniqueFd fd(open("d/f", O_RDWR | O_APPEND | O_CLOEXEC));
                 return ErrnoOf(write(fd.get(), " and d", 6));
               }),
            0);
  EXPECT_EQ(ReadFile("m/f"), "through m and d");
}

}  // namespace
}  // namespace memfuse::conformance

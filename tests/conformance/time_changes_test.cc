// The times (atime, mtime and ctime) that each call moves, of the object and of its parent: POSIX's
// "shall mark for update", and the relatime rule of mount(8) for reads.

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include "tests/conformance/conformance.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(TimeChanges);
CONFORMANCE_SUITE(AccessTime);
ROOT_CONFORMANCE_SUITE(AccessTimeAsRoot);

bool Before(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

timespec Clock(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return now;
}

// Sets an atime that the next read must move with any values of the other times.
void MakeAtimeOld(const std::string& path) {
  const timespec times[2] = {{1000, 1}, {0, UTIME_OMIT}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

// Sets a recent atime that is newer than mtime and ctime.
void MakeAtimeNew(const std::string& path) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const timespec times[2] = {{now.tv_sec + 3600, 0}, {0, UTIME_OMIT}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

// Drops the data from the page cache, so that the kernel sends a READ.
void MakeCold(const std::string& path) {
  const UniqueFd fd = Open(path, O_RDONLY);
  ASSERT_EQ(fsync(fd.get()), 0);
  ASSERT_EQ(posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
}

void ReadOnce(const std::string& path, int flags = 0) {
  char byte;
  ASSERT_EQ(read(Open(path, O_RDONLY | flags).get(), &byte, 1), 1);
}

TEST_P(TimeChanges, MakingAnObjectMovesTheParentOnly) {
  for (const Type type : TypesWithoutPrivilege()) {
    SCOPED_TRACE(ToString(type));
    ASSERT_EQ(mkdir("p", 0755), 0);
    const TimeWatch parent("p"), grandparent(".");
    MakeObject(type, "p/o");
    EXPECT_EQ(parent.Moved(true), "mc");
    EXPECT_EQ(grandparent.Moved(), "");
    const struct stat s = LStat("p/o");
    if (type != Type::kFile) {  // MakeFile also calls chmod
      EXPECT_EQ(s.st_mtim.tv_nsec, s.st_ctim.tv_nsec);
    }
    EXPECT_EQ(s.st_mtim.tv_sec, s.st_atim.tv_sec);
    EXPECT_EQ(s.st_mtim.tv_nsec, s.st_atim.tv_nsec);
    const TimeWatch full("p");
    ASSERT_EQ(remove("p/o"), 0);
    EXPECT_EQ(full.Moved(true), "mc");
    ASSERT_EQ(rmdir("p"), 0);
  }
}

TEST_P(TimeChanges, ANewObjectIsNotOlderThanItsParentsChange) {
  ASSERT_EQ(mkdir("p", 0755), 0);
  const UniqueFd fd = Open("p/f", O_CREAT | O_EXCL | O_WRONLY);
  const struct stat parent = Stat("p"), file = Stat("p/f");
  EXPECT_EQ(parent.st_mtim.tv_sec, file.st_mtim.tv_sec);
}

TEST_P(TimeChanges, OpeningMovesNothing) {
  MakeFile("f", "content");
  const TimeWatch file("f"), parent(".");
  for (const int flags :
       {O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY | O_APPEND, O_PATH, O_CREAT | O_RDWR}) {
    Open("f", flags);
  }
  EXPECT_EQ(file.Moved(true), "");
  EXPECT_EQ(parent.Moved(true), "");
}

TEST_P(TimeChanges, TruncatingByOpen) {
  MakeFile("f", "content");
  const TimeWatch file("f"), parent(".");
  Open("f", O_WRONLY | O_TRUNC);
  EXPECT_EQ(file.Moved(), "mc");
  EXPECT_EQ(parent.Moved(), "");
  const TimeWatch empty("f");
  Open("f", O_WRONLY | O_TRUNC | O_CREAT);
  EXPECT_EQ(empty.Moved(), "mc");
}

TEST_P(TimeChanges, ChangingDataMovesMtimeAndCtime) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  const struct {
    const char* name;
    std::function<int()> call;
    const char* moved;
  } changes[] = {
      {"write", [&] { return static_cast<int>(write(fd.get(), "x", 1)); }, "mc"},
      {"pwrite", [&] { return static_cast<int>(pwrite(fd.get(), "x", 1, 100)); }, "mc"},
      {"write of nothing", [&] { return static_cast<int>(write(fd.get(), "x", 0)); }, ""},
      {"ftruncate down", [&] { return ftruncate(fd.get(), 50); }, "mc"},
      {"ftruncate up", [&] { return ftruncate(fd.get(), 5000); }, "mc"},
      {"ftruncate to the same", [&] { return ftruncate(fd.get(), 5000); }, "mc"},
      {"truncate", [] { return truncate("f", 4000); }, "mc"},
      {"fallocate", [&] { return fallocate(fd.get(), 0, 0, 10000); }, "mc"},
      {"fsync", [&] { return fsync(fd.get()); }, ""},
      {"fdatasync", [&] { return fdatasync(fd.get()); }, ""},
  };
  for (const auto& change : changes) {
    SCOPED_TRACE(change.name);
    const TimeWatch file("f"), parent(".");
    EXPECT_GE(change.call(), 0);
    EXPECT_EQ(file.Moved(true), change.moved);
    EXPECT_EQ(parent.Moved(true), "");
  }
}

TEST_P(TimeChanges, ChangingAMappingMovesMtimeAndCtime) {
  MakeFile("f", std::string(4096, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  auto* const map =
      static_cast<char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  ASSERT_NE(map, MAP_FAILED);
  const TimeWatch file("f");
  map[0] = 'y';
  ASSERT_EQ(msync(map, 4096, MS_SYNC), 0);
  EXPECT_EQ(file.Moved(), "mc");
  munmap(map, 4096);
}

TEST_P(TimeChanges, ChangingAttributesMovesCtime) {
  for (const Type type : TypesWithoutPrivilege()) {
    if (type == Type::kSymlink) continue;
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    const TimeWatch mode("o"), parent(".");
    ASSERT_EQ(chmod("o", 0600), 0);
    EXPECT_EQ(mode.Moved(true), "c");
    const TimeWatch same_mode("o");
    ASSERT_EQ(chmod("o", 0600), 0);
    EXPECT_EQ(same_mode.Moved(true), "c");
    const TimeWatch owner("o");
    ASSERT_EQ(chown("o", geteuid(), getegid()), 0);
    EXPECT_EQ(owner.Moved(true), "c");
    const TimeWatch nothing("o");
    ASSERT_EQ(chown("o", -1, -1), 0);
    EXPECT_EQ(nothing.Moved(true), "c");
    EXPECT_EQ(parent.Moved(true), "");
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(TimeChanges, LinksMoveCtimeOfTheObject) {
  MakeFile("f");
  ASSERT_EQ(mkdir("p", 0755), 0);
  {
    const TimeWatch file("f"), here("."), there("p");
    ASSERT_EQ(link("f", "p/g"), 0);
    EXPECT_EQ(file.Moved(true), "c");
    EXPECT_EQ(here.Moved(), "");
    EXPECT_EQ(there.Moved(true), "mc");
  }
  const TimeWatch file("f"), there("p");
  ASSERT_EQ(unlink("p/g"), 0);
  EXPECT_EQ(file.Moved(true), "c");
  EXPECT_EQ(there.Moved(true), "mc");
}

TEST_P(TimeChanges, RemovingTheLastNameMovesCtimeOfAnOpenFile) {
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDONLY);
  const TimeWatch clock(".");
  struct stat before, after;
  ASSERT_EQ(fstat(fd.get(), &before), 0);
  ASSERT_EQ(unlink("f"), 0);
  ASSERT_EQ(fstat(fd.get(), &after), 0);
  EXPECT_EQ(after.st_nlink, 0u);
  EXPECT_TRUE(after.st_ctim.tv_nsec != before.st_ctim.tv_nsec ||
              after.st_ctim.tv_sec != before.st_ctim.tv_sec);
  EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

TEST_P(TimeChanges, ExtendedAttributesMoveCtime) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  char value[10];
  const TimeWatch set("f");
  ASSERT_EQ(setxattr("f", "user.a", "1", 1, 0), 0);
  EXPECT_EQ(set.Moved(true), "c");
  const TimeWatch looked_at("f");
  ASSERT_EQ(getxattr("f", "user.a", value, sizeof(value)), 1);
  ASSERT_EQ(listxattr("f", value, sizeof(value)), 7);
  EXPECT_EQ(ErrnoOf(setxattr("f", "user.a", "1", 1, XATTR_CREATE)), EEXIST);
  EXPECT_EQ(ErrnoOf(removexattr("f", "user.b")), ENODATA);
  EXPECT_EQ(looked_at.Moved(true), "");
  const TimeWatch removed("f");
  ASSERT_EQ(removexattr("f", "user.a"), 0);
  EXPECT_EQ(removed.Moved(true), "c");
}

TEST_P(TimeChanges, CallsThatFailMoveNothing) {
  MakeFile("f", "content");
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/g");
  const TimeWatch parent("."), file("f"), dir("d");
  EXPECT_EQ(ErrnoOf(open("f", O_CREAT | O_EXCL, 0644)), EEXIST);
  EXPECT_EQ(ErrnoOf(mkdir("d", 0755)), EEXIST);
  EXPECT_EQ(ErrnoOf(link("f", "d/g")), EEXIST);
  EXPECT_EQ(ErrnoOf(symlink("f", "d")), EEXIST);
  EXPECT_EQ(ErrnoOf(mknod("f", S_IFIFO | 0644, 0)), EEXIST);
  EXPECT_EQ(ErrnoOf(rmdir("d")), ENOTEMPTY);
  EXPECT_EQ(ErrnoOf(unlink("d")), EISDIR);
  EXPECT_EQ(ErrnoOf(rmdir("f")), ENOTDIR);
  EXPECT_EQ(ErrnoOf(rename("f", "d")), EISDIR);
  EXPECT_EQ(ErrnoOf(truncate("f", -1)), EINVAL);
  EXPECT_EQ(ErrnoOf(unlink("missing")), ENOENT);
  EXPECT_EQ(parent.Moved(), "");
  EXPECT_EQ(file.Moved(), "");
  EXPECT_EQ(dir.Moved(), "");
}

TEST_P(AccessTime, AReadMovesIt) {
  MakeFile("f", "content");
  MakeCold("f");
  MakeAtimeOld("f");
  const TimeWatch file("f");
  ReadOnce("f");
  EXPECT_EQ(file.Moved(true), "a");
}

TEST_P(AccessTime, AReadAtTheEndMovesItToo) {
  MakeFile("f");
  MakeAtimeOld("f");
  const TimeWatch file("f");
  char byte;
  ASSERT_EQ(read(Open("f", O_RDONLY).get(), &byte, 1), 0);
  // The kernel knows the size, and does not request bytes beyond it.
  EXPECT_EQ(file.Moved(true), daemon_serves_data() ? "" : "a");
}

TEST_P(AccessTime, RelatimeLeavesAYoungOneAlone) {
  MakeFile("f", "content");
  MakeCold("f");
  MakeAtimeNew("f");
  const TimeWatch file("f");
  ReadOnce("f");
  EXPECT_EQ(file.Moved(true), "");
}

TEST_P(AccessTime, PagesInTheCacheAreReadWithoutTheServer) {
  MakeFile("f", "content");
  ReadOnce("f");
  MakeAtimeOld("f");
  const TimeWatch file("f");
  ReadOnce("f");
  // The kernel reports no read that its page cache serves.
  EXPECT_EQ(file.Moved(true), daemon_serves_data() ? "" : "a");
  MakeCold("f");
  ReadOnce("f");
  EXPECT_EQ(file.Moved(true), "a");
}

TEST_P(AccessTime, NoatimeOpens) {
  MakeFile("f", "content");
  MakeCold("f");
  MakeAtimeOld("f");
  const TimeWatch file("f");
  ReadOnce("f", O_NOATIME);
  EXPECT_EQ(file.Moved(true), "");
}

TEST_P(AccessTime, ListingADirectoryMovesIt) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/f");
  MakeAtimeOld("d");
  const TimeWatch dir("d");
  List("d");
  EXPECT_EQ(dir.Moved(true), "a");
  MakeAtimeNew("d");
  const TimeWatch young("d");
  List("d");
  EXPECT_EQ(young.Moved(true), "");
}

TEST_P(AccessTime, FollowingASymbolicLinkMovesIt) {
  ASSERT_EQ(symlink("f", "l"), 0);
  MakeAtimeOld("l");
  const TimeWatch link("l");
  char target[10];
  ASSERT_EQ(readlink("l", target, sizeof(target)), 1);
  EXPECT_EQ(link.Moved(true), "a");
  MakeFile("f");
  ASSERT_EQ(symlink("f", "m"), 0);
  MakeAtimeOld("m");
  const TimeWatch followed("m");
  Open("m", O_RDONLY);
  EXPECT_EQ(followed.Moved(true), "a");
}

TEST_P(AccessTime, LookupsDoNotMoveIt) {
  MakeFile("f", "content");
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/f");
  MakeAtimeOld("f");
  MakeAtimeOld("d");
  const TimeWatch file("f"), dir("d");
  Stat("f");
  Stat("d/f");
  access("f", R_OK);
  EXPECT_EQ(ErrnoOf(open("d/missing", O_RDONLY)), ENOENT);
  EXPECT_EQ(file.Moved(true), "");
  EXPECT_EQ(dir.Moved(true), "");
}

TEST_P(AccessTime, ReadingThroughAMappingMovesIt) {
  MakeFile("f", "content");
  MakeCold("f");
  MakeAtimeOld("f");
  const TimeWatch file("f");
  const UniqueFd fd = Open("f", O_RDONLY);
  void* const map = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(*static_cast<const volatile char*>(map), 'c');
  munmap(map, 4096);
  EXPECT_EQ(file.Moved(true), "a");
}

TEST_P(AccessTime, ExecutionMovesIt) {
  MakeFile("s", "#!/bin/true\n", 0755);
  MakeCold("s");
  MakeAtimeOld("s");
  const TimeWatch script("s");
  ASSERT_EQ(Spawn({"./s"}), 0);
  EXPECT_EQ(script.Moved(true), "a");
}

TEST_P(AccessTimeAsRoot, NoatimeOpensAreForTheOwner) {
  MakeFile("f", "content");
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("f", O_RDONLY | O_NOATIME)); }), EPERM);
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("f", O_RDONLY | O_NOATIME)); }), 0);
}

TEST_P(AccessTimeAsRoot, NoatimeMounts) {
  MakeFile("f", "content");
  MakeCold("f");
  const PrivateMounts mounts;
  ASSERT_EQ(BindAt(".", "m", MS_NOATIME), 0);
  MakeAtimeOld("f");
  const TimeWatch file("m/f");
  ReadOnce("m/f");
  // The server receives reads, but not the mount that they came through.
  EXPECT_EQ(file.Moved(true), on_memfuse() ? "a" : "");
}

// Also right after any other change whose time was read.
TEST_P(AccessTime, AWriteMovesBothTimesEachTime) {
  NEEDS_USER_ATTRIBUTES();
  for (int i = 0; i < 300; ++i) {
    const std::string name = "f" + std::to_string(i);
    ASSERT_EQ(mknod(name.c_str(), S_IFREG | 0644, 0), 0);
    const UniqueFd fd = Open(name, O_RDWR);
    for (int change = 0; change < 4; ++change) {
      switch (change) {
        case 0:
          ASSERT_EQ(setxattr(name.c_str(), "user.a", "b", 1, 0), 0);
          break;
        case 1:
          ASSERT_EQ(rename(name.c_str(), "g"), 0);
          ASSERT_EQ(rename("g", name.c_str()), 0);
          break;
        case 2:
          ASSERT_EQ(chmod(name.c_str(), 0600), 0);
          break;
        default:
          const timespec chosen[2] = {{1000 + i, 0}, {2000 + i, 0}};
          ASSERT_EQ(futimens(fd.get(), chosen), 0);
      }
      // Without a pause, so within a tick of the kernel's clock. tmpfs before Linux 6.13 has no
      // finer timestamps. Neither has memfuse with passthrough there.
      const struct stat before = Stat(name);
      ASSERT_EQ(pwrite(fd.get(), "x", 1, 0), 1);
      const struct stat after = Stat(name);
      if (!on_memfuse()) continue;
      if (!daemon_serves_data() && !KernelAtLeast(6, 13)) continue;
      ASSERT_TRUE(after.st_mtim.tv_sec != before.st_mtim.tv_sec ||
                  after.st_mtim.tv_nsec != before.st_mtim.tv_nsec)
          << i << " " << change;
      ASSERT_TRUE(after.st_ctim.tv_sec != before.st_ctim.tv_sec ||
                  after.st_ctim.tv_nsec != before.st_ctim.tv_nsec)
          << i << " " << change;
    }
  }
}

// A ctime change right after a write whose times were not read: the write came first, and mtime is
// the time of the write. A timestamp may be behind the clock, but not behind the kernel's coarse
// clock, and never ahead.
TEST_P(TimeChanges, AWriteIsNotLaterThanTheChangeThatFollowsIt) {
  NEEDS_USER_ATTRIBUTES();
  const auto flag = [](int flags) {
    return ioctl(Open("f", O_RDONLY).get(), FS_IOC_SETFLAGS, &flags);
  };
  const struct {
    const char* name;
    std::function<int()> prepare;
    std::function<int()> call;
    const char* path = "f";
  } changes[] = {
      {"rename", [] { return 0; }, [] { return rename("f", "g"); }, "g"},
      {"rename over another",
       [] {
         MakeFile("g");
         return 0;
       },
       [] { return rename("f", "g"); }, "g"},
      {"link", [] { return 0; }, [] { return link("f", "g"); }},
      {"unlink of one of two names", [] { return link("f", "g"); }, [] { return unlink("g"); }},
      {"setxattr", [] { return 0; }, [] { return setxattr("f", "user.a", "b", 1, 0); }},
      {"removexattr", [] { return setxattr("f", "user.a", "b", 1, 0); },
       [] { return removexattr("f", "user.a"); }},
      {"chattr", [] { return 0; }, [&] { return flag(FS_NODUMP_FL); }},
      {"chmod", [] { return 0; }, [] { return chmod("f", 0600); }},
  };
  for (const auto& change : changes) {
    for (const int mode : {O_WRONLY, O_RDWR}) {
      for (const bool closed : {false, true}) {
        TRACE(change.name << (mode == O_RDWR ? ", read and written" : "")
                          << (closed ? ", closed" : ""));
        MakeFile("f", "content");
        UniqueFd fd = Open("f", mode);
        ASSERT_EQ(change.prepare(), 0);
        const timespec before = Clock(CLOCK_REALTIME_COARSE);
        ASSERT_EQ(write(fd.get(), "x", 1), 1);
        const timespec written = Clock(CLOCK_REALTIME);
        if (closed) fd.reset();
        const timespec changing = Clock(CLOCK_REALTIME_COARSE);
        ASSERT_EQ(change.call(), 0);
        const struct stat s = Stat(change.path);
        EXPECT_FALSE(Before(s.st_mtim, before));
        EXPECT_FALSE(Before(written, s.st_mtim));
        EXPECT_FALSE(Before(s.st_ctim, changing));
        EXPECT_FALSE(Before(s.st_ctim, s.st_mtim));
        fd.reset();
        for (const std::string& name : List(".")) ASSERT_EQ(unlink(name.c_str()), 0);
      }
    }
  }
}

}  // namespace
}  // namespace memfuse::conformance

// utimensat(2), futimens(3): the values that may be set, and the permissions.

#include <sys/time.h>
#include <utime.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(SetTimes);
ROOT_CONFORMANCE_SUITE(SetTimesAsRoot);

constexpr timespec kNow = {0, UTIME_NOW};
constexpr timespec kOmit = {0, UTIME_OMIT};

int SetTimesOf(const char* path, timespec atime, timespec mtime, int flags = 0) {
  const timespec times[2] = {atime, mtime};
  return ErrnoOf(utimensat(AT_FDCWD, path, times, flags));
}

void ExpectTime(const timespec& actual, time_t seconds, long nanoseconds) {
  EXPECT_EQ(actual.tv_sec, seconds);
  EXPECT_EQ(actual.tv_nsec, nanoseconds);
}

TEST_P(SetTimes, KeepsEverySecondOf64BitsAndEveryNanosecond) {
  // 1901, 1969, 1970, 2038 on both sides, 2106, 2446.
  for (const time_t seconds : {-2147483648LL, -1LL, 0LL, 2147483647LL, 2147483648LL, 4294967296LL,
                               15032385535LL, 253402300799LL}) {
    for (const Type type : TypesWithoutPrivilege()) {
      SCOPED_TRACE(ToString(type) + " " + std::to_string(seconds));
      MakeObject(type, "o");
      EXPECT_EQ(SetTimesOf("o", {seconds, 1}, {seconds, 999999999}, AT_SYMLINK_NOFOLLOW), 0);
      const struct stat s = LStat("o");
      ExpectTime(s.st_atim, seconds, 1);
      ExpectTime(s.st_mtim, seconds, 999999999);
      ASSERT_EQ(remove("o"), 0);
    }
  }
}

TEST_P(SetTimes, NowIsTheTimeOfTheCall) {
  MakeFile("f");
  ASSERT_EQ(SetTimesOf("f", {1, 2}, {3, 4}), 0);
  timespec before, after;
  clock_gettime(CLOCK_REALTIME_COARSE, &before);
  EXPECT_EQ(SetTimesOf("f", kNow, kNow), 0);
  clock_gettime(CLOCK_REALTIME, &after);
  const struct stat s = Stat("f");
  EXPECT_GE(s.st_atim.tv_sec, before.tv_sec);
  EXPECT_LE(s.st_atim.tv_sec, after.tv_sec);
  EXPECT_GE(s.st_mtim.tv_sec, before.tv_sec);
  EXPECT_LE(s.st_mtim.tv_sec, after.tv_sec);
  // A null pointer instead of the array has the same meaning.
  ASSERT_EQ(SetTimesOf("f", {1, 2}, {3, 4}), 0);
  EXPECT_EQ(utimensat(AT_FDCWD, "f", nullptr, 0), 0);
  const struct stat n = Stat("f");
  EXPECT_GE(n.st_atim.tv_sec, before.tv_sec);
  EXPECT_GE(n.st_mtim.tv_sec, before.tv_sec);
}

TEST_P(SetTimes, OmittedTimesStay) {
  MakeFile("f");
  ASSERT_EQ(SetTimesOf("f", {10, 20}, {30, 40}), 0);
  EXPECT_EQ(SetTimesOf("f", kOmit, {50, 60}), 0);
  ExpectTime(Stat("f").st_atim, 10, 20);
  ExpectTime(Stat("f").st_mtim, 50, 60);
  EXPECT_EQ(SetTimesOf("f", {70, 80}, kOmit), 0);
  ExpectTime(Stat("f").st_atim, 70, 80);
  ExpectTime(Stat("f").st_mtim, 50, 60);
  EXPECT_EQ(SetTimesOf("f", kNow, kOmit), 0);
  EXPECT_GT(Stat("f").st_atim.tv_sec, 1000);
  ExpectTime(Stat("f").st_mtim, 50, 60);
  EXPECT_EQ(SetTimesOf("f", {1, 1}, kNow), 0);
  ExpectTime(Stat("f").st_atim, 1, 1);
  EXPECT_GT(Stat("f").st_mtim.tv_sec, 1000);
}

TEST_P(SetTimes, OmittingBothDoesNothing) {
  MakeFile("f");
  const TimeWatch file("f");
  EXPECT_EQ(SetTimesOf("f", kOmit, kOmit), 0);
  EXPECT_EQ(file.Moved(true), "");
  EXPECT_EQ(SetTimesOf("missing", kOmit, kOmit), 0);
}

TEST_P(SetTimes, MovesCtimeAndNotTheParent) {
  for (const Type type : TypesWithoutPrivilege()) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    const TimeWatch object("o"), parent(".");
    EXPECT_EQ(SetTimesOf("o", {1, 1}, kOmit, AT_SYMLINK_NOFOLLOW), 0);
    EXPECT_EQ(object.Moved(true), "ac");
    EXPECT_EQ(parent.Moved(), "");
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(SetTimes, FollowsSymbolicLinksByDefault) {
  MakeFile("f");
  ASSERT_EQ(symlink("f", "l"), 0);
  EXPECT_EQ(SetTimesOf("l", {1, 1}, {2, 2}), 0);
  ExpectTime(Stat("f").st_mtim, 2, 2);
  EXPECT_NE(LStat("l").st_mtim.tv_sec, 2);
  EXPECT_EQ(SetTimesOf("l", {3, 3}, {4, 4}, AT_SYMLINK_NOFOLLOW), 0);
  ExpectTime(Stat("f").st_mtim, 2, 2);
  ExpectTime(LStat("l").st_mtim, 4, 4);
}

TEST_P(SetTimes, ThroughDescriptors) {
  MakeFile("f");
  const timespec times[2] = {{5, 6}, {7, 8}};
  for (const int flags : {O_RDONLY, O_WRONLY, O_RDWR}) {
    ASSERT_EQ(SetTimesOf("f", {1, 1}, {1, 1}), 0);
    EXPECT_EQ(futimens(Open("f", flags).get(), times), 0);
    ExpectTime(Stat("f").st_atim, 5, 6);
    ExpectTime(Stat("f").st_mtim, 7, 8);
  }
  const UniqueFd path = Open("f", O_PATH);
  EXPECT_EQ(ErrnoOf(futimens(path.get(), times)), EBADF);
  const timespec others[2] = {{9, 1}, {9, 2}};
  EXPECT_EQ(ErrnoOf(utimensat(path.get(), "", others, AT_EMPTY_PATH)), 0);
  ExpectTime(Stat("f").st_mtim, 9, 2);
  const UniqueFd removed = Open("f", O_RDWR);
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_EQ(futimens(removed.get(), times), 0);
  struct stat s;
  ASSERT_EQ(fstat(removed.get(), &s), 0);
  ExpectTime(s.st_mtim, 7, 8);
  EXPECT_EQ(futimens(Open(".", O_RDONLY | O_DIRECTORY).get(), times), 0);
  ExpectTime(Stat(".").st_mtim, 7, 8);
}

TEST_P(SetTimes, OlderCallsSetMicrosecondsAndSeconds) {
  MakeFile("f");
  ASSERT_EQ(symlink("f", "l"), 0);
  const timeval both[2] = {{11, 12}, {13, 14}};
  EXPECT_EQ(utimes("f", both), 0);
  ExpectTime(Stat("f").st_atim, 11, 12000);
  ExpectTime(Stat("f").st_mtim, 13, 14000);
  EXPECT_EQ(lutimes("l", both), 0);
  ExpectTime(LStat("l").st_mtim, 13, 14000);
  const utimbuf seconds = {21, 22};
  EXPECT_EQ(utime("f", &seconds), 0);
  ExpectTime(Stat("f").st_atim, 21, 0);
  ExpectTime(Stat("f").st_mtim, 22, 0);
  const timeval invalid[2] = {{1, 1000000}, {1, 0}};
  EXPECT_EQ(ErrnoOf(utimes("f", invalid)), EINVAL);
}

TEST_P(SetTimes, Errors) {
  MakeFile("f");
  ASSERT_EQ(symlink("loop", "loop"), 0);
  EXPECT_EQ(SetTimesOf("f", {0, 1000000000}, {0, 0}), EINVAL);
  EXPECT_EQ(SetTimesOf("f", {0, 0}, {0, -1}), EINVAL);
  EXPECT_EQ(SetTimesOf("f", {0, 0}, {0, 0}, 0x4000000), EINVAL);
  EXPECT_EQ(SetTimesOf("missing", kNow, kNow), ENOENT);
  EXPECT_EQ(SetTimesOf("", kNow, kNow), ENOENT);
  EXPECT_EQ(SetTimesOf("f/g", kNow, kNow), ENOTDIR);
  EXPECT_EQ(SetTimesOf("f/", kNow, kNow), ENOTDIR);
  EXPECT_EQ(SetTimesOf("loop", kNow, kNow), ELOOP);
  EXPECT_EQ(SetTimesOf(LongName(kNameMax + 1).c_str(), kNow, kNow), ENAMETOOLONG);
  EXPECT_EQ(ErrnoOf(utimensat(-1, "f", nullptr, 0)), EBADF);
  EXPECT_EQ(ErrnoOf(futimens(-1, nullptr)), EBADF);
  EXPECT_EQ(ErrnoOf(utimensat(Open("f", O_RDONLY).get(), "g", nullptr, 0)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(utimensat(AT_FDCWD, "f", reinterpret_cast<const timespec*>(16), 0)), EFAULT);
}

TEST_P(SetTimesAsRoot, NowNeedsOwnershipOrWritePermission) {
  for (const Type type : {Type::kFile, Type::kDirectory, Type::kFifo, Type::kSocket,
                          Type::kCharDevice, Type::kBlockDevice}) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    ASSERT_EQ(chown("o", kAlice.uid, kAlice.gid), 0);
    ASSERT_EQ(chmod("o", 0004), 0);
    const auto now = [] { return ErrnoOf(utimensat(AT_FDCWD, "o", nullptr, 0)); };
    const auto now_twice = [] { return SetTimesOf("o", kNow, kNow); };
    EXPECT_EQ(As(kAlice, now), 0);  // the owner, though without any permission
    EXPECT_EQ(As(kBob, now), EACCES);
    EXPECT_EQ(As(kBob, now_twice), EACCES);
    ASSERT_EQ(chmod("o", 0002), 0);
    EXPECT_EQ(As(kBob, now), 0);
    EXPECT_EQ(As(kBob, now_twice), 0);
    ASSERT_EQ(chmod("o", 0020), 0);
    ASSERT_EQ(chown("o", kAlice.uid, kShared), 0);
    EXPECT_EQ(As(kBob, now), 0);
    EXPECT_EQ(As(kStranger, now), EACCES);
    EXPECT_EQ(As(kRoot, now), 0);
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(SetTimesAsRoot, OtherTimesNeedOwnership) {
  for (const Type type : AllTypes()) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    ASSERT_EQ(lchown("o", kAlice.uid, kAlice.gid), 0);
    if (type != Type::kSymlink) {
      ASSERT_EQ(chmod("o", 0666), 0);
    }
    const auto set = [](timespec a, timespec m) {
      return [a, m] { return SetTimesOf("o", a, m, AT_SYMLINK_NOFOLLOW); };
    };
    EXPECT_EQ(As(kBob, set({1, 1}, {2, 2})), EPERM);
    EXPECT_EQ(As(kBob, set(kNow, {2, 2})), EPERM);
    EXPECT_EQ(As(kBob, set(kNow, kOmit)), EPERM);
    EXPECT_EQ(As(kBob, set(kOmit, kNow)), EPERM);
    EXPECT_EQ(As(kBob, set(kOmit, kOmit)), 0);
    EXPECT_EQ(As(kAlice, set({1, 1}, {2, 2})), 0);
    EXPECT_EQ(As(kAlice, set(kNow, kOmit)), 0);
    EXPECT_EQ(As(kRoot, set({3, 3}, {4, 4})), 0);
    ExpectTime(LStat("o").st_mtim, 4, 4);
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(SetTimesAsRoot, ADescriptorGrantsNoPermission) {
  MakeFile("f", "", 0666);
  ASSERT_EQ(chown("f", kAlice.uid, kAlice.gid), 0);
  const timespec times[2] = {{1, 1}, {2, 2}};
  EXPECT_EQ(As(kBob, [&] { return ErrnoOf(futimens(open("f", O_RDWR), times)); }), EPERM);
  EXPECT_EQ(As(kBob, [&] { return ErrnoOf(futimens(open("f", O_RDWR), nullptr)); }), 0);
}

TEST_P(SetTimesAsRoot, NeedsSearchOfThePath) {
  ASSERT_EQ(mkdir("d", 0700), 0);
  MakeFile("d/f", "", 0666);
  EXPECT_EQ(As(kAlice, [] { return SetTimesOf("d/f", kNow, kNow); }), EACCES);
}

}  // namespace
}  // namespace memfuse::conformance

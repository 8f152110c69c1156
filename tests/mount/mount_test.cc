// The error texts of failed mounts, each in one sentence; mounting as an unprivileged user.

#include "src/mount/mount.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>

#include "memfuse/session.h"
#include "tests/transport/fake_filesystem.h"
#include "tests/transport/mount_fixture.h"

namespace memfuse::mount {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr uid_t kNobody = 65534;

class MountTest : public transport::MountFixture {
 protected:
  // Mounts and unmounts; returns the result as text.
  static std::string TryToMount(const MountOptions& mount) {
    transport::FakeFileSystem fs;
    SessionOptions options;
    options.threads = 2;
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Mount(mount, options, &fs);
    if (!session.ok()) return session.status().ToString();
    return (*session)->Unmount(absl::Seconds(10)).ToString();
  }

  std::string TryToMount() const { return TryToMount(Where()); }

  MountOptions Where() const {
    MountOptions options;
    options.mount_point = directory();
    return options;
  }

  static void BecomeNobody() {
    if (setgid(kNobody) != 0 || setuid(kNobody) != 0) _exit(2);
  }

  // Hides the contents of `path` from this process only.
  static void Hide(const char* path) {
    if (unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", path, "tmpfs", 0, nullptr) != 0) {
      _exit(2);
    }
  }
};

TEST_F(MountTest, AMissingMountPoint) {
  MountOptions options = Where();
  options.mount_point += "/missing";
  EXPECT_THAT(TryToMount(options), AllOf(StartsWith("NOT_FOUND: "), HasSubstr("does not exist")));
  options.mount_point = "";
  EXPECT_THAT(TryToMount(options), StartsWith("INVALID_ARGUMENT: "));
}

TEST_F(MountTest, NotADirectory) {
  MountOptions options = Where();
  options.mount_point += "/file";
  close(open(options.mount_point.c_str(), O_CREAT | O_CLOEXEC, 0600));
  EXPECT_THAT(TryToMount(options),
              AllOf(StartsWith("FAILED_PRECONDITION: "), HasSubstr("is not a directory")));
  unlink(options.mount_point.c_str());
}

TEST_F(MountTest, ADeadDaemonsMount) {
  transport::FakeFileSystem fs;
  {
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Mount(Where(), {}, &fs);
    ASSERT_TRUE(session.ok()) << session.status();
    // The kernel now caches the attributes of the root without a time limit.
    struct stat status;
    ASSERT_EQ(stat(directory().c_str(), &status), 0);
    (*session)->Stop();
  }
  EXPECT_THAT(TryToMount(), AllOf(StartsWith("FAILED_PRECONDITION: "), HasSubstr("dead"),
                                  HasSubstr("fusermount3 -uz " + directory()),
                                  HasSubstr("umount -l " + directory())));
}

TEST_F(MountTest, BadNames) {
  MountOptions options = Where();
  for (const char* name : {"", "/dev/sda1", "/sys/block"}) {
    options.fsname = name;
    EXPECT_THAT(TryToMount(options), StartsWith("INVALID_ARGUMENT: ")) << name;
  }
}

TEST_F(MountTest, OptionsOfTheHelper) {
  MountOptions options;
  options.fsname = "a,b\\c";
  EXPECT_EQ(HelperOptions(options, false, true),
            "fsname=a\\,b\\\\c,subtype=memfuse,default_permissions");
  EXPECT_EQ(HelperOptions(options, true, true),
            "fsname=a\\,b\\\\c,subtype=memfuse,default_permissions,allow_other");
  EXPECT_EQ(HelperOptions(options, true, false), "fsname=a\\,b\\\\c,subtype=memfuse");
  options.allow_other = options.read_only = options.nosuid = true;
  EXPECT_EQ(HelperOptions(options, false, true),
            "fsname=a\\,b\\\\c,subtype=memfuse,default_permissions,allow_other,ro,nosuid");
}

TEST_F(MountTest, ThePathIsResolved) {
  const std::string link = directory() + "-link";
  ASSERT_EQ(symlink(directory().c_str(), link.c_str()), 0);
  MountOptions options = Where();
  options.mount_point = link + "/.";
  transport::FakeFileSystem fs;
  {
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Mount(options, {}, &fs);
    ASSERT_TRUE(session.ok()) << session.status();
    EXPECT_TRUE(IsMounted());
    // A later change of the symbolic link has no effect.
    unlink(link.c_str());
  }
  EXPECT_FALSE(IsMounted());
}

TEST_F(MountTest, AUserMountsOnAnOwnDirectory) {
  ASSERT_EQ(chown(directory().c_str(), kNobody, kNobody), 0);
  EXPECT_EQ(InChild([this] {
              BecomeNobody();
              return TryToMount();
            }),
            "OK");
  EXPECT_FALSE(IsMounted());
}

TEST_F(MountTest, AUserDoesNotMountOnOthersDirectories) {
  ASSERT_EQ(chmod(directory().c_str(), 0755), 0);
  EXPECT_THAT(
      InChild([this] {
        BecomeNobody();
        return TryToMount();
      }),
      AllOf(StartsWith("PERMISSION_DENIED: "), HasSubstr(directory()), Not(HasSubstr("\n"))));
}

TEST_F(MountTest, AUserMayNotAllowOthers) {
  ASSERT_EQ(chown(directory().c_str(), kNobody, kNobody), 0);
  EXPECT_THAT(InChild([this] {
                // Uses the shipped configuration instead of this machine's.
                Hide("/etc");
                const int accounts = open("/etc/passwd", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
                const std::string line = "nobody:x:65534:65534::/:/bin/sh\n";
                if (write(accounts, line.data(), line.size()) < 0) _exit(2);
                close(accounts);
                BecomeNobody();
                MountOptions options = Where();
                options.allow_other = true;
                return TryToMount(options);
              }),
              AllOf(StartsWith("PERMISSION_DENIED: "), HasSubstr("user_allow_other"),
                    HasSubstr("/etc/fuse.conf")));
}

TEST_F(MountTest, NoDevice) {
  EXPECT_THAT(InChild([this] {
                Hide("/dev");
                return TryToMount();
              }),
              AllOf(StartsWith("FAILED_PRECONDITION: "), HasSubstr("/dev/fuse"),
                    HasSubstr("modprobe fuse")));
}

TEST_F(MountTest, NothingStaysMountedWhenAWorkerCannotStart) {
  EXPECT_THAT(InChild([this] {
                const rlimit few = {16, 16};
                setrlimit(RLIMIT_NOFILE, &few);
                transport::FakeFileSystem fs;
                SessionOptions options;
                options.threads = 64;
                return Session::Mount(Where(), options, &fs).status().ToString();
              }),
              HasSubstr("open files"));
  EXPECT_FALSE(IsMounted());
}

TEST_F(MountTest, NoHelper) {
  ASSERT_EQ(chown(directory().c_str(), kNobody, kNobody), 0);
  EXPECT_THAT(
      InChild([this] {
        Hide("/usr/bin");
        BecomeNobody();
        return TryToMount();
      }),
      AllOf(StartsWith("FAILED_PRECONDITION: "), HasSubstr("fusermount3"), HasSubstr("fuse3")));
}

}  // namespace
}  // namespace memfuse::mount

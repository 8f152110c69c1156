// Common properties of all calls that make names: open(2) with O_CREAT, mkdir(2), mkfifo(3),
// mknod(2), symlink(2) and link(2). Each call has its own file for its other properties.

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Maker);
ROOT_CONFORMANCE_SUITE(MakerAsRoot);

struct MakerCall {
  const char* name;
  mode_t type;
  int (*make)(const std::string& path, mode_t mode);  // 0, or an errno
};

const MakerCall kMakers[] = {
    {"open", S_IFREG,
     [](const std::string& path, mode_t mode) {
       const UniqueFd fd(open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode));
       return fd.valid() ? 0 : errno;
     }},
    {"creat", S_IFREG,
     [](const std::string& path, mode_t mode) {
       if (Exists(path)) return EEXIST;
       const UniqueFd fd(creat(path.c_str(), mode));
       return fd.valid() ? 0 : errno;
     }},
    {"mkdir", S_IFDIR,
     [](const std::string& path, mode_t mode) { return ErrnoOf(mkdir(path.c_str(), mode)); }},
    {"mkfifo", S_IFIFO,
     [](const std::string& path, mode_t mode) { return ErrnoOf(mkfifo(path.c_str(), mode)); }},
    {"mknod of a file", S_IFREG,
     [](const std::string& path, mode_t mode) {
       return ErrnoOf(mknod(path.c_str(), S_IFREG | mode, 0));
     }},
    {"mknod of a fifo", S_IFIFO,
     [](const std::string& path, mode_t mode) {
       return ErrnoOf(mknod(path.c_str(), S_IFIFO | mode, 0));
     }},
    {"mknod of a socket", S_IFSOCK,
     [](const std::string& path, mode_t mode) {
       return ErrnoOf(mknod(path.c_str(), S_IFSOCK | mode, 0));
     }},
    {"symlink", S_IFLNK,
     [](const std::string& path, mode_t) { return ErrnoOf(symlink("target", path.c_str())); }},
};

void Remove(const std::string& path) {
  if (unlink(path.c_str()) != 0) {
    ASSERT_EQ(rmdir(path.c_str()), 0) << path;
  }
}

mode_t ExpectedMode(const MakerCall& maker, mode_t mode) {
  return maker.type == S_IFLNK ? 0777 : mode;
}

TEST_P(Maker, MakesItsTypeWithTheModeWithoutTheUmask) {
  for (const MakerCall& maker : kMakers) {
    for (const mode_t mask : {0, 022, 077, 0777, 0345}) {
      for (const mode_t mode : {0777, 0755, 0666, 0151, 0345, 0}) {
        TRACE(maker.name << " " << std::oct << mask << " " << mode);
        umask(mask);
        ASSERT_EQ(maker.make("x", mode), 0);
        const struct stat s = LStat("x");
        EXPECT_EQ(s.st_mode & S_IFMT, maker.type);
        EXPECT_EQ(s.st_mode & 07777, ExpectedMode(maker, mode & ~mask));
        EXPECT_EQ(s.st_nlink, maker.type == S_IFDIR ? 2u : 1u);
        EXPECT_EQ(s.st_uid, geteuid());
        EXPECT_EQ(s.st_gid, getegid());
        Remove("x");
      }
    }
  }
}

TEST_P(Maker, TakesTheStickyAndSetIdBits) {
  for (const MakerCall& maker : kMakers) {
    for (const mode_t mode : {01755, 02755, 04755, 07777, 02745}) {
      TRACE(maker.name << " " << std::oct << mode);
      ASSERT_EQ(maker.make("x", mode), 0);
      // mkdir(2): beyond the permissions, Linux uses only the sticky bit.
      const mode_t taken = maker.type == S_IFDIR ? mode & 01777 : mode;
      EXPECT_EQ(Permissions("x"), ExpectedMode(maker, taken));
      Remove("x");
    }
  }
}

TEST_P(Maker, StartsAllTimesTogetherAndMovesThoseOfTheParent) {
  for (const MakerCall& maker : kMakers) {
    TRACE(maker.name);
    timespec before;
    clock_gettime(CLOCK_REALTIME_COARSE, &before);
    const TimeWatch parent(".");
    ASSERT_EQ(maker.make("x", 0644), 0);
    EXPECT_EQ(parent.Moved(), "mc");
    const struct stat s = LStat("x");
    for (const timespec& time : {s.st_atim, s.st_mtim}) {
      EXPECT_EQ(time.tv_sec, s.st_ctim.tv_sec);
      EXPECT_EQ(time.tv_nsec, s.st_ctim.tv_nsec);
    }
    EXPECT_GE(s.st_ctim.tv_sec, before.tv_sec);
    Remove("x");
  }
}

TEST_P(Maker, FailsWithEexistForEveryTypeAndChangesNothing) {
  MakeFile("source");
  for (const Type type : TypesWithoutPrivilege()) {
    MakeObject(type, "x");
    const TimeWatch object("x"), parent(".");
    for (const MakerCall& maker : kMakers) {
      TRACE(maker.name << " on a " << ToString(type));
      EXPECT_EQ(maker.make("x", 0644), EEXIST);
    }
    EXPECT_EQ(ErrnoOf(link("source", "x")), EEXIST);
    EXPECT_EQ(object.Moved(), "");
    EXPECT_EQ(parent.Moved(), "");
    Remove("x");
  }
  EXPECT_EQ(LStat("source").st_nlink, 1u);
}

TEST_P(Maker, FailsWithEexistForADanglingLink) {
  ASSERT_EQ(symlink("missing", "link"), 0);
  for (const MakerCall& maker : kMakers) {
    TRACE(maker.name);
    EXPECT_EQ(maker.make("link", 0644), EEXIST);
  }
  EXPECT_FALSE(Exists("missing"));
}

TEST_P(Maker, AnOldNameCanBeMadeAgainAsAnotherType) {
  for (const MakerCall& first : kMakers) {
    for (const MakerCall& second : kMakers) {
      TRACE(first.name << " then " << second.name);
      ASSERT_EQ(first.make("x", 0755), 0);
      Remove("x");
      EXPECT_FALSE(Exists("x"));
      ASSERT_EQ(second.make("x", 0755), 0);
      EXPECT_EQ(LStat("x").st_mode & S_IFMT, second.type);
      Remove("x");
    }
  }
}

TEST_P(MakerAsRoot, FailsWithEexistForDevices) {
  for (const Type type : {Type::kCharDevice, Type::kBlockDevice}) {
    MakeObject(type, "x");
    for (const MakerCall& maker : kMakers) {
      TRACE(maker.name << " on a " << ToString(type));
      EXPECT_EQ(maker.make("x", 0644), EEXIST);
    }
    Remove("x");
  }
}

TEST_P(MakerAsRoot, EexistPrecedesEacces) {
  MakeDirectory("d", 0755);
  MakeFile("d/x");
  for (const MakerCall& maker : kMakers) {
    TRACE(maker.name);
    EXPECT_EQ(As(kAlice, [&] { return maker.make("d/x", 0644); }), EEXIST);
    EXPECT_EQ(As(kAlice, [&] { return maker.make("d/y", 0644); }), EACCES);
  }
}

TEST_P(MakerAsRoot, GivesTheObjectToTheCaller) {
  for (const MakerCall& maker : kMakers) {
    for (const User& user : {kAlice, kStranger, User{1004, kShared, {1001, 1002}}}) {
      TRACE(maker.name << " " << user.uid);
      ASSERT_EQ(As(user, [&] { return maker.make("x", 0644); }), 0);
      EXPECT_EQ(LStat("x").st_uid, user.uid);
      EXPECT_EQ(LStat("x").st_gid, user.gid);
      Remove("x");
    }
  }
}

TEST_P(MakerAsRoot, GivesTheObjectToTheEffectiveIds) {
  for (const MakerCall& maker : kMakers) {
    TRACE(maker.name);
    ASSERT_EQ(InChild([&] {
                if (setresgid(kAlice.gid, kBob.gid, kAlice.gid) != 0) return EIO;
                if (setresuid(kAlice.uid, kBob.uid, kAlice.uid) != 0) return EIO;
                return maker.make("x", 0644);
              }),
              0);
    EXPECT_EQ(LStat("x").st_uid, kBob.uid);
    EXPECT_EQ(LStat("x").st_gid, kBob.gid);
    Remove("x");
  }
}

TEST_P(MakerAsRoot, GivesTheGroupOfASetgidDirectory) {
  MakeDirectory("d");
  ASSERT_EQ(chown("d", kBob.uid, kShared), 0);
  ASSERT_EQ(chmod("d", 02777), 0);
  for (const MakerCall& maker : kMakers) {
    for (const User& user : {kAlice, kStranger, kRoot}) {
      TRACE(maker.name << " " << user.uid);
      ASSERT_EQ(As(user, [&] { return maker.make("d/x", 0755); }), 0);
      EXPECT_EQ(LStat("d/x").st_uid, user.uid);
      EXPECT_EQ(LStat("d/x").st_gid, kShared);
      EXPECT_EQ(Permissions("d/x"), ExpectedMode(maker, maker.type == S_IFDIR ? 02755 : 0755));
      Remove("d/x");
    }
  }
}

TEST_P(MakerAsRoot, ASetgidBitNeedsMembershipInTheInheritedGroup) {
  MakeDirectory("d");
  ASSERT_EQ(chown("d", kBob.uid, kShared), 0);
  ASSERT_EQ(chmod("d", 02777), 0);
  for (const MakerCall& maker : kMakers) {
    if (maker.type == S_IFDIR || maker.type == S_IFLNK) continue;
    TRACE(maker.name);
    for (const auto& [user, mode] : {std::pair{kAlice, 02775}, {kRoot, 02775}, {kStranger, 0775}}) {
      ASSERT_EQ(As(user, [&] { return maker.make("d/x", 02775); }), 0);
      EXPECT_EQ(Permissions("d/x"), mode_t(mode)) << user.uid;
      Remove("d/x");
    }
  }
}

TEST_P(MakerAsRoot, InAnotherOwnersDirectoryWorksByItsBits) {
  MakeDirectory("d");
  ASSERT_EQ(chown("d", kAlice.uid, kShared), 0);
  const struct {
    User user;
    int shift;
  } roles[] = {{kAlice, 6}, {kBob, 3}, {kStranger, 0}};
  for (const MakerCall& maker : kMakers) {
    for (const auto& role : roles) {
      for (mode_t bits = 0; bits < 8; ++bits) {
        TRACE(maker.name << " " << role.user.uid << " " << bits);
        ASSERT_EQ(chmod("d", bits << role.shift), 0);
        const int made = As(role.user, [&] { return maker.make("d/x", 0644); });
        EXPECT_EQ(made, (bits & 3) == 3 ? 0 : EACCES);
        EXPECT_EQ(Exists("d/x"), made == 0);
        if (made == 0) Remove("d/x");
      }
    }
  }
}

}  // namespace
}  // namespace memfuse::conformance

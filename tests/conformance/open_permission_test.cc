// open(2): permission to open and create, and the owner of new files.

#include <array>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

ROOT_CONFORMANCE_SUITE(OpenPermission);

// The relation of a user to a file of Alice in group kShared.
struct Role {
  const char* name;
  User user;
  int shift;  // of the user's bits in the mode
};
const std::array<Role, 4> kRoles = {{
    {"owner", kAlice, 6},
    {"member by supplementary group", kBob, 3},
    {"member by primary group", {1004, kShared, {}}, 3},
    {"other", kStranger, 0},
}};

TEST_P(OpenPermission, UsesTheBitsOfTheFirstClassThatApplies) {
  MakeFile("f", "", 0);
  ASSERT_EQ(chown("f", kAlice.uid, kShared), 0);
  for (const Role& role : kRoles) {
    for (mode_t bits = 0; bits < 8; ++bits) {
      // First the bits of one class alone, then also the bits of all other classes.
      for (const bool inverted : {false, true}) {
        const mode_t mode = bits << role.shift;
        const mode_t others = static_cast<mode_t>(~(7 << role.shift)) & 0777;
        ASSERT_EQ(chmod("f", inverted ? mode | others : mode), 0);
        TRACE(role.name << " " << std::oct << Permissions("f"));
        const int reading = (bits & 4) != 0 ? 0 : EACCES;
        const int writing = (bits & 2) != 0 ? 0 : EACCES;
        const int both = (bits & 6) == 6 ? 0 : EACCES;
        EXPECT_EQ(As(role.user,
                     [&] {
                       if (OpenErrno("f", O_RDONLY) != reading) return 1;
                       if (OpenErrno("f", O_WRONLY) != writing) return 2;
                       if (OpenErrno("f", O_RDWR) != both) return 3;
                       if (OpenErrno("f", O_RDONLY | O_TRUNC) != both) return 4;
                       if (OpenErrno("f", O_WRONLY | O_CREAT | O_APPEND) != writing) return 5;
                       if (OpenErrno("f", O_PATH) != 0) return 6;
                       return 0;
                     }),
                  0);
      }
    }
  }
}

TEST_P(OpenPermission, DirectoriesAndFifosUseTheSameBits) {
  ASSERT_EQ(mkfifo("p", 0), 0);
  MakeDirectory("d", 0);
  for (const char* path : {"p", "d"}) ASSERT_EQ(chown(path, kAlice.uid, kShared), 0);
  const UniqueFd reader = Open("p", O_RDONLY | O_NONBLOCK);
  for (const Role& role : kRoles) {
    for (mode_t bits = 0; bits < 8; ++bits) {
      ASSERT_EQ(chmod("p", bits << role.shift), 0);
      ASSERT_EQ(chmod("d", bits << role.shift), 0);
      TRACE(role.name << " " << std::oct << Permissions("p"));
      const int reading = (bits & 4) != 0 ? 0 : EACCES;
      const int writing = (bits & 2) != 0 ? 0 : EACCES;
      EXPECT_EQ(As(role.user, [&] { return OpenErrno("p", O_RDONLY | O_NONBLOCK); }), reading);
      EXPECT_EQ(As(role.user, [&] { return OpenErrno("p", O_WRONLY | O_NONBLOCK); }), writing);
      EXPECT_EQ(As(role.user, [&] { return OpenErrno("d", O_RDONLY | O_DIRECTORY); }), reading);
    }
  }
}

TEST_P(OpenPermission, RootNeedsNoBits) {
  MakeFile("f", "content", 0);
  Give("f", kAlice);
  MakeDirectory("d", 0);
  Give("d", kAlice);
  EXPECT_EQ(OpenErrno("f", O_RDWR), 0);
  EXPECT_EQ(OpenErrno("d", O_RDONLY), 0);
  EXPECT_EQ(OpenErrno("d/new", O_CREAT | O_WRONLY), 0);
  // Except to execute.
  EXPECT_EQ(InChild([] { return ErrnoOf(execl("f", "f", nullptr)); }), EACCES);
}

TEST_P(OpenPermission, CreationNeedsToWriteAndSearchTheParent) {
  MakeDirectory("d", 0);
  ASSERT_EQ(chown("d", kAlice.uid, kShared), 0);
  MakeFile("d/f", "", 0666);
  for (const Role& role : kRoles) {
    for (mode_t bits = 0; bits < 8; ++bits) {
      ASSERT_EQ(chmod("d", bits << role.shift), 0);
      TRACE(role.name << " " << std::oct << Permissions("d"));
      const int creating = (bits & 3) == 3 ? 0 : EACCES;
      const int searching = (bits & 1) != 0 ? 0 : EACCES;
      EXPECT_EQ(As(role.user, [] { return OpenErrno("d/n", O_CREAT | O_WRONLY); }), creating);
      EXPECT_EQ(As(role.user, [] { return OpenErrno("d/missing", O_RDONLY); }),
                searching == 0 ? ENOENT : EACCES);
      EXPECT_EQ(As(role.user, [] { return OpenErrno("d/f", O_CREAT | O_RDWR); }), searching);
      EXPECT_EQ(Exists("d/n"), creating == 0);
      unlink("d/n");
    }
  }
}

TEST_P(OpenPermission, AFailureChangesNothing) {
  MakeFile("f", "content", 0444);
  MakeDirectory("d", 0555);
  const TimeWatch file("f"), dir("d");
  EXPECT_EQ(As(kAlice, [] { return OpenErrno("f", O_WRONLY | O_TRUNC); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return OpenErrno("f", O_RDONLY | O_TRUNC); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return OpenErrno("d/n", O_CREAT | O_RDWR); }), EACCES);
  EXPECT_EQ(ReadFile("f"), "content");
  EXPECT_EQ(file.Moved(), "");
  EXPECT_EQ(dir.Moved(), "");
}

TEST_P(OpenPermission, ThroughALinkUsesTheTargetsBits) {
  MakeDirectory("locked", 0700);
  MakeFile("locked/f", "", 0666);
  ASSERT_EQ(symlink("locked/f", "link"), 0);
  EXPECT_EQ(As(kAlice, [] { return OpenErrno("link", O_RDONLY); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return OpenErrno("link", O_CREAT | O_RDWR); }), EACCES);
  ASSERT_EQ(chmod("locked", 0711), 0);
  EXPECT_EQ(As(kAlice, [] { return OpenErrno("link", O_RDWR); }), 0);
}

TEST_P(OpenPermission, NoatimeIsAllowedForTheOwner) {
  MakeFile("f", "", 0666);
  Give("f", kAlice);
  MakeDirectory("d", 0777);
  Give("d", kAlice);
  for (const char* path : {"f", "d"}) {
    TRACE(path);
    const auto open_it = [&] { return OpenErrno(path, O_RDONLY | O_NOATIME); };
    EXPECT_EQ(As(kAlice, open_it), 0);
    EXPECT_EQ(As(kBob, open_it), EPERM);
    EXPECT_EQ(As(kRoot, open_it), 0);
    EXPECT_EQ(As(kBob,
                 [&] {
                   const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
                   return ErrnoOf(fcntl(fd.get(), F_SETFL, O_NOATIME));
                 }),
              EPERM);
  }
}

TEST_P(OpenPermission, AReopenedDescriptorIsCheckedAgain) {
  MakeFile("f", "", 0644);
  const UniqueFd fd = Open("f", O_RDONLY);
  const std::string again = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_EQ(As(kAlice, [&] { return OpenErrno(again, O_RDONLY); }), 0);
  EXPECT_EQ(As(kAlice, [&] { return OpenErrno(again, O_WRONLY); }), EACCES);
}

TEST_P(OpenPermission, NewFilesBelongToTheCallerAndItsGroup) {
  for (const User& user : {kAlice, kStranger, User{1004, kShared, {1001}}}) {
    EXPECT_EQ(As(user, [] { return OpenErrno("f", O_CREAT | O_EXCL | O_WRONLY); }), 0);
    EXPECT_EQ(LStat("f").st_uid, user.uid);
    EXPECT_EQ(LStat("f").st_gid, user.gid);
    ASSERT_EQ(unlink("f"), 0);
  }
}

TEST_P(OpenPermission, NewFilesTakeTheEffectiveIds) {
  EXPECT_EQ(InChild([] {
              if (setresgid(0, kBob.gid, 0) != 0 || setresuid(0, kBob.uid, 0) != 0) return EIO;
              return OpenErrno("f", O_CREAT | O_EXCL | O_WRONLY);
            }),
            0);
  EXPECT_EQ(LStat("f").st_uid, kBob.uid);
  EXPECT_EQ(LStat("f").st_gid, kBob.gid);
}

TEST_P(OpenPermission, NewFilesTakeTheGroupOfASetgidDirectory) {
  MakeDirectory("d");
  ASSERT_EQ(chown("d", kBob.uid, kShared), 0);
  ASSERT_EQ(chmod("d", 02777), 0);
  for (const User& user : {kAlice, kStranger, kRoot}) {
    TRACE(user.uid);
    EXPECT_EQ(As(user, [] { return OpenErrno("d/f", O_CREAT | O_EXCL | O_WRONLY, 0666); }), 0);
    EXPECT_EQ(LStat("d/f").st_uid, user.uid);
    EXPECT_EQ(LStat("d/f").st_gid, kShared);
    EXPECT_EQ(Permissions("d/f"), mode_t{0666});
    ASSERT_EQ(unlink("d/f"), 0);
  }
}

TEST_P(OpenPermission, ASetgidBitIsDroppedForAForeignGroup) {
  MakeDirectory("d");
  ASSERT_EQ(chown("d", kBob.uid, kShared), 0);
  ASSERT_EQ(chmod("d", 02777), 0);
  struct {
    User user;
    mode_t asked, expected;
  } const cases[] = {
      {kAlice, 02775, 02775},    {kStranger, 02775, 0775}, {kStranger, 02765, 02765},
      {kStranger, 06775, 04775}, {kRoot, 02775, 02775},
  };
  for (const auto& c : cases) {
    TRACE(c.user.uid << " " << std::oct << c.asked);
    EXPECT_EQ(As(c.user, [&] { return OpenErrno("d/f", O_CREAT | O_RDWR, c.asked); }), 0);
    EXPECT_EQ(Permissions("d/f"), c.expected);
    ASSERT_EQ(unlink("d/f"), 0);
  }
}

}  // namespace
}  // namespace memfuse::conformance

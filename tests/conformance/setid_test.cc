// A change of the content of a file clears its set-id bits, unless root makes the change.

#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

ROOT_CONFORMANCE_SUITE(SetId);

struct Change {
  const char* name;
  int (*make)();  // changes "f"; 0, or an errno
};

int ByDescriptor(int flags, int (*call)(int)) {
  const UniqueFd fd(open("f", flags | O_CLOEXEC));
  return fd.valid() ? call(fd.get()) : errno;
}

const Change kChanges[] = {
    {"write",
     [] { return ByDescriptor(O_WRONLY, [](int fd) { return ErrnoOf(write(fd, "x", 1)); }); }},
    {"pwrite",
     [] { return ByDescriptor(O_RDWR, [](int fd) { return ErrnoOf(pwrite(fd, "x", 1, 9000)); }); }},
    {"appending",
     [] {
       return ByDescriptor(O_WRONLY | O_APPEND, [](int fd) { return ErrnoOf(write(fd, "x", 1)); });
     }},
    {"writev",
     [] {
       return ByDescriptor(O_WRONLY, [](int fd) {
         char byte = 'x';
         const iovec parts[2] = {{&byte, 1}, {&byte, 1}};
         return ErrnoOf(writev(fd, parts, 2));
       });
     }},
    {"truncate to less", [] { return ErrnoOf(truncate("f", 1)); }},
    {"truncate to more", [] { return ErrnoOf(truncate("f", 20000)); }},
    {"ftruncate",
     [] { return ByDescriptor(O_WRONLY, [](int fd) { return ErrnoOf(ftruncate(fd, 2)); }); }},
    {"open to truncate", [] { return ByDescriptor(O_WRONLY | O_TRUNC, [](int) { return 0; }); }},
    {"fallocate",
     [] {
       return ByDescriptor(O_WRONLY, [](int fd) { return ErrnoOf(fallocate(fd, 0, 0, 8192)); });
     }},
    {"fallocate of a hole",
     [] {
       return ByDescriptor(O_WRONLY, [](int fd) {
         return ErrnoOf(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
       });
     }},
    {"posix_fallocate",
     [] { return ByDescriptor(O_WRONLY, [](int fd) { return posix_fallocate(fd, 0, 8192); }); }},
    {"copy_file_range",
     [] {
       return ByDescriptor(O_WRONLY, [](int fd) {
         const UniqueFd from(open("source", O_RDONLY | O_CLOEXEC));
         return ErrnoOf(copy_file_range(from.get(), nullptr, fd, nullptr, 4, 0));
       });
     }},
    {"sendfile",
     [] {
       return ByDescriptor(O_WRONLY, [](int fd) {
         const UniqueFd from(open("source", O_RDONLY | O_CLOEXEC));
         return ErrnoOf(sendfile(fd, from.get(), nullptr, 4));
       });
     }},
};

class SetIdCase {
 public:
  SetIdCase() { MakeFile("source", "abcd", 0644); }
  void Expect(const Change& change, const User& user, gid_t gid, mode_t before, mode_t after) {
    TRACE(change.name << " by " << user.uid << ", group " << gid << ", " << std::oct << before);
    unlink("f");
    MakeFile("f", std::string(8192, 'c'));
    ASSERT_EQ(chown("f", kAlice.uid, gid), 0);
    ASSERT_EQ(chmod("f", before), 0);
    EXPECT_EQ(As(user, change.make), 0);
    EXPECT_EQ(Permissions("f"), after);
  }
};

TEST_P(SetId, OthersClearSetuid) {
  SetIdCase c;
  for (const Change& change : kChanges) {
    for (const User& user : {kAlice, kBob, kStranger}) {
      c.Expect(change, user, kShared, 04777, 0777);
      c.Expect(change, user, kShared, 04666, 0666);
    }
  }
}

TEST_P(SetId, OthersClearSetgidWithGroupExecute) {
  SetIdCase c;
  for (const Change& change : kChanges) {
    for (const User& user : {kAlice, kBob, kStranger}) {
      c.Expect(change, user, kShared, 02777, 0777);
      c.Expect(change, user, kShared, 06776, 0776);
      c.Expect(change, user, kShared, 07777, 01777);
    }
  }
}

// Without group execute permission the bit means mandatory locking, and only a user outside the
// group clears it.
TEST_P(SetId, MembersKeepSetgidWithoutGroupExecute) {
  SetIdCase c;
  for (const Change& change : kChanges) {
    c.Expect(change, kAlice, kShared, 02766, 02766);
    c.Expect(change, kBob, kShared, 02766, 02766);
    c.Expect(change, kBob, kShared, 06766, 02766);
    c.Expect(change, kStranger, kShared, 02766, 0766);
    c.Expect(change, kAlice, kStranger.gid, 02766, 0766);
  }
}

TEST_P(SetId, RootKeepsThem) {
  SetIdCase c;
  for (const Change& change : kChanges) {
    c.Expect(change, kRoot, kShared, 06777, 06777);
    c.Expect(change, kRoot, kShared, 07766, 07766);
  }
}

TEST_P(SetId, AnEmptyWriteKeepsThem) {
  MakeFile("f", "content");
  ASSERT_EQ(chmod("f", 06777), 0);
  const TimeWatch file("f");
  EXPECT_EQ(As(kAlice,
               [] {
                 const UniqueFd fd(open("f", O_WRONLY | O_CLOEXEC));
                 return ErrnoOf(write(fd.get(), "", 0));
               }),
            0);
  EXPECT_EQ(Permissions("f"), mode_t{06777});
  EXPECT_EQ(file.Moved(), "");
}

TEST_P(SetId, OpeningAndReadingKeepThem) {
  MakeFile("f", "content");
  ASSERT_EQ(chmod("f", 06777), 0);
  EXPECT_EQ(As(kAlice,
               [] {
                 const UniqueFd fd(open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
                 char byte;
                 return ErrnoOf(read(fd.get(), &byte, 1));
               }),
            0);
  EXPECT_EQ(Permissions("f"), mode_t{06777});
}

TEST_P(SetId, ARefusedChangeKeepsThem) {
  MakeFile("f", "content");
  ASSERT_EQ(chmod("f", 06755), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(truncate("f", 0)); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ByDescriptor(O_WRONLY | O_TRUNC, [](int) { return 0; }); }),
            EACCES);
  EXPECT_EQ(Permissions("f"), mode_t{06755});
}

TEST_P(SetId, TheSecondWriteKeepsNewBits) {
  MakeFile("f", "content");
  Give("f", kAlice);
  ASSERT_EQ(chmod("f", 06777), 0);
  const UniqueFd fd = Open("f", O_WRONLY);
  EXPECT_EQ(As(kBob, [&] { return ErrnoOf(write(fd.get(), "x", 1)); }), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0777});
  ASSERT_EQ(chmod("f", 04777), 0);
  EXPECT_EQ(write(fd.get(), "y", 1), 1);
  EXPECT_EQ(Permissions("f"), mode_t{04777});
  EXPECT_EQ(As(kBob, [&] { return ErrnoOf(write(fd.get(), "x", 1)); }), 0);
  EXPECT_EQ(Permissions("f"), mode_t{0777});
}

TEST_P(SetId, ClearingMovesTimesAsTheWriteDoes) {
  MakeFile("f", "content");
  Give("f", kAlice);
  ASSERT_EQ(chmod("f", 06777), 0);
  const TimeWatch file("f");
  EXPECT_EQ(As(kBob, kChanges[0].make), 0);
  EXPECT_EQ(file.Moved(), "mc");
}

// A truncate of a file without data, to its current size.
TEST_P(SetId, ClearingByATruncateThatDoesNothingElseMovesNoTime) {
  for (const off_t size : {0, 10000}) {
    unlink("f");
    MakeFile("f");
    ASSERT_EQ(truncate("f", size), 0);
    Give("f", kAlice);
    ASSERT_EQ(chmod("f", 06777), 0);
    const TimeWatch file("f");
    EXPECT_EQ(As(kBob, [size] { return ErrnoOf(truncate("f", size)); }), 0);
    EXPECT_EQ(Permissions("f"), mode_t{0777});
    // With passthrough the kernel sends the same request for O_TRUNC.
    const bool like_o_trunc = on_memfuse() && !daemon_serves_data() && size == 0;
    EXPECT_EQ(file.Moved(), like_o_trunc ? "mc" : "");
  }
}

}  // namespace
}  // namespace memfuse::conformance

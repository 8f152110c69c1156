// The errors of a full file system, and the release of all its space.
//
// memfuse charges names, inodes and page tables to its size, and tmpfs charges pages only, so the
// tests check ranges.

#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "tests/conformance/conformance.h"
#include "tests/conformance/map.h"

namespace memfuse::conformance {
namespace {

constexpr size_t kPiece = 256 << 10;
constexpr uint64_t kMostData = kSmallSize;
constexpr uint64_t kLeastData = kSmallSize - (512 << 10);

struct statvfs Statvfs() {
  struct statvfs s = {};
  EXPECT_EQ(statvfs(".", &s), 0);
  return s;
}
uint64_t FreeBytes() {
  const struct statvfs s = Statvfs();
  return s.f_bavail * s.f_frsize;
}

class Full : public Conformance {
 protected:
  // Files that the previous case removed may still use space for a moment.
  void SetUp() override {
    Conformance::SetUp();
    const auto empty = [] {
      const struct statvfs s = Statvfs();
      return s.f_bavail * s.f_frsize >= kLeastData && s.f_files - s.f_ffree <= 2;
    };
    EXPECT_TRUE(Eventually(empty));
  }
};
INSTANTIATE_TEST_SUITE_P(On, Full, testing::ValuesIn(SmallFileSystems()), NameOf);

// Writes until the file system is full; returns the number of bytes written.
uint64_t Fill(int fd) {
  const std::string piece(kPiece, 'x');
  uint64_t total = 0;
  for (size_t size = kPiece; size > 0;) {
    const ssize_t n = write(fd, piece.data(), size);
    if (n > 0) {
      total += static_cast<uint64_t>(n);
      if (total > 2 * kSmallSize) break;  // the caller fails
    } else {
      EXPECT_EQ(ErrnoOf(n), ENOSPC);
      size /= 2;
    }
  }
  return total;
}

TEST_P(Full, AWriteIsShortAndThenRefused) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  const std::string piece(3 << 20, 'x');
  uint64_t total = 0;
  ssize_t n;
  bool was_short = false;
  while ((n = write(fd.get(), piece.data(), piece.size())) > 0) {
    ASSERT_FALSE(was_short) << "space was found after a short write";
    was_short = n < static_cast<ssize_t>(piece.size());
    total += static_cast<uint64_t>(n);
    ASSERT_LE(total, 2 * kSmallSize);
  }
  EXPECT_EQ(ErrnoOf(n), ENOSPC);
  EXPECT_TRUE(was_short);
  EXPECT_GE(total, kLeastData);
  EXPECT_LE(total, kMostData);
  EXPECT_EQ(Stat("f").st_size, static_cast<off_t>(total));
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), static_cast<off_t>(total));
  const std::string content = ReadFile("f");
  EXPECT_EQ(content.size(), total);
  EXPECT_EQ(content.find_first_not_of('x'), std::string::npos);
}

TEST_P(Full, ExistingDataCanBeOverwritten) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  const uint64_t total = Fill(fd.get());
  ASSERT_GE(total, kLeastData);
  EXPECT_EQ(pwrite(fd.get(), "abc", 3, 0), 3);
  EXPECT_EQ(pwrite(fd.get(), "abc", 3, 1 << 20), 3);
  EXPECT_EQ(ErrnoOf(pwrite(fd.get(), "abc", 3, 100 << 20)), ENOSPC);
  EXPECT_EQ(Stat("f").st_size, static_cast<off_t>(total));
  EXPECT_EQ(ReadFile("f").substr(1 << 20, 4), "abcx");
}

TEST_P(Full, ARefusedWriteMovesNoTime) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  Fill(fd.get());
  const TimeWatch watch("f");
  EXPECT_EQ(ErrnoOf(pwrite(fd.get(), "abc", 3, 100 << 20)), ENOSPC);
  // tmpfs updates the times before it allocates space, contrary to POSIX.
  EXPECT_EQ(watch.Moved(), daemon_serves_data() ? "" : "mc");
}

TEST_P(Full, HolesAreFree) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  EXPECT_EQ(ftruncate(fd.get(), off_t{1} << 50), 0);
  const UniqueFd other = Open("g", O_CREAT | O_RDWR);
  Fill(other.get());
  EXPECT_EQ(ftruncate(fd.get(), off_t{1} << 55), 0);
  char c = 'x';
  EXPECT_EQ(pread(fd.get(), &c, 1, off_t{1} << 54), 1);
  EXPECT_EQ(c, '\0');
}

TEST_P(Full, StatfsCountsDownAndBack) {
  const uint64_t before = FreeBytes();
  const struct statvfs s = Statvfs();
  EXPECT_EQ(s.f_blocks * s.f_frsize, kSmallSize);
  EXPECT_EQ(s.f_bfree, s.f_bavail);
  EXPECT_EQ(s.f_namemax, kNameMax);
  UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  const uint64_t total = Fill(fd.get());
  EXPECT_LE(FreeBytes(), uint64_t{64} << 10);
  EXPECT_LE(total, before);
  ASSERT_EQ(unlink("f"), 0);
  // While it is open it uses space.
  EXPECT_LE(FreeBytes(), uint64_t{64} << 10);
  fd.reset();
  EXPECT_TRUE(Eventually([&] { return FreeBytes() >= before; })) << FreeBytes() << " " << before;
}

TEST_P(Full, TruncatingAndPunchingMakeRoom) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR), other = Open("g", O_CREAT | O_RDWR);
  const uint64_t total = Fill(fd.get());
  ASSERT_EQ(ftruncate(fd.get(), static_cast<off_t>(total) - (2 << 20)), 0);
  const std::string piece(1 << 20, 'y');
  EXPECT_EQ(write(other.get(), piece.data(), piece.size()), static_cast<ssize_t>(piece.size()));
  Fill(other.get());
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 2 << 20), 0);
  EXPECT_EQ(write(other.get(), piece.data(), piece.size()), static_cast<ssize_t>(piece.size()));
}

TEST_P(Full, FallocateKeepsNothingOfAFailure) {
  const UniqueFd fd = Open("f", O_CREAT | O_RDWR);
  const uint64_t before = FreeBytes();
  EXPECT_EQ(ErrnoOf(fallocate(fd.get(), 0, 0, kSmallSize + 1)), ENOSPC);
  EXPECT_EQ(Stat("f").st_size, 0);
  EXPECT_EQ(Stat("f").st_blocks, 0);
  // Files that the previous case removed may be freed meanwhile.
  EXPECT_GE(FreeBytes(), before);
  EXPECT_EQ(fallocate(fd.get(), 0, 0, kLeastData), 0);
  EXPECT_EQ(ErrnoOf(fallocate(fd.get(), 0, kLeastData, 2 << 20)), ENOSPC);
  EXPECT_EQ(Stat("f").st_size, static_cast<off_t>(kLeastData));
  // A reserved range can be written although no other space is left.
  const UniqueFd other = Open("g", O_CREAT | O_RDWR);
  Fill(other.get());
  const std::string piece(1 << 20, 'y');
  for (size_t at = 0; at + piece.size() <= kLeastData; at += piece.size()) {
    ASSERT_EQ(pwrite(fd.get(), piece.data(), piece.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(piece.size()));
  }
}

TEST_P(Full, CopyFileRangeIsShortWhenSpaceRunsOut) {
  const UniqueFd in = Open("f", O_CREAT | O_RDWR), out = Open("g", O_CREAT | O_RDWR);
  const std::string piece(10 << 20, 'x');
  ASSERT_EQ(write(in.get(), piece.data(), piece.size()), static_cast<ssize_t>(piece.size()));
  off_t from = 0;
  uint64_t total = 0;
  ssize_t n;
  while ((n = copy_file_range(in.get(), &from, out.get(), nullptr, piece.size(), 0)) > 0) {
    total += static_cast<uint64_t>(n);
    ASSERT_LE(total, 2 * kSmallSize);
  }
  EXPECT_EQ(ErrnoOf(n), ENOSPC);
  EXPECT_GE(total, uint64_t{5} << 20);
  EXPECT_EQ(Stat("g").st_size, static_cast<off_t>(total));
}

TEST_P(Full, InodesRunOut) {
  const struct statvfs before = Statvfs();
  EXPECT_EQ(before.f_files, kSmallInodes);
  EXPECT_EQ(before.f_ffree, before.f_favail);
  uint64_t made = 0;
  while (mknod(("f" + std::to_string(made)).c_str(), S_IFREG | 0644, 0) == 0) ++made;
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(made, before.f_ffree);
  EXPECT_EQ(Statvfs().f_ffree, 0u);

  EXPECT_EQ(ErrnoOf(mkdir("d", 0755)), ENOSPC);
  EXPECT_EQ(ErrnoOf(mkfifo("p", 0755)), ENOSPC);
  EXPECT_EQ(ErrnoOf(symlink("target", "l")), ENOSPC);
  EXPECT_EQ(ErrnoOf(open("g", O_CREAT | O_WRONLY | O_CLOEXEC, 0644)), ENOSPC);
  EXPECT_EQ(ErrnoOf(open(".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644)), ENOSPC);
  // tmpfs charges names, too.
  EXPECT_EQ(ErrnoOf(link("f0", "h")), on_memfuse() ? 0 : ENOSPC);
  // EEXIST precedes ENOSPC.
  EXPECT_EQ(ErrnoOf(mkdir("f0", 0755)), EEXIST);
  EXPECT_EQ(ErrnoOf(symlink("target", "f0")), EEXIST);
  EXPECT_EQ(ErrnoOf(mkdir("missing/d", 0755)), ENOENT);
  EXPECT_EQ(rename("f0", "g"), 0);
  EXPECT_FALSE(Exists("d"));
  EXPECT_FALSE(Exists("l"));

  ASSERT_EQ(unlink("f1"), 0);
  EXPECT_TRUE(Eventually([] { return Statvfs().f_ffree > 0; }));
  EXPECT_EQ(mkdir("d", 0755), 0);
}

TEST_P(Full, InodesAreReleased) {
  const uint64_t before = Statvfs().f_ffree;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(mkdir(("d" + std::to_string(i)).c_str(), 0755), 0) << round;
    }
    for (int i = 0; i < 100; ++i) ASSERT_EQ(rmdir(("d" + std::to_string(i)).c_str()), 0);
    ASSERT_TRUE(Eventually([&] { return Statvfs().f_ffree == before; })) << Statvfs().f_ffree;
  }
}

// Some of the pages may have space: those that existed before.
TEST_P(Full, AMappedStoreThatFindsNoSpace) {
  for (const size_t present : {size_t{0}, 3 * kPage}) {
    const UniqueFd fd = Open("f", O_CREAT | O_RDWR | O_TRUNC);
    const UniqueFd filler = Open("g", O_CREAT | O_RDWR | O_TRUNC);
    constexpr size_t kLength = 1 << 20;
    ASSERT_EQ(write(fd.get(), std::string(present, 'm').data(), present),
              static_cast<ssize_t>(present));
    ASSERT_EQ(ftruncate(fd.get(), kLength), 0);
    const Map map(fd.get(), kLength, kReadWrite, MAP_SHARED);
    ASSERT_EQ(map.error(), 0);
    Fill(filler.get());
    const bool refused = IsBusError([&] {
      for (size_t at = 0; at < kLength; at += kPage) map[at] = 'x';
    });
    // A FUSE kernel accepts the store in its page cache, and learns of the lack of space at the
    // write-back: msync fails. tmpfs allocates a page at once: SIGBUS.
    EXPECT_EQ(refused, !daemon_serves_data());
    const int synced = ErrnoOf(msync(map.data(), kLength, MS_SYNC));
    if (daemon_serves_data()) {
      EXPECT_TRUE(synced == ENOSPC || synced == EIO) << synced;
    } else {
      EXPECT_EQ(synced, 0);
    }
    if (present > 0) {
      EXPECT_EQ(map[kPage], 'x');
      EXPECT_EQ(map[kPage + 1], 'm');
    }
  }
}

TEST_P(Full, ExtendedAttributesRunOut) {
  const UniqueFd filler = Open("g", O_CREAT | O_RDWR);
  MakeFile("f");
  Fill(filler.get());
  const std::string value(4000, 'v');
  int error = 0;
  for (int i = 0; i < 100000 && error == 0; ++i) {
    const std::string name = "user." + std::to_string(i);
    error = ErrnoOf(setxattr("f", name.c_str(), value.data(), value.size(), 0));
    if (i == 100) break;
  }
  // tmpfs allocates them from memory that its size does not limit.
  EXPECT_EQ(error, on_memfuse() ? ENOSPC : error);
}

TEST_P(Full, RemovingAlwaysWorks) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  for (int i = 0; i < 20; ++i) MakeFile("d/f" + std::to_string(i), "content");
  const UniqueFd filler = Open("g", O_CREAT | O_RDWR);
  Fill(filler.get());
  EXPECT_EQ(chmod("d", 0700), 0);
  EXPECT_EQ(rename("d/f0", "d/f1"), 0);
  for (int i = 1; i < 20; ++i) EXPECT_EQ(unlink(("d/f" + std::to_string(i)).c_str()), 0);
  EXPECT_EQ(rmdir("d"), 0);
  EXPECT_EQ(ftruncate(filler.get(), 0), 0);
  EXPECT_EQ(mkdir("d", 0755), 0);
}

}  // namespace
}  // namespace memfuse::conformance

// stat(2), lstat(2), fstat(2), fstatat(2).

#include <limits.h>
#include <sys/sysmacros.h>

#include <set>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(StatCall);
ROOT_CONFORMANCE_SUITE(StatAsRoot);

mode_t FormatOf(Type type) {
  switch (type) {
    case Type::kFile:
      return S_IFREG;
    case Type::kDirectory:
      return S_IFDIR;
    case Type::kSymlink:
      return S_IFLNK;
    case Type::kFifo:
      return S_IFIFO;
    case Type::kSocket:
      return S_IFSOCK;
    case Type::kCharDevice:
      return S_IFCHR;
    case Type::kBlockDevice:
      return S_IFBLK;
  }
  return 0;
}

TEST_P(StatCall, FieldsOfEveryType) {
  const dev_t device = Stat(".").st_dev;
  for (const Type type : TypesWithoutPrivilege()) {
    SCOPED_TRACE(ToString(type));
    MakeObject(type, "o");
    const struct stat s = LStat("o");
    EXPECT_EQ(s.st_mode & S_IFMT, FormatOf(type));
    EXPECT_EQ(s.st_dev, device);
    EXPECT_NE(s.st_ino, 0u);
    EXPECT_EQ(s.st_nlink, type == Type::kDirectory ? 2u : 1u);
    EXPECT_EQ(s.st_uid, geteuid());
    EXPECT_EQ(s.st_gid, getegid());
    EXPECT_EQ(s.st_rdev, 0u);
    EXPECT_EQ(s.st_blksize, 4096);
    EXPECT_EQ(s.st_blocks, 0);
    EXPECT_EQ(s.st_size, type == Type::kSymlink ? 6 : type == Type::kDirectory ? 40 : 0);
    ASSERT_EQ(remove("o"), 0);
  }
}

TEST_P(StatCall, BlocksMatchTheAllocatedData) {
  MakeFile("f");
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(pwrite(fd.get(), "x", 1, 0), 1);
  EXPECT_EQ(Stat("f").st_size, 1);
  EXPECT_GT(Stat("f").st_blocks, 0);
  const std::string page(4096, 'x');
  ASSERT_EQ(pwrite(fd.get(), page.data(), page.size(), 0), 4096);
  EXPECT_EQ(Stat("f").st_blocks, 8);
  ASSERT_EQ(pwrite(fd.get(), page.data(), page.size(), 1 << 20), 4096);
  EXPECT_EQ(Stat("f").st_size, (1 << 20) + 4096);
  EXPECT_EQ(Stat("f").st_blocks, 16);
  ASSERT_EQ(ftruncate(fd.get(), off_t{1} << 40), 0);
  EXPECT_EQ(Stat("f").st_size, off_t{1} << 40);
  EXPECT_EQ(Stat("f").st_blocks, 16);
  ASSERT_EQ(ftruncate(fd.get(), 4096), 0);
  EXPECT_EQ(Stat("f").st_blocks, 8);
  ASSERT_EQ(ftruncate(fd.get(), 0), 0);
  EXPECT_EQ(Stat("f").st_blocks, 0);
}

TEST_P(StatCall, SizeOfSymbolicLinksIsTheLengthOfTheTarget) {
  for (const size_t length : {1u, 100u, 4095u}) {
    ASSERT_EQ(symlink(std::string(length, 't').c_str(), "l"), 0);
    EXPECT_EQ(LStat("l").st_size, static_cast<off_t>(length));
    ASSERT_EQ(unlink("l"), 0);
  }
}

TEST_P(StatCall, SizeOfDirectoriesGrowsWithEntries) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  const off_t empty = Stat("d").st_size;
  MakeFile("d/a");
  ASSERT_EQ(mkdir("d/b", 0755), 0);
  const off_t two = Stat("d").st_size;
  EXPECT_GT(two, empty);
  ASSERT_EQ(unlink("d/a"), 0);
  ASSERT_EQ(rmdir("d/b"), 0);
  EXPECT_EQ(Stat("d").st_size, empty);
}

TEST_P(StatCall, LinkCountsOfDirectoriesCountSubdirectories) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(mkdir("d/a", 0755), 0);
  ASSERT_EQ(mkdir("d/b", 0755), 0);
  MakeFile("d/f");
  EXPECT_EQ(Stat("d").st_nlink, 4u);
  ASSERT_EQ(rmdir("d/a"), 0);
  EXPECT_EQ(Stat("d").st_nlink, 3u);
  const UniqueFd fd = Open("d/b", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(rmdir("d/b"), 0);
  struct stat removed;
  ASSERT_EQ(fstat(fd.get(), &removed), 0);
  EXPECT_EQ(removed.st_nlink, 0u);
}

TEST_P(StatCall, InodeNumbersAreUniqueAndKept) {
  std::set<ino_t> numbers = {Stat(".").st_ino, Stat(mount_directory()).st_ino};
  for (int i = 0; i < 200; ++i) {
    const std::string name = "f" + std::to_string(i);
    MakeFile(name);
    EXPECT_TRUE(numbers.insert(Stat(name).st_ino).second);
  }
  EXPECT_EQ(numbers.size(), 202u);
  const ino_t number = Stat("f0").st_ino;
  ASSERT_EQ(link("f0", "hard"), 0);
  ASSERT_EQ(rename("f0", "moved"), 0);
  ASSERT_EQ(chmod("moved", 0600), 0);
  ASSERT_EQ(truncate("moved", 100), 0);
  EXPECT_EQ(Stat("moved").st_ino, number);
  EXPECT_EQ(Stat("hard").st_ino, number);
}

TEST_P(StatCall, DescriptorsSeeWhatPathsSee) {
  MakeFile("f", "content");
  ASSERT_EQ(symlink("f", "l"), 0);
  struct stat s;
  for (const int flags : {O_RDONLY, O_WRONLY, O_PATH}) {
    ASSERT_EQ(fstat(Open("f", flags).get(), &s), 0);
    EXPECT_EQ(s.st_ino, Stat("f").st_ino);
    EXPECT_EQ(s.st_size, 7);
  }
  const UniqueFd link = Open("l", O_PATH | O_NOFOLLOW);
  ASSERT_EQ(fstat(link.get(), &s), 0);
  EXPECT_TRUE(S_ISLNK(s.st_mode));
  ASSERT_EQ(fstatat(link.get(), "", &s, AT_EMPTY_PATH), 0);
  EXPECT_EQ(s.st_ino, LStat("l").st_ino);
  const UniqueFd dir = Open(".", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(fstatat(dir.get(), "l", &s, 0), 0);
  EXPECT_TRUE(S_ISREG(s.st_mode));
  ASSERT_EQ(fstatat(dir.get(), "l", &s, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_TRUE(S_ISLNK(s.st_mode));
  ASSERT_EQ(fstatat(AT_FDCWD, "", &s, AT_EMPTY_PATH), 0);
  EXPECT_EQ(s.st_ino, Stat(".").st_ino);
}

TEST_P(StatCall, ChangesThroughOneDescriptorShowThroughOthers) {
  MakeFile("f");
  const UniqueFd writer = Open("f", O_WRONLY), reader = Open("f", O_RDONLY);
  ASSERT_EQ(write(writer.get(), "12345", 5), 5);
  struct stat s;
  ASSERT_EQ(fstat(reader.get(), &s), 0);
  EXPECT_EQ(s.st_size, 5);
  ASSERT_EQ(unlink("f"), 0);
  ASSERT_EQ(fchmod(writer.get(), 0400), 0);
  ASSERT_EQ(write(writer.get(), "6", 1), 1);
  ASSERT_EQ(fstat(reader.get(), &s), 0);
  EXPECT_EQ(s.st_size, 6);
  EXPECT_EQ(s.st_nlink, 0u);
  EXPECT_EQ(s.st_mode & 07777, 0400u);
}

TEST_P(StatCall, Errors) {
  struct stat s;
  MakeFile("f");
  ASSERT_EQ(symlink("loop", "loop"), 0);
  ASSERT_EQ(symlink("missing", "dangling"), 0);
  EXPECT_EQ(ErrnoOf(stat("missing", &s)), ENOENT);
  EXPECT_EQ(ErrnoOf(stat("", &s)), ENOENT);
  EXPECT_EQ(ErrnoOf(stat("missing/x", &s)), ENOENT);
  EXPECT_EQ(ErrnoOf(stat("dangling", &s)), ENOENT);
  EXPECT_EQ(ErrnoOf(lstat("dangling", &s)), 0);
  EXPECT_EQ(ErrnoOf(lstat("dangling/", &s)), ENOENT);
  EXPECT_EQ(ErrnoOf(stat("f/x", &s)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(stat("f/", &s)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(stat("f/.", &s)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(stat("f/..", &s)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(stat("loop", &s)), ELOOP);
  EXPECT_EQ(ErrnoOf(stat("loop/x", &s)), ELOOP);
  EXPECT_EQ(ErrnoOf(lstat("loop", &s)), 0);
  EXPECT_EQ(ErrnoOf(stat(LongName(kNameMax).c_str(), &s)), ENOENT);
  EXPECT_EQ(ErrnoOf(stat(LongName(kNameMax + 1).c_str(), &s)), ENAMETOOLONG);
  EXPECT_EQ(ErrnoOf(lstat((LongName(kNameMax + 1) + "/x").c_str(), &s)), ENAMETOOLONG);
  std::string path = "./";
  while (path.size() < PATH_MAX) path += "./";
  EXPECT_EQ(ErrnoOf(stat((path + "f").c_str(), &s)), ENAMETOOLONG);
  EXPECT_EQ(ErrnoOf(stat(path.substr(path.size() - 4000).append("f").c_str(), &s)), 0);
  EXPECT_EQ(ErrnoOf(fstat(-1, &s)), EBADF);
  EXPECT_EQ(ErrnoOf(fstatat(-1, "f", &s, 0)), EBADF);
  EXPECT_EQ(ErrnoOf(fstatat(Open("f", O_RDONLY).get(), "g", &s, 0)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(fstatat(AT_FDCWD, "f", &s, 0x40000000)), EINVAL);
}

TEST_P(StatCall, AtMostFortyLinksAreFollowed) {
  MakeFile("l0");
  for (int i = 1; i <= 41; ++i) {
    ASSERT_EQ(symlink(("l" + std::to_string(i - 1)).c_str(), ("l" + std::to_string(i)).c_str()), 0);
  }
  struct stat s;
  EXPECT_EQ(ErrnoOf(stat("l40", &s)), 0);
  EXPECT_EQ(ErrnoOf(stat("l41", &s)), ELOOP);
}

TEST_P(StatAsRoot, DeviceNumbers) {
  const std::pair<unsigned, unsigned> numbers[] = {{0, 0}, {1, 3}, {255, 255}, {4095, 1048575}};
  for (const mode_t format : {S_IFCHR, S_IFBLK}) {
    for (const auto& [major_number, minor_number] : numbers) {
      ASSERT_EQ(mknod("o", format | 0600, makedev(major_number, minor_number)), 0);
      const struct stat s = Stat("o");
      EXPECT_EQ(s.st_mode & S_IFMT, format);
      EXPECT_EQ(major(s.st_rdev), major_number);
      EXPECT_EQ(minor(s.st_rdev), minor_number);
      ASSERT_EQ(unlink("o"), 0);
    }
  }
}

TEST_P(StatAsRoot, NeedsSearchOfThePathOnly) {
  struct stat s;
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(mkdir("d/e", 0755), 0);
  MakeFile("d/e/f", "", 0000);
  const auto look = [&] { return ErrnoOf(stat("d/e/f", &s)); };
  EXPECT_EQ(As(kAlice, look), 0);
  ASSERT_EQ(chmod("d/e", 0711), 0);
  EXPECT_EQ(As(kAlice, look), 0);
  ASSERT_EQ(chmod("d/e", 0744), 0);
  EXPECT_EQ(As(kAlice, look), EACCES);
  ASSERT_EQ(chmod("d/e", 0755), 0);
  ASSERT_EQ(chmod("d", 0700), 0);
  EXPECT_EQ(As(kAlice, look), EACCES);
  EXPECT_EQ(look(), 0);
}

}  // namespace
}  // namespace memfuse::conformance

// symlink(2), readlink(2).

#include <limits.h>

#include <algorithm>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Symlink);
ROOT_CONFORMANCE_SUITE(SymlinkAsRoot);

std::string ReadLink(const std::string& path) {
  std::string target(PATH_MAX + 1, '\0');
  const ssize_t length = readlink(path.c_str(), target.data(), target.size());
  EXPECT_GE(length, 0) << path;
  target.resize(length < 0 ? 0 : static_cast<size_t>(length));
  return target;
}

TEST_P(Symlink, KeepsATargetOfAnyLength) {
  for (const size_t length :
       {1, 2, 59, 60, 127, 128, 255, 256, 1023, 1024, 2047, 4000, 4094, 4095}) {
    TRACE(length);
    std::string target(length, 't');
    target.back() = 'e';
    ASSERT_EQ(symlink(target.c_str(), "s"), 0);
    EXPECT_EQ(ReadLink("s"), target);
    EXPECT_EQ(ReadLink("s"), target);  // and from the cache
    EXPECT_EQ(LStat("s").st_size, static_cast<off_t>(length));
    ASSERT_EQ(unlink("s"), 0);
  }
}

TEST_P(Symlink, ATargetIsNeitherEmptyNorTooLong) {
  EXPECT_EQ(ErrnoOf(symlink("", "s")), ENOENT);
  EXPECT_EQ(ErrnoOf(symlink(std::string(4096, 't').c_str(), "s")), ENAMETOOLONG);
  EXPECT_EQ(ErrnoOf(symlink(std::string(10000, 't').c_str(), "s")), ENAMETOOLONG);
  EXPECT_EQ(ErrnoOf(symlink(reinterpret_cast<const char*>(-1), "s")), EFAULT);
  EXPECT_FALSE(Exists("s"));
}

TEST_P(Symlink, ATargetIsNotInterpreted) {
  for (const char* target : {"missing", "/", "//", ".", "..", "s", "a/../b//c/", "/proc/self/x",
                             "\xff\x01\n", "name with blanks "}) {
    TRACE(target);
    ASSERT_EQ(symlink(target, "s"), 0);
    EXPECT_EQ(ReadLink("s"), target);
    ASSERT_EQ(unlink("s"), 0);
  }
}

TEST_P(Symlink, EveryByteButNulIsKept) {
  std::string target;
  for (int byte = 1; byte < 256; ++byte) target += static_cast<char>(byte);
  ASSERT_EQ(symlink(target.c_str(), "s"), 0);
  EXPECT_EQ(ReadLink("s"), target);
}

TEST_P(Symlink, IsALinkWithAllPermissions) {
  umask(077);
  const TimeWatch parent(".");
  ASSERT_EQ(symlink("target", "s"), 0);
  EXPECT_EQ(parent.Moved(), "mc");
  EXPECT_EQ(LStat("s").st_mode, S_IFLNK | mode_t{0777});
  EXPECT_EQ(LStat("s").st_nlink, 1u);
}

TEST_P(Symlink, ReadlinkCutsWithoutATerminator) {
  ASSERT_EQ(symlink("target", "s"), 0);
  char buffer[8];
  for (size_t size = 1; size <= 8; ++size) {
    TRACE(size);
    std::fill(std::begin(buffer), std::end(buffer), '#');
    const size_t expected = std::min<size_t>(size, 6);
    EXPECT_EQ(readlink("s", buffer, size), static_cast<ssize_t>(expected));
    EXPECT_EQ(std::string(buffer, expected), std::string("target", expected));
    EXPECT_EQ(std::string(buffer + expected, 8 - expected), std::string(8 - expected, '#'));
  }
  EXPECT_EQ(ErrnoOf(readlink("s", buffer, 0)), EINVAL);
  EXPECT_EQ(ErrnoOf(readlink("s", reinterpret_cast<char*>(-1), 8)), EFAULT);
}

TEST_P(Symlink, ReadlinkOfAnotherTypeIsInvalid) {
  char buffer[8];
  for (const Type type : TypesWithoutPrivilege()) {
    if (type == Type::kSymlink) continue;
    TRACE(ToString(type));
    MakeObject(type, ToString(type));
    EXPECT_EQ(ErrnoOf(readlink(ToString(type).c_str(), buffer, sizeof(buffer))), EINVAL);
    const UniqueFd fd = Open(ToString(type), O_PATH);
    EXPECT_EQ(ErrnoOf(readlinkat(fd.get(), "", buffer, sizeof(buffer))), ENOENT);
  }
}

TEST_P(Symlink, ReadlinkByADescriptorOfTheLink) {
  ASSERT_EQ(symlink("target", "s"), 0);
  const UniqueFd fd = Open("s", O_PATH | O_NOFOLLOW);
  char buffer[8];
  EXPECT_EQ(readlinkat(fd.get(), "", buffer, sizeof(buffer)), 6);
  EXPECT_EQ(readlinkat(AT_FDCWD, "s", buffer, sizeof(buffer)), 6);
}

TEST_P(Symlink, AFailureMovesNoTimeOfTheParent) {
  MakeFile("f");
  const TimeWatch parent(".");
  EXPECT_EQ(ErrnoOf(symlink("target", "f")), EEXIST);
  EXPECT_EQ(ErrnoOf(symlink("", "s")), ENOENT);
  EXPECT_EQ(parent.Moved(), "");
}

TEST_P(Symlink, ItsTargetMayComeAndGo) {
  ASSERT_EQ(symlink("target", "s"), 0);
  EXPECT_EQ(ErrnoOf(access("s", F_OK)), ENOENT);
  MakeFile("target", "one");
  EXPECT_EQ(ReadFile("s"), "one");
  ASSERT_EQ(unlink("target"), 0);
  EXPECT_EQ(ErrnoOf(access("s", F_OK)), ENOENT);
  MakeDirectory("target");
  MakeFile("target/f", "two");
  EXPECT_EQ(ReadFile("s/f"), "two");
}

TEST_P(Symlink, AnotherLinkOfTheSameNameIsSeen) {
  // Removing a link also removes its target from the kernel's cache.
  for (const char* target : {"one", "two", "three"}) {
    ASSERT_EQ(symlink(target, "s"), 0);
    EXPECT_EQ(ReadLink("s"), target);
    ASSERT_EQ(symlink(target, "t"), 0);
    ASSERT_EQ(rename("t", "s"), 0);
    EXPECT_EQ(ReadLink("s"), target);
    ASSERT_EQ(unlink("s"), 0);
  }
}

TEST_P(Symlink, TimesOfTheLinkAreItsOwn) {
  MakeFile("f");
  ASSERT_EQ(symlink("f", "s"), 0);
  const TimeWatch link("s"), file("f");
  ASSERT_EQ(chmod("s", 0600), 0);
  EXPECT_EQ(link.Moved(), "");
  EXPECT_EQ(file.Moved(), "c");
  const TimeWatch unmoved("f");
  const timespec times[2] = {{1000, 0}, {2000, 5}};
  ASSERT_EQ(utimensat(AT_FDCWD, "s", times, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_EQ(LStat("s").st_mtim.tv_sec, 2000);
  EXPECT_EQ(LStat("s").st_mtim.tv_nsec, 5);
  EXPECT_EQ(unmoved.Moved(), "");
}

TEST_P(SymlinkAsRoot, PermissionsOfTheLinkDoNotMatter) {
  ASSERT_EQ(symlink("target", "s"), 0);
  Give("s", kBob);
  EXPECT_EQ(As(kAlice,
               [] {
                 char buffer[8];
                 return readlink("s", buffer, sizeof(buffer)) == 6 ? 0 : errno;
               }),
            0);
}

TEST_P(SymlinkAsRoot, ReadlinkNeedsToSearchTheParent) {
  MakeDirectory("d", 0);
  ASSERT_EQ(symlink("target", "d/s"), 0);
  for (mode_t bits = 0; bits < 8; ++bits) {
    ASSERT_EQ(chmod("d", bits), 0);
    EXPECT_EQ(As(kAlice,
                 [] {
                   char buffer[8];
                   return readlink("d/s", buffer, sizeof(buffer)) == 6 ? 0 : errno;
                 }),
              (bits & 1) != 0 ? 0 : EACCES);
  }
}

}  // namespace
}  // namespace memfuse::conformance

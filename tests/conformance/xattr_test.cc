// setxattr(2), getxattr(2), listxattr(2), removexattr(2) and their l and f variants: values, names,
// lists. xattr_access_test.cc tests permissions on each type of object.

#include <linux/limits.h>
#include <sys/xattr.h>

#include <algorithm>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Xattr);

int Set(const char* path, const std::string& name, const std::string& value, int flags = 0) {
  return ErrnoOf(setxattr(path, name.c_str(), value.data(), value.size(), flags));
}

std::string Get(const char* path, const std::string& name) {
  std::string value(XATTR_SIZE_MAX, '\0');
  const ssize_t size = lgetxattr(path, name.c_str(), value.data(), value.size());
  EXPECT_GE(size, 0) << name << ": " << strerror(errno);
  value.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  return value;
}

int GetErrno(const char* path, const std::string& name) {
  char value[100];
  return ErrnoOf(lgetxattr(path, name.c_str(), value, sizeof(value)));
}

// Sorted, and only "user." names, because security modules add theirs.
std::vector<std::string> UserNames(const char* path) {
  std::string list(XATTR_LIST_MAX, '\0');
  const ssize_t size = llistxattr(path, list.data(), list.size());
  EXPECT_GE(size, 0) << strerror(errno);
  std::vector<std::string> names;
  for (ssize_t at = 0; at < size;) {
    names.emplace_back(list.c_str() + at);
    at += static_cast<ssize_t>(names.back().size()) + 1;
    if (names.back().compare(0, 5, "user.") != 0) names.pop_back();
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST_P(Xattr, EverySizeUpTo64KiB) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  ASSERT_EQ(mkdir("d", 0755), 0);
  for (const char* path : {"f", "d"}) {
    for (const size_t size :
         {0u, 1u, 10u, 255u, 256u, 4095u, 4096u, 4097u, 32768u, 65535u, 65536u}) {
      SCOPED_TRACE(size);
      std::string value(size, '\0');
      for (size_t i = 0; i < size; ++i) value[i] = static_cast<char>(i * 31);
      EXPECT_EQ(Set(path, "user.a", value), 0);
      EXPECT_EQ(getxattr(path, "user.a", nullptr, 0), static_cast<ssize_t>(size));
      EXPECT_EQ(Get(path, "user.a"), value);
    }
    EXPECT_EQ(Set(path, "user.a", std::string(XATTR_SIZE_MAX + 1, 'x')), E2BIG);
    EXPECT_EQ(Get(path, "user.a").size(), 65536u);
    EXPECT_EQ(Set(path, "user.a", "short"), 0);
    EXPECT_EQ(Get(path, "user.a"), "short");
  }
}

TEST_P(Xattr, AnEmptyValueIsAValue) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  EXPECT_EQ(ErrnoOf(setxattr("f", "user.a", nullptr, 0, 0)), 0);
  EXPECT_EQ(getxattr("f", "user.a", nullptr, 0), 0);
  EXPECT_THAT(UserNames("f"), testing::ElementsAre("user.a"));
}

TEST_P(Xattr, ABufferThatIsTooSmall) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  ASSERT_EQ(Set("f", "user.a", "12345"), 0);
  char buffer[16];
  EXPECT_EQ(ErrnoOf(getxattr("f", "user.a", buffer, 4)), ERANGE);
  EXPECT_EQ(getxattr("f", "user.a", buffer, 5), 5);
  EXPECT_EQ(getxattr("f", "user.a", buffer, 6), 5);
  const ssize_t list = listxattr("f", nullptr, 0);
  EXPECT_GE(list, 7);
  EXPECT_EQ(ErrnoOf(listxattr("f", buffer, static_cast<size_t>(list) - 1)), ERANGE);
  EXPECT_EQ(ErrnoOf(listxattr("f", buffer, 1)), ERANGE);
}

TEST_P(Xattr, CreateAndReplace) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  EXPECT_EQ(Set("f", "user.a", "1", XATTR_REPLACE), ENODATA);
  EXPECT_EQ(GetErrno("f", "user.a"), ENODATA);
  EXPECT_EQ(Set("f", "user.a", "1", XATTR_CREATE), 0);
  EXPECT_EQ(Set("f", "user.a", "2", XATTR_CREATE), EEXIST);
  EXPECT_EQ(Get("f", "user.a"), "1");
  EXPECT_EQ(Set("f", "user.a", "3", XATTR_REPLACE), 0);
  EXPECT_EQ(Get("f", "user.a"), "3");
  EXPECT_EQ(Set("f", "user.a", "4", 4), EINVAL);
  EXPECT_EQ(Set("f", "user.a", "4", XATTR_CREATE | XATTR_REPLACE), EEXIST);
  EXPECT_EQ(Set("f", "user.b", "4", XATTR_CREATE | XATTR_REPLACE), ENODATA);
}

TEST_P(Xattr, NamesHaveUpTo255Bytes) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  const std::string longest = "user." + std::string(250, 'n');
  EXPECT_EQ(Set("f", longest, "v"), 0);
  EXPECT_EQ(Get("f", longest), "v");
  EXPECT_THAT(UserNames("f"), testing::ElementsAre(longest));
  EXPECT_EQ(ErrnoOf(removexattr("f", longest.c_str())), 0);
  EXPECT_EQ(Set("f", longest + "n", "v"), ERANGE);
  EXPECT_EQ(GetErrno("f", longest + "n"), ERANGE);
  EXPECT_EQ(ErrnoOf(removexattr("f", (longest + "n").c_str())), ERANGE);
  EXPECT_EQ(Set("f", "", "v"), ERANGE);
  EXPECT_EQ(GetErrno("f", ""), ERANGE);
}

TEST_P(Xattr, NamesAreBytesAndCaseCounts) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  for (const char* name : {"user.A", "user.a", "user. ", "user.\xff\xfe", "user.\xc3\xa9",
                           "user.x=y/z", "user.user.a", "user.."}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(Set("f", name, name), 0);
  }
  EXPECT_EQ(UserNames("f").size(), 8u);
  EXPECT_EQ(Get("f", "user.A"), "user.A");
  EXPECT_EQ(Get("f", "user.a"), "user.a");
  EXPECT_EQ(Get("f", "user.\xff\xfe"), "user.\xff\xfe");
}

TEST_P(Xattr, NamespacesThatDoNotExist) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  for (const char* name :
       {"a", "user", "foo.bar", "USER.a", "system.foo", "system.", ".a", "os2.a"}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(Set("f", name, "v"), EOPNOTSUPP);
    EXPECT_EQ(GetErrno("f", name), EOPNOTSUPP);
    EXPECT_EQ(ErrnoOf(removexattr("f", name)), EOPNOTSUPP);
  }
  EXPECT_EQ(Set("f", "user.", "v"), EINVAL);
  EXPECT_EQ(GetErrno("f", "user."), EINVAL);
  EXPECT_EQ(ErrnoOf(removexattr("f", "user.")), EINVAL);
}

TEST_P(Xattr, MissingAttributes) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  EXPECT_EQ(GetErrno("f", "user.a"), ENODATA);
  EXPECT_EQ(ErrnoOf(removexattr("f", "user.a")), ENODATA);
  EXPECT_EQ(ErrnoOf(getxattr("f", "user.a", nullptr, 0)), ENODATA);
  ASSERT_EQ(Set("f", "user.a", "1"), 0);
  EXPECT_EQ(ErrnoOf(removexattr("f", "user.a")), 0);
  EXPECT_EQ(GetErrno("f", "user.a"), ENODATA);
  EXPECT_TRUE(UserNames("f").empty());
}

TEST_P(Xattr, ManyAttributes) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  constexpr int kCount = 500;
  for (int i = 0; i < kCount; ++i) {
    ASSERT_EQ(Set("f", "user.name-" + std::to_string(i), std::string(static_cast<size_t>(i), 'v')),
              0);
  }
  EXPECT_EQ(UserNames("f").size(), static_cast<size_t>(kCount));
  for (int i = 0; i < kCount; i += 2) {
    ASSERT_EQ(ErrnoOf(removexattr("f", ("user.name-" + std::to_string(i)).c_str())), 0);
  }
  EXPECT_EQ(UserNames("f").size(), static_cast<size_t>(kCount / 2));
  for (int i = 1; i < kCount; i += 2) {
    EXPECT_EQ(Get("f", "user.name-" + std::to_string(i)).size(), static_cast<size_t>(i));
  }
}

TEST_P(Xattr, AListOver64KiBCannotBeRead) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(Set("f", "user." + std::string(240, 'n') + std::to_string(100 + i), ""), 0);
  }
  std::string list(1 << 20, '\0');
  EXPECT_EQ(ErrnoOf(listxattr("f", list.data(), list.size())), E2BIG);
  EXPECT_EQ(ErrnoOf(listxattr("f", list.data(), XATTR_LIST_MAX)), E2BIG);
  EXPECT_EQ(ErrnoOf(listxattr("f", list.data(), 1000)), ERANGE);
}

TEST_P(Xattr, BelongToTheInodeAndNotToAName) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  ASSERT_EQ(Set("f", "user.a", "1"), 0);
  ASSERT_EQ(link("f", "g"), 0);
  EXPECT_EQ(Get("g", "user.a"), "1");
  ASSERT_EQ(Set("g", "user.a", "2"), 0);
  EXPECT_EQ(Get("f", "user.a"), "2");
  ASSERT_EQ(rename("f", "h"), 0);
  ASSERT_EQ(unlink("g"), 0);
  EXPECT_EQ(Get("h", "user.a"), "2");
  ASSERT_EQ(truncate("h", 0), 0);
  ASSERT_EQ(chmod("h", 0600), 0);
  EXPECT_EQ(Get("h", "user.a"), "2");
  const UniqueFd fd = Open("h", O_RDWR);
  ASSERT_EQ(unlink("h"), 0);
  char value;
  EXPECT_EQ(fgetxattr(fd.get(), "user.a", &value, 1), 1);
  EXPECT_EQ(fsetxattr(fd.get(), "user.b", "3", 1, 0), 0);
  EXPECT_EQ(fremovexattr(fd.get(), "user.a"), 0);
  MakeFile("h");
  EXPECT_TRUE(UserNames("h").empty());
}

TEST_P(Xattr, AreNotInherited) {
  NEEDS_USER_ATTRIBUTES();
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(Set("d", "user.a", "1"), 0);
  ASSERT_EQ(mkdir("d/e", 0755), 0);
  MakeFile("d/f");
  EXPECT_TRUE(UserNames("d/e").empty());
  EXPECT_TRUE(UserNames("d/f").empty());
}

TEST_P(Xattr, DescriptorsAndLinks) {
  NEEDS_USER_ATTRIBUTES();
  MakeFile("f");
  ASSERT_EQ(symlink("f", "l"), 0);
  ASSERT_EQ(Set("l", "user.a", "1"), 0);
  EXPECT_EQ(Get("f", "user.a"), "1");
  for (const int flags : {O_RDONLY, O_WRONLY, O_RDWR}) {
    const UniqueFd fd = Open("f", flags);
    char value[10];
    EXPECT_EQ(ErrnoOf(fsetxattr(fd.get(), "user.a", "22", 2, 0)), 0);
    EXPECT_EQ(fgetxattr(fd.get(), "user.a", value, sizeof(value)), 2);
    EXPECT_GE(flistxattr(fd.get(), nullptr, 0), 7);
  }
  const UniqueFd path = Open("f", O_PATH);
  EXPECT_EQ(ErrnoOf(fsetxattr(path.get(), "user.a", "1", 1, 0)), EBADF);
  EXPECT_EQ(ErrnoOf(fgetxattr(path.get(), "user.a", nullptr, 0)), EBADF);
  EXPECT_EQ(ErrnoOf(flistxattr(path.get(), nullptr, 0)), EBADF);
  EXPECT_EQ(ErrnoOf(fremovexattr(path.get(), "user.a")), EBADF);
  const UniqueFd dir = Open(".", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(ErrnoOf(fsetxattr(dir.get(), "user.d", "1", 1, 0)), 0);
  EXPECT_EQ(Get(".", "user.d"), "1");
}

TEST_P(Xattr, PathErrors) {
  MakeFile("f");
  ASSERT_EQ(symlink("loop", "loop"), 0);
  ASSERT_EQ(symlink("missing", "dangling"), 0);
  const struct {
    std::string path;
    int error;
  } paths[] = {{"missing", ENOENT}, {"", ENOENT},    {"dangling", ENOENT},
               {"f/x", ENOTDIR},    {"loop", ELOOP}, {LongName(kNameMax + 1), ENAMETOOLONG}};
  for (const auto& [path, error] : paths) {
    SCOPED_TRACE(path);
    EXPECT_EQ(Set(path.c_str(), "user.a", "1"), error);
    EXPECT_EQ(ErrnoOf(getxattr(path.c_str(), "user.a", nullptr, 0)), error);
    EXPECT_EQ(ErrnoOf(listxattr(path.c_str(), nullptr, 0)), error);
    EXPECT_EQ(ErrnoOf(removexattr(path.c_str(), "user.a")), error);
  }
  EXPECT_EQ(ErrnoOf(fsetxattr(-1, "user.a", "", 0, 0)), EBADF);
  // Not a constant; otherwise the compiler warns.
  static volatile uintptr_t address = 16;
  EXPECT_EQ(ErrnoOf(setxattr("f", "user.a", reinterpret_cast<void*>(address), 4, 0)), EFAULT);
  EXPECT_EQ(ErrnoOf(setxattr("f", reinterpret_cast<const char*>(address), "", 0, 0)), EFAULT);
}

}  // namespace
}  // namespace memfuse::conformance

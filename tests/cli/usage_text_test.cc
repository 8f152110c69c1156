// Names, paths and holders of files, as 'memfusectl usage' finds and prints them.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "src/base/unique_fd.h"
#include "src/cli/file_holders.h"
#include "src/cli/path_in_mount.h"
#include "src/cli/terminal_text.h"
#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {
namespace {

using ::testing::HasSubstr;

TEST(TerminalTextTest, NamesWithControlCharactersAreQuoted) {
  EXPECT_EQ(QuoteName("plain name"), "plain name");
  EXPECT_EQ(QuoteName("\xc3\xa4\xff"), "\xc3\xa4\xff");
  EXPECT_EQ(QuoteName("a\nb\tc"), "$'a\\nb\\tc'");
  EXPECT_EQ(QuoteName("\x1b[31m"), "$'\\033[31m'");
  EXPECT_EQ(QuoteName("\x7f"), "$'\\177'");
  EXPECT_EQ(QuoteName("it's\\\n"), "$'it\\'s\\\\\\n'");
  EXPECT_EQ(QuoteName("a\xc2\x9b"
                      "1m"),
            "$'a\\302\\2331m'")
      << "the 8-bit form of ESC [";
  EXPECT_EQ(QuoteName("\xc2\xa0"), "\xc2\xa0");
  EXPECT_EQ(QuoteName("$'a'"), "$'$\\'a\\''") << "unambiguous";
}

TEST(TerminalTextTest, CountsHaveSeparators) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
}

TEST(PathInMountTest, MountsAndBindMounts) {
  constexpr char kMounts[] =
      "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "30 22 0:40 / /mnt/scr\\040atch rw - fuse.memfuse memfuse rw\n"
      "31 22 0:40 /a/b /srv rw - fuse.memfuse memfuse rw\n";
  EXPECT_EQ(PathBelowMount("/mnt/scr atch", 30, kMounts), "/");
  EXPECT_EQ(PathBelowMount("/mnt/scr atch/x/y", 30, kMounts), "/x/y");
  EXPECT_EQ(PathBelowMount("/srv", 31, kMounts), "/a/b");
  EXPECT_EQ(PathBelowMount("/srv/c", 31, kMounts), "/a/b/c");
  EXPECT_EQ(PathBelowMount("/usr/bin", 22, kMounts), "/usr/bin");
  EXPECT_EQ(PathBelowMount("/", 22, kMounts), "/");
  EXPECT_EQ(PathBelowMount("/elsewhere", 30, kMounts), "");
  EXPECT_EQ(PathBelowMount("/srv", 99, kMounts), "");
}

TEST(PathInMountTest, OnlyExistingDirectoriesHaveAPath) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/dir";
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  const base::UniqueFd opened(open(path.c_str(), O_RDONLY | O_DIRECTORY));
  const auto found = PathInFileSystem(opened.get());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ::testing::EndsWith("/dir"));
  ASSERT_EQ(rmdir(path.c_str()), 0);
  EXPECT_THAT(PathInFileSystem(opened.get()).status().message(), HasSubstr("was removed"));
  const base::UniqueFd file(open("/proc/self/comm", O_RDONLY));
  EXPECT_THAT(PathInFileSystem(file.get()).status().message(), HasSubstr("not a directory"));
}

// Whether this process is a holder of the inode.
bool Holds(const FileHolders& holders, ino_t ino) {
  const auto found = holders.by_inode.find(ino);
  return found != holders.by_inode.end() &&
         std::count_if(found->second.begin(), found->second.end(), [](const FileHolder& holder) {
           return holder.pid == getpid() && !holder.name.empty();
         }) == 1;
}

TEST(FileHoldersTest, DescriptorsAndMappingsOfDeletedFilesAreFound) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  base::UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_TRUE(file.valid());
  ASSERT_EQ(ftruncate(file.get(), 4096), 0);
  struct stat found = {};
  ASSERT_EQ(fstat(file.get(), &found), 0);
  EXPECT_FALSE(Holds(FindHoldersOfDeleted(found.st_dev), found.st_ino)) << "it has a name";
  ASSERT_EQ(unlink(path.c_str()), 0);
  EXPECT_TRUE(Holds(FindHoldersOfDeleted(found.st_dev), found.st_ino));
  EXPECT_FALSE(Holds(FindHoldersOfDeleted(found.st_dev + 1), found.st_ino)) << "another device";
  void* const mapping = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file.get(), 0);
  ASSERT_NE(mapping, MAP_FAILED);
  file.reset();
  EXPECT_TRUE(Holds(FindHoldersOfDeleted(found.st_dev), found.st_ino)) << "by a mapping";
  ASSERT_EQ(munmap(mapping, 4096), 0);
  EXPECT_FALSE(Holds(FindHoldersOfDeleted(found.st_dev), found.st_ino));
}

TEST(FileHoldersTest, WithoutProcessesNothingIsComplete) {
  const FileHolders holders = FindHoldersOfDeleted(1, "/none");
  EXPECT_TRUE(holders.by_inode.empty());
  EXPECT_FALSE(holders.complete);
}

}  // namespace
}  // namespace memfuse::cli

// truncate(2), ftruncate(2), O_TRUNC.

#include <limits.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Truncate);
ROOT_CONFORMANCE_SUITE(TruncateAsRoot);

TEST_P(Truncate, CutsAndExtends) {
  const std::string content(10000, 'x');
  for (const off_t size : {0, 1, 4095, 4096, 4097, 9999, 10000, 10001, 12288, 100000}) {
    const std::string name = "f" + std::to_string(size);
    MakeFile(name, content);
    ASSERT_EQ(truncate(name.c_str(), size), 0);
    EXPECT_EQ(Stat(name).st_size, size);
    std::string expected = content;
    expected.resize(static_cast<size_t>(size));
    EXPECT_EQ(ReadFile(name), expected);
    // The truncated data does not reappear.
    ASSERT_EQ(truncate(name.c_str(), 120000), 0);
    expected.resize(120000);
    EXPECT_EQ(ReadFile(name), expected);
  }
}

TEST_P(Truncate, OfADescriptorDoesTheSame) {
  MakeFile("f", std::string(10000, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(lseek(fd.get(), 9000, SEEK_SET), 9000);
  EXPECT_EQ(ftruncate(fd.get(), 5000), 0);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 9000);
  EXPECT_EQ(ftruncate(fd.get(), 8000), 0);
  EXPECT_EQ(ReadFile("f"), std::string(5000, 'x') + std::string(3000, '\0'));
  EXPECT_EQ(write(fd.get(), "y", 1), 1);
  EXPECT_EQ(Stat("f").st_size, 9001);
}

TEST_P(Truncate, ReleasesBlocks) {
  MakeFile("f", std::string(100000, 'x'));
  EXPECT_GE(Stat("f").st_blocks, 100000 / 512);
  ASSERT_EQ(truncate("f", 4096), 0);
  EXPECT_EQ(Stat("f").st_blocks, 8);
  ASSERT_EQ(truncate("f", 0), 0);
  EXPECT_EQ(Stat("f").st_blocks, 0);
  ASSERT_EQ(truncate("f", 1 << 30), 0);
  EXPECT_EQ(Stat("f").st_blocks, 0);
}

TEST_P(Truncate, NegativeSizesAreInvalid) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  EXPECT_EQ(ErrnoOf(truncate("f", -1)), EINVAL);
  EXPECT_EQ(ErrnoOf(ftruncate(fd.get(), -1)), EINVAL);
  EXPECT_EQ(ErrnoOf(ftruncate(fd.get(), LLONG_MIN)), EINVAL);
  EXPECT_EQ(Stat("f").st_size, 7);
}

TEST_P(Truncate, ToTheLargestSize) {
  MakeFile("f", "content");
  EXPECT_EQ(truncate("f", LLONG_MAX), 0);
  EXPECT_EQ(Stat("f").st_size, LLONG_MAX);
  EXPECT_EQ(truncate("f", 3), 0);
  EXPECT_EQ(ReadFile("f"), "con");
}

TEST_P(Truncate, NeedsADescriptorThatIsOpenForWriting) {
  MakeFile("f", "content");
  const UniqueFd read_only = Open("f", O_RDONLY);
  const UniqueFd path_only = Open("f", O_PATH);
  const UniqueFd directory = Open(".", O_RDONLY);
  EXPECT_EQ(ErrnoOf(ftruncate(read_only.get(), 1)), EINVAL);
  EXPECT_EQ(ErrnoOf(ftruncate(path_only.get(), 1)), EBADF);
  EXPECT_EQ(ErrnoOf(ftruncate(directory.get(), 1)), EINVAL);
  EXPECT_EQ(ErrnoOf(ftruncate(-1, 1)), EBADF);
  EXPECT_EQ(Stat("f").st_size, 7);
}

TEST_P(Truncate, IsForRegularFiles) {
  for (const Type type : TypesWithoutPrivilege()) {
    const std::string name = "o" + ToString(type);
    MakeObject(type, name);
    const int error = ErrnoOf(truncate(name.c_str(), 0));
    if (type == Type::kFile) {
      EXPECT_EQ(error, 0);
    } else if (type == Type::kDirectory) {
      EXPECT_EQ(error, EISDIR);
    } else if (type == Type::kSymlink) {
      EXPECT_EQ(error, ENOENT);  // it dangles
    } else {
      EXPECT_EQ(error, EINVAL) << ToString(type);
    }
  }
}

TEST_P(TruncateAsRoot, OfDevicesIsInvalid) {
  for (const Type type : {Type::kCharDevice, Type::kBlockDevice}) {
    MakeObject(type, ToString(type));
    EXPECT_EQ(ErrnoOf(truncate(ToString(type).c_str(), 0)), EINVAL);
  }
}

TEST_P(Truncate, FollowsSymbolicLinks) {
  MakeFile("f", "content");
  ASSERT_EQ(symlink("f", "l"), 0);
  EXPECT_EQ(truncate("l", 3), 0);
  EXPECT_EQ(Stat("f").st_size, 3);
  ASSERT_EQ(symlink("loop", "loop"), 0);
  EXPECT_EQ(ErrnoOf(truncate("loop", 0)), ELOOP);
}

TEST_P(Truncate, PathsAreChecked) {
  MakeFile("f", "content");
  EXPECT_EQ(ErrnoOf(truncate("missing", 0)), ENOENT);
  EXPECT_EQ(ErrnoOf(truncate("", 0)), ENOENT);
  EXPECT_EQ(ErrnoOf(truncate("f/x", 0)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(truncate("f/", 0)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(truncate(LongName(kNameMax + 1).c_str(), 0)), ENAMETOOLONG);
  EXPECT_EQ(ErrnoOf(truncate(std::string(5000, '/').c_str(), 0)), ENAMETOOLONG);
  EXPECT_EQ(ErrnoOf(truncate(BadAddress(), 0)), EFAULT);
}

TEST_P(Truncate, MovesTimesWhenTheSizeChanges) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  for (const off_t size : {3, 10, 5000, 0}) {
    const TimeWatch by_name("f");
    ASSERT_EQ(truncate("f", size), 0);
    EXPECT_EQ(by_name.Moved(/*with_atime=*/true), "mc");
    const TimeWatch by_descriptor("f");
    ASSERT_EQ(ftruncate(fd.get(), size + 1), 0);
    EXPECT_EQ(by_descriptor.Moved(/*with_atime=*/true), "mc");
  }
}

TEST_P(Truncate, ToTheSameSizeMovesTimesToo) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  const TimeWatch by_name("f");
  ASSERT_EQ(truncate("f", 7), 0);
  EXPECT_EQ(by_name.Moved(), "mc");
  const TimeWatch by_descriptor("f");
  ASSERT_EQ(ftruncate(fd.get(), 7), 0);
  EXPECT_EQ(by_descriptor.Moved(), "mc");
}

// For a file without data, Linux distinguishes ftruncate(2) from truncate(2).
TEST_P(Truncate, OfNothingToTheSameSizeMovesTimesOfADescriptorOnly) {
  MakeFile("f");
  for (const off_t size : {0, 10000}) {
    const UniqueFd fd = Open("f", O_RDWR);
    ASSERT_EQ(ftruncate(fd.get(), size), 0);
    const TimeWatch by_name("f");
    ASSERT_EQ(truncate("f", size), 0);
    // With passthrough the kernel asks the daemon in the same words as for O_TRUNC.
    const bool like_o_trunc = on_memfuse() && !daemon_serves_data() && size == 0;
    EXPECT_EQ(by_name.Moved(), like_o_trunc ? "mc" : "");
    const TimeWatch by_descriptor("f");
    ASSERT_EQ(ftruncate(fd.get(), size), 0);
    EXPECT_EQ(by_descriptor.Moved(), "mc");
  }
}

TEST_P(Truncate, ByOpenMovesTimesOfAnEmptyFileToo) {
  MakeFile("f");
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY, O_WRONLY | O_CREAT}) {
    const TimeWatch watch("f");
    Open("f", flags | O_TRUNC);
    EXPECT_EQ(watch.Moved(), "mc") << flags;
  }
}

TEST_P(Truncate, ThatFailsMovesNoTime) {
  MakeFile("f", "content");
  const TimeWatch watch("f");
  EXPECT_EQ(ErrnoOf(truncate("f", -1)), EINVAL);
  EXPECT_EQ(watch.Moved(), "");
}

TEST_P(Truncate, LeavesTheDirectoryAlone) {
  MakeFile("f", "content");
  const TimeWatch watch(".");
  ASSERT_EQ(truncate("f", 1), 0);
  EXPECT_EQ(watch.Moved(), "");
}

TEST_P(Truncate, ByOpenMovesTimesEvenOfAnEmptyFile) {
  MakeFile("f", "content");
  const TimeWatch full("f");
  Open("f", O_WRONLY | O_TRUNC);
  EXPECT_EQ(Stat("f").st_size, 0);
  EXPECT_EQ(full.Moved(), "mc");
  const TimeWatch empty("f");
  Open("f", O_RDWR | O_TRUNC | O_CREAT);
  EXPECT_EQ(empty.Moved(), "mc");
}

TEST_P(Truncate, OfAnUnlinkedFile) {
  MakeFile("f", "content");
  const UniqueFd fd = Open("f", O_RDWR);
  ASSERT_EQ(unlink("f"), 0);
  EXPECT_EQ(ftruncate(fd.get(), 10000), 0);
  struct stat s;
  ASSERT_EQ(fstat(fd.get(), &s), 0);
  EXPECT_EQ(s.st_size, 10000);
  EXPECT_EQ(ftruncate(fd.get(), 3), 0);
  char buffer[10];
  EXPECT_EQ(pread(fd.get(), buffer, 10, 0), 3);
}

TEST_P(Truncate, OfARunningProgramIsBusy) {
  // A program that waits on a pipe, copied into the case's directory.
  ASSERT_EQ(system("cp /bin/cat cat"), 0);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  int answer[2];
  ASSERT_EQ(pipe2(answer, O_CLOEXEC), 0);
  const UniqueFd answer_read(answer[0]);
  UniqueFd answer_write(answer[1]);
  const pid_t child = fork();
  if (child == 0) {
    dup2(read_end.get(), 0);
    dup2(answer_write.get(), 1);
    execl("./cat", "cat", nullptr);
    _exit(1);
  }
  answer_write.reset();
  ASSERT_EQ(write(write_end.get(), "x", 1), 1);
  char c = 0;
  ASSERT_EQ(read(answer_read.get(), &c, 1), 1);  // it runs
  EXPECT_EQ(ErrnoOf(truncate("cat", 0)), ETXTBSY);
  EXPECT_EQ(ErrnoOf(open("cat", O_WRONLY | O_CLOEXEC)), ETXTBSY);
  EXPECT_EQ(ErrnoOf(open("cat", O_RDONLY | O_TRUNC | O_CLOEXEC)), ETXTBSY);
  write_end.reset();
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(truncate("cat", 0), 0);
}

TEST_P(Truncate, AProgramThatIsOpenForWritingDoesNotRun) {
  ASSERT_EQ(system("cp /bin/true program"), 0);
  const UniqueFd fd = Open("program", O_WRONLY);
  EXPECT_EQ(InChild([] {
              execl("./program", "program", nullptr);
              return errno;
            }),
            ETXTBSY);
}

TEST_P(TruncateAsRoot, NeedsPermissionToWrite) {
  MakeFile("f", "content", 0644);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(truncate("f", 0)); }), EACCES);
  ASSERT_EQ(mkdir("d", 0700), 0);
  MakeFile("d/f", "content", 0666);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(truncate("d/f", 0)); }), EACCES);
  ASSERT_EQ(chmod("d", 0711), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(truncate("d/f", 0)); }), 0);
  EXPECT_EQ(Stat("f").st_size, 7);
  // O_TRUNC needs only write permission; no other part of open(2) requires it.
  ASSERT_EQ(chmod("f", 0444), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("f", O_RDONLY | O_TRUNC)); }), EACCES);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(truncate(".", 0)); }), EISDIR);
}

TEST_P(TruncateAsRoot, ByAStrangerClearsSetIdBits) {
  MakeFile("f", "content");
  ASSERT_EQ(chmod("f", 06777), 0);
  EXPECT_EQ(As(kStranger, [] { return ErrnoOf(truncate("f", 3)); }), 0);
  EXPECT_EQ(Permissions("f"), 0777u);
  ASSERT_EQ(chmod("f", 06777), 0);
  EXPECT_EQ(As(kStranger, [] { return ErrnoOf(open("f", O_WRONLY | O_TRUNC)); }), 0);
  EXPECT_EQ(Permissions("f"), 0777u);
}

}  // namespace
}  // namespace memfuse::conformance

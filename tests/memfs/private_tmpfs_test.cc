#include "src/memfs/data/private_tmpfs.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

namespace memfuse::memfs {
namespace {

using ::testing::HasSubstr;

constexpr uid_t kNobody = 65534;
constexpr uint32_t kTmpfsMagic = 0x01021994;

// Runs `f` as an unprivileged user; returns its result, which must be below 256.
int AsNobody(const std::function<int()>& f) {
  const pid_t child = fork();
  if (child == 0) {
    if (setresgid(kNobody, kNobody, kNobody) != 0 || setresuid(kNobody, kNobody, kNobody) != 0) {
      _exit(255);
    }
    // After its user ID has changed, a process does not own its files in /proc until it executes a
    // program.
    prctl(PR_SET_DUMPABLE, 1);
    _exit(f());
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool IsFileOnTmpfs(int descriptor) {
  struct statfs s = {};
  char byte = 'x';
  return fstatfs(descriptor, &s) == 0 && static_cast<uint32_t>(s.f_type) == kTmpfsMagic &&
         pwrite(descriptor, &byte, 1, 8191) == 1 && pread(descriptor, &byte, 1, 0) == 1 &&
         byte == 0 && (fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0;
}

size_t DescriptorCount() {
  size_t count = 0;
  for (int i = 0; i < 1024; ++i) count += fcntl(i, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

TEST(PrivateFileTest, IsAFileOnATmpfs) {
  const size_t before = DescriptorCount();
  PrivateTmpfsOptions options;
  options.huge = "within_size";
  {
    const auto file = MakePrivateFile(options);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(IsFileOnTmpfs(file->get()));
    EXPECT_EQ(DescriptorCount(), before + 1);
  }
  EXPECT_EQ(DescriptorCount(), before);
}

TEST(PrivateFileTest, WorksForAnUnprivilegedUserToo) {
  EXPECT_EQ(AsNobody([] {
              const size_t before = DescriptorCount();
              PrivateTmpfsOptions options;
              options.huge = "within_size";
              const auto file = MakePrivateFile(options);
              if (!file.ok()) return 1;
              if (!IsFileOnTmpfs(file->get())) return 2;
              if (DescriptorCount() != before + 1) return 3;
              return waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD ? 0 : 4;
            }),
            0);
}

TEST(PrivateFileTest, NoswapFailsForAnUnprivilegedUser) {
  EXPECT_EQ(AsNobody([] {
              PrivateTmpfsOptions options;
              options.noswap = true;
              const auto file = MakePrivateFile(options);
              if (file.status().code() != absl::StatusCode::kPermissionDenied) return 1;
              return file.status().message() == "noswap takes CAP_SYS_ADMIN" ? 0 : 2;
            }),
            0);
}

TEST(PrivateFileTest, RefusesUnknownTmpfsOptions) {
  PrivateTmpfsOptions options;
  options.huge = "sometimes";
  const absl::Status status = MakePrivateFile(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("huge=sometimes"));
}

TEST(PrivateTmpfsTest, FailsForAnUnprivilegedUser) {
  EXPECT_EQ(AsNobody([] {
              const absl::Status status = MountPrivateTmpfs({}).status();
              if (status.code() != absl::StatusCode::kPermissionDenied) return 1;
              return std::string(status.message()).find("CAP_SYS_ADMIN") == std::string::npos ? 2
                                                                                              : 0;
            }),
            0);
}

TEST(PrivateTmpfsTest, HasALimit) {
  PrivateTmpfsOptions options;
  options.size_limit = 1 << 20;
  const auto mount = MountPrivateTmpfs(options);
  ASSERT_TRUE(mount.ok()) << mount.status();
  struct statfs s = {};
  ASSERT_EQ(fstatfs(mount->get(), &s), 0);
  EXPECT_EQ(static_cast<uint64_t>(s.f_blocks) * static_cast<uint64_t>(s.f_bsize), 1u << 20);
}

}  // namespace
}  // namespace memfuse::memfs

// Differences from tmpfs that the FUSE part of the kernel causes, and that no server can remove. If
// a case fails on memfuse after a kernel update, a line of the README's table of differences must
// be removed. (Other files test fanotify, pinned pages, flags of descriptors, and /proc.)

#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "absl/cleanup/cleanup.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/kernel.h"
#include "tests/conformance/map.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(KernelLimits);
ROOT_CONFORMANCE_SUITE(KernelLimitsAsRoot);

int SetInodeFlags(const std::string& path, int flags) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return ErrnoOf(ioctl(fd.get(), FS_IOC_SETFLAGS, &flags));
}

struct statx Statx(const std::string& path) {
  struct statx x = {};
  EXPECT_EQ(statx(AT_FDCWD, path.c_str(), 0, STATX_BASIC_STATS, &x), 0) << strerror(errno);
  return x;
}

constexpr uint64_t kFlagAttributes = STATX_ATTR_APPEND | STATX_ATTR_NODUMP | STATX_ATTR_IMMUTABLE;

TEST_P(KernelLimits, StatxShowsNodump) {
  MakeFile("f");
  EXPECT_EQ(Statx("f").stx_attributes_mask & kFlagAttributes, on_memfuse() ? 0 : kFlagAttributes);
  ASSERT_EQ(SetInodeFlags("f", FS_NODUMP_FL), 0);
  EXPECT_EQ(Statx("f").stx_attributes & kFlagAttributes,
            on_memfuse() ? 0u : uint64_t{STATX_ATTR_NODUMP});
}

TEST_P(KernelLimitsAsRoot, StatxShowsAppendOnlyAndImmutable) {
  MakeFile("f");
  const absl::Cleanup changeable = [] { EXPECT_EQ(SetInodeFlags("f", 0), 0); };
  ASSERT_EQ(SetInodeFlags("f", FS_APPEND_FL), 0);
  EXPECT_EQ(Statx("f").stx_attributes & kFlagAttributes,
            on_memfuse() ? 0u : uint64_t{STATX_ATTR_APPEND});
  ASSERT_EQ(SetInodeFlags("f", FS_IMMUTABLE_FL), 0);
  EXPECT_EQ(Statx("f").stx_attributes & kFlagAttributes,
            on_memfuse() ? 0u : uint64_t{STATX_ATTR_IMMUTABLE});
  // The ioctl reports the flags themselves.
  int flags = 0;
  EXPECT_EQ(ioctl(Open("f", O_RDONLY).get(), FS_IOC_GETFLAGS, &flags), 0);
  EXPECT_EQ(flags, FS_IMMUTABLE_FL);
}

// FS_IOC_GETFSUUID: a FUSE server has no way to give its file system a UUID.
TEST_P(KernelLimits, TheFileSystemHasAUuid) {
  if (!LinuxIsAtLeast(6, 9)) return;
  struct {
    uint8_t length;
    uint8_t uuid[16];
  } answer = {};
  EXPECT_EQ(ErrnoOf(ioctl(Open(".", O_RDONLY).get(), _IOC(_IOC_READ, 0x15, 0, 17), &answer)),
            on_memfuse() ? ENOTTY : 0);
  EXPECT_EQ(answer.length, on_memfuse() ? 0 : 16);
}

// In a FUSE directory, the kernel implements lseek as in a file of st_size bytes without holes.
TEST_P(KernelLimits, DirectoriesHaveNoEndToSeekFrom) {
  MakeFile("f");
  const UniqueFd directory = Open(".", O_RDONLY);
  const off_t size = Stat(".").st_size;
  for (const auto& [whence, result] :
       {std::pair(SEEK_END, size), std::pair(SEEK_DATA, off_t{0}), std::pair(SEEK_HOLE, size)}) {
    errno = 0;
    EXPECT_EQ(lseek(directory.get(), 0, whence), on_memfuse() ? result : -1) << whence;
    EXPECT_EQ(errno, on_memfuse() ? 0 : EINVAL) << whence;
  }
}

// A handle that contains the parent's handle. The handles of FUSE have space for it.
TEST_P(KernelLimits, ConnectableHandles) {
  if (!LinuxIsAtLeast(6, 13)) return;
  constexpr int kConnectable = 0x002;  // AT_HANDLE_CONNECTABLE
  MakeFile("f");
  alignas(file_handle) char bytes[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  auto* const handle = reinterpret_cast<file_handle*>(bytes);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id;
  EXPECT_EQ(ErrnoOf(name_to_handle_at(AT_FDCWD, "f", handle, &mount_id, kConnectable)),
            on_memfuse() ? 0 : EOPNOTSUPP);
}

// A mapping of a passthrough file refers to the backing file. After the descriptor is closed, the
// kernel counts no user of the FUSE file.
TEST_P(KernelLimits, AWritableMappingKeepsProgramsFromRunning) {
  MakeFile("true", ReadFile("/bin/true"), 0755);
  {
    const Map map(Open("true", O_RDWR).get(), kPage, kReadWrite, MAP_SHARED);
    ASSERT_EQ(map.error(), 0);
    EXPECT_EQ(Spawn({"./true"}), on_memfuse() && !daemon_serves_data() ? 0 : -ETXTBSY);
  }
  EXPECT_EQ(Spawn({"./true"}), 0);
}

TEST_P(KernelLimits, MappingsPreventLeases) {
  MakeFile("f", std::string(kPage, 'x'));
  const int expected = on_memfuse() && !daemon_serves_data() ? 0 : EAGAIN;
  {
    const Map map(Open("f", O_RDWR).get(), kPage, kReadWrite, MAP_SHARED);
    const UniqueFd reader = Open("f", O_RDONLY);
    EXPECT_EQ(ErrnoOf(fcntl(reader.get(), F_SETLEASE, F_RDLCK)), expected);
  }
  {
    const Map map(Open("f", O_RDONLY).get(), kPage, PROT_READ, MAP_SHARED);
    const UniqueFd writer = Open("f", O_RDWR);
    EXPECT_EQ(ErrnoOf(fcntl(writer.get(), F_SETLEASE, F_WRLCK)), expected);
  }
  const UniqueFd writer = Open("f", O_RDWR);
  EXPECT_EQ(ErrnoOf(fcntl(writer.get(), F_SETLEASE, F_WRLCK)), 0) << "nothing is mapped any more";
}

uint64_t SizeOf(const std::string& directory) {
  struct statvfs s;
  EXPECT_EQ(statvfs(directory.c_str(), &s), 0);
  return uint64_t{s.f_blocks} * s.f_frsize;
}

// The kernel ignores the options of mount(2) for an existing FUSE mount, and refuses those of
// fsconfig(2).
TEST_P(KernelLimitsAsRoot, RemountingTakesOptions) {
  const auto remount = [this](const char* options) {
    return ErrnoOf(mount(nullptr, mount_directory().c_str(), nullptr, MS_REMOUNT, options));
  };
  constexpr uint64_t kGiB = 1 << 30;
  ASSERT_EQ(SizeOf("."), kGiB);
  const absl::Cleanup back = [&] { EXPECT_EQ(remount("size=1g"), 0); };
  EXPECT_EQ(remount("size=2g"), 0);
  EXPECT_EQ(SizeOf("."), on_memfuse() ? kGiB : 2 * kGiB);
  EXPECT_EQ(remount("no_such_option=1"), on_memfuse() ? 0 : EINVAL);
  const UniqueFd context(
      static_cast<int>(syscall(SYS_fspick, AT_FDCWD, mount_directory().c_str(), FSPICK_CLOEXEC)));
  ASSERT_TRUE(context.valid()) << strerror(errno);
  EXPECT_EQ(ErrnoOf(syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, "size", "3g", 0)),
            on_memfuse() ? EINVAL : 0);
}

// The kernel stacks at most two file systems on another one. FUSE passthrough counts as one of
// them.
TEST_P(KernelLimitsAsRoot, OverlaysOnOverlays) {
  const PrivateMounts mounts;
  MakeDirectory("lower");
  std::string lower = "lower";
  int layers = 0, error = 0;
  for (; error == 0 && layers < 4; ++layers) {
    const std::string n = std::to_string(layers);
    for (const char* name : {"upper", "work", "merged"}) MakeDirectory(name + n);
    const std::string options = "lowerdir=" + lower + ",upperdir=upper" + n + ",workdir=work" + n;
    error = ErrnoOf(mount("overlay", ("merged" + n).c_str(), "overlay", 0, options.c_str()));
    if (error != 0) break;
    MakeFile("merged" + n + "/f" + n, n);
    EXPECT_EQ(ReadFile("merged" + n + "/f" + n), n);
    lower = "merged" + n;
  }
  EXPECT_EQ(error, EINVAL);
  EXPECT_EQ(layers, on_memfuse() && !daemon_serves_data() ? 1 : 2);
}

}  // namespace
}  // namespace memfuse::conformance

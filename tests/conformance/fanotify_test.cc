// fanotify(7) with file handles (FAN_REPORT_FID and related flags). An event identifies a file by
// the f_fsid of its file system and a handle. The kernel's FUSE leaves f_fsid 0, and the protocol
// has no field for it. The kernel therefore allows marks on such a file system per inode only, and
// no other file system in the same group.

#include <poll.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>

#include <cstring>

#include "tests/conformance/conformance.h"
#include "tests/conformance/kernel.h"
#include "tests/conformance/overlay.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Fanotify);
ROOT_CONFORMANCE_SUITE(FanotifyAsRoot);

UniqueFd Group(unsigned flags) {
  UniqueFd group(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | flags, O_RDONLY));
  EXPECT_TRUE(group.valid()) << strerror(errno);
  return group;
}

int Mark(const UniqueFd& group, const std::string& path, uint64_t events, unsigned flags = 0) {
  return ErrnoOf(fanotify_mark(group.get(), FAN_MARK_ADD | flags, events, AT_FDCWD, path.c_str()));
}

// An event with a handle.
struct Event {
  uint64_t mask = 0;
  fsid_t fsid = {};
  std::string name;  // of the entry, with FAN_REPORT_DFID_NAME
};

// The next event of the group; a mask of 0 if there is none.
Event NextEvent(const UniqueFd& group) {
  Event event;
  pollfd wait = {group.get(), POLLIN, 0};
  if (poll(&wait, 1, 0) != 1) return event;
  alignas(fanotify_event_metadata) char buffer[4096] = {};
  if (read(group.get(), buffer, sizeof(buffer)) < ssize_t{FAN_EVENT_METADATA_LEN}) return event;
  fanotify_event_metadata metadata;
  std::memcpy(&metadata, buffer, sizeof(metadata));
  event.mask = metadata.mask;
  if (metadata.event_len <= metadata.metadata_len) return event;
  // Header, f_fsid, file handle (two words and its bytes), and the name after the handle.
  const char* const info = buffer + metadata.metadata_len;
  fanotify_event_info_header header;
  std::memcpy(&header, info, sizeof(header));
  std::memcpy(&event.fsid, info + sizeof(header), sizeof(event.fsid));
  const char* const handle = info + sizeof(header) + sizeof(event.fsid);
  uint32_t handle_bytes;
  std::memcpy(&handle_bytes, handle, sizeof(handle_bytes));
  if (header.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME) {
    event.name = handle + 2 * sizeof(uint32_t) + handle_bytes;
  }
  return event;
}

bool IsZero(const fsid_t& fsid) {
  const fsid_t zero = {};
  return std::memcmp(&fsid, &zero, sizeof(zero)) == 0;
}

TEST_P(Fanotify, StatfsHasAnIdentity) {
  struct statfs s;
  ASSERT_EQ(statfs(".", &s), 0);
  EXPECT_EQ(IsZero(s.f_fsid), on_memfuse());
}

TEST_P(Fanotify, ADirectoryReportsNames) {
  const UniqueFd group = Group(FAN_REPORT_DFID_NAME);
  if (on_memfuse() && !LinuxIsAtLeast(6, 8)) {
    EXPECT_EQ(Mark(group, ".", FAN_CREATE), ENODEV);
    return;
  }
  ASSERT_EQ(Mark(group, ".", FAN_CREATE | FAN_DELETE), 0);
  MakeFile("made");
  const Event made = NextEvent(group);
  EXPECT_EQ(made.mask, uint64_t{FAN_CREATE});
  EXPECT_EQ(made.name, "made");
  EXPECT_EQ(IsZero(made.fsid), on_memfuse());
  ASSERT_EQ(unlink("made"), 0);
  EXPECT_EQ(NextEvent(group).mask, uint64_t{FAN_DELETE});
}

// Events of two file systems with f_fsid 0 would be indistinguishable.
TEST_P(Fanotify, OneGroupWatchesSeveralFileSystems) {
  const std::string other = mount_directory() + "/..";
  ASSERT_NE(Stat(other).st_dev, Stat(".").st_dev);
  const UniqueFd group = Group(FAN_REPORT_FID), reverse = Group(FAN_REPORT_FID);
  EXPECT_EQ(Mark(reverse, other, FAN_MODIFY), 0);
  if (!on_memfuse()) {
    EXPECT_EQ(Mark(group, ".", FAN_MODIFY), 0);
    EXPECT_EQ(Mark(group, other, FAN_MODIFY), 0);
    EXPECT_EQ(Mark(reverse, ".", FAN_MODIFY), 0);
  } else if (LinuxIsAtLeast(6, 8)) {
    EXPECT_EQ(Mark(group, ".", FAN_MODIFY), 0);
    EXPECT_EQ(Mark(group, other, FAN_MODIFY), EXDEV);
    EXPECT_EQ(Mark(reverse, ".", FAN_MODIFY), EXDEV);
  } else {
    EXPECT_EQ(Mark(group, ".", FAN_MODIFY), ENODEV);
  }
}

TEST_P(FanotifyAsRoot, AWholeFileSystemByHandles) {
  const UniqueFd group = Group(FAN_REPORT_DFID_NAME), by_mount = Group(FAN_REPORT_FID);
  EXPECT_EQ(Mark(group, ".", FAN_CREATE, FAN_MARK_FILESYSTEM), on_memfuse() ? ENODEV : 0);
  EXPECT_EQ(Mark(by_mount, ".", FAN_MODIFY, FAN_MARK_MOUNT), on_memfuse() ? ENODEV : 0);
  MakeFile("f");
  EXPECT_EQ(NextEvent(group).name, on_memfuse() ? "" : "f");
}

// Descriptors need no f_fsid.
TEST_P(FanotifyAsRoot, AWholeFileSystemByDescriptors) {
  for (const unsigned kind : {FAN_MARK_FILESYSTEM, FAN_MARK_MOUNT}) {
    const UniqueFd group = Group(0);
    ASSERT_EQ(Mark(group, ".", FAN_CLOSE_WRITE, kind), 0);
    MakeFile("f" + std::to_string(kind));
    EXPECT_EQ(NextEvent(group).mask, uint64_t{FAN_CLOSE_WRITE});
  }
}

// An overlay mount with uuid=on and nfs_export=on has its own f_fsid and handles.
TEST_P(FanotifyAsRoot, AnOverlayOnTopIsWatchedByHandles) {
  if (!LinuxIsAtLeast(6, 6)) return;  // uuid=on
  Overlay overlay;
  ASSERT_EQ(overlay.Mount(",uuid=on,index=on,nfs_export=on"), 0) << strerror(errno);
  const UniqueFd group = Group(FAN_REPORT_DFID_NAME);
  ASSERT_EQ(Mark(group, "merged", FAN_CREATE, FAN_MARK_FILESYSTEM), 0);
  MakeFile("merged/made");
  const Event made = NextEvent(group);
  EXPECT_EQ(made.name, "made");
  EXPECT_FALSE(IsZero(made.fsid));
}

}  // namespace
}  // namespace memfuse::conformance

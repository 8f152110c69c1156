// Compares the project's description of the protocol with the system's: sizes and constants. The
// tests of decoding and encoding check the offsets of fields.

#include "src/protocol/wire.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/stat.h>

#include "src/protocol/wire_init.h"

namespace memfuse::protocol::wire {
namespace {

TEST(Wire, SizesOfRequests) {
  EXPECT_EQ(sizeof(InHeader), sizeof(fuse_in_header));
  EXPECT_EQ(sizeof(ForgetIn), sizeof(fuse_forget_in));
  EXPECT_EQ(sizeof(ForgetOne), sizeof(fuse_forget_one));
  EXPECT_EQ(sizeof(BatchForgetIn), sizeof(fuse_batch_forget_in));
  EXPECT_EQ(sizeof(GetattrIn), sizeof(fuse_getattr_in));
  EXPECT_EQ(sizeof(SetattrIn), sizeof(fuse_setattr_in));
  EXPECT_EQ(sizeof(MknodIn), sizeof(fuse_mknod_in));
  EXPECT_EQ(sizeof(MkdirIn), sizeof(fuse_mkdir_in));
  EXPECT_EQ(sizeof(RenameIn), sizeof(fuse_rename_in));
  EXPECT_EQ(sizeof(Rename2In), sizeof(fuse_rename2_in));
  EXPECT_EQ(sizeof(LinkIn), sizeof(fuse_link_in));
  EXPECT_EQ(sizeof(OpenIn), sizeof(fuse_open_in));
  EXPECT_EQ(sizeof(CreateIn), sizeof(fuse_create_in));
  EXPECT_EQ(sizeof(ReadIn), sizeof(fuse_read_in));
  EXPECT_EQ(sizeof(WriteIn), sizeof(fuse_write_in));
  EXPECT_EQ(sizeof(ReleaseIn), sizeof(fuse_release_in));
  EXPECT_EQ(sizeof(FlushIn), sizeof(fuse_flush_in));
  EXPECT_EQ(sizeof(FsyncIn), sizeof(fuse_fsync_in));
  EXPECT_EQ(sizeof(FallocateIn), sizeof(fuse_fallocate_in));
  EXPECT_EQ(sizeof(LseekIn), sizeof(fuse_lseek_in));
  EXPECT_EQ(sizeof(CopyFileRangeIn), sizeof(fuse_copy_file_range_in));
  EXPECT_EQ(sizeof(SetxattrShortIn), size_t{FUSE_COMPAT_SETXATTR_IN_SIZE});
  EXPECT_EQ(sizeof(SetxattrIn), sizeof(fuse_setxattr_in));
  EXPECT_EQ(sizeof(GetxattrIn), sizeof(fuse_getxattr_in));
  EXPECT_EQ(sizeof(AccessIn), sizeof(fuse_access_in));
  EXPECT_EQ(sizeof(IoctlIn), sizeof(fuse_ioctl_in));
  EXPECT_EQ(sizeof(InitIn), sizeof(fuse_init_in));
}

TEST(Wire, SizesOfReplies) {
  EXPECT_EQ(sizeof(OutHeader), sizeof(fuse_out_header));
  EXPECT_EQ(sizeof(NotifyInvalInodeOut), sizeof(fuse_notify_inval_inode_out));
  EXPECT_EQ(sizeof(NotifyInvalEntryOut), sizeof(fuse_notify_inval_entry_out));
  EXPECT_EQ(sizeof(NotifyDeleteOut), sizeof(fuse_notify_delete_out));
  EXPECT_EQ(sizeof(Attr), sizeof(fuse_attr));
  EXPECT_EQ(sizeof(EntryOut), sizeof(fuse_entry_out));
  EXPECT_EQ(sizeof(AttrOut), sizeof(fuse_attr_out));
  EXPECT_EQ(sizeof(Statx), sizeof(struct statx));
  EXPECT_EQ(sizeof(OpenOut), sizeof(fuse_open_out));
  EXPECT_EQ(sizeof(WriteOut), sizeof(fuse_write_out));
  EXPECT_EQ(sizeof(StatfsOut), sizeof(fuse_statfs_out));
  EXPECT_EQ(sizeof(GetxattrOut), sizeof(fuse_getxattr_out));
  EXPECT_EQ(sizeof(LseekOut), sizeof(fuse_lseek_out));
  EXPECT_EQ(sizeof(IoctlOut), sizeof(fuse_ioctl_out));
  EXPECT_EQ(sizeof(Dirent), size_t{FUSE_NAME_OFFSET});
  EXPECT_EQ(sizeof(InitOut), sizeof(fuse_init_out));
}

TEST(Wire, Numbers) {
  EXPECT_EQ(kFattrMode, uint32_t{FATTR_MODE});
  EXPECT_EQ(kFattrUid, uint32_t{FATTR_UID});
  EXPECT_EQ(kFattrGid, uint32_t{FATTR_GID});
  EXPECT_EQ(kFattrSize, uint32_t{FATTR_SIZE});
  EXPECT_EQ(kFattrAtime, uint32_t{FATTR_ATIME});
  EXPECT_EQ(kFattrMtime, uint32_t{FATTR_MTIME});
  EXPECT_EQ(kFattrFh, uint32_t{FATTR_FH});
  EXPECT_EQ(kFattrAtimeNow, uint32_t{FATTR_ATIME_NOW});
  EXPECT_EQ(kFattrMtimeNow, uint32_t{FATTR_MTIME_NOW});
  EXPECT_EQ(kFattrLockOwner, uint32_t{FATTR_LOCKOWNER});
  EXPECT_EQ(kFattrCtime, uint32_t{FATTR_CTIME});
  EXPECT_EQ(kFattrKillSuidgid, uint32_t{FATTR_KILL_SUIDGID});
  EXPECT_EQ(kGetattrFh, uint32_t{FUSE_GETATTR_FH});
  EXPECT_EQ(kOpenKillSuidgid, uint32_t{FUSE_OPEN_KILL_SUIDGID});
  EXPECT_EQ(kWriteCache, uint32_t{FUSE_WRITE_CACHE});
  EXPECT_EQ(kWriteKillSuidgid, uint32_t{FUSE_WRITE_KILL_SUIDGID});
  EXPECT_EQ(kFsyncDataOnly, uint32_t{FUSE_FSYNC_FDATASYNC});
  EXPECT_EQ(kSetxattrAclKillSgid, uint32_t{FUSE_SETXATTR_ACL_KILL_SGID});
  EXPECT_EQ(kIoctlDir, uint32_t{FUSE_IOCTL_DIR});
  EXPECT_EQ(kFopenDirectIo, uint32_t{FOPEN_DIRECT_IO});
  EXPECT_EQ(kFopenKeepCache, uint32_t{FOPEN_KEEP_CACHE});
  EXPECT_EQ(kFopenParallelDirectWrites, uint32_t{FOPEN_PARALLEL_DIRECT_WRITES});
  EXPECT_EQ(kStatxMask, uint32_t{STATX_BASIC_STATS | STATX_BTIME});
}

}  // namespace
}  // namespace memfuse::protocol::wire

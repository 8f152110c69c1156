#include "src/protocol/opcodes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <map>
#include <set>
#include <string>

namespace memfuse::protocol {
namespace {

struct KnownOpcode {
  std::string_view name;
  uint32_t opcode;
  uint32_t fixed_size;
};

#define KNOWN(name, size) \
  { #name, FUSE_##name, size }

// Every opcode of <linux/fuse.h>, and the two that are newer than that header in Debian 12.
constexpr KnownOpcode kKnown[] = {
    KNOWN(LOOKUP, 0),
    KNOWN(FORGET, sizeof(fuse_forget_in)),
    KNOWN(GETATTR, sizeof(fuse_getattr_in)),
    KNOWN(SETATTR, sizeof(fuse_setattr_in)),
    KNOWN(READLINK, 0),
    KNOWN(SYMLINK, 0),
    KNOWN(MKNOD, sizeof(fuse_mknod_in)),
    KNOWN(MKDIR, sizeof(fuse_mkdir_in)),
    KNOWN(UNLINK, 0),
    KNOWN(RMDIR, 0),
    KNOWN(RENAME, sizeof(fuse_rename_in)),
    KNOWN(LINK, sizeof(fuse_link_in)),
    KNOWN(OPEN, sizeof(fuse_open_in)),
    KNOWN(READ, sizeof(fuse_read_in)),
    KNOWN(WRITE, sizeof(fuse_write_in)),
    KNOWN(STATFS, 0),
    KNOWN(RELEASE, sizeof(fuse_release_in)),
    KNOWN(FSYNC, sizeof(fuse_fsync_in)),
    KNOWN(SETXATTR, FUSE_COMPAT_SETXATTR_IN_SIZE),
    KNOWN(GETXATTR, sizeof(fuse_getxattr_in)),
    KNOWN(LISTXATTR, sizeof(fuse_getxattr_in)),
    KNOWN(REMOVEXATTR, 0),
    KNOWN(FLUSH, sizeof(fuse_flush_in)),
    KNOWN(INIT, 16),
    KNOWN(OPENDIR, sizeof(fuse_open_in)),
    KNOWN(READDIR, sizeof(fuse_read_in)),
    KNOWN(RELEASEDIR, sizeof(fuse_release_in)),
    KNOWN(FSYNCDIR, sizeof(fuse_fsync_in)),
    KNOWN(GETLK, sizeof(fuse_lk_in)),
    KNOWN(SETLK, sizeof(fuse_lk_in)),
    KNOWN(SETLKW, sizeof(fuse_lk_in)),
    KNOWN(ACCESS, sizeof(fuse_access_in)),
    KNOWN(CREATE, sizeof(fuse_create_in)),
    KNOWN(INTERRUPT, sizeof(fuse_interrupt_in)),
    KNOWN(BMAP, sizeof(fuse_bmap_in)),
    KNOWN(DESTROY, 0),
    KNOWN(IOCTL, sizeof(fuse_ioctl_in)),
    KNOWN(POLL, sizeof(fuse_poll_in)),
    KNOWN(NOTIFY_REPLY, sizeof(fuse_notify_retrieve_in)),
    KNOWN(BATCH_FORGET, sizeof(fuse_batch_forget_in)),
    KNOWN(FALLOCATE, sizeof(fuse_fallocate_in)),
    KNOWN(READDIRPLUS, sizeof(fuse_read_in)),
    KNOWN(RENAME2, sizeof(fuse_rename2_in)),
    KNOWN(LSEEK, sizeof(fuse_lseek_in)),
    KNOWN(COPY_FILE_RANGE, sizeof(fuse_copy_file_range_in)),
    KNOWN(SETUPMAPPING, sizeof(fuse_setupmapping_in)),
    KNOWN(REMOVEMAPPING, sizeof(fuse_removemapping_in)),
    KNOWN(SYNCFS, sizeof(fuse_syncfs_in)),
    KNOWN(TMPFILE, sizeof(fuse_create_in)),
    {"STATX", 52, 24},
    {"COPY_FILE_RANGE_64", 53, sizeof(fuse_copy_file_range_in)},
};

#undef KNOWN

TEST(Opcodes, TheTableIsComplete) {
  for (const KnownOpcode& known : kKnown) {
    const OpcodeInfo* info = FindOpcode(known.opcode);
    ASSERT_NE(info, nullptr) << known.name;
    EXPECT_EQ(static_cast<uint32_t>(info->opcode), known.opcode);
    EXPECT_EQ(info->name, known.name);
    EXPECT_EQ(info->fixed_size, known.fixed_size) << known.name;
  }
  EXPECT_EQ(AllOpcodes().size(), std::size(kKnown)) << "the table has more than the protocol";
}

TEST(Opcodes, TheTableIsInOrderAndHasReasons) {
  uint32_t previous = 0;
  for (const OpcodeInfo& info : AllOpcodes()) {
    const auto opcode = static_cast<uint32_t>(info.opcode);
    EXPECT_GT(opcode, previous);
    EXPECT_LT(opcode, kOpcodeLimit);
    EXPECT_GT(info.why.size(), 10u) << info.name;
    EXPECT_EQ(FindOpcode(opcode), &info);
    previous = opcode;
  }
}

TEST(Opcodes, InvalidOpcodesAreNotFound) {
  size_t found = 0;
  for (uint32_t opcode = 0; opcode < 5000; ++opcode) found += FindOpcode(opcode) != nullptr;
  EXPECT_EQ(found, std::size(kKnown));
  for (const uint32_t opcode : {uint32_t{0}, uint32_t{7}, uint32_t{19}, uint32_t{54}, uint32_t{63},
                                uint32_t{64}, uint32_t{CUSE_INIT}, UINT32_MAX}) {
    EXPECT_EQ(FindOpcode(opcode), nullptr) << opcode;
  }
}

TEST(Opcodes, Dispositions) {
  std::map<Disposition, std::set<std::string_view>> names;
  for (const OpcodeInfo& info : AllOpcodes()) names[info.disposition].insert(info.name);
  EXPECT_THAT(names[Disposition::kNoReply], testing::ElementsAre("BATCH_FORGET", "FORGET"));
  EXPECT_THAT(names[Disposition::kIgnore], testing::ElementsAre("NOTIFY_REPLY"));
  EXPECT_THAT(names[Disposition::kRefuse],
              testing::ElementsAre("BMAP", "GETLK", "INTERRUPT", "POLL", "REMOVEMAPPING", "SETLK",
                                   "SETLKW", "SETUPMAPPING", "SYNCFS"));
}

}  // namespace
}  // namespace memfuse::protocol

#include "src/protocol/encode.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <string>
#include <vector>

#include "tests/protocol/message.h"

namespace memfuse::protocol {
namespace {

// Runs an Encode function on a buffer of garbage that starts at an odd address and has the smallest
// allowed size; returns the body. The bytes after the body must be unchanged.
template <typename Encode>
std::string BodyOf(Encode encode) {
  const auto memory = std::make_unique<char[]>(kMaxFixedBody + 1);
  const absl::Span<char> out(memory.get() + 1, kMaxFixedBody);
  std::fill(out.begin(), out.end(), '\xaa');
  const size_t size = encode(out);
  EXPECT_LE(size, out.size());
  for (size_t i = size; i < out.size(); ++i) EXPECT_EQ(out[i], '\xaa') << i;
  return std::string(out.data(), size);
}

Attributes SomeAttributes() {
  Attributes attributes;
  attributes.ino = InodeNumber{0x1112131415161718};
  attributes.size = 0x2122232425262728;
  attributes.blocks = 0x3132333435363738;
  attributes.atime = {1'700'000'001, 1};
  attributes.mtime = {-5, 999'999'999};
  attributes.ctime = {1'700'000'003, 3};
  attributes.btime = {1'700'000'004, 4};
  attributes.mode = S_IFCHR | 0640;
  attributes.nlink = 0x41424344;
  attributes.uid = 0x51525354;
  attributes.gid = 0x61626364;
  attributes.rdev = static_cast<uint32_t>(makedev(7, 300));
  attributes.blksize = 0x71727374;
  return attributes;
}

fuse_attr SomeAttr() {
  fuse_attr attr{};
  attr.ino = 0x1112131415161718;
  attr.size = 0x2122232425262728;
  attr.blocks = 0x3132333435363738;
  attr.atime = 1'700'000'001;
  attr.mtime = 0xfffffffffffffffb;
  attr.ctime = 1'700'000'003;
  attr.atimensec = 1;
  attr.mtimensec = 999'999'999;
  attr.ctimensec = 3;
  attr.mode = 020640;
  attr.nlink = 0x41424344;
  attr.uid = 0x51525354;
  attr.gid = 0x61626364;
  attr.rdev = 0x0010072c;
  attr.blksize = 0x71727374;
  return attr;
}

Entry SomeEntry() {
  Entry entry;
  entry.ino = InodeNumber{0x0102030405060708};
  entry.generation = 0x0908070605040302;
  entry.attributes = SomeAttributes();
  entry.entry_valid = 77;
  entry.attributes_valid = 0x100000088;
  return entry;
}

fuse_entry_out SomeEntryOut() {
  fuse_entry_out out{};
  out.nodeid = 0x0102030405060708;
  out.generation = 0x0908070605040302;
  out.entry_valid = 77;
  out.attr_valid = 0x100000088;
  out.attr = SomeAttr();
  return out;
}

// struct fuse_open_out by hand, because the system's header may lack the third field.
std::string OpenOut(uint64_t handle, uint32_t flags, int32_t backing_id) {
  return BytesOf(handle) + BytesOf(flags) + BytesOf(backing_id);
}

TEST(EncodeReplyHeader, SuccessWithABody) {
  char out[kReplyHeaderSize];
  EncodeReplyHeader(RequestId{0x8182838485868788}, 0, 104, absl::MakeSpan(out));
  fuse_out_header expected{};
  expected.len = 120;
  expected.unique = 0x8182838485868788;
  EXPECT_EQ(std::string(out, sizeof(out)), BytesOf(expected));
}

TEST(EncodeReplyHeader, ErrorsAreNegativeAndHaveNoBody) {
  char out[kReplyHeaderSize];
  EncodeReplyHeader(RequestId{9}, ENOENT, 0, absl::MakeSpan(out));
  const uint32_t expected[] = {16, static_cast<uint32_t>(-ENOENT), 9, 0};
  EXPECT_EQ(std::string(out, sizeof(out)), BytesOf(expected));
}

TEST(EncodeEntry, IsAFuseEntryOut) {
  EXPECT_EQ(BodyOf([](auto out) { return Encode(SomeEntry(), out); }), BytesOf(SomeEntryOut()));
}

TEST(EncodeNegativeEntry, HasNoInodeButALifetime) {
  fuse_entry_out expected{};
  expected.entry_valid = kCacheForever;
  EXPECT_EQ(BodyOf([](auto out) { return Encode(NegativeEntry{kCacheForever}, out); }),
            BytesOf(expected));
}

TEST(EncodeAttributes, IsAFuseAttrOut) {
  fuse_attr_out expected{};
  expected.attr_valid = 12;
  expected.attr = SomeAttr();
  EXPECT_EQ(BodyOf([](auto out) {
              return Encode(AttributesResult{SomeAttributes(), 12}, out);
            }),
            BytesOf(expected));
}

TEST(EncodeStatx, MatchesTheResultOfStatx) {
  struct statx stat {};
  stat.stx_mask = STATX_BASIC_STATS | STATX_BTIME;
  stat.stx_blksize = 0x71727374;
  stat.stx_attributes = STATX_ATTR_IMMUTABLE;
  stat.stx_attributes_mask = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND;
  stat.stx_nlink = 0x41424344;
  stat.stx_uid = 0x51525354;
  stat.stx_gid = 0x61626364;
  stat.stx_mode = 020640;
  stat.stx_ino = 0x1112131415161718;
  stat.stx_size = 0x2122232425262728;
  stat.stx_blocks = 0x3132333435363738;
  stat.stx_atime.tv_sec = 1'700'000'001;
  stat.stx_atime.tv_nsec = 1;
  stat.stx_mtime.tv_sec = -5;
  stat.stx_mtime.tv_nsec = 999'999'999;
  stat.stx_ctime.tv_sec = 1'700'000'003;
  stat.stx_ctime.tv_nsec = 3;
  stat.stx_btime.tv_sec = 1'700'000'004;
  stat.stx_btime.tv_nsec = 4;
  stat.stx_rdev_major = 7;
  stat.stx_rdev_minor = 300;
  const std::string expected = BytesOf(uint64_t{12}) + std::string(24, '\0') + BytesOf(stat);
  ASSERT_EQ(expected.size(), 288u);

  StatxResult result;
  result.attributes = SomeAttributes();
  result.attribute_flags = STATX_ATTR_IMMUTABLE;
  result.attribute_flags_mask = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND;
  result.attributes_valid = 12;
  EXPECT_EQ(BodyOf([&result](auto out) { return Encode(result, out); }), expected);
}

TEST(EncodeStatx, SplitsDeviceNumbersAsTheKernelPacksThem) {
  const std::pair<unsigned, unsigned> devices[] = {
      {0, 0}, {1, 3}, {8, 255}, {259, 256}, {4095, 1}, {0, 0xfffff}, {4095, 0xfffff}};
  for (const auto& [device_major, device_minor] : devices) {
    StatxResult result;
    result.attributes.rdev = static_cast<uint32_t>(makedev(device_major, device_minor));
    const std::string body = BodyOf([&result](auto out) { return Encode(result, out); });
    struct statx stat;
    std::memcpy(&stat, body.data() + 32, sizeof(stat));
    EXPECT_EQ(stat.stx_rdev_major, device_major);
    EXPECT_EQ(stat.stx_rdev_minor, device_minor);
    EXPECT_EQ(stat.stx_dev_major, 0u);
    EXPECT_EQ(stat.stx_dev_minor, 0u);
  }
}

TEST(EncodeOpen, EachResultIsOneFlag) {
  const auto body = [](OpenResult result) {
    result.handle = FileHandle{kHandle};
    return BodyOf([&result](auto out) { return Encode(result, out); });
  };
  const auto with = [](bool OpenResult::*member) {
    OpenResult result;
    result.*member = true;
    return result;
  };
  EXPECT_EQ(body({}), OpenOut(kHandle, 0, 0));
  EXPECT_EQ(body(with(&OpenResult::direct_io)), OpenOut(kHandle, FOPEN_DIRECT_IO, 0));
  EXPECT_EQ(body(with(&OpenResult::keep_cache)), OpenOut(kHandle, FOPEN_KEEP_CACHE, 0));
  EXPECT_EQ(body(with(&OpenResult::parallel_direct_writes)),
            OpenOut(kHandle, FOPEN_PARALLEL_DIRECT_WRITES, 0));
}

TEST(EncodeOpen, ABackingFileMeansPassthrough) {
  OpenResult result;
  result.backing_id = 0x01020304;
  EXPECT_EQ(BodyOf([&result](auto out) { return Encode(result, out); }),
            OpenOut(0, 1u << 7, 0x01020304));
  result.backing_id = -1;  // not a backing file
  EXPECT_EQ(BodyOf([&result](auto out) { return Encode(result, out); }), OpenOut(0, 0, 0));
}

TEST(EncodeCreate, IsAnEntryAndAnOpen) {
  CreateResult result;
  result.entry = SomeEntry();
  result.open.handle = FileHandle{5};
  result.open.keep_cache = true;
  EXPECT_EQ(BodyOf([&result](auto out) { return Encode(result, out); }),
            BytesOf(SomeEntryOut()) + OpenOut(5, FOPEN_KEEP_CACHE, 0));
}

TEST(EncodeSmallBodies, HaveANumberAndPadding) {
  EXPECT_EQ(BodyOf([](auto out) { return Encode(WriteReply{0x01020304}, out); }),
            BytesOf(fuse_write_out{0x01020304, 0}));
  EXPECT_EQ(BodyOf([](auto out) { return Encode(XattrSizeReply{0x01020304}, out); }),
            BytesOf(fuse_getxattr_out{0x01020304, 0}));
  EXPECT_EQ(BodyOf([](auto out) { return Encode(LseekReply{0x0102030405060708}, out); }),
            BytesOf(fuse_lseek_out{0x0102030405060708}));
}

TEST(EncodeCopyFileRange, IsNarrowOrWide) {
  EXPECT_EQ(BodyOf([](auto out) {
              return Encode(CopyFileRangeReply{0xfffff000, false}, out);
            }),
            BytesOf(fuse_write_out{0xfffff000, 0}));
  EXPECT_EQ(BodyOf([](auto out) {
              return Encode(CopyFileRangeReply{0x0102030405060708, true}, out);
            }),
            BytesOf(uint64_t{0x0102030405060708}));
}

TEST(EncodeStatfs, IsAFuseStatfsOut) {
  FileSystemStatistics statistics;
  statistics.blocks = 0x0102030405060708;
  statistics.blocks_free = 0x1112131415161718;
  statistics.blocks_available = 0x2122232425262728;
  statistics.inodes = 0x3132333435363738;
  statistics.inodes_free = 0x4142434445464748;
  statistics.block_size = 4096;
  statistics.name_max = 255;
  fuse_statfs_out expected{};
  expected.st.blocks = 0x0102030405060708;
  expected.st.bfree = 0x1112131415161718;
  expected.st.bavail = 0x2122232425262728;
  expected.st.files = 0x3132333435363738;
  expected.st.ffree = 0x4142434445464748;
  expected.st.bsize = 4096;
  expected.st.namelen = 255;
  expected.st.frsize = 4096;
  EXPECT_EQ(BodyOf([&statistics](auto out) { return Encode(statistics, out); }), BytesOf(expected));
}

TEST(EncodeIoctl, HasTheResultAndNoVectors) {
  fuse_ioctl_out expected{};
  expected.result = -25;
  EXPECT_EQ(BodyOf([](auto out) {
              return Encode(IoctlResult{-25, "output is not encoded here"}, out);
            }),
            BytesOf(expected));
}

// Notifications may be larger than other replies.
template <typename Encode>
std::string NotificationOf(Encode encode) {
  std::string out(kMaxNotification, '\xaa');
  out.resize(encode(absl::MakeSpan(out)));
  return out;
}

std::string NotificationHeader(int32_t code, size_t body_size) {
  fuse_out_header header{};
  header.len = static_cast<uint32_t>(sizeof(header) + body_size);
  header.error = code;
  return BytesOf(header);
}

TEST(EncodeNotification, InvalidateAttributesNamesNoData) {
  fuse_notify_inval_inode_out body{};
  body.ino = 0x0102030405060708;
  body.off = -1;
  EXPECT_EQ(NotificationOf([](auto out) {
              return EncodeInvalidateAttributes(InodeNumber{0x0102030405060708}, out);
            }),
            NotificationHeader(FUSE_NOTIFY_INVAL_INODE, sizeof(body)) + BytesOf(body));
}

TEST(EncodeNotification, InvalidateDataNamesARange) {
  fuse_notify_inval_inode_out body{};
  body.ino = 5;
  body.off = 0x1112131415161718;
  body.len = 0x2122232425262728;
  EXPECT_EQ(NotificationOf([](auto out) {
              return EncodeInvalidateData(InodeNumber{5}, 0x1112131415161718, 0x2122232425262728,
                                          out);
            }),
            NotificationHeader(FUSE_NOTIFY_INVAL_INODE, sizeof(body)) + BytesOf(body));
}

TEST(EncodeNotification, NamesEndWithANulThatIsNotCounted) {
  for (const size_t length : {1, 255}) {
    const std::string name(length, 'n');
    fuse_notify_inval_entry_out entry{};
    entry.parent = 5;
    entry.namelen = static_cast<uint32_t>(length);
    EXPECT_EQ(
        NotificationOf([&](auto out) { return EncodeInvalidateEntry(InodeNumber{5}, name, out); }),
        NotificationHeader(FUSE_NOTIFY_INVAL_ENTRY, sizeof(entry) + length + 1) + BytesOf(entry) +
            name + '\0');
    fuse_notify_delete_out removed{};
    removed.parent = 5;
    removed.child = 0x0102030405060708;
    removed.namelen = static_cast<uint32_t>(length);
    EXPECT_EQ(
        NotificationOf([&](auto out) {
          return EncodeDeleteEntry(InodeNumber{5}, InodeNumber{0x0102030405060708}, name, out);
        }),
        NotificationHeader(FUSE_NOTIFY_DELETE, sizeof(removed) + length + 1) + BytesOf(removed) +
            name + '\0');
  }
}

// Code 9 and a struct of 16 bytes, which older headers lack: a count, and zeros.
TEST(EncodeNotification, PruneListsInodes) {
  std::vector<InodeNumber> inodes;
  std::string numbers;
  for (uint64_t i = 1; i <= Notifier::kMaxPrune; ++i) {
    inodes.push_back(InodeNumber{i << 32});
    numbers += BytesOf(i << 32);
  }
  for (const size_t count : {size_t{0}, size_t{1}, Notifier::kMaxPrune}) {
    EXPECT_EQ(NotificationOf([&](auto out) {
                return EncodePrune(absl::MakeConstSpan(inodes).first(count), out);
              }),
              NotificationHeader(9, 16 + count * 8) + BytesOf(static_cast<uint32_t>(count)) +
                  std::string(12, '\0') + numbers.substr(0, count * 8));
  }
}

TEST(EncodeNotification, ResendIsAHeaderAlone) {
  EXPECT_EQ(NotificationOf([](auto out) { return EncodeResend(out); }), NotificationHeader(7, 0));
}

}  // namespace
}  // namespace memfuse::protocol

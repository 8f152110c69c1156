#include "src/protocol/negotiation.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <cstring>
#include <map>
#include <string>

#include "src/protocol/encode.h"
#include "src/protocol/wire_init.h"
#include "tests/protocol/message.h"

namespace memfuse::protocol {
namespace {

constexpr uint64_t kAll = ~uint64_t{0};

InitRequest Kernel(uint32_t minor, uint64_t flags) { return {7, minor, 0x20000, flags}; }

// The flags to negotiate with a kernel that offers everything, written with the system's header.
constexpr uint64_t kExpected =
    FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_DONT_MASK |
    FUSE_HAS_IOCTL_DIR | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
    FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL | FUSE_ABORT_ERROR | FUSE_MAX_PAGES |
    FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA |
    FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT | wire::kInitAllowIdmap;

TEST(InitFlags, AreThoseOfTheProtocol) {
  const std::map<std::string_view, uint64_t> expected = {
#define FLAG(name) {#name, FUSE_##name}
      FLAG(ASYNC_READ),
      FLAG(POSIX_LOCKS),
      FLAG(FILE_OPS),
      FLAG(ATOMIC_O_TRUNC),
      FLAG(EXPORT_SUPPORT),
      FLAG(BIG_WRITES),
      FLAG(DONT_MASK),
      FLAG(SPLICE_WRITE),
      FLAG(SPLICE_MOVE),
      FLAG(SPLICE_READ),
      FLAG(FLOCK_LOCKS),
      FLAG(HAS_IOCTL_DIR),
      FLAG(AUTO_INVAL_DATA),
      FLAG(DO_READDIRPLUS),
      FLAG(READDIRPLUS_AUTO),
      FLAG(ASYNC_DIO),
      FLAG(WRITEBACK_CACHE),
      FLAG(NO_OPEN_SUPPORT),
      FLAG(PARALLEL_DIROPS),
      FLAG(HANDLE_KILLPRIV),
      FLAG(POSIX_ACL),
      FLAG(ABORT_ERROR),
      FLAG(MAX_PAGES),
      FLAG(CACHE_SYMLINKS),
      FLAG(NO_OPENDIR_SUPPORT),
      FLAG(EXPLICIT_INVAL_DATA),
      FLAG(MAP_ALIGNMENT),
      FLAG(SUBMOUNTS),
      FLAG(HANDLE_KILLPRIV_V2),
      FLAG(SETXATTR_EXT),
      FLAG(INIT_EXT),
      {"INIT_RESERVED", uint64_t{1} << 31},
      FLAG(SECURITY_CTX),
      FLAG(HAS_INODE_DAX),
      {"CREATE_SUPP_GROUP", uint64_t{1} << 34},
      FLAG(HAS_EXPIRE_ONLY),
      {"DIRECT_IO_ALLOW_MMAP", uint64_t{1} << 36},
      {"PASSTHROUGH", uint64_t{1} << 37},
      {"NO_EXPORT_SUPPORT", uint64_t{1} << 38},
      {"HAS_RESEND", uint64_t{1} << 39},
      {"ALLOW_IDMAP", uint64_t{1} << 40},
      {"OVER_IO_URING", uint64_t{1} << 41},
      {"REQUEST_TIMEOUT", uint64_t{1} << 42},
#undef FLAG
  };
  std::map<std::string_view, uint64_t> table;
  for (const InitFlag& flag : AllInitFlags()) table[flag.name] = flag.bit;
  EXPECT_EQ(table, expected);
}

TEST(InitFlags, AreInOrderAndHaveReasons) {
  uint64_t bit = 1;
  for (const InitFlag& flag : AllInitFlags()) {
    EXPECT_EQ(flag.bit, bit) << flag.name;
    EXPECT_GT(flag.why.size(), 10u) << flag.name;
    bit <<= 1;
  }
}

TEST(Negotiate, TakesTheRequestedPartOfTheOffer) {
  const Result<InitReply> reply = Negotiate(Kernel(45, kAll), {});
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->parameters.flags, kExpected);
  EXPECT_EQ(reply->parameters.minor, 45u);
  EXPECT_EQ(reply->parameters.max_write, 1u << 20);
  EXPECT_EQ(reply->parameters.max_pages, 256u);
  EXPECT_EQ(reply->max_readahead, 0x20000u);
  EXPECT_EQ(reply->max_background, 128);
  EXPECT_EQ(reply->congestion_threshold, 96);
}

// The kernel ends the connection if ALLOW_IDMAP comes without default_permissions. POSIX_ACL turns
// default_permissions on.
uint64_t WithoutLoneIdmap(uint64_t flags) {
  return (flags & FUSE_POSIX_ACL) != 0 ? flags : flags & ~wire::kInitAllowIdmap;
}

TEST(Negotiate, SetsNoFlagThatIsNotOffered) {
  for (int bit = 0; bit < 64; ++bit) {
    const uint64_t one = uint64_t{1} << bit;
    const Result<InitReply> only = Negotiate(Kernel(45, one), {});
    ASSERT_TRUE(only.ok());
    EXPECT_EQ(only->parameters.flags, WithoutLoneIdmap(kExpected & one)) << bit;
    const Result<InitReply> without = Negotiate(Kernel(45, ~one), {});
    ASSERT_TRUE(without.ok());
    EXPECT_EQ(without->parameters.flags, WithoutLoneIdmap(kExpected & ~one)) << bit;
  }
}

TEST(Negotiate, WritebackIsARequestedCapability) {
  RequestedCapabilities requested;
  requested.writeback_cache = true;
  EXPECT_EQ(Negotiate(Kernel(45, kAll), requested)->parameters.flags,
            kExpected | FUSE_WRITEBACK_CACHE);
  const uint64_t without = kAll & ~uint64_t{FUSE_WRITEBACK_CACHE};
  EXPECT_EQ(Negotiate(Kernel(45, without), requested)->parameters.flags, kExpected);
}

TEST(Negotiate, WithPassthroughNoRequestOnABackingFileComesWithoutTheInodesLock) {
  RequestedCapabilities requested;
  const auto flags = [&] { return Negotiate(Kernel(45, kAll), requested)->parameters.flags; };
  EXPECT_NE(flags() & FUSE_ATOMIC_O_TRUNC, 0u);
  requested.passthrough = true;
  EXPECT_EQ(flags() & (FUSE_ATOMIC_O_TRUNC | FUSE_ASYNC_DIO), 0u);
}

TEST(Negotiate, WithoutPermissionChecksNeitherAclsNorIdmapsAreNegotiated) {
  RequestedCapabilities requested;
  requested.posix_acl = false;
  EXPECT_EQ(Negotiate(Kernel(45, kAll), requested)->parameters.flags,
            kExpected & ~(FUSE_POSIX_ACL | wire::kInitAllowIdmap));
}

TEST(Negotiate, IdmappedMountsAreAllowedIfTheKernelSupportsThem) {
  EXPECT_TRUE(AllowsIdmappedMounts(Negotiate(Kernel(45, kAll), {})->parameters));
  EXPECT_FALSE(
      AllowsIdmappedMounts(Negotiate(Kernel(40, kAll & ~wire::kInitAllowIdmap), {})->parameters));
}

TEST(Negotiate, UsesTheOlderOfTheTwoMinors) {
  EXPECT_EQ(Negotiate(Kernel(31, kAll), {})->parameters.minor, 31u);
  EXPECT_EQ(Negotiate(Kernel(38, kAll), {})->parameters.minor, 38u);
  EXPECT_EQ(Negotiate(Kernel(46, kAll), {})->parameters.minor, 45u);
  EXPECT_EQ(Negotiate(Kernel(UINT32_MAX, kAll), {})->parameters.minor, 45u);
}

TEST(Negotiate, RefusesOtherMajorsAndOldKernels) {
  EXPECT_EQ(Negotiate(Kernel(30, kAll), {}).error_or_zero(), EPROTO);
  EXPECT_EQ(Negotiate(Kernel(0, kAll), {}).error_or_zero(), EPROTO);
  EXPECT_EQ(Negotiate({6, 45, 0, kAll}, {}).error_or_zero(), EPROTO);
  EXPECT_EQ(Negotiate({8, 45, 0, kAll}, {}).error_or_zero(), EPROTO);
  EXPECT_EQ(Negotiate({8, 0, 0, kAll}, {}).error_or_zero(), EPROTO);
}

TEST(Negotiate, PagesFollowTheLargestTransfer) {
  for (uint32_t size = 4096; size <= 1 << 20; size *= 2) {
    RequestedCapabilities requested;
    requested.max_read = size;
    requested.max_write = size;
    const Result<InitReply> reply = Negotiate(Kernel(45, kAll), requested);
    EXPECT_EQ(reply->parameters.max_write, size);
    EXPECT_EQ(reply->parameters.max_pages, size / 4096);
    requested.max_write = 4096;
    const Result<InitReply> small = Negotiate(Kernel(45, kAll), requested);
    EXPECT_EQ(small->parameters.max_write, 4096u);
    EXPECT_EQ(small->parameters.max_pages, size / 4096);
  }
}

TEST(Negotiate, MaxWriteIsClamped) {
  RequestedCapabilities requested;
  requested.max_write = 0;
  EXPECT_EQ(Negotiate(Kernel(45, kAll), requested)->parameters.max_write, 4096u);
  requested.max_write = UINT32_MAX;
  EXPECT_EQ(Negotiate(Kernel(45, kAll), requested)->parameters.max_write, 1u << 20);
  requested.max_write = 10'000;
  EXPECT_EQ(Negotiate(Kernel(45, kAll), requested)->parameters.max_write, 8192u);
}

TEST(Negotiate, WithoutMaxPagesRequestsAreAtMost128KiB) {
  const uint64_t offered = kAll & ~uint64_t{FUSE_MAX_PAGES};
  RequestedCapabilities requested;
  const Result<InitReply> large = Negotiate(Kernel(45, offered), requested);
  EXPECT_EQ(large->parameters.max_write, 128u << 10);
  EXPECT_EQ(large->parameters.max_pages, 32u);
  requested.max_write = 16 << 10;
  const Result<InitReply> small = Negotiate(Kernel(45, offered), requested);
  EXPECT_EQ(small->parameters.max_write, 16u << 10);
  EXPECT_EQ(small->parameters.max_pages, 32u) << "READ is not bounded by max_write";
}

TEST(Negotiate, ReadAheadIsLeftToTheKernel) {
  for (const uint32_t offered : {uint32_t{0}, uint32_t{4096}, uint32_t{8 << 20}, UINT32_MAX}) {
    EXPECT_EQ(Negotiate({7, 45, offered, kAll}, {})->max_readahead, offered);
  }
}

TEST(EncodeInit, IsAFuseInitOut) {
  InitReply reply;
  reply.parameters.minor = 39;
  reply.parameters.flags = 0x01020304'51525354;
  reply.parameters.flags |= FUSE_MAX_PAGES;
  reply.parameters.max_write = 0x00080000;
  reply.parameters.max_pages = 0x80;
  reply.max_readahead = 0x00040000;
  reply.max_background = 0x6162;
  reply.congestion_threshold = 0x7172;

  fuse_init_out expected{};
  expected.major = 7;
  expected.minor = 39;
  expected.max_readahead = 0x00040000;
  expected.flags = 0x51525354 | FUSE_MAX_PAGES;
  expected.max_background = 0x6162;
  expected.congestion_threshold = 0x7172;
  expected.max_write = 0x00080000;
  expected.time_gran = 1;
  expected.max_pages = 0x80;
  expected.flags2 = 0x01020304;

  const auto memory = std::make_unique<char[]>(kMaxFixedBody);
  std::fill_n(memory.get(), kMaxFixedBody, '\xaa');
  const size_t size = EncodeInit(reply, {memory.get(), kMaxFixedBody});
  EXPECT_EQ(std::string(memory.get(), size), BytesOf(expected));
  EXPECT_EQ(size, 64u);
}

TEST(EncodeInit, OmitsMaxPagesUnlessNegotiated) {
  const Result<InitReply> reply =
      Negotiate(Kernel(31, kAll & ~uint64_t{FUSE_MAX_PAGES}), RequestedCapabilities{});
  ASSERT_TRUE(reply.ok());
  char out[kMaxFixedBody];
  fuse_init_out init;
  ASSERT_EQ(EncodeInit(*reply, absl::MakeSpan(out)), sizeof(init));
  std::memcpy(&init, out, sizeof(init));
  EXPECT_EQ(init.max_pages, 0);
  EXPECT_EQ(init.max_write, 128u << 10);
  EXPECT_EQ(init.minor, 31u);
}

TEST(EncodeInitMajor, HasTheVersionOnly) {
  fuse_init_out expected{};
  expected.major = 7;
  expected.minor = 45;
  char out[kMaxFixedBody];
  std::fill(std::begin(out), std::end(out), '\xaa');
  const size_t size = EncodeInitMajor(absl::MakeSpan(out));
  EXPECT_EQ(std::string(out, size), BytesOf(expected));
}

}  // namespace
}  // namespace memfuse::protocol

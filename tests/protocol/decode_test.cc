#include "src/protocol/decode.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "src/protocol/opcodes.h"
#include "tests/protocol/message.h"
#include "tests/protocol/request_invariants.h"
#include "tests/protocol/sample.h"

namespace memfuse::protocol {
namespace {

// Header and body of a contiguous message, as /dev/fuse delivers it.
Result<Request> Decode(absl::Span<const char> message, const ConnectionParameters& parameters) {
  const Result<RequestHeader> header = DecodeHeader(message);
  if (!header.ok()) return header.error();
  return DecodeBody(*header, message.subspan(kRequestHeaderSize), parameters);
}

int ErrorOf(const std::string& message, const ConnectionParameters& parameters = {}) {
  const ExactBuffer buffer(message);
  return Decode(buffer.span(), parameters).error_or_zero();
}

class DecodeSampleTest : public testing::TestWithParam<Sample> {};

INSTANTIATE_TEST_SUITE_P(Opcodes, DecodeSampleTest, testing::ValuesIn(AllSamples()),
                         [](const auto& sample) { return sample.param.name; });

TEST_P(DecodeSampleTest, DecodesTheSameAtEveryAlignment) {
  const Sample& sample = GetParam();
  for (size_t misalignment = 0; misalignment < 8; ++misalignment) {
    const ExactBuffer buffer(sample.message, misalignment);
    const Result<Request> request = Decode(buffer.span(), sample.parameters);
    ASSERT_TRUE(request.ok()) << "errno " << request.error().value();
    sample.check(*request);
    EXPECT_EQ(BrokenInvariant(*DecodeHeader(buffer.span()), *request, buffer.span()), "");
  }
}

TEST_P(DecodeSampleTest, IsInvalidWhereverItIsCutShort) {
  const Sample& sample = GetParam();
  for (size_t size = 0; size < sample.message.size(); ++size) {
    const int expected = size < sample.shortest_valid ? EINVAL : 0;
    ASSERT_EQ(ErrorOf(Truncated(sample.message, size), sample.parameters), expected)
        << size << " of " << sample.message.size() << " bytes";
  }
}

TEST_P(DecodeSampleTest, LosesItsExtensionsFirst) {
  const Sample& sample = GetParam();
  const std::string body = sample.message.substr(kRequestHeaderSize);
  const std::string message = MakeMessage(sample.opcode, body + std::string(24, 'e'), 3);
  const ExactBuffer buffer(message);
  const Result<Request> request = Decode(buffer.span(), sample.parameters);
  ASSERT_TRUE(request.ok()) << "errno " << request.error().value();
  sample.check(*request);
}

TEST(DecodeSamples, CoverEveryOpcodeThatIsDecoded) {
  std::set<uint32_t> sampled;
  for (const Sample& sample : AllSamples()) sampled.insert(sample.opcode);
  std::set<uint32_t> decoded;
  for (const OpcodeInfo& info : AllOpcodes()) {
    if (info.disposition == Disposition::kServe || info.disposition == Disposition::kNoReply) {
      decoded.insert(static_cast<uint32_t>(info.opcode));
    }
  }
  EXPECT_EQ(sampled, decoded);
}

TEST(DecodeHeader, ReadsEveryField) {
  const std::string message = MakeMessage(FUSE_GETATTR, std::string(24, 'b'), 0x0102);
  const ExactBuffer buffer(message, 1);
  const Result<RequestHeader> header = DecodeHeader(buffer.span());
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->length, 64u);
  EXPECT_EQ(header->opcode, uint32_t{FUSE_GETATTR});
  EXPECT_EQ(ToInt(header->id), kUnique);
  EXPECT_EQ(ToInt(header->node), kNode);
  EXPECT_EQ(header->extensions_size, 0x0102u * 8);
  const RequestContext context = header->context();
  // The highest bit marks a request that comes again.
  static_assert(kUnique >> 63 == 1);
  EXPECT_EQ(ToInt(context.id), kUnique & ~(uint64_t{1} << 63));
  EXPECT_TRUE(context.resent);
  EXPECT_EQ(context.uid, kUid);
  EXPECT_EQ(context.gid, kGid);
  EXPECT_EQ(context.pid, kPid);
}

// FUSE_INVALID_UIDGID is no user or group ID. Each of the two IDs is checked separately.
TEST(DecodeHeader, HasNoIdsIfTheKernelOmitsThem) {
  const auto context = [](uint32_t uid, uint32_t gid) {
    const std::string message = MakeMessage(FUSE_GETATTR, std::string(24, 'b'), 0, uid, gid);
    return DecodeHeader(ExactBuffer(message).span())->context();
  };
  EXPECT_EQ(context(0xffffffff, 0xffffffff).uid, std::nullopt);
  EXPECT_EQ(context(0xffffffff, 0xffffffff).gid, std::nullopt);
  EXPECT_EQ(context(0xffffffff, 0xffffffff).pid, kPid);
  EXPECT_EQ(context(0xffffffff, 7).uid, std::nullopt);
  EXPECT_EQ(context(0xffffffff, 7).gid, 7u);
  EXPECT_EQ(context(0, 0xffffffff).uid, 0u);
  EXPECT_EQ(context(0, 0xffffffff).gid, std::nullopt);
}

TEST(DecodeHeader, HasItsOwnBytesAndNoOthers) {
  // len 40, opcode 38, unique 3, nodeid 4, uid 5, gid 6, pid 7, 8 units of extensions.
  const uint32_t words[] = {40, 38, 3, 0, 4, 0, 5, 6, 7, 8};
  const Result<RequestHeader> header =
      DecodeHeader(absl::Span<const char>(reinterpret_cast<const char*>(words), sizeof(words)));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->opcode, 38u);
  EXPECT_EQ(ToInt(header->id), 3u);
  EXPECT_EQ(ToInt(header->node), 4u);
  EXPECT_EQ(header->uid, 5u);
  EXPECT_EQ(header->gid, 6u);
  EXPECT_EQ(header->pid, 7u);
  EXPECT_EQ(header->extensions_size, 64u);
}

TEST(DecodeHeader, RequiresTheLengthThatArrived) {
  const std::string message = MakeMessage(FUSE_DESTROY, "12345678");
  for (size_t size = 0; size < message.size(); ++size) {
    const ExactBuffer cut(message.substr(0, size));
    EXPECT_EQ(DecodeHeader(cut.span()).error_or_zero(), EINVAL) << size;
  }
  const ExactBuffer longer(message + "x");
  EXPECT_EQ(DecodeHeader(longer.span()).error_or_zero(), EINVAL);
  EXPECT_TRUE(DecodeHeader(ExactBuffer(message).span()).ok());
}

TEST(DecodeBody, ExtensionsLargerThanTheBodyAreInvalid) {
  const std::string body = Terminated("name") + "123";
  ASSERT_EQ(body.size(), 8u);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_LOOKUP, body, 0)), 0);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_LOOKUP, body, 1)), EINVAL) << "the name is an extension";
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_LOOKUP, body, 2)), EINVAL);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_LOOKUP, body, 0xffff)), EINVAL);
  // The extensions may not reach into the fixed struct either.
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_FORGET, BytesOf(fuse_forget_in{}), 1)), EINVAL);
}

TEST(DecodeBody, ASlashInANameIsInvalid) {
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_LOOKUP, Terminated("a/b"))), EINVAL);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_UNLINK, Terminated("/"))), EINVAL);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_RENAME,
                                BytesOf(fuse_rename_in{}) + Terminated("a") + Terminated("b/"))),
            EINVAL);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_SYMLINK, Terminated("/") + Terminated("t"))), EINVAL);
}

TEST(DecodeBody, BytesBehindTheLastNameAreIgnored) {
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_LOOKUP, Terminated("name") + "behind")), 0);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_SYMLINK, Terminated("n") + Terminated("t") + "b")), 0);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_GETATTR, BytesOf(fuse_getattr_in{}) + "behind")), 0);
}

TEST(DecodeBody, DataMustHaveTheStatedSize) {
  fuse_write_in write{};
  write.size = 4;
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_WRITE, BytesOf(write) + "1234")), 0);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_WRITE, BytesOf(write) + "12345")), EINVAL);
  write.size = 0xffffffff;
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_WRITE, BytesOf(write) + "1234")), EINVAL);

  fuse_setxattr_in set{};
  set.size = 2;
  const std::string short_set = BytesOf(set).substr(0, FUSE_COMPAT_SETXATTR_IN_SIZE);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_SETXATTR, short_set + Terminated("user.n") + "vv")), 0);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_SETXATTR, short_set + Terminated("user.n") + "vvv")), EINVAL);

  fuse_ioctl_in ioctl{};
  ioctl.in_size = 1;
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_IOCTL, BytesOf(ioctl) + "i")), 0);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_IOCTL, BytesOf(ioctl) + "ii")), EINVAL);
}

TEST(DecodeBody, CountsOfForgetsDoNotOverflow) {
  // 2^28 entries of 16 bytes are 2^32 bytes: none, in 32-bit arithmetic.
  for (const uint32_t count : {uint32_t{1}, uint32_t{1} << 28, UINT32_MAX}) {
    fuse_batch_forget_in in{};
    in.count = count;
    EXPECT_EQ(ErrorOf(MakeMessage(FUSE_BATCH_FORGET, BytesOf(in))), EINVAL) << count;
  }
}

TEST(DecodeBody, NanosecondsBeyondASecondAreInvalidIfUsed) {
  const auto error_of = [](uint32_t valid, uint32_t fuse_setattr_in::*field) {
    fuse_setattr_in in{};
    in.valid = valid;
    in.*field = 1'000'000'000;
    return ErrorOf(MakeMessage(FUSE_SETATTR, BytesOf(in)));
  };
  EXPECT_EQ(error_of(FATTR_ATIME, &fuse_setattr_in::atimensec), EINVAL);
  EXPECT_EQ(error_of(FATTR_MTIME, &fuse_setattr_in::mtimensec), EINVAL);
  EXPECT_EQ(error_of(FATTR_CTIME, &fuse_setattr_in::ctimensec), EINVAL);
  EXPECT_EQ(error_of(FATTR_ATIME | FATTR_ATIME_NOW, &fuse_setattr_in::atimensec), 0);
  EXPECT_EQ(error_of(FATTR_MODE, &fuse_setattr_in::ctimensec), 0);
}

TEST(DecodeBody, CopyFlagsThatDoNotFitAreNotLost) {
  fuse_copy_file_range_in in{};
  in.flags = uint64_t{1} << 32;
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_COPY_FILE_RANGE, BytesOf(in))), EINVAL);
}

TEST(DecodeBody, AnInitWithExtendedFlagsMustBeLong) {
  fuse_init_in in{};
  in.major = 7;
  in.minor = 45;
  in.flags = FUSE_INIT_EXT;
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_INIT, BytesOf(in))), 0);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_INIT, BytesOf(in).substr(0, 16))), EINVAL);
}

TEST(DecodeBody, UnservedOpcodesAreUnknown) {
  const std::string body(256, '\0');
  for (uint32_t opcode = 0; opcode < 200; ++opcode) {
    const OpcodeInfo* info = FindOpcode(opcode);
    const bool served = info != nullptr && (info->disposition == Disposition::kServe ||
                                            info->disposition == Disposition::kNoReply);
    EXPECT_EQ(ErrorOf(MakeMessage(opcode, body)) == ENOSYS, !served) << opcode;
    if (!served) {
      EXPECT_EQ(ErrorOf(MakeMessage(opcode, "")), ENOSYS) << opcode;
    }
  }
  EXPECT_EQ(ErrorOf(MakeMessage(CUSE_INIT, body)), ENOSYS);
  EXPECT_EQ(ErrorOf(MakeMessage(FUSE_INIT_BSWAP_RESERVED, body)), ENOSYS);
  EXPECT_EQ(ErrorOf(MakeMessage(UINT32_MAX, body)), ENOSYS);
}

}  // namespace
}  // namespace memfuse::protocol

#include "src/transport/dispatcher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "src/base/clock.h"
#include "src/protocol/encode.h"
#include "src/protocol/opcodes.h"
#include "tests/transport/fake_filesystem.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::transport {
namespace {

class RecordingSink final : public ReplySink {
 public:
  SendStatus Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece> tail) override {
    replies.emplace_back(head.data(), head.size());
    for (const ReadSink::Piece piece : tail) replies.back().append(piece.data(), piece.size());
    return delivery;
  }

  bool gathers() const override { return takes_pieces; }

  std::vector<std::string> replies;
  bool takes_pieces = true;
  SendStatus delivery = SendStatus::kDelivered;
};

class DispatcherTest : public testing::Test {
 protected:
  void Serve(const std::string& message) { dispatcher_.Serve(message, &sink_); }

  // Dispatches `message` and returns its only reply.
  WireReply Ask(const std::string& message) {
    sink_.replies.clear();
    Serve(message);
    EXPECT_EQ(sink_.replies.size(), 1u);
    if (sink_.replies.size() != 1) return {};
    const WireReply reply = ParseReply(sink_.replies[0]);
    EXPECT_TRUE(reply.well_formed);
    return reply;
  }

  // Expects exactly one well-formed reply, or none if none is expected.
  void ExpectAnsweredRightly(const std::string& message, uint32_t opcode, uint64_t id) {
    sink_.replies.clear();
    Serve(message);
    const size_t expected = Answered(opcode) ? 1 : 0;
    ASSERT_EQ(sink_.replies.size(), expected) << "opcode " << opcode << ", " << message.size();
    if (expected == 0) return;
    const WireReply reply = ParseReply(sink_.replies[0]);
    EXPECT_TRUE(reply.well_formed) << "opcode " << opcode;
    EXPECT_EQ(reply.id, id) << "opcode " << opcode;
  }

  FakeFileSystem fs_;
  RecordingSink sink_;
  std::string buffer_ = std::string((128 << 10) + 16, 'x');
  std::vector<OperationStatistics> Statistics() const {
    std::vector<OperationStatistics> sums(protocol::kOpcodeLimit);
    statistics_->AddTo(absl::MakeSpan(sums));
    return sums;
  }
  // The errors of an operation that has answered with one error number at most.
  int64_t ErrorsOf(uint32_t opcode, int number) const {
    const OperationStatistics operation = Statistics()[opcode];
    if (operation.errors == 0) return 0;
    EXPECT_EQ(operation.error_numbers.size(), 1u) << operation.name;
    EXPECT_EQ(operation.error_numbers[0].number, number);
    EXPECT_EQ(operation.error_numbers[0].count, operation.errors);
    return static_cast<int64_t>(operation.errors);
  }

  const std::unique_ptr<RequestStatistics> statistics_ = std::make_unique<RequestStatistics>();
  Dispatcher dispatcher_{&fs_, TestParameters(), absl::MakeSpan(buffer_.data(), buffer_.size()),
                         statistics_.get()};
};

TEST_F(DispatcherTest, EveryValidRequestReachesTheFileSystemAndIsAnswered) {
  for (const std::string& message : GoodRequests(77)) {
    const uint32_t opcode = OpcodeOf(message);
    const int64_t calls = fs_.calls;
    sink_.replies.clear();
    Serve(message);
    if (opcode != FUSE_DESTROY) {
      EXPECT_GT(fs_.calls, calls) << "opcode " << opcode;
    }
    if (!Answered(opcode)) {
      EXPECT_TRUE(sink_.replies.empty()) << "opcode " << opcode;
      continue;
    }
    ASSERT_EQ(sink_.replies.size(), 1u) << "opcode " << opcode;
    const WireReply reply = ParseReply(sink_.replies[0]);
    EXPECT_TRUE(reply.well_formed) << "opcode " << opcode;
    EXPECT_EQ(reply.id, 77u) << "opcode " << opcode;
    EXPECT_EQ(reply.error, 0) << "opcode " << opcode;
  }
}

TEST_F(DispatcherTest, EveryServedOpcodeHasAValidRequestHere) {
  std::set<uint32_t> tried;
  for (const std::string& message : GoodRequests(1)) tried.insert(OpcodeOf(message));
  for (const protocol::OpcodeInfo& info : protocol::AllOpcodes()) {
    if (info.opcode == protocol::Opcode::kInit) continue;
    const bool served = info.disposition == protocol::Disposition::kServe ||
                        info.disposition == protocol::Disposition::kNoReply;
    EXPECT_EQ(tried.count(static_cast<uint32_t>(info.opcode)), served ? 1u : 0u) << info.name;
  }
}

TEST_F(DispatcherTest, ANegativeLookupMayBeCached) {
  const WireReply reply = Ask(LookupMessage(5, "missing"));
  EXPECT_EQ(reply.error, 0);
  const auto entry = reply.As<fuse_entry_out>();
  EXPECT_EQ(entry.nodeid, 0u);
  EXPECT_EQ(entry.entry_valid, kCacheForever);
}

TEST_F(DispatcherTest, XattrSizes) {
  fs_.xattr = "12345";
  EXPECT_EQ(Ask(XattrMessage(FUSE_GETXATTR, 1, 0)).As<fuse_getxattr_out>().size, 5u);
  EXPECT_EQ(Ask(XattrMessage(FUSE_GETXATTR, 1, 4)).error, ERANGE);
  EXPECT_EQ(Ask(XattrMessage(FUSE_GETXATTR, 1, 5)).body, "12345");
  EXPECT_EQ(Ask(XattrMessage(FUSE_GETXATTR, 1, 65536)).body, "12345");
  fs_.xattr = std::string(65536, 'v');
  EXPECT_EQ(Ask(XattrMessage(FUSE_GETXATTR, 1, 65536)).body, fs_.xattr);

  EXPECT_EQ(Ask(XattrMessage(FUSE_LISTXATTR, 1, 0)).As<fuse_getxattr_out>().size, 14u);
  EXPECT_EQ(Ask(XattrMessage(FUSE_LISTXATTR, 1, 13)).error, ERANGE);
  EXPECT_EQ(Ask(XattrMessage(FUSE_LISTXATTR, 1, 14)).body, fs_.xattr_list);
  fs_.xattr_list = std::string(65537, 'l');
  EXPECT_EQ(Ask(XattrMessage(FUSE_LISTXATTR, 1, 100)).error, ERANGE);
  EXPECT_EQ(Ask(XattrMessage(FUSE_LISTXATTR, 1, 65536)).error, E2BIG);
}

TEST_F(DispatcherTest, AnEmptyXattrOrListIsAnEmptyReply) {
  fs_.xattr = "";
  fs_.xattr_list = "";
  EXPECT_EQ(Ask(XattrMessage(FUSE_GETXATTR, 1, 10)).body, "");
  EXPECT_EQ(Ask(XattrMessage(FUSE_LISTXATTR, 1, 10)).body, "");
}

TEST_F(DispatcherTest, ReadsAreBoundedByTheCallerAndByTheBuffer) {
  EXPECT_EQ(Ask(ReadMessage(FUSE_READ, 1, 1000)).body, std::string(1000, 'r'));
  EXPECT_EQ(Ask(ReadMessage(FUSE_READ, 1, 0)).body, "");
  EXPECT_EQ(Ask(ReadMessage(FUSE_READ, 1, 0xffffffff)).body, std::string(128 << 10, 'r'));
}

TEST_F(DispatcherTest, AReadMayBeSentWithoutCopying) {
  const std::string data(5000, 'd');
  fs_.on_read = [&](const ReadRequest&, ReadSink* sink) -> Result<size_t> {
    EXPECT_TRUE(sink->gathers());
    EXPECT_EQ(sink->buffer().size(), 10000u);
    const ReadSink::Piece pieces[] = {absl::MakeConstSpan(data), absl::MakeConstSpan("xyz", 3)};
    sink->Send(pieces);
    return size_t{5003};
  };
  const WireReply reply = Ask(ReadMessage(FUSE_READ, 1, 10000));
  EXPECT_EQ(reply.error, 0);
  EXPECT_EQ(reply.body, data + "xyz");
  sink_.takes_pieces = false;
  fs_.on_read = [&](const ReadRequest&, ReadSink* sink) -> Result<size_t> {
    EXPECT_FALSE(sink->gathers());
    return size_t{0};
  };
  EXPECT_EQ(Ask(ReadMessage(FUSE_READ, 1, 10000)).body, "");
}

TEST_F(DispatcherTest, DataThatWasSentIsTheOnlyReplyToARead) {
  const auto send = [](ReadSink* sink) {
    const ReadSink::Piece piece("sent", 4);
    sink->Send(absl::MakeConstSpan(&piece, 1));
  };
  const auto answer = [&] { return Ask(ReadMessage(FUSE_READ, 1, 10000)); };
  fs_.on_read = [&](const ReadRequest&, ReadSink* sink) -> Result<size_t> {
    send(sink);
    return Errno(EISDIR);
  };
  EXPECT_EQ(answer().body, "sent");
  fs_.on_read = [&](const ReadRequest&, ReadSink* sink) -> Result<size_t> {
    send(sink);
    send(sink);
    return size_t{1 << 30};
  };
  EXPECT_EQ(answer().body, "sent");
  fs_.on_read = [&](const ReadRequest&, ReadSink* sink) -> Result<size_t> {
    send(sink);
    throw std::bad_alloc();
  };
  EXPECT_EQ(answer().body, "sent");
}

TEST_F(DispatcherTest, ExcessDataIsAnIoErrorAlsoInPieces) {
  fs_.on_read = [](const ReadRequest&, ReadSink* sink) -> Result<size_t> {
    const ReadSink::Piece piece("four", 4);
    sink->Send(absl::MakeConstSpan(&piece, 1));
    return size_t{4};
  };
  EXPECT_EQ(Ask(ReadMessage(FUSE_READ, 1, 3)).error, EIO);
  fs_.on_read = [](const ReadRequest&, ReadSink* sink) -> Result<size_t> {
    const std::vector<ReadSink::Piece> pieces(ReadSink::kMaxPieces + 1, ReadSink::Piece("x", 1));
    sink->Send(pieces);
    return pieces.size();
  };
  EXPECT_EQ(Ask(ReadMessage(FUSE_READ, 1, 10000)).error, EIO);
}

TEST_F(DispatcherTest, RefusedPiecesAreAnIoError) {
  const std::string data(5000, 'd');
  fs_.on_read = [&](const ReadRequest&, ReadSink* sink) -> Result<size_t> {
    const ReadSink::Piece piece(data);
    sink->Send(absl::MakeConstSpan(&piece, 1));
    return data.size();
  };
  sink_.delivery = SendStatus::kRefused;
  Serve(ReadMessage(FUSE_READ, 9, 10000));
  ASSERT_EQ(sink_.replies.size(), 2u);
  EXPECT_EQ(ParseReply(sink_.replies[1]).id, 9u);
  EXPECT_EQ(ParseReply(sink_.replies[1]).error, EIO);
}

TEST_F(DispatcherTest, AWriteIsAnsweredWithItsCount) {
  const std::string data = std::string(50'000, 'a') + "end";
  const std::string message = WriteMessage(5, data);
  std::string got;
  fs_.on_write = [&](const WriteRequest& request) -> Result<size_t> {
    got.assign(request.data.begin(), request.data.end());
    return got.size();
  };
  EXPECT_EQ(Ask(message).As<fuse_write_out>().size, data.size());
  EXPECT_EQ(got, data);
  fs_.on_write = [](const WriteRequest&) -> Result<size_t> { return size_t{7}; };
  EXPECT_EQ(Ask(message).As<fuse_write_out>().size, 7u);
  fs_.on_write = [&](const WriteRequest&) -> Result<size_t> { return data.size() + 1; };
  EXPECT_EQ(Ask(message).error, EIO);
}

TEST_F(DispatcherTest, ListingsAreBoundedByTheCallerAndByTheBuffer) {
  for (const uint32_t opcode : {FUSE_READDIR, FUSE_READDIRPLUS}) {
    EXPECT_LE(Ask(ReadMessage(opcode, 1, 300)).body.size(), 300u);
    EXPECT_EQ(Ask(ReadMessage(opcode, 1, 0)).body, "");
    EXPECT_GT(Ask(ReadMessage(opcode, 1, 0xffffffff)).body.size(), 400u);
  }
}

TEST_F(DispatcherTest, IoctlOutputIsBounded) {
  fuse_ioctl_in in = {};
  in.out_size = 8;
  fs_.ioctl_output = "12345678";
  EXPECT_EQ(Ask(Message(FUSE_IOCTL, 1, Bytes(in))).body.substr(sizeof(fuse_ioctl_out)), "12345678");
  fs_.ioctl_output = "123456789";
  EXPECT_EQ(Ask(Message(FUSE_IOCTL, 1, Bytes(in))).error, EIO);
  in.out_size = 100000;
  fs_.ioctl_output = std::string(100000, 'o');
  EXPECT_EQ(Ask(Message(FUSE_IOCTL, 1, Bytes(in))).body.substr(sizeof(fuse_ioctl_out)),
            fs_.ioctl_output);
}

TEST_F(DispatcherTest, ANarrowCopyIsLimitedToItsReplyField) {
  fuse_copy_file_range_in in = {};
  in.len = uint64_t{1} << 40;
  const uint32_t narrow =
      Ask(Message(FUSE_COPY_FILE_RANGE, 1, Bytes(in))).As<fuse_write_out>().size;
  EXPECT_GT(narrow, uint32_t{1} << 31);
  EXPECT_EQ(Ask(Message(53, 1, Bytes(in))).As<uint64_t>(), uint64_t{1} << 40);
}

TEST_F(DispatcherTest, UnknownAndRefusedOpcodesAreNotSupported) {
  for (const uint32_t opcode : {0u, 7u, 19u, 54u, 63u, 64u, 4096u, 0xffffffffu}) {
    EXPECT_EQ(Ask(Message(opcode, 9, "whatever")).error, ENOSYS) << opcode;
  }
  for (const uint32_t opcode : {FUSE_INTERRUPT, FUSE_GETLK, FUSE_BMAP, FUSE_POLL, FUSE_SYNCFS}) {
    EXPECT_EQ(Ask(Message(opcode, 9, std::string(64, '\0'))).error, ENOSYS) << opcode;
  }
}

TEST_F(DispatcherTest, ASecondInitIsRefused) {
  EXPECT_EQ(Ask(InitMessage(1, 7, 45, 0)).error, EIO);
}

TEST_F(DispatcherTest, MalformedRequestsAreInvalid) {
  EXPECT_EQ(Ask(Message(FUSE_LOOKUP, 3, "no end")).error, EINVAL);
  EXPECT_EQ(Ask(Message(FUSE_OPEN, 3, "")).error, EINVAL);
  // The length field is wrong.
  EXPECT_EQ(Ask(GetattrMessage(3) + "more").error, EINVAL);
}

TEST_F(DispatcherTest, TruncatedAtEveryLength) {
  for (const std::string& message : GoodRequests(88)) {
    for (size_t size = 0; size < message.size(); ++size) {
      const std::string cut = message.substr(0, size);
      if (size < sizeof(fuse_in_header)) {
        // Without a complete header there is no request to reply to.
        sink_.replies.clear();
        Serve(cut);
        Serve(WithHonestLength(cut));
        EXPECT_TRUE(sink_.replies.empty());
        continue;
      }
      ExpectAnsweredRightly(cut, OpcodeOf(message), 88);
      ExpectAnsweredRightly(WithHonestLength(cut), OpcodeOf(message), 88);
    }
  }
  EXPECT_EQ(Ask(GetattrMessage(1)).error, 0);
}

TEST_F(DispatcherTest, RandomBodiesForEveryOpcode) {
  std::mt19937 random(20240229);
  for (uint32_t opcode = 0; opcode < 80; ++opcode) {
    for (int i = 0; i < 300; ++i) {
      std::string body(random() % 200, '\0');
      for (char& byte : body) byte = static_cast<char>(random() % 3 == 0 ? 0 : random());
      ExpectAnsweredRightly(Message(opcode, i, body, random()), opcode, static_cast<uint64_t>(i));
    }
  }
  EXPECT_EQ(Ask(GetattrMessage(1)).error, 0);
}

TEST_F(DispatcherTest, OutOfMemoryIsAnError) {
  fs_.on_call = [] { throw std::bad_alloc(); };
  for (const std::string& message : GoodRequests(4)) {
    const uint32_t opcode = OpcodeOf(message);
    if (opcode == FUSE_DESTROY) continue;
    sink_.replies.clear();
    Serve(message);
    if (!Answered(opcode)) {
      EXPECT_TRUE(sink_.replies.empty());
      continue;
    }
    ASSERT_EQ(sink_.replies.size(), 1u);
    EXPECT_EQ(ParseReply(sink_.replies[0]).error, ENOMEM) << "opcode " << opcode;
  }
}

TEST_F(DispatcherTest, OtherExceptionsAreIoErrors) {
  fs_.on_call = [] { throw std::runtime_error("oops"); };
  EXPECT_EQ(Ask(GetattrMessage(1)).error, EIO);
  fs_.on_call = [] { throw 42; };
  EXPECT_EQ(Ask(GetattrMessage(1)).error, EIO);
  fs_.on_call = [] {};
  EXPECT_EQ(Ask(GetattrMessage(1)).error, 0);
}

TEST_F(DispatcherTest, LookupsAndOpensOfUndeliveredRepliesAreReleased) {
  for (const SendStatus delivery : {SendStatus::kAbandoned, SendStatus::kRefused}) {
    sink_.delivery = delivery;
    for (const std::string& message : GoodRequests(6)) {
      const uint32_t opcode = OpcodeOf(message);
      // These requests release lookups or opens themselves.
      if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_RELEASE ||
          opcode == FUSE_RELEASEDIR) {
        continue;
      }
      Serve(message);
      EXPECT_EQ(fs_.lookups, 0) << "opcode " << opcode;
      EXPECT_EQ(fs_.opens, 0) << "opcode " << opcode;
      EXPECT_EQ(fs_.directory_opens, 0) << "opcode " << opcode;
    }
  }
  // LOOKUP, SYMLINK, MKNOD, MKDIR, LINK, CREATE, TMPFILE, and the whole listing but ".".
  EXPECT_EQ(fs_.given_back, 2 * (7 + static_cast<int64_t>(FakeFileSystem::kEntries) - 1));
}

TEST_F(DispatcherTest, LookupsAndOpensOfDeliveredRepliesAreKept) {
  Ask(LookupMessage(1, "name"));
  Ask(ReadMessage(FUSE_READDIRPLUS, 1, 65536));
  EXPECT_EQ(fs_.lookups, static_cast<int64_t>(FakeFileSystem::kEntries));
  EXPECT_EQ(fs_.given_back, 0);
}

TEST_F(DispatcherTest, AFailedListingReleasesItsLookups) {
  fs_.readdir_error = EIO;
  EXPECT_EQ(Ask(ReadMessage(FUSE_READDIRPLUS, 1, 65536)).error, EIO);
  EXPECT_EQ(fs_.lookups, 0);
}

TEST_F(DispatcherTest, ARefusedReplyIsFollowedByAnError) {
  sink_.delivery = SendStatus::kRefused;
  Serve(GetattrMessage(12));
  ASSERT_EQ(sink_.replies.size(), 2u);
  const WireReply second = ParseReply(sink_.replies[1]);
  EXPECT_EQ(second.id, 12u);
  EXPECT_EQ(second.error, EIO);
}

TEST_F(DispatcherTest, CountsByOpcode) {
  for (int i = 0; i < 3; ++i) Serve(GetattrMessage(1));
  Serve(Message(FUSE_FORGET, 1, Bytes(fuse_forget_in{1})));
  Serve(Message(1000, 1, ""));
  Serve(std::string(20, 'x'));  // has no header
  const std::vector<OperationStatistics> sums = Statistics();
  EXPECT_EQ(sums[FUSE_GETATTR].requests, 3u);
  EXPECT_EQ(sums[FUSE_GETATTR].latency.total(), 3u);
  EXPECT_EQ(sums[FUSE_GETATTR].errors, 0u);
  EXPECT_EQ(sums[FUSE_FORGET].requests, 1u);
  EXPECT_EQ(sums[FUSE_FORGET].latency.total(), 1u);
  EXPECT_EQ(ErrorsOf(0, ENOSYS), 1);
  EXPECT_EQ(statistics_->total(), 5u);
}

TEST_F(DispatcherTest, ARequestIsCountedBeforeItsAnswer) {
  uint64_t counted = 0;
  uint64_t finished = 1;
  fs_.on_call = [&] {
    counted = Statistics()[FUSE_GETATTR].requests;
    finished = Statistics()[FUSE_GETATTR].latency.total();
  };
  Serve(GetattrMessage(1));
  EXPECT_EQ(counted, 1u);
  EXPECT_EQ(finished, 0u);
}

TEST_F(DispatcherTest, TheLatencyIsThatOfTheFileSystem) {
  constexpr uint64_t kNanoseconds = 3'000'000;
  fs_.on_call = [] {
    const uint64_t begin = base::MonotonicNanoseconds();
    while (base::MonotonicNanoseconds() - begin < kNanoseconds) {
    }
  };
  Serve(GetattrMessage(1));
  EXPECT_GE(Statistics()[FUSE_GETATTR].latency.sum_nanoseconds, kNanoseconds);
  std::vector<RecentRequest> recent;
  statistics_->recent().AppendTo(&recent);
  ASSERT_EQ(recent.size(), 1u);
  EXPECT_EQ(recent[0].latency_nanoseconds, Statistics()[FUSE_GETATTR].latency.sum_nanoseconds);
  EXPECT_LE(recent[0].start_nanoseconds + recent[0].latency_nanoseconds,
            base::MonotonicNanoseconds());
}

TEST_F(DispatcherTest, ErrorsAreCounted) {
  // The answer to LOOKUP of a missing name is no error.
  Serve(LookupMessage(1, "missing"));
  Serve(LookupMessage(1, "name"));
  EXPECT_EQ(ErrorsOf(FUSE_LOOKUP, ENOENT), 1);
  Serve(XattrMessage(FUSE_GETXATTR, 1, 1));
  EXPECT_EQ(ErrorsOf(FUSE_GETXATTR, ERANGE), 1);
  Serve(Message(FUSE_GETATTR, 1, ""));
  EXPECT_EQ(ErrorsOf(FUSE_GETATTR, EINVAL), 1) << "malformed";
  fs_.on_call = [] { throw std::bad_alloc(); };
  Serve(Message(FUSE_STATFS, 1, ""));
  EXPECT_EQ(ErrorsOf(FUSE_STATFS, ENOMEM), 1);
  fs_.on_call = [] {};
  sink_.delivery = SendStatus::kRefused;
  Serve(WriteMessage(1, "data"));
  EXPECT_EQ(ErrorsOf(FUSE_WRITE, EIO), 1) << "the kernel refused the reply";
  EXPECT_EQ(Statistics()[FUSE_WRITE].bytes, 0u);
}

TEST_F(DispatcherTest, BytesOfFileDataAreCounted) {
  Serve(ReadMessage(FUSE_READ, 1, 1000));
  EXPECT_EQ(Statistics()[FUSE_READ].bytes, 1000u);
  fs_.on_read = [](const ReadRequest&, ReadSink* sink) -> Result<size_t> {
    const ReadSink::Piece pieces[] = {{"four", 4}, {"xyz", 3}};
    sink->Send(pieces);
    return size_t{7};
  };
  Serve(ReadMessage(FUSE_READ, 1, 1000));
  EXPECT_EQ(Statistics()[FUSE_READ].bytes, 1007u);
  fs_.on_read = [](const ReadRequest&, ReadSink*) -> Result<size_t> { return Errno(EBADF); };
  Serve(ReadMessage(FUSE_READ, 1, 1000));
  EXPECT_EQ(Statistics()[FUSE_READ].bytes, 1007u);
  fs_.on_write = [](const WriteRequest&) -> Result<size_t> { return size_t{7}; };
  Serve(WriteMessage(1, "more than seven"));
  EXPECT_EQ(Statistics()[FUSE_WRITE].bytes, 7u);
  fuse_copy_file_range_in copy = {};
  copy.len = 12345;
  Serve(Message(FUSE_COPY_FILE_RANGE, 1, Bytes(copy)));
  EXPECT_EQ(Statistics()[FUSE_COPY_FILE_RANGE].bytes, 12345u);
  Serve(ReadMessage(FUSE_READDIR, 1, 1000));
  EXPECT_EQ(Statistics()[FUSE_READDIR].bytes, 0u) << "names are no file data";
}

TEST_F(DispatcherTest, RecentRequestsNameInodeAndCaller) {
  Serve(LookupMessage(1, "missing"));
  Serve(GetattrMessage(2));
  std::vector<RecentRequest> recent;
  statistics_->recent().AppendTo(&recent);
  ASSERT_EQ(recent.size(), 2u);
  EXPECT_EQ(recent[0].opcode, uint32_t{FUSE_LOOKUP});
  EXPECT_EQ(recent[0].error, ENOENT);
  fuse_in_header header;
  const std::string message = GetattrMessage(2);
  std::memcpy(&header, message.data(), sizeof(header));
  EXPECT_EQ(recent[1].opcode, uint32_t{FUSE_GETATTR});
  EXPECT_EQ(recent[1].error, 0);
  EXPECT_EQ(recent[1].ino, InodeNumber{header.nodeid});
  EXPECT_EQ(recent[1].uid, header.uid);
  EXPECT_EQ(recent[1].pid, header.pid);
}

TEST_F(DispatcherTest, ServesWithoutStatistics) {
  Dispatcher uncounted(&fs_, TestParameters(), absl::MakeSpan(buffer_.data(), buffer_.size()),
                       nullptr);
  uncounted.Serve(GetattrMessage(3), &sink_);
  ASSERT_EQ(sink_.replies.size(), 1u);
  EXPECT_EQ(ParseReply(sink_.replies[0]).error, 0);
  EXPECT_EQ(statistics_->total(), 0u);
}

TEST(ReplyTest, ADroppedReplyIsAnIoError) {
  RecordingSink sink;
  char buffer[protocol::kReplyHeaderSize + protocol::kMaxFixedBody];
  { Reply reply(RequestId{41}, absl::MakeSpan(buffer), &sink); }
  ASSERT_EQ(sink.replies.size(), 1u);
  EXPECT_EQ(ParseReply(sink.replies[0]).id, 41u);
  EXPECT_EQ(ParseReply(sink.replies[0]).error, EIO);
}

TEST(ReplyTest, OnlyTheFirstReplyIsSent) {
  RecordingSink sink;
  char buffer[protocol::kReplyHeaderSize + protocol::kMaxFixedBody];
  {
    Reply reply(RequestId{41}, absl::MakeSpan(buffer), &sink);
    EXPECT_FALSE(reply.answered());
    EXPECT_EQ(reply.Success(0, "abc"), SendStatus::kDelivered);
    EXPECT_TRUE(reply.answered());
    EXPECT_EQ(reply.Error(Errno(EPERM)), SendStatus::kDelivered);
    EXPECT_EQ(reply.Success(), SendStatus::kDelivered);
  }
  ASSERT_EQ(sink.replies.size(), 1u);
  EXPECT_EQ(ParseReply(sink.replies[0]).body, "abc");
}

TEST(ReplyTest, ATailOfAnySizeFollowsTheBody) {
  RecordingSink sink;
  char buffer[protocol::kReplyHeaderSize + protocol::kMaxFixedBody];
  for (const size_t size : {0, 1, 508, 509, 4096, 4097, 70000}) {
    Reply reply(RequestId{1}, absl::MakeSpan(buffer), &sink);
    std::memcpy(reply.body().data(), "body", 4);
    reply.Success(4, std::string(size, 't'));
    EXPECT_TRUE(ParseReply(sink.replies.back()).well_formed);
    EXPECT_EQ(ParseReply(sink.replies.back()).body, "body" + std::string(size, 't'));
  }
}

// Remembers what the dispatcher tells about requests.
class RequestFileSystem final : public FakeFileSystem {
 public:
  void InRequest(const RequestContext& context, absl::FunctionRef<void()> serve) override {
    requests.push_back(context);
    inside = true;
    serve();
    inside = false;
  }
  Result<AttributesResult> Getattr(const RequestContext& context,
                                   const GetattrRequest& request) override {
    EXPECT_TRUE(inside);
    EXPECT_EQ(context.id, requests.back().id);
    return FakeFileSystem::Getattr(context, request);
  }
  void Forget(const ForgetRequest& request) override {
    EXPECT_TRUE(inside);
    forgets.push_back(request);
  }
  uint32_t ForgetsDone(const RequestContext& context) override {
    EXPECT_TRUE(context.resent);
    return done;
  }

  uint32_t LookupsGiven(const RequestContext& context) override {
    EXPECT_TRUE(context.resent);
    return given;
  }

  std::vector<RequestContext> requests;
  std::vector<ForgetRequest> forgets;
  uint32_t done = 0;
  uint32_t given = 0;
  bool inside = false;
};

class ResentRequestTest : public testing::Test {
 protected:
  class Sink final : public ReplySink {
   public:
    SendStatus Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece>) override {
      reply.assign(head.data(), head.size());
      return SendStatus::kDelivered;
    }
    void NoteCarriedOut() override { ++carried_out; }
    std::string reply;
    int carried_out = 0;
  };

  // A message with three forgets.
  static std::string ThreeForgets(uint64_t id) {
    fuse_batch_forget_in in = {};
    in.count = 3;
    std::string body = Bytes(in);
    for (uint64_t i = 0; i < 3; ++i) body += Bytes(fuse_forget_one{100 + i, 1});
    return Message(FUSE_BATCH_FORGET, id, body);
  }

  RequestFileSystem fs_;
  Sink sink_;
  std::string buffer_ = std::string((128 << 10) + 16, 'x');
  Dispatcher dispatcher_{&fs_, TestParameters(), absl::MakeSpan(buffer_), nullptr};
};

TEST_F(ResentRequestTest, TheHighestBitOfTheNumberMarksIt) {
  for (const uint64_t bit : {uint64_t{0}, uint64_t{1} << 63}) {
    dispatcher_.Serve(GetattrMessage(42 | bit), &sink_);
    ASSERT_FALSE(fs_.requests.empty());
    EXPECT_EQ(ToInt(fs_.requests.back().id), 42u);
    EXPECT_EQ(fs_.requests.back().resent, bit != 0);
    EXPECT_EQ(ParseReply(sink_.reply).id, 42 | bit) << "the kernel looks for the whole number";
  }
  EXPECT_EQ(sink_.carried_out, 0) << "the kernel sends a request with a reply again";
}

TEST_F(ResentRequestTest, AForgetIsCarriedOutAndNoted) {
  dispatcher_.Serve(ThreeForgets(8), &sink_);
  ASSERT_EQ(fs_.forgets.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(ToInt(fs_.forgets[i].ino), 100 + i);
    EXPECT_EQ(fs_.forgets[i].position, i);
  }
  EXPECT_EQ(sink_.carried_out, 1);
  EXPECT_FALSE(fs_.requests.back().resent);
}

TEST_F(ResentRequestTest, ASuccessorCarriesOutTheRestOfAForget) {
  for (uint32_t done = 0; done <= 3; ++done) {
    fs_.forgets.clear();
    fs_.done = done;
    dispatcher_.ServeAgain(ThreeForgets(8), &sink_);
    EXPECT_EQ(fs_.forgets.size(), 3 - done);
    if (done < 3) {
      EXPECT_EQ(ToInt(fs_.forgets[0].ino), 100 + done);
    }
    EXPECT_TRUE(fs_.requests.back().resent);
    EXPECT_FALSE(fs_.requests.back().expects_reply);
    EXPECT_GE(sink_.carried_out, 1);
  }
}

TEST_F(ResentRequestTest, TheLookupsOfAListingAreReturnedFirst) {
  fs_.given = 2;
  uint64_t listed_request = 7;
  Inheritance inheritance;
  inheritance.lookups = {
      {7, {{InodeNumber{11}, InodeNumber{12}, InodeNumber{13}}, &listed_request}}};
  dispatcher_.UseInheritance(&inheritance);
  for (const uint64_t id : {uint64_t{7}, uint64_t{8} | uint64_t{1} << 63}) {
    dispatcher_.Serve(ReadMessage(FUSE_READDIRPLUS, id, 4096), &sink_);
    EXPECT_TRUE(fs_.forgets.empty()) << "a new request, and one without a list";
  }
  dispatcher_.Serve(ReadMessage(FUSE_READDIRPLUS, 7 | uint64_t{1} << 63, 4096), &sink_);
  ASSERT_EQ(fs_.forgets.size(), 2u);
  EXPECT_EQ(ToInt(fs_.forgets[0].ino), 12u);
  EXPECT_EQ(*fs_.forgets[0].position + 1, 1u);
  EXPECT_EQ(ToInt(fs_.forgets[1].ino), 11u);
  EXPECT_EQ(*fs_.forgets[1].position + 1, 0u);
  EXPECT_EQ(listed_request, 0u) << "the old list does not count any more";
  EXPECT_EQ(ParseReply(sink_.reply).error, 0);
}

TEST_F(ResentRequestTest, IsRefusedIfTwoServersHaveCrashed) {
  constexpr uint64_t kResent = uint64_t{1} << 63;
  Inheritance inheritance;
  inheritance.refused = {42};
  uint64_t listed_request = 42;
  inheritance.lookups = {{42, {{InodeNumber{11}, InodeNumber{12}}, &listed_request}}};
  dispatcher_.UseInheritance(&inheritance);
  for (const uint64_t id : {uint64_t{42}, 43 | kResent}) {
    dispatcher_.Serve(GetattrMessage(id), &sink_);
    EXPECT_EQ(ParseReply(sink_.reply).error, 0) << "a new request with this number, and another";
  }
  const int64_t calls = fs_.calls;
  dispatcher_.Serve(GetattrMessage(42 | kResent), &sink_);
  EXPECT_EQ(ParseReply(sink_.reply).error, EIO);
  EXPECT_EQ(ParseReply(sink_.reply).id, 42 | kResent);
  EXPECT_TRUE(fs_.forgets.empty());
  fs_.given = 1;
  dispatcher_.Serve(ReadMessage(FUSE_READDIRPLUS, 42 | kResent, 4096), &sink_);
  EXPECT_EQ(ParseReply(sink_.reply).error, EIO);
  EXPECT_EQ(fs_.calls, calls) << "the file system was asked";
  ASSERT_EQ(fs_.forgets.size(), 1u) << "the lookups of the listing";
  EXPECT_EQ(ToInt(fs_.forgets[0].ino), 11u);
}

TEST_F(ResentRequestTest, AReadOnlyServerRefusesChanges) {
  Inheritance inheritance;
  inheritance.read_only = true;
  dispatcher_.UseInheritance(&inheritance);
  std::set<int> refused;
  for (const std::string& message : GoodRequests(5)) {
    const uint32_t opcode = OpcodeOf(message);
    if (!ExpectsReply(opcode)) continue;
    dispatcher_.Serve(message, &sink_);
    if (ParseReply(sink_.reply).error == EROFS) refused.insert(static_cast<int>(opcode));
  }
  EXPECT_THAT(refused, testing::UnorderedElementsAre(
                           FUSE_SETATTR, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR, FUSE_UNLINK,
                           FUSE_RMDIR, FUSE_RENAME, FUSE_RENAME2, FUSE_LINK, FUSE_CREATE,
                           FUSE_TMPFILE, FUSE_WRITE, FUSE_FALLOCATE, FUSE_COPY_FILE_RANGE,
                           53 /* COPY_FILE_RANGE_64 */, FUSE_SETXATTR, FUSE_REMOVEXATTR));
  const auto control = [&](uint32_t command) {
    fuse_ioctl_in in = {};
    in.cmd = command;
    in.in_size = 4;
    dispatcher_.Serve(Message(FUSE_IOCTL, 6, Bytes(in) + std::string(4, '\0')), &sink_);
    return ParseReply(sink_.reply).error;
  };
  EXPECT_EQ(control(FS_IOC_GETFLAGS), 0);
  EXPECT_EQ(control(FS_IOC_SETFLAGS), EROFS);
  EXPECT_EQ(control(_IOWR('f', 22, char[9])), 0) << "asks for something";
  fuse_write_in write = {};
  write.size = 4;
  write.write_flags = FUSE_WRITE_CACHE;
  dispatcher_.Serve(Message(FUSE_WRITE, 6, Bytes(write) + "data"), &sink_);
  EXPECT_EQ(ParseReply(sink_.reply).error, 0) << "the program was told that it is stored";
  const auto open = [&](uint32_t flags) {
    fuse_open_in in = {};
    in.flags = flags;
    dispatcher_.Serve(Message(FUSE_OPEN, 6, Bytes(in)), &sink_);
    return ParseReply(sink_.reply).error;
  };
  EXPECT_EQ(open(O_RDONLY), 0);
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC}) {
    EXPECT_EQ(open(static_cast<uint32_t>(flags)), EROFS) << flags;
  }
}

TEST_F(ResentRequestTest, ASuccessorCarriesOutNothingElse) {
  const std::string damaged = ThreeForgets(8).substr(0, 60);
  for (const std::string& message : {std::string(), std::string("x"), GetattrMessage(1), damaged}) {
    dispatcher_.ServeAgain(message, &sink_);
  }
  EXPECT_EQ(sink_.carried_out, 0);
  EXPECT_TRUE(fs_.forgets.empty());
  EXPECT_EQ(fs_.calls, 0);
}

}  // namespace
}  // namespace memfuse::transport

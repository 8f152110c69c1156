#include "src/transport/operations.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>

#include "absl/types/span.h"
#include "src/protocol/encode.h"

namespace memfuse::transport {
namespace {

// XATTR_LIST_MAX of <linux/limits.h>: the largest list that a caller can receive.
constexpr uint32_t kMaxXattrList = 64 << 10;

// Records the inodes on which a listing gives a lookup. The encoded bytes in the buffer do not
// serve for that.
class RecordingSink final : public DirectorySink {
 public:
  RecordingSink(protocol::DirectoryBuffer* buffer, LookupList* listed)
      : buffer_(*buffer), listed_(*listed) {}

  bool HasRoomFor(std::string_view name) const override { return buffer_.HasRoomFor(name); }

  void WillGiveLookup(InodeNumber ino) override { listed_.SetNext(ino); }

  void Add(const DirectoryEntry& entry) override {
    buffer_.Add(entry);
    if (entry.entry != nullptr && entry.entry->ino != kNoInode) {
      listed_.SetNext(entry.entry->ino);
      listed_.Add();
    }
  }

 private:
  protocol::DirectoryBuffer& buffer_;
  LookupList& listed_;
};

// Answers a READ, from the reply's buffer or from the memory that holds the data.
class ReplyingSink final : public ReadSink {
 public:
  ReplyingSink(Reply* reply, absl::Span<char> buffer) : reply_(*reply), buffer_(buffer) {}

  absl::Span<char> buffer() override { return buffer_; }
  bool gathers() const override { return reply_.gathers(); }
  void Send(absl::Span<const Piece> pieces) override {
    size_t size = 0;
    for (const Piece piece : pieces) size += piece.size();
    if (size > buffer_.size() || pieces.size() > kMaxPieces) {
      reply_.Error(Errno(EIO));
    } else {
      reply_.NoteBytes(size);
      reply_.SuccessFrom(pieces);
    }
  }

 private:
  Reply& reply_;
  const absl::Span<char> buffer_;
};

// A visitor of protocol::Request: one function for each type of request.
class Operation {
 public:
  Operation(FileSystem* fs, const RequestContext& context, Reply* reply, LookupList* listed,
            const LeftLookupsByRequest* left)
      : fs_(*fs), context_(context), reply_(reply), listed_(listed), left_(left) {}

  // ---- Names ----

  void operator()(const LookupRequest& request) {
    const Result<Entry> result = fs_.Lookup(context_, request);
    if (!result.ok() && result.error() == ENOENT) {
      // Every change goes through the kernel that asks, so it may cache the absence of the name.
      reply_->NoteError(result.error());
      Succeed(protocol::NegativeEntry{kCacheForever});
    } else {
      AnswerEntry(result);
    }
  }
  void operator()(const ForgetRequest& request) {
    if (ForgetsDone() == 0) ForgetOne(request, 0);
  }
  void operator()(const protocol::BatchForgetRequest& request) {
    for (uint32_t i = ForgetsDone(); i < request.count; ++i) ForgetOne(request.At(i), i);
  }
  void operator()(const SymlinkRequest& request) { AnswerEntry(fs_.Symlink(context_, request)); }
  void operator()(const MknodRequest& request) { AnswerEntry(fs_.Mknod(context_, request)); }
  void operator()(const MkdirRequest& request) { AnswerEntry(fs_.Mkdir(context_, request)); }
  void operator()(const LinkRequest& request) { AnswerEntry(fs_.Link(context_, request)); }
  void operator()(const CreateRequest& request) {
    AnswerCreate(fs_.Create(context_, request), request.flags);
  }
  void operator()(const protocol::TmpfileRequest& request) {
    AnswerCreate(fs_.Tmpfile(context_, request.create), request.create.flags);
  }
  void operator()(const UnlinkRequest& request) { Answer(fs_.Unlink(context_, request)); }
  void operator()(const RmdirRequest& request) { Answer(fs_.Rmdir(context_, request)); }
  void operator()(const RenameRequest& request) { Answer(fs_.Rename(context_, request)); }

  // ---- Attributes ----

  void operator()(const GetattrRequest& request) { Answer(fs_.Getattr(context_, request)); }
  void operator()(const SetattrRequest& request) { Answer(fs_.Setattr(context_, request)); }
  void operator()(const StatxRequest& request) { Answer(fs_.Statx(context_, request)); }
  void operator()(const ReadlinkRequest& request) {
    const Result<std::string> result = fs_.Readlink(context_, request);
    if (result.ok()) {
      reply_->Success(0, *result);
    } else {
      reply_->Error(result.error());
    }
  }
  void operator()(const AccessRequest& request) { Answer(fs_.Access(context_, request)); }
  void operator()(const StatfsRequest& request) { Answer(fs_.Statfs(context_, request)); }
  void operator()(const SetxattrRequest& request) { Answer(fs_.Setxattr(context_, request)); }
  void operator()(const GetxattrRequest& request) {
    AnswerXattr(fs_.Getxattr(context_, request), request.size, Errno(ERANGE));
  }
  void operator()(const ListxattrRequest& request) {
    // listxattr(2): a list that no buffer can hold is E2BIG for a caller with the largest buffer.
    AnswerXattr(fs_.Listxattr(context_, request), request.size,
                Errno(request.size < kMaxXattrList ? ERANGE : E2BIG));
  }
  void operator()(const RemovexattrRequest& request) { Answer(fs_.Removexattr(context_, request)); }

  // ---- Open files ----

  void operator()(const OpenRequest& request) {
    const Result<OpenResult> result = fs_.Open(context_, request);
    if (Answer(result) || !result.ok()) return;
    (void)fs_.Release(context_, {request.ino, result->handle, request.flags, request.executes});
  }
  void operator()(const protocol::SizedReadRequest& request) {
    ReplyingSink sink(reply_, Output(request.size));
    const Result<size_t> result = fs_.Read(context_, request.read, &sink);
    // If the file system called Send, the first answer is the only one, and these calls have no
    // effect.
    if (!result.ok()) {
      reply_->Error(result.error());
    } else if (*result > sink.buffer().size()) {
      reply_->Error(Errno(EIO));
    } else {
      reply_->NoteBytes(*result);
      reply_->Success(*result);
    }
  }
  void operator()(const WriteRequest& request) {
    const size_t size = request.data.size();
    const Result<size_t> result = fs_.Write(context_, request);
    if (!result.ok()) {
      reply_->Error(result.error());
    } else if (*result > size) {
      reply_->Error(Errno(EIO));
    } else {
      reply_->NoteBytes(*result);
      Succeed(protocol::WriteReply{static_cast<uint32_t>(*result)});
    }
  }
  void operator()(const ReleaseRequest& request) { Answer(fs_.Release(context_, request)); }
  void operator()(const FlushRequest& request) { Answer(fs_.Flush(context_, request)); }
  void operator()(const FsyncRequest& request) { Answer(fs_.Fsync(context_, request)); }
  void operator()(const FallocateRequest& request) { Answer(fs_.Fallocate(context_, request)); }
  void operator()(const LseekRequest& request) {
    const Result<uint64_t> result = fs_.Lseek(context_, request);
    if (result.ok()) {
      Succeed(protocol::LseekReply{*result});
    } else {
      reply_->Error(result.error());
    }
  }
  void operator()(const protocol::SizedCopyFileRangeRequest& request) {
    CopyFileRangeRequest copy = request.copy;
    if (!request.wide_result) {
      // The reply has 32 bits for the number of bytes. A shorter copy is allowed; a wrong number is
      // not.
      constexpr uint64_t kMaxLength = std::numeric_limits<uint32_t>::max() & ~uint32_t{0xffff};
      copy.length = std::min(copy.length, kMaxLength);
    }
    const Result<uint64_t> result = fs_.CopyFileRange(context_, copy);
    if (result.ok()) {
      reply_->NoteBytes(*result);
      Succeed(protocol::CopyFileRangeReply{*result, request.wide_result});
    } else {
      reply_->Error(result.error());
    }
  }
  void operator()(const IoctlRequest& request) {
    const Result<IoctlResult> result = fs_.Ioctl(context_, request);
    if (!result.ok()) {
      reply_->Error(result.error());
    } else if (result->output.size() > request.output_size) {
      reply_->Error(Errno(EIO));
    } else {
      Succeed(*result, result->output);
    }
  }

  // ---- Open directories ----

  void operator()(const protocol::OpendirRequest& request) {
    const Result<OpenResult> result = fs_.Opendir(context_, request.open);
    if (Answer(result) || !result.ok()) return;
    (void)fs_.Releasedir(context_, {request.open.ino, result->handle, request.open.flags});
  }
  void operator()(const protocol::SizedReaddirRequest& request) {
    protocol::DirectoryBuffer buffer(Output(request.size), request.readdir.plus);
    if (!request.readdir.plus) {
      const Result<void> result = fs_.Readdir(context_, request.readdir, &buffer);
      if (result.ok()) {
        reply_->Success(buffer.size());
      } else {
        reply_->Error(result.error());
      }
      return;
    }
    if (context_.resent) {
      ReturnLeftLookups();
    } else {
      listed_->Begin(ToInt(context_.id));
    }
    RecordingSink sink(&buffer, listed_);
    Result<void> result = Errno(EIO);
    SendStatus delivery = SendStatus::kRefused;
    try {
      result = fs_.Readdir(context_, request.readdir, &sink);
    } catch (...) {
      for (const InodeNumber ino : listed_->given()) fs_.Forget({ino, 1});
      throw;
    }
    if (result.ok()) {
      delivery = reply_->Success(buffer.size());
    } else {
      reply_->Error(result.error());
    }
    if (delivery == SendStatus::kDelivered) return;
    for (const InodeNumber ino : listed_->given()) fs_.Forget({ino, 1});
  }
  void operator()(const protocol::ReleasedirRequest& request) {
    Answer(fs_.Releasedir(context_, request.release));
  }
  void operator()(const protocol::FsyncdirRequest& request) {
    Answer(fs_.Fsyncdir(context_, request.fsync));
  }

  // ---- The connection ----

  void operator()(const protocol::InitRequest&) {
    // The connection is already initialised; the kernel sends INIT only once.
    reply_->Error(Errno(EIO));
  }
  void operator()(const protocol::DestroyRequest&) { reply_->Success(); }

  void Refuse(const protocol::Request& request, Errno error) {
    const auto* const readdir = std::get_if<protocol::SizedReaddirRequest>(&request);
    if (context_.resent && readdir != nullptr && readdir->readdir.plus) ReturnLeftLookups();
    reply_->Error(error);
  }

 private:
  // How many forgets of the message a process that has died has carried out.
  uint32_t ForgetsDone() { return context_.resent ? fs_.ForgetsDone(context_) : 0; }
  void ForgetOne(ForgetRequest request, uint32_t position) {
    request.position = position;
    fs_.Forget(request);
  }
  // Returns the lookups that a process that has died has given for this READDIRPLUS: the kernel did
  // not get its reply. If this process dies meanwhile, the next one returns the rest.
  void ReturnLeftLookups() {
    // Always asked for, because the result belongs to the request from then on.
    const uint32_t counted = fs_.LookupsGiven(context_);
    const uint64_t request = ToInt(context_.id);
    if (left_ == nullptr || left_->count(request) == 0) return listed_->Begin(request);
    const LeftLookups& left = left_->at(request);
    const auto lookups =
        absl::MakeConstSpan(left.inodes).first(std::min<size_t>(counted, left.inodes.size()));
    listed_->BeginWith(request, lookups);
    // From now on the list of this thread counts. Another thread may use the memory of the old one.
    uint64_t expected = request;
    __atomic_compare_exchange_n(left.request, &expected, uint64_t{0}, /*weak=*/false,
                                __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    for (size_t i = lookups.size(); i-- > 0;) {
      ForgetOne({lookups[i], 1}, static_cast<uint32_t>(i) - 1);
    }
    listed_->Clear();
  }

  // Encodes and sends a result, followed by `tail`. Returns whether it was delivered.
  template <typename T>
  bool Succeed(const T& result, std::string_view tail = {}) {
    const size_t size = protocol::Encode(result, reply_->body());
    return reply_->Success(size, tail) == SendStatus::kDelivered;
  }

  // Sends a result or an error. Returns whether it was delivered.
  template <typename T>
  bool Answer(const Result<T>& result) {
    if (result.ok()) return Succeed(*result);
    return reply_->Error(result.error()) == SendStatus::kDelivered;
  }
  void Answer(const Result<void>& result) {
    if (result.ok()) {
      reply_->Success();
    } else {
      reply_->Error(result.error());
    }
  }

  void AnswerEntry(const Result<Entry>& result) {
    if (Answer(result) || !result.ok()) return;
    fs_.Forget({result->ino, 1});
  }

  void AnswerCreate(const Result<CreateResult>& result, uint32_t flags) {
    if (Answer(result) || !result.ok()) return;
    // In this order: the open keeps the inode alive, so the lookup may be the last reference.
    (void)fs_.Release(context_, {result->entry.ino, result->open.handle, flags});
    fs_.Forget({result->entry.ino, 1});
  }

  // `room` is the size of the caller's buffer; 0 asks for the size only. A value that does not fit
  // is the error `too_long`.
  void AnswerXattr(const Result<std::string>& result, uint32_t room, Errno too_long) {
    if (!result.ok()) {
      reply_->Error(result.error());
    } else if (room == 0) {
      Succeed(protocol::XattrSizeReply{static_cast<uint32_t>(result->size())});
    } else if (result->size() > room) {
      reply_->Error(too_long);
    } else {
      reply_->Success(0, *result);
    }
  }

  // Returns the part of the reply buffer that may be filled for a caller that accepts `size` bytes.
  absl::Span<char> Output(uint32_t size) {
    return reply_->body().first(std::min<size_t>(size, reply_->body().size()));
  }

  FileSystem& fs_;
  const RequestContext& context_;
  Reply* const reply_;
  LookupList* const listed_;
  const LeftLookupsByRequest* const left_;
};

}  // namespace

void Execute(FileSystem* fs, const RequestContext& context, const protocol::Request& request,
             Reply* reply, LookupList* listed, const LeftLookupsByRequest* left) {
  std::visit(Operation(fs, context, reply, listed, left), request);
}

void Refuse(FileSystem* fs, const RequestContext& context, const protocol::Request& request,
            Errno error, Reply* reply, LookupList* listed, const LeftLookupsByRequest* left) {
  Operation(fs, context, reply, listed, left).Refuse(request, error);
}

}  // namespace memfuse::transport

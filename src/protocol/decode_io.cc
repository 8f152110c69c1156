// Decoders of operations on open files and directories, and on their data.

#include "src/protocol/decode_internal.h"
#include "src/protocol/wire.h"

namespace memfuse::protocol::internal {
namespace {

Result<OpenRequest> TakeOpen(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::OpenIn>());
  return OpenRequest{arguments.node(), in.flags & ~wire::kOpenExecutes,
                     (in.open_flags & wire::kOpenKillSuidgid) != 0,
                     (in.flags & wire::kOpenExecutes) != 0};
}

Result<ReleaseRequest> TakeRelease(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::ReleaseIn>());
  return ReleaseRequest{arguments.node(), FileHandle{in.fh}, in.flags & ~wire::kOpenExecutes,
                        (in.flags & wire::kOpenExecutes) != 0};
}

Result<FsyncRequest> TakeFsync(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::FsyncIn>());
  return FsyncRequest{arguments.node(), FileHandle{in.fh},
                      (in.fsync_flags & wire::kFsyncDataOnly) != 0};
}

WriteRequest MakeWrite(InodeNumber node, const wire::WriteIn& in, absl::Span<const char> data) {
  WriteRequest request{};
  request.ino = node;
  request.handle = FileHandle{in.fh};
  request.offset = in.offset;
  request.data = data;
  request.flags = in.flags;
  request.from_page_cache = (in.write_flags & wire::kWriteCache) != 0;
  request.kill_suidgid = (in.write_flags & wire::kWriteKillSuidgid) != 0;
  return request;
}

}  // namespace

Result<Request> DecodeOpen(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const OpenRequest open, TakeOpen(arguments));
  return Request(open);
}

Result<Request> DecodeOpendir(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const OpenRequest open, TakeOpen(arguments));
  return Request(OpendirRequest{open});
}

Result<Request> DecodeRelease(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const ReleaseRequest release, TakeRelease(arguments));
  return Request(release);
}

Result<Request> DecodeReleasedir(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const ReleaseRequest release, TakeRelease(arguments));
  return Request(ReleasedirRequest{release});
}

Result<Request> DecodeFsync(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const FsyncRequest fsync, TakeFsync(arguments));
  return Request(fsync);
}

Result<Request> DecodeFsyncdir(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const FsyncRequest fsync, TakeFsync(arguments));
  return Request(FsyncdirRequest{fsync});
}

Result<Request> DecodeRead(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::ReadIn>());
  const bool to_page_cache = (in.read_flags & wire::kReadLockOwner) == 0;
  return Request(SizedReadRequest{ReadRequest{arguments.node(), FileHandle{in.fh}, in.offset,
                                              in.flags & ~wire::kOpenExecutes, to_page_cache},
                                  in.size});
}

Result<Request> DecodeReaddir(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::ReadIn>());
  const bool plus = arguments.opcode() == Opcode::kReaddirplus;
  return Request(SizedReaddirRequest{
      ReaddirRequest{arguments.node(), FileHandle{in.fh}, in.offset, plus}, in.size});
}

Result<Request> DecodeWrite(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::WriteIn>());
  MEMFUSE_ASSIGN_OR_RETURN(const auto data, arguments.TakeData(in.size));
  return Request(MakeWrite(arguments.node(), in, data));
}

Result<Request> DecodeFlush(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::FlushIn>());
  return Request(FlushRequest{arguments.node(), FileHandle{in.fh}});
}

Result<Request> DecodeFallocate(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::FallocateIn>());
  return Request(
      FallocateRequest{arguments.node(), FileHandle{in.fh}, in.offset, in.length, in.mode});
}

Result<Request> DecodeLseek(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::LseekIn>());
  return Request(LseekRequest{arguments.node(), FileHandle{in.fh}, in.offset, in.whence});
}

Result<Request> DecodeCopyFileRange(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::CopyFileRangeIn>());
  // The field is wider than copy_file_range(2)'s argument. Bits that the request cannot carry must
  // not be lost before the check for unknown flags.
  if (in.flags > UINT32_MAX) return Errno(EINVAL);
  CopyFileRangeRequest copy{};
  copy.ino_in = arguments.node();
  copy.handle_in = FileHandle{in.fh_in};
  copy.offset_in = in.off_in;
  copy.ino_out = InodeNumber{in.nodeid_out};
  copy.handle_out = FileHandle{in.fh_out};
  copy.offset_out = in.off_out;
  copy.length = in.len;
  copy.flags = static_cast<uint32_t>(in.flags);
  const bool wide_result = arguments.opcode() == Opcode::kCopyFileRange64;
  return Request(SizedCopyFileRangeRequest{copy, wide_result});
}

Result<Request> DecodeIoctl(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::IoctlIn>());
  MEMFUSE_ASSIGN_OR_RETURN(const auto input, arguments.TakeData(in.in_size));
  IoctlRequest request{};
  request.ino = arguments.node();
  request.handle = FileHandle{in.fh};
  request.command = in.cmd;
  request.argument = in.arg;
  request.input = input;
  request.output_size = in.out_size;
  request.directory = (in.flags & wire::kIoctlDir) != 0;
  return Request(request);
}

}  // namespace memfuse::protocol::internal

// Attributes, extended attributes and access checks of one inode.

#include "src/protocol/decode_internal.h"
#include "src/protocol/wire.h"
#include "src/protocol/wire_init.h"

namespace memfuse::protocol::internal {
namespace {

// Seconds before 1970 are negative numbers in an unsigned field. Errors: EINVAL (invalid
// nanoseconds).
Result<Timestamp> MakeTimestamp(uint64_t seconds, uint32_t nanoseconds) {
  if (nanoseconds >= kNanosecondsPerSecond) return Errno(EINVAL);
  return Timestamp{static_cast<int64_t>(seconds), nanoseconds};
}

// utimensat(2) with UTIME_NOW sets both bits. The time beside them is the kernel's estimate. It may
// be behind the server's clock, which stamps all other changes.
Result<TimeChange> MakeTimeChange(bool set, bool now, uint64_t seconds, uint32_t nanoseconds) {
  if (now) return TimeChange{TimeChange::Kind::kNow, {}};
  if (!set) return TimeChange{};
  MEMFUSE_ASSIGN_OR_RETURN(const Timestamp value, MakeTimestamp(seconds, nanoseconds));
  return TimeChange{TimeChange::Kind::kSet, value};
}

std::optional<FileHandle> HandleIf(bool present, uint64_t fh) {
  if (!present) return std::nullopt;
  return FileHandle{fh};
}

}  // namespace

Result<Request> DecodeGetattr(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::GetattrIn>());
  return Request(GetattrRequest{arguments.node(),
                                HandleIf((in.getattr_flags & wire::kGetattrFh) != 0, in.fh)});
}

Result<Request> DecodeStatx(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::StatxIn>());
  return Request(
      StatxRequest{arguments.node(), HandleIf((in.getattr_flags & wire::kGetattrFh) != 0, in.fh)});
}

Result<Request> DecodeSetattr(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::SetattrIn>());
  const auto has = [&in](uint32_t bit) { return (in.valid & bit) != 0; };
  SetattrRequest request{};
  request.ino = arguments.node();
  request.handle = HandleIf(has(wire::kFattrFh), in.fh);
  if (has(wire::kFattrMode)) request.mode = in.mode;
  if (has(wire::kFattrUid)) request.uid = in.uid;
  if (has(wire::kFattrGid)) request.gid = in.gid;
  if (has(wire::kFattrSize)) request.size = in.size;
  MEMFUSE_ASSIGN_OR_RETURN(
      request.atime,
      MakeTimeChange(has(wire::kFattrAtime), has(wire::kFattrAtimeNow), in.atime, in.atimensec));
  MEMFUSE_ASSIGN_OR_RETURN(
      request.mtime,
      MakeTimeChange(has(wire::kFattrMtime), has(wire::kFattrMtimeNow), in.mtime, in.mtimensec));
  if (has(wire::kFattrCtime)) {
    MEMFUSE_ASSIGN_OR_RETURN(request.ctime, MakeTimestamp(in.ctime, in.ctimensec));
  }
  // With HANDLE_KILLPRIV_V2 the kernel sends "remove privileges" as a SETATTR that names no change.
  // A handle and a lock owner are not changes. A ctime alone is not a change either: a kernel that
  // caches writes adds it to a chown(2) that changes neither user nor group, and to no other
  // request.
  const uint32_t changes = in.valid & ~(wire::kFattrFh | wire::kFattrLockOwner | wire::kFattrCtime);
  request.kill_suidgid = changes == 0 || has(wire::kFattrKillSuidgid);
  return Request(request);
}

Result<Request> DecodeReadlink(Arguments& arguments) {
  return Request(ReadlinkRequest{arguments.node()});
}

Result<Request> DecodeStatfs(Arguments& arguments) {
  return Request(StatfsRequest{arguments.node()});
}

Result<Request> DecodeAccess(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::AccessIn>());
  return Request(AccessRequest{arguments.node(), in.mask});
}

// With SETXATTR_EXT the struct is longer.
Result<Request> DecodeSetxattr(Arguments& arguments) {
  SetxattrRequest request{};
  request.ino = arguments.node();
  wire::SetxattrShortIn in;
  if ((arguments.parameters().flags & wire::kInitSetxattrExt) != 0) {
    MEMFUSE_ASSIGN_OR_RETURN(const auto extended, arguments.Take<wire::SetxattrIn>());
    request.kill_sgid = (extended.setxattr_flags & wire::kSetxattrAclKillSgid) != 0;
    in = {extended.size, extended.flags};
  } else {
    MEMFUSE_ASSIGN_OR_RETURN(in, arguments.Take<wire::SetxattrShortIn>());
  }
  request.flags = in.flags;
  MEMFUSE_ASSIGN_OR_RETURN(request.name, arguments.TakeString());
  MEMFUSE_ASSIGN_OR_RETURN(request.value, arguments.TakeData(in.size));
  return Request(request);
}

Result<Request> DecodeGetxattr(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::GetxattrIn>());
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeString());
  return Request(GetxattrRequest{arguments.node(), name, in.size});
}

Result<Request> DecodeListxattr(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::GetxattrIn>());
  return Request(ListxattrRequest{arguments.node(), in.size});
}

Result<Request> DecodeRemovexattr(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeString());
  return Request(RemovexattrRequest{arguments.node(), name});
}

}  // namespace memfuse::protocol::internal

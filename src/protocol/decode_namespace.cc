// Decoders of operations on names. The inode in the header is the directory, except in LINK: there
// it is the new parent, and the arguments contain the inode.

#include "src/protocol/decode_internal.h"
#include "src/protocol/wire.h"

namespace memfuse::protocol::internal {
namespace {

Result<Request> FinishRename(Arguments& arguments, uint64_t new_parent, uint32_t flags) {
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeName());
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view new_name, arguments.TakeName());
  return Request(RenameRequest{arguments.node(), name, InodeNumber{new_parent}, new_name, flags});
}

CreateRequest MakeCreate(InodeNumber parent, std::string_view name, const wire::CreateIn& in) {
  return {parent, name, in.mode, in.umask, in.flags, (in.open_flags & wire::kOpenKillSuidgid) != 0};
}

}  // namespace

Result<Request> DecodeLookup(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeName());
  return Request(LookupRequest{arguments.node(), name});
}

Result<Request> DecodeSymlink(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeName());
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view target, arguments.TakeString());
  return Request(SymlinkRequest{arguments.node(), name, target});
}

Result<Request> DecodeMknod(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::MknodIn>());
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeName());
  return Request(MknodRequest{arguments.node(), name, in.mode, in.rdev, in.umask});
}

Result<Request> DecodeMkdir(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::MkdirIn>());
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeName());
  return Request(MkdirRequest{arguments.node(), name, in.mode, in.umask});
}

Result<Request> DecodeUnlink(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeName());
  return Request(UnlinkRequest{arguments.node(), name});
}

Result<Request> DecodeRmdir(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeName());
  return Request(RmdirRequest{arguments.node(), name});
}

Result<Request> DecodeRename(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::RenameIn>());
  return FinishRename(arguments, in.newdir, /*flags=*/0);
}

Result<Request> DecodeRename2(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::Rename2In>());
  return FinishRename(arguments, in.newdir, in.flags);
}

Result<Request> DecodeLink(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::LinkIn>());
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeName());
  return Request(LinkRequest{InodeNumber{in.oldnodeid}, arguments.node(), name});
}

Result<Request> DecodeCreate(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::CreateIn>());
  MEMFUSE_ASSIGN_OR_RETURN(const std::string_view name, arguments.TakeName());
  return Request(MakeCreate(arguments.node(), name, in));
}

// The kernel sends the name of a dentry that will never be in a directory ("/" in some versions).
// The name has no meaning and is not read.
Result<Request> DecodeTmpfile(Arguments& arguments) {
  MEMFUSE_ASSIGN_OR_RETURN(const auto in, arguments.Take<wire::CreateIn>());
  return Request(TmpfileRequest{MakeCreate(arguments.node(), {}, in)});
}

}  // namespace memfuse::protocol::internal

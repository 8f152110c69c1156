#include "tests/fuzz/request.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string_view>

#include "memfuse/ioctl.h"
#include "src/protocol/opcodes.h"
#include "tests/memfs/acl_bytes.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::fuzz {
namespace {

using protocol::Opcode;
using transport::Bytes;

template <typename T, size_t kSize>
const T& Pick(const T (&values)[kSize], size_t index) {
  return values[index % kSize];
}

constexpr uint64_t kPageSize = 4096;
// Pages at which the data of a file changes its structure: the page table has more levels from some
// of them on. 2^51 pages are the largest file.
constexpr uint64_t kPages[32] = {0,          1,
                                 2,          3,
                                 4,          5,
                                 6,          7,
                                 8,          15,
                                 16,         17,
                                 31,         63,
                                 64,         65,
                                 127,        255,
                                 256,        257,
                                 511,        512,
                                 513,        1023,
                                 1024,       1 << 16,
                                 1 << 18,    1ull << 26,
                                 1ull << 30, (1ull << 51) - 1,
                                 1ull << 51, (1ull << 52) - 1};
// The last value leads to the page before.
constexpr uint64_t kWithinPage[8] = {0, 1, 100, 2047, 2048, 2049, 4095, ~uint64_t{0}};

constexpr uint32_t kLengths[32] = {0,     1,     2,     7,     16,    40,    100,   255,
                                   256,   511,   1000,  2047,  2048,  2049,  3000,  4094,
                                   4095,  4096,  4097,  5000,  6000,  8191,  8192,  8193,
                                   12288, 12289, 16384, 20000, 32768, 65535, 65536, 65537};

struct Identity {
  uint32_t uid;
  uint32_t gid;
  enum { kUnknown, kThisProcess, kNoProcess } process;
};
constexpr uint32_t kNoId = 0xffffffff;
constexpr Identity kIdentities[8] = {
    {1000, 1000, Identity::kUnknown},   {0, 0, Identity::kUnknown},
    {1001, 1001, Identity::kUnknown},   {kNoId, kNoId, Identity::kUnknown},
    {1000, 1001, Identity::kUnknown},   {kNoId, kNoId, Identity::kThisProcess},
    {1001, 1000, Identity::kNoProcess}, {0, 0, Identity::kThisProcess}};

uint32_t ProcessId(const Identity& identity) {
  constexpr uint32_t kMaxProcessId = 0x7fffffff;
  switch (identity.process) {
    case Identity::kThisProcess:
      return static_cast<uint32_t>(getpid());
    case Identity::kNoProcess:
      return kMaxProcessId;
    case Identity::kUnknown:
      break;
  }
  return 0;
}

// A string with the NUL that ends it.
std::string NameBytes(size_t index) {
  static const std::string names[16] = {"a",
                                        "b",
                                        "c",
                                        "d",
                                        "e",
                                        "f",
                                        "g",
                                        "h",
                                        "name of a file",
                                        std::string(255, 'n'),
                                        std::string(256, 'n'),
                                        ".",
                                        "..",
                                        "",
                                        "a/b",
                                        "\xff\x01"};
  return transport::Name(names[index % std::size(names)]);
}

std::string XattrNameBytes(size_t index) {
  static const std::string names[16] = {"user.a",
                                        "user.b",
                                        "trusted.a",
                                        "security.a",
                                        "security.capability",
                                        "system.posix_acl_access",
                                        "system.posix_acl_default",
                                        "user." + std::string(250, 'x'),
                                        "user." + std::string(251, 'x'),
                                        "user.",
                                        "user",
                                        "system.a",
                                        "trusted.b",
                                        "",
                                        "user.a/b",
                                        "user.c"};
  return transport::Name(names[index % std::size(names)]);
}

std::string XattrValue(const Step& step) {
  using memfs::AclBytes;
  const auto bits = static_cast<uint16_t>(step.choice >> 2 & 7);
  switch (step.data & 7) {
    case 0:  // an ACL that says no more than a mode
      return AclBytes(
          {{memfs::kAclUserObj, bits}, {memfs::kAclGroupObj, 5}, {memfs::kAclOther, 1}});
    case 1:
      return AclBytes({{memfs::kAclUserObj, 7},
                       {memfs::kAclUser, bits, 1000},
                       {memfs::kAclGroupObj, 5},
                       {memfs::kAclGroup, 2, 1001},
                       {memfs::kAclMask, bits},
                       {memfs::kAclOther, 0}});
    case 2:  // invalid
      return AclBytes({{memfs::kAclUserObj, bits}, {memfs::kAclUserObj, 5}});
    case 3:
      return "";
    default:
      return std::string(Length(step.length), static_cast<char>(step.data));
  }
}

uint32_t Permissions(uint8_t byte) {
  constexpr uint32_t kPermissions[8] = {0644, 0755, 06755, 02755, 01777, 02644, 0, 07777};
  return Pick(kPermissions, byte);
}

uint32_t Umask(uint8_t byte) {
  constexpr uint32_t kUmasks[4] = {0, 022, 077, 0777};
  return Pick(kUmasks, byte);
}

uint32_t OpenFlags(uint8_t byte) {
  constexpr uint32_t kOpenedToExecute = 0x20;
  constexpr uint32_t kFlags[16] = {O_RDWR,
                                   O_RDONLY,
                                   O_WRONLY,
                                   O_RDWR | O_TRUNC,
                                   O_RDONLY | O_TRUNC,
                                   O_WRONLY | O_TRUNC,
                                   O_WRONLY | O_APPEND,
                                   O_RDONLY | kOpenedToExecute,
                                   O_RDWR | O_DIRECT,
                                   O_RDONLY | O_NOATIME,
                                   O_RDWR | O_APPEND | O_TRUNC,
                                   O_ACCMODE,
                                   O_RDWR | O_SYNC,
                                   O_RDONLY | O_DIRECTORY,
                                   O_WRONLY | O_DIRECT,
                                   O_RDONLY | O_DIRECT};
  return Pick(kFlags, byte);
}

std::string SetattrBody(const Step& step) {
  constexpr uint32_t kIds[4] = {1000, 1001, 0, 64};
  fuse_setattr_in in = {};
  in.valid = step.number();
  in.size = Offset(step.offset);
  in.mode = Permissions(step.choice);
  in.uid = Pick(kIds, step.length);
  in.gid = Pick(kIds, step.length >> 2);
  in.atime = step.offset2;
  in.mtime = step.data;
  in.ctime = ~uint64_t{step.data};
  // One more than the largest number of nanoseconds is malformed.
  in.atimensec = step.data == 0xff ? 1'000'000'000 : step.data;
  return Bytes(in);
}

std::string MknodBody(const Step& step) {
  constexpr uint32_t kTypes[8] = {S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR,
                                  S_IFBLK, 0,       S_IFLNK,  S_IFDIR};
  fuse_mknod_in in = {};
  in.mode = Pick(kTypes, step.choice >> 5) | Permissions(step.choice);
  in.umask = Umask(step.choice >> 3);
  in.rdev = step.number();
  return Bytes(in) + NameBytes(step.names);
}

std::string ReadBody(const Step& step, uint64_t offset) {
  fuse_read_in in = {};
  in.offset = offset;
  in.size = Length(step.length);
  in.read_flags = step.data;
  in.flags = OpenFlags(step.choice);
  return Bytes(in);
}

std::string WriteBody(const Step& step) {
  fuse_write_in in = {};
  in.offset = Offset(step.offset);
  in.size = Length(step.length);
  in.write_flags = step.choice >> 4;
  in.flags = OpenFlags(step.choice);
  return Bytes(in) + std::string(in.size, static_cast<char>(step.data));
}

std::string SetxattrBody(const Step& step, bool extended) {
  const std::string value = XattrValue(step);
  std::string fixed =
      Bytes(static_cast<uint32_t>(value.size())) + Bytes(uint32_t{step.choice & 3u});
  if (extended) fixed += Bytes(uint32_t{step.choice} >> 7) + Bytes(uint32_t{0});
  return fixed + XattrNameBytes(step.names) + value;
}

std::string IoctlBody(const Step& step) {
  constexpr uint32_t kCommands[16] = {
      FS_IOC_GETFLAGS,         FS_IOC_SETFLAGS,         FS_IOC_FSGETXATTR,
      FS_IOC_FSSETXATTR,       MEMFUSE_IOC_GET_LIMITS,  MEMFUSE_IOC_SET_LIMITS,
      MEMFUSE_IOC_GET_OPTIONS, MEMFUSE_IOC_SET_ATIME,   FS_IOC_SETFLAGS,
      FS_IOC_SETFLAGS,         MEMFUSE_IOC_SET_LIMITS,  FS_IOC_GETVERSION,
      _IOR(0xEF, 0, char[64]), _IOW(0xEF, 1, char[64]), _IOR(0xEF, 2, char[8]),
      _IOWR(0xEF, 9, uint64_t)};
  constexpr uint32_t kFlags[8] = {0,
                                  FS_IMMUTABLE_FL,
                                  FS_APPEND_FL,
                                  FS_NODUMP_FL,
                                  FS_NOATIME_FL,
                                  FS_IMMUTABLE_FL | FS_NOATIME_FL,
                                  FS_COMPR_FL,
                                  FS_APPEND_FL | FS_NODUMP_FL};
  constexpr uint32_t kXflags[8] = {0,
                                   FS_XFLAG_IMMUTABLE,
                                   FS_XFLAG_APPEND,
                                   FS_XFLAG_NODUMP,
                                   FS_XFLAG_NOATIME,
                                   FS_XFLAG_IMMUTABLE | FS_XFLAG_NOATIME,
                                   FS_XFLAG_SYNC,
                                   FS_XFLAG_APPEND | FS_XFLAG_NODUMP};
  fuse_ioctl_in in = {};
  in.cmd = Pick(kCommands, step.choice);
  in.flags = step.choice >> 4;
  in.arg = step.damage_at >> 7;
  std::string input;
  switch (in.cmd & ~(uint32_t{_IOC_SIZEMASK} << _IOC_SIZESHIFT)) {
    case FS_IOC_SETFLAGS & ~(uint32_t{_IOC_SIZEMASK} << _IOC_SIZESHIFT):
      input = Bytes(Pick(kFlags, step.data));
      break;
    case FS_IOC_FSSETXATTR & ~(uint32_t{_IOC_SIZEMASK} << _IOC_SIZESHIFT): {
      fsxattr xattr = {};
      xattr.fsx_xflags = Pick(kXflags, step.data);
      xattr.fsx_projid = step.data >> 7;
      input = Bytes(xattr);
      break;
    }
    case MEMFUSE_IOC_SET_LIMITS & ~(uint32_t{_IOC_SIZEMASK} << _IOC_SIZESHIFT):
      input = Bytes(memfuse_limits{Offset(step.offset), 0, Offset(step.offset2) / kPageSize, 0});
      break;
    case MEMFUSE_IOC_SET_ATIME & ~(uint32_t{_IOC_SIZEMASK} << _IOC_SIZESHIFT):
      input = Bytes(uint32_t{step.data & 3u});
      break;
    default:
      break;
  }
  // The larger structs of later versions.
  if (input.size() < _IOC_SIZE(in.cmd) && !input.empty()) input.resize(_IOC_SIZE(in.cmd));
  in.in_size = static_cast<uint32_t>(input.size());
  in.out_size = (step.length & 0x80) != 0 ? Length(step.length) : _IOC_SIZE(in.cmd);
  return Bytes(in) + input;
}

std::string FallocateBody(const Step& step) {
  constexpr uint32_t kModes[8] = {0,
                                  FALLOC_FL_KEEP_SIZE,
                                  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  FALLOC_FL_ZERO_RANGE,
                                  FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                  FALLOC_FL_PUNCH_HOLE,
                                  FALLOC_FL_COLLAPSE_RANGE,
                                  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
  fuse_fallocate_in in = {};
  in.offset = Offset(step.offset);
  in.length = Offset(step.offset2);
  in.mode = Pick(kModes, step.choice);
  return Bytes(in);
}

std::string CopyBody(const Step& step, const Nodes& nodes) {
  fuse_copy_file_range_in in = {};
  in.off_in = Offset(step.offset);
  in.nodeid_out = nodes.Get(step.node2(), step);
  in.off_out = Offset(step.offset2);
  in.len = (step.choice & 1) != 0 ? Offset(step.length) : Length(step.length);
  in.flags = step.choice >> 7;
  return Bytes(in);
}

std::string BatchForgetBody(const Step& step, const Nodes& nodes) {
  fuse_batch_forget_in in = {};
  in.count = step.choice & 7;
  std::string body = Bytes(in);
  for (size_t i = 0; i < in.count; ++i) {
    body += Bytes(fuse_forget_one{nodes.Get((step.node() + i) % kNodes), step.value[i % 4]});
  }
  return body;
}

std::string Body(const Step& step, const RequestState& state) {
  const Nodes& nodes = *state.nodes;
  const auto second_node = [&] { return nodes.Get(step.node2(), step); };
  const std::string name = NameBytes(step.names);
  const std::string name2 = NameBytes(step.names >> 4);
  switch (static_cast<Opcode>(step.code())) {
    case Opcode::kLookup:
    case Opcode::kUnlink:
    case Opcode::kRmdir:
      return name;
    case Opcode::kForget:
      return Bytes(fuse_forget_in{step.choice < 0x80 ? step.choice : ~uint64_t{0}});
    case Opcode::kBatchForget:
      return BatchForgetBody(step, nodes);
    case Opcode::kGetattr:
      return Bytes(fuse_getattr_in{step.choice & 1u, 0, step.number()});
    case Opcode::kStatx:  // struct fuse_statx_in, which older headers lack
      return Bytes(uint32_t{step.choice & 1u}) + std::string(12, '\0') +
             Bytes(uint32_t{step.data}) + Bytes(step.number());
    case Opcode::kSetattr:
      return SetattrBody(step);
    case Opcode::kSymlink:
      return name + transport::Name(std::string(Length(step.length), 't'));
    case Opcode::kMknod:
      return MknodBody(step);
    case Opcode::kMkdir:
      return Bytes(fuse_mkdir_in{Permissions(step.choice), Umask(step.choice >> 3)}) + name;
    case Opcode::kRename:
      return Bytes(fuse_rename_in{second_node()}) + name + name2;
    case Opcode::kRename2:
      return Bytes(fuse_rename2_in{second_node(), step.choice & 15u, 0}) + name + name2;
    case Opcode::kLink:
      return Bytes(fuse_link_in{second_node()}) + name;
    case Opcode::kOpen:
    case Opcode::kOpendir:
      return Bytes(fuse_open_in{OpenFlags(step.choice), uint32_t{step.choice} >> 7});
    case Opcode::kCreate:
    case Opcode::kTmpfile: {
      fuse_create_in in = {};
      in.flags = OpenFlags(step.choice);
      in.mode = Permissions(step.length);
      in.umask = Umask(step.length >> 3);
      in.open_flags = step.choice >> 7;
      return Bytes(in) + name;
    }
    case Opcode::kRead:
      return ReadBody(step, Offset(step.offset));
    case Opcode::kReaddir:
    case Opcode::kReaddirplus:
      return ReadBody(step, step.offset == 0xff ? state.directory_offset : step.offset);
    case Opcode::kWrite:
      return WriteBody(step);
    case Opcode::kRelease:
    case Opcode::kReleasedir: {
      fuse_release_in in = {};
      in.flags = OpenFlags(step.choice);
      return Bytes(in);
    }
    case Opcode::kFlush:
      return Bytes(fuse_flush_in{});
    case Opcode::kFsync:
    case Opcode::kFsyncdir:
      return Bytes(fuse_fsync_in{0, step.choice & 1u, 0});
    case Opcode::kSetxattr:
      return SetxattrBody(step, state.setxattr_ext);
    case Opcode::kGetxattr:
      return Bytes(fuse_getxattr_in{Length(step.length), 0}) + XattrNameBytes(step.names);
    case Opcode::kListxattr:
      return Bytes(fuse_getxattr_in{Length(step.length), 0});
    case Opcode::kRemovexattr:
      return XattrNameBytes(step.names);
    case Opcode::kAccess:
      return Bytes(fuse_access_in{step.choice & 7u, 0});
    case Opcode::kIoctl:
      return IoctlBody(step);
    case Opcode::kFallocate:
      return FallocateBody(step);
    case Opcode::kLseek:
      return Bytes(fuse_lseek_in{0, Offset(step.offset), step.choice & 7u, 0});
    case Opcode::kCopyFileRange:
    case Opcode::kCopyFileRange64:
      return CopyBody(step, nodes);
    case Opcode::kReadlink:
    case Opcode::kStatfs:
    case Opcode::kDestroy:
      return "";
    default:  // refused, or unknown: any bytes
      return std::string(step.length & 63u, static_cast<char>(step.data));
  }
}

std::string RawBody(const RequestState& state, size_t cut) {
  if (state.raw_body.empty()) return "";
  std::string body(reinterpret_cast<const char*>(state.raw_body.data()),
                   state.raw_body.size() * sizeof(Step));
  body.resize(body.size() - cut % sizeof(Step));
  return body;
}

void SetLength(std::string* message) {
  const auto length = static_cast<uint32_t>(message->size());
  std::memcpy(message->data(), &length, std::min(sizeof(length), message->size()));
}

// Makes a message malformed, or changes one of its arguments to an unusual value. The request id
// stays as it is, because it is needed to find the reply.
void Damage(const Step& step, std::string* message) {
  constexpr size_t kHeader = sizeof(fuse_in_header);
  const size_t at = kHeader + step.damage_at;
  const uint32_t number = step.number();
  switch (step.damage & 7) {
    case 1:  // the body ends early
      message->resize(std::min(message->size(), at));
      SetLength(message);
      break;
    case 2:  // bytes follow the body
      message->append(step.damage_at & 31u, static_cast<char>(number));
      SetLength(message);
      break;
    case 3:  // one byte of the body
      if (at < message->size()) (*message)[at] = static_cast<char>(number);
      break;
    case 4: {  // four or eight bytes of the body
      const std::string bytes =
          (step.damage & 8) != 0 ? Bytes(int64_t{static_cast<int32_t>(number)}) : Bytes(number);
      if (at + bytes.size() <= message->size()) message->replace(at, bytes.size(), bytes);
      break;
    }
    case 5:  // the length
      message->replace(0, sizeof(number), Bytes(number));
      break;
    case 6: {  // extensions, which may be longer than the body
      const auto units =
          static_cast<uint16_t>((step.damage & 8) != 0 ? number : step.damage_at & 3u);
      message->replace(offsetof(fuse_in_header, pid) + sizeof(uint32_t), sizeof(units),
                       Bytes(units));
      if ((step.damage & 16) == 0) message->append(size_t{step.damage_at & 3u} * 8, 'e');
      SetLength(message);
      break;
    }
    case 7:  // the message ends early, perhaps within the header
      message->resize(std::min<size_t>(message->size(), step.damage_at & 63u));
      SetLength(message);
      break;
    default:
      break;
  }
}

// Lowers the limits that an IOCTL of MEMFUSE_IOC_SET_LIMITS sets.
void BoundLimits(std::string* message) {
  constexpr size_t kArguments = sizeof(fuse_in_header);
  constexpr size_t kInput = kArguments + sizeof(fuse_ioctl_in);
  memfuse_limits limits;
  if (message->size() < kInput + sizeof(limits)) return;
  std::memcpy(&limits, message->data() + kInput, sizeof(limits));
  limits.bytes_limit = std::min<uint64_t>(limits.bytes_limit, kMaxBytesLimit);
  limits.inode_limit = std::min<uint64_t>(limits.inode_limit, kMaxInodesLimit);
  std::memcpy(message->data() + kInput, &limits, sizeof(limits));
}

bool SetsLimits(const std::string& message) {
  fuse_ioctl_in in;
  if (message.size() < sizeof(fuse_in_header) + sizeof(in)) return false;
  std::memcpy(&in, message.data() + sizeof(fuse_in_header), sizeof(in));
  return _IOC_TYPE(in.cmd) == _IOC_TYPE(MEMFUSE_IOC_SET_LIMITS) &&
         _IOC_NR(in.cmd) == _IOC_NR(MEMFUSE_IOC_SET_LIMITS);
}

}  // namespace

uint64_t Offset(uint8_t byte) { return kPages[byte >> 3] * kPageSize + kWithinPage[byte & 7]; }

uint32_t Length(uint8_t byte) { return Pick(kLengths, byte); }

std::string MakeMessage(const Step& step, uint32_t opcode, uint64_t id, uint64_t node,
                        const std::string& body) {
  const Identity& identity = Pick(kIdentities, step.caller);
  fuse_in_header header = {};
  header.len = static_cast<uint32_t>(sizeof(header) + body.size());
  header.opcode = opcode;
  header.unique = id;
  header.nodeid = node;
  header.uid = identity.uid;
  header.gid = identity.gid;
  header.pid = ProcessId(identity);
  return Bytes(header) + body;
}

std::string MakeRequest(const Step& step, const RequestState& state) {
  const std::string body = step.raw() ? RawBody(state, step.length) : Body(step, state);
  std::string message =
      MakeMessage(step, step.code(), state.id, state.nodes->Get(step.node(), step), body);
  Damage(step, &message);
  if (step.code() == FUSE_IOCTL && SetsLimits(message)) BoundLimits(&message);
  return message;
}

}  // namespace memfuse::fuzz

#include "src/protocol/encode.h"

#include <sys/stat.h>

#include <cassert>
#include <cstring>
#include <type_traits>

#include "src/protocol/wire.h"

namespace memfuse::protocol {
namespace {

static_assert(kReplyHeaderSize == sizeof(wire::OutHeader));
static_assert(kMaxFixedBody >= sizeof(wire::StatxOut));

// The buffer may be unaligned, so a struct is copied and never built in place.
template <typename T>
size_t Put(const T& value, absl::Span<char> out) {
  static_assert(std::is_trivially_copyable_v<T>);
  static_assert(sizeof(T) <= kMaxFixedBody);
  assert(out.size() >= sizeof(T));
  std::memcpy(out.data(), &value, sizeof(T));
  return sizeof(T);
}

// Seconds before 1970 are negative numbers in an unsigned field.
uint64_t WireSeconds(Timestamp time) { return static_cast<uint64_t>(time.seconds); }

wire::Attr MakeAttr(const Attributes& attributes) {
  wire::Attr attr{};
  attr.ino = ToInt(attributes.ino);
  attr.size = attributes.size;
  attr.blocks = attributes.blocks;
  attr.atime = WireSeconds(attributes.atime);
  attr.mtime = WireSeconds(attributes.mtime);
  attr.ctime = WireSeconds(attributes.ctime);
  attr.atimensec = attributes.atime.nanoseconds;
  attr.mtimensec = attributes.mtime.nanoseconds;
  attr.ctimensec = attributes.ctime.nanoseconds;
  attr.mode = attributes.mode;
  attr.nlink = attributes.nlink;
  attr.uid = attributes.uid;
  attr.gid = attributes.gid;
  attr.rdev = attributes.rdev;
  attr.blksize = attributes.blksize;
  return attr;
}

wire::EntryOut MakeEntry(const Entry& entry) {
  wire::EntryOut out{};
  out.nodeid = ToInt(entry.ino);
  out.generation = entry.generation;
  out.entry_valid = entry.entry_valid;
  out.attr_valid = entry.attributes_valid;
  out.attr = MakeAttr(entry.attributes);
  return out;
}

wire::OpenOut MakeOpen(const OpenResult& result) {
  wire::OpenOut out{};
  out.fh = ToInt(result.handle);
  const auto set = [&out](bool wanted, uint32_t bit) {
    if (wanted) out.open_flags |= bit;
  };
  set(result.direct_io, wire::kFopenDirectIo);
  set(result.keep_cache, wire::kFopenKeepCache);
  set(result.parallel_direct_writes, wire::kFopenParallelDirectWrites);
  if (result.backing_id > 0) {
    out.open_flags |= wire::kFopenPassthrough;
    out.backing_id = result.backing_id;
  }
  return out;
}

wire::StatxTime MakeStatxTime(Timestamp time) { return {time.seconds, time.nanoseconds, 0}; }

// In the kernel's 32-bit dev_t, the 12 bits of the major number are between the low 8 bits and the
// high 12 bits of the minor number.
uint32_t DeviceMajor(uint32_t rdev) { return (rdev & 0xfff00) >> 8; }
uint32_t DeviceMinor(uint32_t rdev) { return (rdev & 0xff) | ((rdev >> 12) & 0xfff00); }

size_t RecordSize(bool plus, size_t name_size) {
  const size_t size = (plus ? sizeof(wire::EntryOut) : 0) + sizeof(wire::Dirent) + name_size;
  return (size + wire::kDirentAlignment - 1) / wire::kDirentAlignment * wire::kDirentAlignment;
}

}  // namespace

void EncodeReplyHeader(RequestId id, int error, size_t body_size, absl::Span<char> out) {
  assert(error >= 0 && (error == 0 || body_size == 0));
  wire::OutHeader header{};
  header.len = static_cast<uint32_t>(sizeof(header) + body_size);
  header.error = -error;
  header.unique = ToInt(id);
  Put(header, out);
}

size_t Encode(const Entry& entry, absl::Span<char> out) { return Put(MakeEntry(entry), out); }

size_t Encode(NegativeEntry entry, absl::Span<char> out) {
  wire::EntryOut body{};
  body.entry_valid = entry.valid;
  return Put(body, out);
}

size_t Encode(const AttributesResult& result, absl::Span<char> out) {
  wire::AttrOut body{};
  body.attr_valid = result.attributes_valid;
  body.attr = MakeAttr(result.attributes);
  return Put(body, out);
}

size_t Encode(const StatxResult& result, absl::Span<char> out) {
  const Attributes& attributes = result.attributes;
  wire::StatxOut body{};
  body.attr_valid = result.attributes_valid;
  wire::Statx& stat = body.stat;
  stat.mask = wire::kStatxMask;
  stat.blksize = attributes.blksize;
  stat.attributes = result.attribute_flags;
  stat.nlink = attributes.nlink;
  stat.uid = attributes.uid;
  stat.gid = attributes.gid;
  stat.mode = static_cast<uint16_t>(attributes.mode);
  stat.ino = ToInt(attributes.ino);
  stat.size = attributes.size;
  stat.blocks = attributes.blocks;
  stat.attributes_mask = result.attribute_flags_mask;
  stat.atime = MakeStatxTime(attributes.atime);
  stat.btime = MakeStatxTime(attributes.btime);
  stat.ctime = MakeStatxTime(attributes.ctime);
  stat.mtime = MakeStatxTime(attributes.mtime);
  stat.rdev_major = DeviceMajor(attributes.rdev);
  stat.rdev_minor = DeviceMinor(attributes.rdev);
  return Put(body, out);
}

size_t Encode(const OpenResult& result, absl::Span<char> out) { return Put(MakeOpen(result), out); }

size_t Encode(const CreateResult& result, absl::Span<char> out) {
  return Put(wire::CreateOut{MakeEntry(result.entry), MakeOpen(result.open)}, out);
}

size_t Encode(WriteReply reply, absl::Span<char> out) {
  return Put(wire::WriteOut{reply.written, 0}, out);
}

size_t Encode(const FileSystemStatistics& statistics, absl::Span<char> out) {
  wire::StatfsOut body{};
  body.blocks = statistics.blocks;
  body.bfree = statistics.blocks_free;
  body.bavail = statistics.blocks_available;
  body.files = statistics.inodes;
  body.ffree = statistics.inodes_free;
  body.bsize = statistics.block_size;
  body.namelen = statistics.name_max;
  body.frsize = statistics.block_size;
  return Put(body, out);
}

size_t Encode(XattrSizeReply reply, absl::Span<char> out) {
  return Put(wire::GetxattrOut{reply.size, 0}, out);
}

size_t Encode(LseekReply reply, absl::Span<char> out) {
  return Put(wire::LseekOut{reply.offset}, out);
}

size_t Encode(CopyFileRangeReply reply, absl::Span<char> out) {
  if (reply.wide_result) return Put(wire::CopyFileRange64Out{reply.copied}, out);
  // The caller bounds the length of the copy. Here it is too late to report fewer bytes than were
  // copied.
  assert(reply.copied <= UINT32_MAX);
  return Put(wire::WriteOut{static_cast<uint32_t>(reply.copied), 0}, out);
}

size_t Encode(const IoctlResult& result, absl::Span<char> out) {
  wire::IoctlOut body{};
  body.result = result.result;
  return Put(body, out);
}

namespace {

// Encodes a notification: its header, a fixed struct, and `tail`.
template <typename T>
size_t PutNotification(wire::Notification code, const T& body, std::string_view tail,
                       absl::Span<char> out) {
  const size_t size = sizeof(wire::OutHeader) + sizeof(T) + tail.size();
  assert(out.size() >= size && size <= kMaxNotification);
  wire::OutHeader header{};
  header.len = static_cast<uint32_t>(size);
  header.error = static_cast<int32_t>(code);
  Put(header, out);
  Put(body, out.subspan(sizeof(header)));
  if (!tail.empty()) {
    std::memcpy(out.data() + sizeof(header) + sizeof(T), tail.data(), tail.size());
  }
  return size;
}

// The names in notifications are followed by a NUL that their length does not count.
size_t PutName(std::string_view name, char (&buffer)[256]) {
  assert(!name.empty() && name.size() < sizeof(buffer));
  std::memcpy(buffer, name.data(), name.size());
  buffer[name.size()] = '\0';
  return name.size() + 1;
}

}  // namespace

size_t EncodeInvalidateAttributes(InodeNumber ino, absl::Span<char> out) {
  wire::NotifyInvalInodeOut body{};
  body.ino = ToInt(ino);
  body.off = -1;  // no range of data
  return PutNotification(wire::Notification::kInvalInode, body, {}, out);
}

size_t EncodeInvalidateData(InodeNumber ino, uint64_t offset, uint64_t length,
                            absl::Span<char> out) {
  wire::NotifyInvalInodeOut body{};
  body.ino = ToInt(ino);
  body.off = static_cast<int64_t>(offset);
  body.len = static_cast<int64_t>(length);
  return PutNotification(wire::Notification::kInvalInode, body, {}, out);
}

size_t EncodeInvalidateEntry(InodeNumber parent, std::string_view name, absl::Span<char> out) {
  char terminated[256];
  wire::NotifyInvalEntryOut body{};
  body.parent = ToInt(parent);
  body.namelen = static_cast<uint32_t>(name.size());
  return PutNotification(wire::Notification::kInvalEntry, body,
                         {terminated, PutName(name, terminated)}, out);
}

size_t EncodeDeleteEntry(InodeNumber parent, InodeNumber child, std::string_view name,
                         absl::Span<char> out) {
  char terminated[256];
  wire::NotifyDeleteOut body{};
  body.parent = ToInt(parent);
  body.child = ToInt(child);
  body.namelen = static_cast<uint32_t>(name.size());
  return PutNotification(wire::Notification::kDelete, body, {terminated, PutName(name, terminated)},
                         out);
}

size_t EncodePrune(absl::Span<const InodeNumber> inodes, absl::Span<char> out) {
  static_assert(sizeof(InodeNumber) == sizeof(uint64_t));
  wire::NotifyPruneOut body{};
  body.count = static_cast<uint32_t>(inodes.size());
  return PutNotification(
      wire::Notification::kPrune, body,
      {reinterpret_cast<const char*>(inodes.data()), inodes.size() * sizeof(InodeNumber)}, out);
}

size_t EncodeResend(absl::Span<char> out) {
  wire::OutHeader header{};
  header.len = sizeof(header);
  header.error = static_cast<int32_t>(wire::Notification::kResend);
  Put(header, out);
  return sizeof(header);
}

bool DirectoryBuffer::HasRoomFor(std::string_view name) const {
  return RecordSize(plus_, name.size()) <= out_.size() - used_;
}

void DirectoryBuffer::Add(const DirectoryEntry& entry) {
  assert(!entry.name.empty() && entry.name.size() <= 255);
  assert(HasRoomFor(entry.name));
  const size_t size = RecordSize(plus_, entry.name.size());
  char* position = out_.data() + used_;
  char* const end = position + size;
  if (plus_) {
    // An inode number of 0 tells the kernel that no lookup was given.
    wire::EntryOut head{};
    if (entry.entry != nullptr && entry.entry->ino != kNoInode) head = MakeEntry(*entry.entry);
    std::memcpy(position, &head, sizeof(head));
    position += sizeof(head);
  }
  wire::Dirent dirent{};
  dirent.ino = ToInt(entry.ino);
  dirent.off = entry.next_offset;
  dirent.namelen = static_cast<uint32_t>(entry.name.size());
  dirent.type = (entry.type & S_IFMT) >> 12;
  std::memcpy(position, &dirent, sizeof(dirent));
  position += sizeof(dirent);
  std::memcpy(position, entry.name.data(), entry.name.size());
  position += entry.name.size();
  std::memset(position, 0, static_cast<size_t>(end - position));
  used_ += size;
}

}  // namespace memfuse::protocol

#include "src/memfs/tree/acl.h"

#include <cstring>

namespace memfuse::memfs {
namespace {

// <linux/posix_acl_xattr.h>
constexpr uint32_t kVersion = 2;
constexpr uint16_t kUserObj = 0x01;
constexpr uint16_t kUser = 0x02;
constexpr uint16_t kGroupObj = 0x04;
constexpr uint16_t kGroup = 0x08;
constexpr uint16_t kMask = 0x10;
constexpr uint16_t kOther = 0x20;
constexpr size_t kHeaderSize = 4;
constexpr size_t kEntrySize = 8;
constexpr uint32_t kUndefinedId = 0xffffffff;

}  // namespace

Result<Acl> Acl::Parse(std::string_view bytes) {
  uint32_t version;
  if (bytes.size() < kHeaderSize || (bytes.size() - kHeaderSize) % kEntrySize != 0) {
    return Errno(EINVAL);
  }
  std::memcpy(&version, bytes.data(), sizeof(version));
  if (version != kVersion) return Errno(EOPNOTSUPP);
  Acl acl;
  bool named = false;
  uint16_t last_tag = 0;
  for (size_t at = kHeaderSize; at < bytes.size(); at += kEntrySize) {
    Entry entry;
    std::memcpy(&entry.tag, bytes.data() + at, 2);
    std::memcpy(&entry.permissions, bytes.data() + at + 2, 2);
    std::memcpy(&entry.id, bytes.data() + at + 4, 4);
    if ((entry.permissions & ~7) != 0) return Errno(EINVAL);
    // The tags are in increasing order. Only kUser and kGroup may occur more than once.
    const bool is_named = entry.tag == kUser || entry.tag == kGroup;
    if (entry.tag < last_tag || (entry.tag == last_tag && !is_named)) return Errno(EINVAL);
    switch (entry.tag) {
      case kUser:
      case kGroup:
        if (entry.id == kUndefinedId) return Errno(EINVAL);
        named = true;
        break;
      case kUserObj:
      case kGroupObj:
      case kMask:
      case kOther:
        break;
      default:
        return Errno(EINVAL);
    }
    last_tag = entry.tag;
    acl.entries_.push_back(entry);
  }
  if (acl.Find(kUserObj) == nullptr || acl.Find(kGroupObj) == nullptr ||
      acl.Find(kOther) == nullptr || (named && acl.Find(kMask) == nullptr)) {
    return Errno(EINVAL);
  }
  return acl;
}

std::string Acl::Serialize() const {
  std::string bytes(kHeaderSize + entries_.size() * kEntrySize, '\0');
  std::memcpy(bytes.data(), &kVersion, sizeof(kVersion));
  char* at = bytes.data() + kHeaderSize;
  for (const Entry& entry : entries_) {
    std::memcpy(at, &entry.tag, 2);
    std::memcpy(at + 2, &entry.permissions, 2);
    std::memcpy(at + 4, &entry.id, 4);
    at += kEntrySize;
  }
  return bytes;
}

Acl::Entry* Acl::Find(uint16_t tag) {
  for (Entry& entry : entries_) {
    if (entry.tag == tag) return &entry;
  }
  return nullptr;
}

uint32_t Acl::Mode() const {
  const Entry* const mask = Find(kMask);
  const uint32_t group = (mask != nullptr ? mask : Find(kGroupObj))->permissions;
  return static_cast<uint32_t>(Find(kUserObj)->permissions) << 6 | group << 3 |
         Find(kOther)->permissions;
}

void Acl::SetMode(uint32_t mode, absl::Span<char> bytes,
                  absl::FunctionRef<void(absl::Span<const char> part)> save) {
  char* group = nullptr;  // permissions of the mask, which comes after the group, or of the group
  const auto set = [&save](char* place, uint32_t bits) {
    const auto permissions = static_cast<uint16_t>(bits & 7);
    save(absl::MakeConstSpan(place, sizeof(permissions)));
    std::memcpy(place, &permissions, sizeof(permissions));
  };
  for (size_t at = kHeaderSize; at + kEntrySize <= bytes.size(); at += kEntrySize) {
    uint16_t tag;
    std::memcpy(&tag, bytes.data() + at, sizeof(tag));
    char* const permissions = bytes.data() + at + sizeof(tag);
    if (tag == kUserObj) set(permissions, mode >> 6);
    if (tag == kGroupObj || tag == kMask) group = permissions;
    if (tag == kOther) set(permissions, mode);
  }
  if (group != nullptr) set(group, mode >> 3);
}

void Acl::RestrictTo(uint32_t mode) {
  Entry* const mask = Find(kMask);
  Find(kUserObj)->permissions &= mode >> 6 & 7;
  (mask != nullptr ? mask : Find(kGroupObj))->permissions &= mode >> 3 & 7;
  Find(kOther)->permissions &= mode & 7;
}

}  // namespace memfuse::memfs

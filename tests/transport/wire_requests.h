// Requests as the kernel writes them, built with the system's <linux/fuse.h>, and parsed replies.

#ifndef MEMFUSE_TESTS_TRANSPORT_WIRE_REQUESTS_H_
#define MEMFUSE_TESTS_TRANSPORT_WIRE_REQUESTS_H_

#include <linux/fuse.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "memfuse/session.h"

namespace memfuse::transport {

template <typename T>
std::string Bytes(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline std::string Message(uint32_t opcode, uint64_t id, const std::string& body,
                           uint64_t node = 1) {
  fuse_in_header header = {};
  header.len = static_cast<uint32_t>(sizeof(header) + body.size());
  header.opcode = opcode;
  header.unique = id;
  header.nodeid = node;
  header.uid = 1000;
  header.gid = 1000;
  header.pid = 4711;
  return Bytes(header) + body;
}

inline std::string Name(const std::string& name) { return name + '\0'; }

inline std::string GetattrMessage(uint64_t id) {
  return Message(FUSE_GETATTR, id, Bytes(fuse_getattr_in{}));
}

// A long operation of FakeFileSystem.
inline std::string FallocateMessage(uint64_t id) {
  return Message(FUSE_FALLOCATE, id, Bytes(fuse_fallocate_in{}));
}

inline std::string LookupMessage(uint64_t id, const std::string& name) {
  return Message(FUSE_LOOKUP, id, Name(name));
}

inline std::string ReadMessage(uint32_t opcode, uint64_t id, uint32_t size) {
  fuse_read_in in = {};
  in.size = size;
  return Message(opcode, id, Bytes(in));
}

inline std::string WriteMessage(uint64_t id, const std::string& data) {
  fuse_write_in in = {};
  in.size = static_cast<uint32_t>(data.size());
  return Message(FUSE_WRITE, id, Bytes(in) + data);
}

inline std::string XattrMessage(uint32_t opcode, uint64_t id, uint32_t size) {
  fuse_getxattr_in in = {};
  in.size = size;
  return Message(opcode, id, Bytes(in) + (opcode == FUSE_GETXATTR ? Name("user.x") : ""));
}

inline std::string InitMessage(uint64_t id, uint32_t major, uint32_t minor, uint32_t flags) {
  fuse_init_in in = {};
  in.major = major;
  in.minor = minor;
  in.max_readahead = 128 << 10;
  in.flags = flags;
  return Message(FUSE_INIT, id, Bytes(in), 0);
}

// A valid request for every opcode that the kernel sends after INIT, with `id`.
inline std::vector<std::string> GoodRequests(uint64_t id) {
  fuse_setattr_in setattr = {};
  setattr.valid = FATTR_MODE | FATTR_SIZE;
  fuse_mknod_in mknod = {};
  mknod.mode = 0100644;
  fuse_mkdir_in mkdir = {};
  fuse_rename_in rename = {1};
  fuse_rename2_in rename2 = {1, 0, 0};
  fuse_link_in link = {2};
  fuse_create_in create = {};
  create.mode = 0100644;
  fuse_ioctl_in ioctl = {};
  ioctl.out_size = 8;
  // A SETXATTR of the older form. The extended form must be negotiated.
  const std::string setxattr = Bytes(uint32_t{3}) + Bytes(uint32_t{0}) + Name("user.x") + "abc";
  const std::string statx = std::string(24, '\0');
  fuse_forget_in forget = {1};
  fuse_batch_forget_in batch = {2, 0};
  fuse_forget_one one = {2, 1};
  return {
      LookupMessage(id, "name"),
      Message(FUSE_FORGET, id, Bytes(forget)),
      GetattrMessage(id),
      Message(FUSE_SETATTR, id, Bytes(setattr)),
      Message(FUSE_READLINK, id, ""),
      Message(FUSE_SYMLINK, id, Name("name") + Name("target")),
      Message(FUSE_MKNOD, id, Bytes(mknod) + Name("name")),
      Message(FUSE_MKDIR, id, Bytes(mkdir) + Name("name")),
      Message(FUSE_UNLINK, id, Name("name")),
      Message(FUSE_RMDIR, id, Name("name")),
      Message(FUSE_RENAME, id, Bytes(rename) + Name("old") + Name("new")),
      Message(FUSE_LINK, id, Bytes(link) + Name("name")),
      Message(FUSE_OPEN, id, Bytes(fuse_open_in{})),
      ReadMessage(FUSE_READ, id, 4096),
      WriteMessage(id, "data"),
      Message(FUSE_STATFS, id, ""),
      Message(FUSE_RELEASE, id, Bytes(fuse_release_in{})),
      Message(FUSE_FSYNC, id, Bytes(fuse_fsync_in{})),
      Message(FUSE_SETXATTR, id, setxattr),
      XattrMessage(FUSE_GETXATTR, id, 100),
      XattrMessage(FUSE_LISTXATTR, id, 100),
      Message(FUSE_REMOVEXATTR, id, Name("user.x")),
      Message(FUSE_FLUSH, id, Bytes(fuse_flush_in{})),
      Message(FUSE_OPENDIR, id, Bytes(fuse_open_in{})),
      ReadMessage(FUSE_READDIR, id, 4096),
      Message(FUSE_RELEASEDIR, id, Bytes(fuse_release_in{})),
      Message(FUSE_FSYNCDIR, id, Bytes(fuse_fsync_in{})),
      Message(FUSE_ACCESS, id, Bytes(fuse_access_in{})),
      Message(FUSE_CREATE, id, Bytes(create) + Name("name")),
      Message(FUSE_DESTROY, id, ""),
      Message(FUSE_IOCTL, id, Bytes(ioctl)),
      Message(FUSE_BATCH_FORGET, id, Bytes(batch) + Bytes(one) + Bytes(one)),
      Message(FUSE_FALLOCATE, id, Bytes(fuse_fallocate_in{})),
      ReadMessage(FUSE_READDIRPLUS, id, 4096),
      Message(FUSE_RENAME2, id, Bytes(rename2) + Name("old") + Name("new")),
      Message(FUSE_LSEEK, id, Bytes(fuse_lseek_in{})),
      Message(FUSE_COPY_FILE_RANGE, id, Bytes(fuse_copy_file_range_in{})),
      Message(FUSE_TMPFILE, id, Bytes(create) + Name("")),
      Message(52 /* STATX */, id, statx),
      Message(53 /* COPY_FILE_RANGE_64 */, id, Bytes(fuse_copy_file_range_in{})),
  };
}

inline uint32_t OpcodeOf(const std::string& message) {
  fuse_in_header header;
  std::memcpy(&header, message.data(), sizeof(header));
  return header.opcode;
}

inline bool Answered(uint32_t opcode) {
  return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_NOTIFY_REPLY;
}

// A message whose length field is its size.
inline std::string WithHonestLength(std::string message) {
  const auto length = static_cast<uint32_t>(message.size());
  std::memcpy(message.data(), &length, std::min(sizeof(length), message.size()));
  return message;
}

struct WireReply {
  bool well_formed = false;
  uint64_t id = 0;
  int error = 0;  // positive
  std::string body;

  template <typename T>
  T As() const {
    T value = {};
    std::memcpy(&value, body.data(), std::min(sizeof(value), body.size()));
    return value;
  }
};

inline WireReply ParseReply(const std::string& bytes) {
  WireReply reply;
  fuse_out_header header;
  if (bytes.size() < sizeof(header)) return reply;
  std::memcpy(&header, bytes.data(), sizeof(header));
  reply.well_formed = header.len == bytes.size() && header.error <= 0 && header.error > -512 &&
                      (header.error == 0 || bytes.size() == sizeof(header));
  reply.id = header.unique;
  reply.error = -header.error;
  reply.body = bytes.substr(sizeof(header));
  return reply;
}

// The negotiated parameters that the tests assume.
inline ConnectionParameters TestParameters() {
  ConnectionParameters parameters;
  parameters.minor = 45;
  parameters.max_write = 64 << 10;
  parameters.max_pages = 16;
  return parameters;
}

}  // namespace memfuse::transport

#endif  // MEMFUSE_TESTS_TRANSPORT_WIRE_REQUESTS_H_

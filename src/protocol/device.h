// The numbers and layouts of /dev/fuse itself, apart from messages: ioctl(2) commands, and requests
// through io_uring (Linux 6.14).

#ifndef MEMFUSE_SRC_PROTOCOL_DEVICE_H_
#define MEMFUSE_SRC_PROTOCOL_DEVICE_H_

#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>

namespace memfuse::protocol {

// ---- ioctl(2) ----
// The commands are unsigned because the type of ioctl(2)'s request differs between C libraries.

// The argument of kDeviceBackingOpen.
struct BackingMap {
  int32_t descriptor;
  uint32_t flags;  // 0
  uint64_t padding;
};
static_assert(sizeof(BackingMap) == 16);

// Connects a new descriptor to the connection of the descriptor that the argument contains.
inline constexpr unsigned kDeviceClone = _IOR(229, 0, uint32_t);
// Returns the number of a backing file.
inline constexpr unsigned kDeviceBackingOpen = _IOW(229, 1, BackingMap);
inline constexpr unsigned kDeviceBackingClose = _IOW(229, 2, uint32_t);

// ---- io_uring ----

// Commands (io_uring_sqe::cmd_op).
inline constexpr uint32_t kRingRegister = 1;
inline constexpr uint32_t kRingCommitAndFetch = 2;

// The arguments of a command. They begin at this offset in an SQE of kRingSqeSize bytes.
struct RingCommand {
  uint64_t flags;
  uint64_t commit_id;
  uint16_t queue;
  uint8_t padding[6];
};
static_assert(sizeof(RingCommand) == 24);
inline constexpr size_t kRingSqeSize = 128;
inline constexpr size_t kRingCommandOffset = 48;

// The first of the two buffers of an entry; the second one is for the payload.
struct RingHeaders {
  char in_out[128];  // the request's header, then the reply's
  char op_in[128];   // the fixed part of the request's arguments
  uint64_t flags;
  uint64_t commit_id;
  uint32_t payload_size;
  uint32_t padding;
  uint64_t reserved;
};
static_assert(sizeof(RingHeaders) == 288);

// FUSE_MIN_READ_BUFFER: the smallest buffer for a payload.
inline constexpr size_t kMinReadBuffer = 8192;

}  // namespace memfuse::protocol

#endif  // MEMFUSE_SRC_PROTOCOL_DEVICE_H_

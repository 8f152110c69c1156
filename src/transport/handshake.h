// The first exchange on a connection: the kernel's INIT.

#ifndef MEMFUSE_SRC_TRANSPORT_HANDSHAKE_H_
#define MEMFUSE_SRC_TRANSPORT_HANDSHAKE_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "memfuse/session.h"
#include "src/protocol/negotiation.h"
#include "src/transport/device_channel.h"

namespace memfuse::transport {

// Waits for INIT, answers it, and returns what was agreed on. A kernel that speaks a later major
// version is told ours and asks again. Whatever else arrives before INIT is answered EIO.
// DeadlineExceeded: no INIT. FailedPrecondition: the kernel is too old, or the connection ended.
// Internal: the answer was not accepted.
absl::StatusOr<ConnectionParameters> AnswerInit(DeviceChannel* channel,
                                                const protocol::RequestedCapabilities& requested,
                                                absl::Time deadline);

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_HANDSHAKE_H_

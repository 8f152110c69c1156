// The first exchange on a connection: the kernel's INIT request.

#ifndef MEMFUSE_SRC_TRANSPORT_HANDSHAKE_H_
#define MEMFUSE_SRC_TRANSPORT_HANDSHAKE_H_

#include "absl/status/statusor.h"
#include "memfuse/connection.h"
#include "src/base/deadline.h"
#include "src/protocol/negotiation.h"
#include "src/transport/device_channel.h"

namespace memfuse::transport {

// Waits for INIT, answers it, and returns the parameters that were agreed on. A kernel with a later
// major version receives ours and sends INIT again. Any other request that arrives before INIT and
// expects a reply is answered with its decoding error or EIO. Errors: DeadlineExceeded (no INIT),
// FailedPrecondition (the kernel is too old, or the connection ended), Internal (the kernel did not
// accept the answer).
absl::StatusOr<ConnectionParameters> AnswerInit(DeviceChannel* channel,
                                                const protocol::RequestedCapabilities& requested,
                                                base::Deadline deadline);

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_HANDSHAKE_H_

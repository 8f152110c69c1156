// Invariants of every request that decoding accepts, for arbitrary bytes. For tests and fuzzers.

#ifndef MEMFUSE_TESTS_PROTOCOL_REQUEST_INVARIANTS_H_
#define MEMFUSE_TESTS_PROTOCOL_REQUEST_INVARIANTS_H_

#include <string>

#include "absl/types/span.h"
#include "src/protocol/decode.h"

namespace memfuse::protocol {

// Returns an empty string, or the first guarantee of decode.h that `request`, decoded from
// `message`, violates: views lie inside the message, names contain neither NUL nor '/', times are
// valid, and the opcode in `header` is one that is decoded at all.
std::string BrokenInvariant(const RequestHeader& header, const Request& request,
                            absl::Span<const char> message);

}  // namespace memfuse::protocol

#endif  // MEMFUSE_TESTS_PROTOCOL_REQUEST_INVARIANTS_H_

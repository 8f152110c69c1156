// What holds for every request that decoding lets through, whatever bytes came in. For tests and
// fuzzers.

#ifndef MEMFUSE_TESTS_PROTOCOL_REQUEST_INVARIANTS_H_
#define MEMFUSE_TESTS_PROTOCOL_REQUEST_INVARIANTS_H_

#include <string>

#include "absl/types/span.h"
#include "src/protocol/decode.h"

namespace memfuse::protocol {

// Empty, or the first promise of decode.h that `request`, decoded from `message`, breaks: views lie
// inside the message, names hold neither NUL nor '/', times are times, and the opcode in `header`
// is one that is decoded at all.
std::string BrokenInvariant(const RequestHeader& header, const Request& request,
                            absl::Span<const char> message);

}  // namespace memfuse::protocol

#endif  // MEMFUSE_TESTS_PROTOCOL_REQUEST_INVARIANTS_H_

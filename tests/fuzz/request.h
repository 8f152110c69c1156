// Builds the bytes of a request from a step of a script.

#ifndef MEMFUSE_TESTS_FUZZ_REQUEST_H_
#define MEMFUSE_TESTS_FUZZ_REQUEST_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "tests/fuzz/nodes.h"
#include "tests/fuzz/script.h"

namespace memfuse::fuzz {

// No request sets larger limits, so that no input can use much memory or time.
inline constexpr uint64_t kMaxBytesLimit = 16 << 20;
inline constexpr uint64_t kMaxInodesLimit = 64;

// A position in a file: near the beginning or the end of a page, mostly of one of the first pages.
// The largest values are beyond the end of every possible file.
uint64_t Offset(uint8_t byte);
// A number of bytes, up to 64 KiB and one byte. Many of the values are just below, at or just above
// a limit.
uint32_t Length(uint8_t byte);

// A message with a correct header.
std::string MakeMessage(const Step& step, uint32_t opcode, uint64_t id, uint64_t node,
                        const std::string& body);

// What a message depends on in addition to its step.
struct RequestState {
  const Nodes* nodes = nullptr;
  absl::Span<const Step> raw_body;  // the steps that follow a raw step
  uint64_t id = 0;
  uint64_t directory_offset = 0;  // where the latest listing of this worker ended
  bool setxattr_ext = false;
};

// The message of the step, which may be malformed. The request id is always state.id.
std::string MakeRequest(const Step& step, const RequestState& state);

}  // namespace memfuse::fuzz

#endif  // MEMFUSE_TESTS_FUZZ_REQUEST_H_

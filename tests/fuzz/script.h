// The input of dispatcher_fuzzer: a list of requests that two workers serve.
//
// An input is one byte of configuration and steps of 16 bytes each. Every input is a valid script:
// each byte of a step selects something for every value. Steps have a fixed size, so the change of
// a byte changes one request only, and steps can be inserted, removed and moved as a whole.

#ifndef MEMFUSE_TESTS_FUZZ_SCRIPT_H_
#define MEMFUSE_TESTS_FUZZ_SCRIPT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "src/transport/reply.h"

namespace memfuse::fuzz {

inline constexpr size_t kWorkers = 2;
// Further steps of an input are ignored.
inline constexpr size_t kMaxSteps = 48;
// Inode numbers that requests refer to; see nodes.h.
inline constexpr size_t kNodes = 16;

struct Step {
  // The opcode, or kReleaseUnused. With the highest bit, the body of the request consists of the
  // bytes of the next `choice & 7` steps.
  uint8_t opcode = 0;
  uint8_t route = 0;      // bit 0: worker; bit 1: wait; bits 2-4: send status; others ignored
  uint8_t caller = 0;     // low bits: user and process; high half: the node that the reply sets
  uint8_t nodes = 0;      // two nodes
  uint8_t names = 0;      // two names
  uint8_t choice = 0;     // flags or mode
  uint8_t offset = 0;     // see Offset() in request.h
  uint8_t offset2 = 0;    // the same
  uint8_t length = 0;     // see Length() in request.h
  uint8_t data = 0;       // content of a WRITE or of an extended attribute
  uint8_t damage = 0;     // low 3 bits: see Damage() in request.cc
  uint8_t damage_at = 0;  // a position in the body
  uint8_t value[4] = {};  // a number that is used as it is

  static constexpr uint8_t kRaw = 0x80;
  // Instead of a request: MemoryFileSystem::ReleaseUnusedMemory, which the daemon calls from time
  // to time.
  static constexpr uint8_t kReleaseUnused = 0x7f;

  bool raw() const { return (opcode & kRaw) != 0; }
  uint32_t code() const { return opcode & ~uint32_t{kRaw}; }
  size_t raw_steps() const { return raw() ? choice & 7u : 0; }
  size_t worker() const { return route & 1u; }
  // All earlier steps are finished before this one begins.
  bool waits() const { return (route & 2u) != 0; }
  transport::SendStatus send_status() const;  // what the channel answers to the dispatcher
  size_t node() const { return nodes % kNodes; }
  size_t node2() const { return nodes / kNodes; }
  size_t result_node() const { return caller / kNodes; }
  uint32_t number() const;
};
static_assert(sizeof(Step) == 16 && alignof(Step) == 1);

struct Script {
  uint8_t configuration = 0;
  std::vector<Step> steps;

  // Workers return no more lookups and opens than they were given, as the kernel does. Otherwise
  // FORGET and RELEASE are sent as they are in the script.
  bool balanced() const { return (configuration & 1u) == 0; }
  // The file system is destroyed with its content. Otherwise it is emptied.
  bool destroys() const { return (configuration & 2u) != 0; }
  // SETXATTR has the extended struct.
  bool setxattr_ext() const { return (configuration & 4u) != 0; }
  // The options of the file system; see server.h.
  bool writeback() const { return (configuration & 8u) != 0; }
  bool huge_pages() const { return (configuration & 16u) != 0; }
  static constexpr size_t kConfigurationBits = 5;
};

Script ParseScript(absl::Span<const uint8_t> input);
std::vector<uint8_t> SerializeScript(const Script& script);

// One request of a script.
struct ScriptRequest {
  Step step;
  absl::Span<const Step> raw_body;  // the steps that follow a raw step
};

// The requests that the two workers serve at the same time.
struct Phase {
  std::vector<ScriptRequest> requests[kWorkers];
};

// The phases follow each other. The script must outlive them.
std::vector<Phase> SplitIntoPhases(const Script& script);

}  // namespace memfuse::fuzz

#endif  // MEMFUSE_TESTS_FUZZ_SCRIPT_H_

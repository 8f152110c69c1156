// Bytes that no kernel would send. Under the address sanitizer this test finds reads outside the
// message. Without it, the test still checks the guarantees of decoding.

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "src/protocol/decode.h"
#include "src/protocol/opcodes.h"
#include "tests/protocol/message.h"
#include "tests/protocol/request_invariants.h"
#include "tests/protocol/sample.h"

namespace memfuse::protocol {
namespace {

struct Tally {
  uint64_t accepted = 0;
  uint64_t rejected = 0;
};

class RandomTest : public testing::Test {
 protected:
  uint64_t Below(uint64_t limit) { return random_() % limit; }

  std::string RandomBytes(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
      const uint64_t word = random_();
      std::memcpy(&bytes[i], &word, std::min(sizeof(word), size - i));
    }
    return bytes;
  }

  // Half of the fields have small values only, as most real fields have.
  void ChangeSomeBytes(std::string* bytes) {
    for (uint64_t changes = Below(5); changes > 0 && !bytes->empty(); --changes) {
      const uint64_t value = Below(2) == 0 ? Below(4) : random_();
      (*bytes)[Below(bytes->size())] = static_cast<char>(value);
    }
  }

  ConnectionParameters RandomParameters() {
    ConnectionParameters parameters;
    parameters.flags = random_();
    return parameters;
  }

  // Decodes a message whose header has the message's true length.
  void Feed(std::string_view message, const ConnectionParameters& parameters) {
    const ExactBuffer buffer(message);
    const Result<RequestHeader> header = DecodeHeader(buffer.span());
    ASSERT_EQ(header.ok(), message.size() >= kRequestHeaderSize);
    if (!header.ok()) return;
    const Result<Request> request =
        DecodeBody(*header, buffer.span().subspan(kRequestHeaderSize), parameters);
    Tally& tally = tallies_[header->opcode];
    if (request.ok()) {
      ++tally.accepted;
      ASSERT_EQ(BrokenInvariant(*header, *request, buffer.span()), "") << header->opcode;
      return;
    }
    ++tally.rejected;
    const OpcodeInfo* info = FindOpcode(header->opcode);
    const bool decoded = info != nullptr && (info->disposition == Disposition::kServe ||
                                             info->disposition == Disposition::kNoReply);
    ASSERT_EQ(request.error().value(), decoded ? EINVAL : ENOSYS) << header->opcode;
  }

  std::mt19937_64 random_{20240229};
  std::map<uint32_t, Tally> tallies_;
};

TEST_F(RandomTest, ArbitraryBytes) {
  for (int i = 0; i < 500'000 && !HasFatalFailure(); ++i) {
    const size_t size = Below(4) == 0 ? Below(64) : Below(320);
    std::string message = RandomBytes(size);
    if (size >= 8) {
      const auto opcode = static_cast<uint32_t>(Below(16) == 0 ? random_() : Below(kOpcodeLimit));
      std::memcpy(&message[4], &opcode, sizeof(opcode));
    }
    // Otherwise nearly every message would have more extensions than bytes.
    if (size >= kRequestHeaderSize && Below(4) != 0) std::memset(&message[36], 0, 2);
    Feed(Truncated(message, size), RandomParameters());
  }
  EXPECT_GT(tallies_.size(), kOpcodeLimit);
}

TEST_F(RandomTest, SamplesWithBytesChanged) {
  const std::vector<Sample> samples = AllSamples();
  for (int i = 0; i < 500'000 && !HasFatalFailure(); ++i) {
    const Sample& sample = samples[Below(samples.size())];
    std::string message = sample.message;
    ChangeSomeBytes(&message);
    if (Below(4) == 0) message.resize(Below(message.size() + 1));
    if (Below(8) == 0) message += RandomBytes(Below(40));
    if (message.size() >= kRequestHeaderSize) {
      std::memcpy(&message[4], &sample.opcode, sizeof(sample.opcode));
    }
    Feed(Truncated(message, message.size()),
         Below(2) == 0 ? sample.parameters : RandomParameters());
  }
  // Every operation was both accepted and rejected, so both branches were executed.
  for (const Sample& sample : samples) {
    EXPECT_GT(tallies_[sample.opcode].accepted, 0u) << sample.name;
    EXPECT_GT(tallies_[sample.opcode].rejected, 0u) << sample.name;
  }
}

}  // namespace
}  // namespace memfuse::protocol

#include "tests/fuzz/script.h"

#include <algorithm>
#include <cstring>

namespace memfuse::fuzz {

// Most replies are delivered.
transport::SendStatus Step::send_status() const {
  using transport::SendStatus;
  switch (route >> 2 & 7) {
    case 6:
      return SendStatus::kAbandoned;
    case 7:
      return SendStatus::kRefused;
    default:
      return SendStatus::kDelivered;
  }
}

uint32_t Step::number() const {
  uint32_t number;
  std::memcpy(&number, value, sizeof(number));
  return number;
}

Script ParseScript(absl::Span<const uint8_t> input) {
  Script script;
  if (input.empty()) return script;
  script.configuration = input[0];
  input.remove_prefix(1);
  // The bytes behind the last complete step are ignored.
  script.steps.resize(std::min(input.size() / sizeof(Step), kMaxSteps));
  if (!script.steps.empty()) {
    std::memcpy(script.steps.data(), input.data(), script.steps.size() * sizeof(Step));
  }
  return script;
}

std::vector<uint8_t> SerializeScript(const Script& script) {
  std::vector<uint8_t> bytes(1 + script.steps.size() * sizeof(Step));
  bytes[0] = script.configuration;
  if (!script.steps.empty()) {
    std::memcpy(&bytes[1], script.steps.data(), script.steps.size() * sizeof(Step));
  }
  return bytes;
}

std::vector<Phase> SplitIntoPhases(const Script& script) {
  std::vector<Phase> phases(1);
  absl::Span<const Step> rest = script.steps;
  while (!rest.empty()) {
    const Step& step = rest.front();
    rest.remove_prefix(1);
    const size_t raw_steps = std::min(step.raw_steps(), rest.size());
    if (step.waits()) phases.emplace_back();
    phases.back().requests[step.worker()].push_back({step, rest.first(raw_steps)});
    rest.remove_prefix(raw_steps);
  }
  return phases;
}

}  // namespace memfuse::fuzz

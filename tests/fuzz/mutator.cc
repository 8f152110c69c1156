// Mutations of scripts for dispatcher_fuzzer: they insert, remove, move and change whole steps.
// libFuzzer's own mutations, which know bytes only, are used for the fields of one step.

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "src/protocol/opcodes.h"
#include "tests/fuzz/script.h"

// Defined by libFuzzer. Changes `size` bytes in place; returns the new size, at most `max_size`.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace memfuse::fuzz {
namespace {

class Mutator {
 public:
  Mutator(Script* script, size_t max_steps, unsigned seed)
      : steps_(script->steps),
        configuration_(script->configuration),
        max_steps_(max_steps),
        random_(seed) {}

  void Mutate() {
    // Several changes at once reach combinations that single changes do not.
    do {
      MutateOnce();
    } while (Below(4) == 0);
    if (steps_.size() > max_steps_) steps_.resize(max_steps_);
  }

 private:
  size_t Below(size_t limit) { return random_() % limit; }
  uint8_t Byte() { return static_cast<uint8_t>(random_()); }
  size_t AnyIndex() { return Below(steps_.size()); }

  uint8_t ServedOpcode() {
    for (;;) {
      const auto opcode = static_cast<uint32_t>(Below(protocol::kOpcodeLimit));
      const protocol::OpcodeInfo* const info = protocol::FindOpcode(opcode);
      if (info != nullptr && (info->disposition == protocol::Disposition::kServe ||
                              info->disposition == protocol::Disposition::kNoReply)) {
        return static_cast<uint8_t>(opcode);
      }
    }
  }

  // Most requests are to succeed, so most of them have few nodes and names, and no damage.
  Step RandomStep() {
    Step step;
    switch (Below(64)) {
      case 0:
        step.opcode = Byte();
        break;
      case 1:
        step.opcode = Step::kReleaseUnused;
        break;
      default:
        step.opcode = ServedOpcode();
    }
    step.route = Below(4) == 0 ? Byte() : Byte() & 3;
    step.caller = Below(4) == 0 ? Byte() : static_cast<uint8_t>(Below(8) << 4);
    step.nodes = static_cast<uint8_t>(Below(8) | Below(8) << 4);
    step.names = Below(8) == 0 ? Byte() : static_cast<uint8_t>(Below(4) | Below(4) << 4);
    step.choice = Byte();
    step.offset = Byte();
    step.offset2 = Byte();
    step.length = Byte();
    step.data = Byte();
    if (Below(16) == 0) {
      step.damage = Byte();
      step.damage_at = Byte();
    }
    for (uint8_t& byte : step.value) byte = Below(2) == 0 ? 0 : Byte();
    return step;
  }

  void Insert(size_t at, const Step& step) {
    if (steps_.size() < max_steps_)
      steps_.insert(steps_.begin() + static_cast<ptrdiff_t>(at), step);
  }

  void MutateOnce() {
    if (steps_.empty()) {
      Insert(0, RandomStep());
      return;
    }
    const size_t at = AnyIndex();
    switch (Below(12)) {
      case 0:
        configuration_ =
            static_cast<uint8_t>(configuration_ ^ 1u << Below(Script::kConfigurationBits));
        break;
      case 1:
        steps_.erase(steps_.begin() + static_cast<ptrdiff_t>(at));
        break;
      case 2:
        std::swap(steps_[at], steps_[AnyIndex()]);
        break;
      case 3:  // again, later, perhaps by the other worker
        Insert(at + Below(steps_.size() - at + 1), steps_[at]);
        steps_[at].route ^= Byte() & 3;
        break;
      case 4:
        steps_[at].route = Byte() & 3;
        break;
      case 5:
        steps_[at].opcode = ServedOpcode();
        break;
      case 6:
        steps_[at].nodes = steps_[AnyIndex()].nodes;
        steps_[at].names = steps_[AnyIndex()].names;
        break;
      case 7:
        steps_[at] = RandomStep();
        break;
      case 8:
      case 9:
        Insert(at, RandomStep());
        break;
      default: {
        uint8_t bytes[sizeof(Step)];
        std::memcpy(bytes, &steps_[at], sizeof(bytes));
        LLVMFuzzerMutate(bytes, sizeof(bytes), sizeof(bytes));
        std::memcpy(&steps_[at], bytes, sizeof(bytes));
      }
    }
  }

  std::vector<Step>& steps_;
  uint8_t& configuration_;
  const size_t max_steps_;
  std::minstd_rand random_;
};

size_t MaxSteps(size_t max_size) {
  return max_size == 0 ? 0 : std::min((max_size - 1) / sizeof(Step), kMaxSteps);
}

size_t Store(const Script& script, uint8_t* out, size_t max_size) {
  const std::vector<uint8_t> bytes = SerializeScript(script);
  const size_t size = std::min(bytes.size(), max_size);
  std::memcpy(out, bytes.data(), size);
  return size;
}

}  // namespace
}  // namespace memfuse::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  using namespace memfuse::fuzz;  // NOLINT(google-build-using-namespace): the whole function
  Script script = ParseScript({data, size});
  Mutator(&script, MaxSteps(max_size), seed).Mutate();
  return Store(script, data, max_size);
}

// The beginning of one script, and the end of another one.
extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1,
                                            const uint8_t* data2, size_t size2, uint8_t* out,
                                            size_t max_out_size, unsigned seed) {
  using namespace memfuse::fuzz;  // NOLINT(google-build-using-namespace): the whole function
  std::minstd_rand random(seed);
  Script script = ParseScript({data1, size1});
  const Script other = ParseScript({data2, size2});
  script.steps.resize(random() % (script.steps.size() + 1));
  const auto skipped = static_cast<ptrdiff_t>(random() % (other.steps.size() + 1));
  script.steps.insert(script.steps.end(), other.steps.begin() + skipped, other.steps.end());
  script.steps.resize(std::min(script.steps.size(), MaxSteps(max_out_size)));
  return Store(script, out, max_out_size);
}

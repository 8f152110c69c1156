// Writes the inputs with which the corpora begin:
//
//   write_seeds decode|dispatcher DIRECTORY
//
// For decode these are the samples of the protocol tests. For dispatcher, each seed makes a small
// tree and then sends one kind of request for each of its inodes, from both workers.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "src/protocol/opcodes.h"
#include "src/protocol/wire_init.h"
#include "tests/fuzz/script.h"
#include "tests/protocol/sample.h"

namespace memfuse::fuzz {
namespace {

using protocol::Opcode;

void Write(const std::string& directory, const std::string& name, std::string_view bytes) {
  std::ofstream file(directory + "/" + name, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) {
    std::perror((directory + "/" + name).c_str());
    std::exit(1);
  }
}

// See decode_fuzzer.cc for the layout.
void WriteDecodeSeeds(const std::string& directory) {
  for (const protocol::Sample& sample : protocol::AllSamples()) {
    const uint64_t flags = sample.parameters.flags;
    std::string input(reinterpret_cast<const char*>(&flags), sizeof(flags));
    input += '\0';
    input += sample.message;
    Write(directory, sample.name, input);
  }
}

Step MakeStep(Opcode opcode, size_t node, uint8_t name, uint8_t choice = 0, size_t result = 0) {
  Step step;
  step.opcode = static_cast<uint8_t>(opcode);
  step.nodes = static_cast<uint8_t>(node);
  step.names = name;
  step.choice = choice;
  step.caller = static_cast<uint8_t>(result << 4);
  return step;
}

// The numbers of nodes and the indices of names, modes and flags are those of request.cc.
constexpr size_t kTreeNodes = 7;

std::vector<Step> Tree() {
  constexpr uint8_t kFifo = 1 << 5;
  constexpr uint8_t kSomeLength = 8;
  std::vector<Step> steps = {
      MakeStep(Opcode::kMkdir, 0, 0, 1, 1),
      MakeStep(Opcode::kMkdir, 1, 1, 1, 2),
      MakeStep(Opcode::kCreate, 0, 1, 0, 3),
      MakeStep(Opcode::kSymlink, 0, 2, 0, 4),
      MakeStep(Opcode::kMknod, 0, 3, kFifo, 5),
      MakeStep(Opcode::kTmpfile, 0, 0, 0, 6),
      MakeStep(Opcode::kLink, 1 | 3 << 4, 4, 0, 3),
      MakeStep(Opcode::kWrite, 3, 0),
      MakeStep(Opcode::kSetxattr, 3, 0),
      MakeStep(Opcode::kOpen, 3, 0),
  };
  for (Step& step : steps) {
    step.length = kSomeLength;
    step.data = 'w';
  }
  return steps;
}

void WriteDispatcherSeeds(const std::string& directory) {
  for (const protocol::OpcodeInfo& info : protocol::AllOpcodes()) {
    for (const uint8_t choice : {0, 1, 2, 3, 5, 6, 7, 0x42}) {
      Script script;
      script.configuration = static_cast<uint8_t>(choice | (choice & 4) << 2);
      script.steps = Tree();
      for (size_t i = 0; i < 2 * kTreeNodes; ++i) {
        Step step = MakeStep(info.opcode, i % kTreeNodes, static_cast<uint8_t>(i % 8));
        step.route = i == 0 ? 2 : static_cast<uint8_t>(i & 1);
        step.caller = static_cast<uint8_t>(8 << 4 | i % 8);
        step.nodes |= static_cast<uint8_t>((i + choice) % kTreeNodes << 4);
        step.names |= static_cast<uint8_t>((i + 1) % 8 << 4);
        step.choice = choice;
        step.offset = static_cast<uint8_t>(choice * i);
        step.offset2 = static_cast<uint8_t>(choice * 37 + i);
        step.length = static_cast<uint8_t>(4 + i * 5);
        step.data = static_cast<uint8_t>(choice + i);
        step.value[0] = static_cast<uint8_t>(1 << choice % 8);
        script.steps.push_back(step);
      }
      const std::vector<uint8_t> bytes = SerializeScript(script);
      Write(directory, std::string(info.name) + "-" + std::to_string(choice),
            {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
  }
}

}  // namespace
}  // namespace memfuse::fuzz

int main(int argc, char** argv) {
  const std::string_view family = argc == 3 ? argv[1] : "";
  if (family == "decode") {
    memfuse::fuzz::WriteDecodeSeeds(argv[2]);
  } else if (family == "dispatcher") {
    memfuse::fuzz::WriteDispatcherSeeds(argv[2]);
  } else {
    std::fputs("usage: write_seeds decode|dispatcher DIRECTORY\n", stderr);
    return 2;
  }
  return 0;
}

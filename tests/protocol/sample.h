// A well-formed request of every kind, with its decoded form. The tests decode these unchanged, in
// two halves, at every alignment, truncated and with bytes changed.

#ifndef MEMFUSE_TESTS_PROTOCOL_SAMPLE_H_
#define MEMFUSE_TESTS_PROTOCOL_SAMPLE_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "src/protocol/decode.h"
#include "tests/protocol/message.h"

namespace memfuse::protocol {

struct Sample {
  std::string name;
  uint32_t opcode = 0;
  std::string message;  // header and body
  // The size of the shortest prefix of `message` that is a request, too. Usually the whole message.
  size_t shortest_valid = 0;
  ConnectionParameters parameters;
  std::function<void(const Request&)> check;
};

inline void PrintTo(const Sample& sample, std::ostream* out) { *out << sample.name; }

// A sample with the arguments `fixed` and `rest`. It must decode to a T that `check` accepts.
template <typename T, typename Check>
Sample MakeSample(std::string name, uint32_t opcode, std::string_view fixed, std::string_view rest,
                  Check check) {
  Sample sample;
  sample.name = std::move(name);
  sample.opcode = opcode;
  sample.message = MakeMessage(opcode, std::string(fixed) + std::string(rest));
  sample.shortest_valid = sample.message.size();
  sample.check = [check](const Request& request) {
    const T* typed = std::get_if<T>(&request);
    ASSERT_NE(typed, nullptr) << "alternative " << request.index();
    check(*typed);
  };
  return sample;
}

std::vector<Sample> NamespaceSamples();
std::vector<Sample> AttributeSamples();
std::vector<Sample> IoSamples();
std::vector<Sample> SessionSamples();

std::vector<Sample> AllSamples();

}  // namespace memfuse::protocol

#endif  // MEMFUSE_TESTS_PROTOCOL_SAMPLE_H_

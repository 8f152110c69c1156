#include "src/transport/recent_requests.h"

#include <algorithm>
#include <limits>

namespace memfuse::transport {
namespace {

// The last word: 40 bits of latency, 8 bits of opcode, 16 bits of error.
constexpr uint64_t kMaxLatency = (uint64_t{1} << 40) - 1;
constexpr unsigned kLatencyShift = 24;
constexpr unsigned kOpcodeShift = 16;
// A user that the kernel does not tell. It is no valid user ID.
constexpr uint32_t kNoUser = 0xffffffff;

using Words = std::array<uint64_t, 4>;

Words Pack(const RecentRequest& request) {
  return {ToInt(request.ino), uint64_t{request.uid.value_or(kNoUser)} << 32 | request.pid,
          request.start_nanoseconds,
          std::min(request.latency_nanoseconds, kMaxLatency) << kLatencyShift |
              uint64_t{request.opcode & 0xff} << kOpcodeShift |
              (static_cast<uint64_t>(request.error) & 0xffff)};
}

RecentRequest Unpack(const Words& words) {
  RecentRequest request;
  request.ino = InodeNumber{words[0]};
  const auto uid = static_cast<uint32_t>(words[1] >> 32);
  if (uid != kNoUser) request.uid = uid;
  request.pid = static_cast<uint32_t>(words[1]);
  request.start_nanoseconds = words[2];
  request.latency_nanoseconds = words[3] >> kLatencyShift;
  request.opcode = static_cast<uint32_t>(words[3] >> kOpcodeShift & 0xff);
  request.error = static_cast<int>(words[3] & 0xffff);
  return request;
}

}  // namespace

void RecentRequests::Add(const RecentRequest& request) {
  const Words words = Pack(request);
  const uint64_t number = done_.load(std::memory_order_relaxed);
  begun_.store(number + 1, std::memory_order_relaxed);
  Entry& entry = entries_[number % kCapacity];
  for (size_t i = 0; i < words.size(); ++i) entry[i].store(words[i], std::memory_order_release);
  done_.store(number + 1, std::memory_order_release);
}

uint64_t RecentRequests::AppendTo(std::vector<RecentRequest>* requests) const {
  const uint64_t end = done_.load(std::memory_order_acquire);
  const uint64_t first = end - std::min<uint64_t>(end, kCapacity);
  const size_t before = requests->size();
  requests->reserve(before + (end - first));
  for (uint64_t number = first; number < end; ++number) {
    const Entry& entry = entries_[number % kCapacity];
    Words words;
    for (size_t i = 0; i < words.size(); ++i) words[i] = entry[i].load(std::memory_order_acquire);
    requests->push_back(Unpack(words));
  }
  // Entry n overwrites entry n - kCapacity.
  const uint64_t begun = begun_.load(std::memory_order_relaxed);
  const uint64_t intact = begun - std::min<uint64_t>(begun, kCapacity);
  const uint64_t dropped = intact <= first ? 0 : std::min(intact, end) - first;
  const auto begin = requests->begin() + static_cast<std::ptrdiff_t>(before);
  requests->erase(begin, begin + static_cast<std::ptrdiff_t>(dropped));
  if (first + dropped == 0) return 0;
  if (requests->size() == before) return std::numeric_limits<uint64_t>::max();
  return (*requests)[before].end_nanoseconds();
}

}  // namespace memfuse::transport

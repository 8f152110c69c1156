#include "src/memfs/space/refusals.h"

#include <algorithm>

namespace memfuse::memfs {

void RefusalList::Add(const Refusal& refusal) {
  MutexLock lock(&mu_);
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(used_);
  auto found = std::find_if(entries_.begin(), end, [&](const Refusal& entry) {
    return entry.limit == refusal.limit && entry.owner == refusal.owner && entry.id == refusal.id;
  });
  uint64_t count = 1;
  if (found != end) {
    count += found->count;
  } else if (used_ < kMaxRefusals) {
    ++used_;
  } else {
    --found;  // the last entry is replaced
  }
  std::move_backward(entries_.begin(), found, found + 1);
  entries_.front() = refusal;
  entries_.front().count = count;
}

std::vector<Refusal> RefusalList::List() const {
  MutexLock lock(&mu_);
  return {entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(used_)};
}

}  // namespace memfuse::memfs

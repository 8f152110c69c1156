#include "src/memfs/data/cached_holes.h"

#include <algorithm>

namespace memfuse::memfs {

void CachedHoles::Add(uint64_t first, uint64_t last) {
  // The ranges that overlap or touch the new one are merged into it.
  size_t begin = 0;
  while (begin < count_ && ranges_[begin].last + 1 < first) ++begin;
  size_t end = begin;
  for (; end < count_ && ranges_[end].first <= last + 1; ++end) {
    first = std::min(first, ranges_[end].first);
    last = std::max(last, ranges_[end].last);
  }
  if (begin == end) {
    std::copy_backward(ranges_.begin() + begin, ranges_.begin() + count_,
                       ranges_.begin() + count_ + 1);
    ++count_;
  } else {
    std::copy(ranges_.begin() + end, ranges_.begin() + count_, ranges_.begin() + begin + 1);
    count_ -= end - begin - 1;
  }
  ranges_[begin] = {first, last};
  if (count_ <= kMaxRanges) return;
  size_t closest = 0;
  for (size_t i = 1; i + 1 < count_; ++i) {
    const auto gap = [this](size_t k) { return ranges_[k + 1].first - ranges_[k].last; };
    if (gap(i) < gap(closest)) closest = i;
  }
  ranges_[closest].last = ranges_[closest + 1].last;
  std::copy(ranges_.begin() + closest + 2, ranges_.begin() + count_, ranges_.begin() + closest + 1);
  --count_;
}

uint64_t CachedHoles::NextPresent(uint64_t page) const {
  for (size_t i = 0; i < count_; ++i) {
    if (ranges_[i].last >= page) return std::max(page, ranges_[i].first);
  }
  return kNone;
}

uint64_t CachedHoles::NextMissing(uint64_t page) const {
  for (size_t i = 0; i < count_; ++i) {
    if (ranges_[i].first <= page && page <= ranges_[i].last) return ranges_[i].last + 1;
  }
  return page;
}

}  // namespace memfuse::memfs

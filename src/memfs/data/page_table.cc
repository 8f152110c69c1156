#include "src/memfs/data/page_table.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"

namespace memfuse::memfs {
namespace {

// Returns the end (exclusive) of the slots to visit. `last` may be the largest number that exists.
uint64_t EndSlot(uint64_t last, uint64_t capacity) { return last < capacity ? last + 1 : capacity; }

}  // namespace

uint16_t PageTable::CapacityFor(uint64_t slot) {
  uint64_t capacity = 4;
  while (capacity <= slot) capacity *= 2;
  return static_cast<uint16_t>(capacity);
}

PageSlot PageTable::Get(uint64_t index) const {
  const auto it = chunks_.find(ChunkOf(index));
  if (it == chunks_.end()) return {};
  const uint64_t slot = index % kChunkPages;
  return slot < it->second.capacity ? it->second.slots[slot] : PageSlot();
}

void PageTable::Prepare(uint64_t first, uint64_t last) {
  const auto top = [&](uint64_t c) {
    return c == ChunkOf(last) ? last % kChunkPages : kChunkPages - 1;
  };
  // Steps that can fail come first. DropUnused removes the empty chunks that a failure leaves.
  for (uint64_t c = ChunkOf(first); c <= ChunkOf(last); ++c) {
    if (chunks_.contains(c)) continue;
    const NodeReserve reserve(chunks_.size());
    chunks_.try_emplace(c);
    cost_ += kChunkCost;
  }
  absl::InlinedVector<std::unique_ptr<PageSlot[]>, 2> larger;
  auto it = chunks_.find(ChunkOf(first));
  for (uint64_t c = ChunkOf(first); c <= ChunkOf(last); ++c, ++it) {
    if (top(c) < it->second.capacity) continue;
    larger.push_back(std::make_unique<PageSlot[]>(CapacityFor(top(c))));
  }
  if (larger.empty()) return;
  auto next = larger.begin();
  it = chunks_.find(ChunkOf(first));
  for (uint64_t c = ChunkOf(first); c <= ChunkOf(last); ++c, ++it) {
    Chunk& chunk = it->second;
    if (top(c) < chunk.capacity) continue;
    const uint16_t capacity = CapacityFor(top(c));
    std::copy_n(chunk.slots.get(), chunk.capacity, next->get());
    cost_ += (capacity - chunk.capacity) * sizeof(PageSlot);
    chunk.slots = std::move(*next++);
    chunk.capacity = capacity;
  }
}

uint64_t PageTable::PrepareCost(uint64_t first, uint64_t last) const {
  uint64_t cost = 0;
  for (uint64_t c = ChunkOf(first); c <= ChunkOf(last); ++c) {
    const auto it = chunks_.find(c);
    const uint64_t capacity = it == chunks_.end() ? 0 : it->second.capacity;
    if (it == chunks_.end()) cost += kChunkCost;
    const uint64_t top = c == ChunkOf(last) ? last % kChunkPages : kChunkPages - 1;
    if (top >= capacity) cost += (CapacityFor(top) - capacity) * sizeof(PageSlot);
  }
  return cost;
}

void PageTable::Set(uint64_t index, PageSlot slot) {
  auto it = chunks_.find(ChunkOf(index));
  if (it == chunks_.end() || index % kChunkPages >= it->second.capacity) {
    Prepare(index, index);
    it = chunks_.find(ChunkOf(index));
  }
  Chunk& chunk = it->second;
  PageSlot& place = chunk.slots[index % kChunkPages];
  if (place.hole()) ++chunk.present;
  place = slot;
}

void PageTable::Remove(uint64_t first, uint64_t last, absl::FunctionRef<void(PageNumber)> removed) {
  auto it = chunks_.lower_bound(ChunkOf(first));
  while (it != chunks_.end() && it->first <= ChunkOf(last)) {
    Chunk& chunk = it->second;
    const uint64_t base = it->first * kChunkPages;
    const uint64_t from = first > base ? first - base : 0;
    const uint64_t to = EndSlot(last - base, chunk.capacity);
    for (uint64_t i = from; i < to; ++i) {
      if (chunk.slots[i].hole()) continue;
      removed(chunk.slots[i].page());
      chunk.slots[i] = PageSlot();
      --chunk.present;
    }
    if (chunk.present == 0) {
      cost_ -= kChunkCost + chunk.capacity * sizeof(PageSlot);
      it = chunks_.erase(it);
    } else {
      ++it;
    }
  }
}

void PageTable::DropUnused(uint64_t first, uint64_t last) {
  auto it = chunks_.lower_bound(ChunkOf(first));
  while (it != chunks_.end() && it->first <= ChunkOf(last)) {
    if (it->second.present != 0) {
      ++it;
      continue;
    }
    cost_ -= kChunkCost + it->second.capacity * sizeof(PageSlot);
    it = chunks_.erase(it);
  }
}

uint64_t PageTable::CountPresent(uint64_t first, uint64_t last) const {
  uint64_t count = 0;
  for (auto it = chunks_.lower_bound(ChunkOf(first));
       it != chunks_.end() && it->first <= ChunkOf(last); ++it) {
    const Chunk& chunk = it->second;
    const uint64_t base = it->first * kChunkPages;
    const uint64_t from = first > base ? first - base : 0;
    const uint64_t to = EndSlot(last - base, chunk.capacity);
    if (from == 0 && to == chunk.capacity) {
      count += chunk.present;
      continue;
    }
    for (uint64_t i = from; i < to; ++i) count += chunk.slots[i].hole() ? 0 : 1;
  }
  return count;
}

uint64_t PageTable::NextWritten(uint64_t from) const {
  for (auto it = chunks_.lower_bound(ChunkOf(from)); it != chunks_.end(); ++it) {
    const uint64_t base = it->first * kChunkPages;
    for (uint64_t i = from > base ? from - base : 0; i < it->second.capacity; ++i) {
      const PageSlot slot = it->second.slots[i];
      if (!slot.hole() && slot.written()) return base + i;
    }
  }
  return kNone;
}

uint64_t PageTable::NextUnwritten(uint64_t from, uint64_t last) const {
  for (auto it = chunks_.lower_bound(ChunkOf(from)); it != chunks_.end() && from <= last; ++it) {
    const uint64_t base = it->first * kChunkPages;
    if (base > from) return from;  // the chunk of `from` does not exist
    for (uint64_t i = from - base; i < kChunkPages && base + i <= last; ++i) {
      if (i >= it->second.capacity) return base + i;
      const PageSlot slot = it->second.slots[i];
      if (slot.hole() || !slot.written()) return base + i;
    }
    from = base + kChunkPages;
  }
  return from;
}

}  // namespace memfuse::memfs

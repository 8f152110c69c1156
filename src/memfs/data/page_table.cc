#include "src/memfs/data/page_table.h"

#include <algorithm>
#include <new>

#include "absl/cleanup/cleanup.h"
#include "absl/container/inlined_vector.h"
#include "src/memfs/records/transaction.h"

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

PageTable::~PageTable() {
  for (auto& [number, chunk] : chunks_) {
    if (chunk.record != nullptr) records_.Free(chunk.record);
  }
}

PageSlot PageTable::Get(uint64_t index) const {
  const auto it = chunks_.find(ChunkOf(index));
  if (it == chunks_.end()) return {};
  const uint64_t slot = index % kChunkPages;
  return slot < it->second.capacity ? it->second.Get(slot) : PageSlot();
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
  absl::InlinedVector<PageTableRecord*, 2> larger;
  absl::Cleanup free_larger = [&] {
    for (PageTableRecord* const record : larger) records_.Free(record);
  };
  auto it = chunks_.find(ChunkOf(first));
  for (uint64_t c = ChunkOf(first); c <= ChunkOf(last); ++c, ++it) {
    if (top(c) < it->second.capacity) continue;
    larger.push_back(nullptr);
    void* const block = records_.Allocate(PageTableRecord::Bytes(CapacityFor(top(c))));
    if (block == nullptr) {
      larger.pop_back();
      throw std::bad_alloc();
    }
    larger.back() = static_cast<PageTableRecord*>(block);
  }
  std::move(free_larger).Cancel();
  if (larger.empty()) return;
  auto next = larger.begin();
  it = chunks_.find(ChunkOf(first));
  for (uint64_t c = ChunkOf(first); c <= ChunkOf(last); ++c, ++it) {
    Chunk& chunk = it->second;
    if (top(c) < chunk.capacity) continue;
    Grow(c, &chunk, *next++, CapacityFor(top(c)));
  }
}

void PageTable::Grow(uint64_t number, Chunk* chunk, PageTableRecord* larger, uint16_t capacity) {
  larger->header.owner = owner_;
  larger->chunk = number;
  larger->capacity = capacity;
  PageSlot* const slots = larger->slots();
  if (chunk->record == nullptr) {
    std::fill_n(slots, capacity, PageSlot());
    StoreInOrder(&larger->header.kind, kPageTableKind);
  } else {
    std::copy_n(chunk->record->slots(), chunk->capacity, slots);
    std::fill(slots + chunk->capacity, slots + capacity, PageSlot());
    // A successor must find one record for the chunk.
    Transaction change(&records_);
    change.Publish(&larger->header, kPageTableKind);
    change.Remove(&chunk->record->header);
    change.Commit();
  }
  cost_ += RecordCost(capacity) - RecordCost(chunk->capacity);
  chunk->record = larger;
  chunk->capacity = capacity;
}

void PageTable::Release(Chunk* chunk) {
  cost_ -= kChunkCost + RecordCost(chunk->capacity);
  if (chunk->record != nullptr) records_.Free(chunk->record);
}

bool PageTable::Adopt(PageTableRecord* record, absl::FunctionRef<bool(PageSlot)> add) {
  const auto capacity = static_cast<uint16_t>(record->capacity);
  const bool valid = capacity >= 4 && capacity <= kChunkPages && (capacity & (capacity - 1)) == 0;
  if (!valid || record->chunk > PageTableRecord::kMaxChunk ||
      PageTableRecord::Bytes(capacity) > records_.SizeOf(record)) {
    return false;
  }
  uint16_t present = 0;
  for (uint64_t i = 0; i < capacity; ++i) {
    const PageSlot slot = record->slots()[i];
    if (slot.hole()) continue;
    if (!add(slot)) return false;
    ++present;
  }
  if (present == 0) {
    records_.Free(record);
    return true;
  }
  const NodeReserve reserve(chunks_.size());
  const uint64_t number = record->chunk;
  if (!chunks_.try_emplace(number, Chunk{record, capacity, present}).second) return false;
  cost_ += kChunkCost + RecordCost(capacity);
  return true;
}

uint64_t PageTable::PrepareCost(uint64_t first, uint64_t last) const {
  uint64_t cost = 0;
  for (uint64_t c = ChunkOf(first); c <= ChunkOf(last); ++c) {
    const auto it = chunks_.find(c);
    const uint64_t capacity = it == chunks_.end() ? 0 : it->second.capacity;
    if (it == chunks_.end()) cost += kChunkCost;
    const uint64_t top = c == ChunkOf(last) ? last % kChunkPages : kChunkPages - 1;
    if (top >= capacity) cost += RecordCost(CapacityFor(top)) - RecordCost(capacity);
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
  if (chunk.Get(index % kChunkPages).hole()) ++chunk.present;
  chunk.Set(index % kChunkPages, slot);
}

void PageTable::Remove(uint64_t first, uint64_t last, absl::FunctionRef<void(PageNumber)> removed) {
  auto it = chunks_.lower_bound(ChunkOf(first));
  while (it != chunks_.end() && it->first <= ChunkOf(last)) {
    Chunk& chunk = it->second;
    const uint64_t base = it->first * kChunkPages;
    const uint64_t from = first > base ? first - base : 0;
    const uint64_t to = EndSlot(last - base, chunk.capacity);
    for (uint64_t i = from; i < to; ++i) {
      const PageSlot slot = chunk.Get(i);
      if (slot.hole()) continue;
      chunk.Set(i, PageSlot());
      removed(slot.page());
      --chunk.present;
    }
    if (chunk.present == 0) {
      Release(&chunk);
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
    Release(&it->second);
    it = chunks_.erase(it);
  }
}

void PageTable::ForEachPresent(absl::FunctionRef<void(PageSlot)> visit) const {
  for (const auto& [number, chunk] : chunks_) {
    for (uint64_t i = 0; i < chunk.capacity; ++i) {
      if (!chunk.Get(i).hole()) visit(chunk.Get(i));
    }
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
    for (uint64_t i = from; i < to; ++i) count += chunk.Get(i).hole() ? 0 : 1;
  }
  return count;
}

uint64_t PageTable::NextWritten(uint64_t from) const {
  for (auto it = chunks_.lower_bound(ChunkOf(from)); it != chunks_.end(); ++it) {
    const uint64_t base = it->first * kChunkPages;
    for (uint64_t i = from > base ? from - base : 0; i < it->second.capacity; ++i) {
      const PageSlot slot = it->second.Get(i);
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
      const PageSlot slot = it->second.Get(i);
      if (slot.hole() || !slot.written()) return base + i;
    }
    from = base + kChunkPages;
  }
  return from;
}

}  // namespace memfuse::memfs

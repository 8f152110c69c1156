#include "src/memfs/space/node_reserve.h"

#include <array>
#include <atomic>
#include <utility>

#include "src/base/thread_number.h"

namespace memfuse::memfs {
namespace {

thread_local NodeReserve* current = nullptr;

// Blocks that earlier reserves did not use, for the next reserves of threads with the same index.
template <typename Block>
std::atomic<Block*>& Kept() {
  struct alignas(64) Place {
    std::atomic<Block*> blocks{nullptr};
  };
  static std::array<Place, 64> places;
  return places[base::ThreadNumber() % places.size()].blocks;
}

// An insertion allocates at most one node on each level, and a new root if needed. Every internal
// node has at least two children.
size_t MostNodes(size_t size) {
  size_t levels = 1;
  for (; size > 0; size /= 2) ++levels;
  return levels + 1;
}

}  // namespace

NodeReserve::NodeReserve(size_t size) : blocks_(Kept<Block>().exchange(nullptr)) {
  const size_t most = MostNodes(size);
  while (blocks_ == nullptr || blocks_->count < most) {
    void* const memory = std::malloc(kBlockBytes);
    if (memory == nullptr) {
      GiveBack();
      throw std::bad_alloc();
    }
    const size_t count = blocks_ == nullptr ? 0 : blocks_->count;
    blocks_ = new (memory) Block{blocks_, count + 1};
  }
  current = this;
}

NodeReserve::~NodeReserve() {
  current = nullptr;
  GiveBack();
}

void NodeReserve::GiveBack() noexcept { FreeAll(Kept<Block>().exchange(blocks_)); }

void NodeReserve::FreeAll(Block* block) noexcept {
  while (block != nullptr) std::free(std::exchange(block, block->next));
}

void* NodeReserve::Take(size_t bytes) noexcept {
  if (current == nullptr || current->blocks_ == nullptr || bytes > kBlockBytes) return nullptr;
  return std::exchange(current->blocks_, current->blocks_->next);
}

}  // namespace memfuse::memfs

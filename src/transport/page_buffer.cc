#include "src/transport/page_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"

namespace memfuse::transport {

absl::StatusOr<PageBuffer> PageBuffer::Make(size_t prefix, size_t payload) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (prefix > page) return absl::InvalidArgumentError("the prefix of a buffer exceeds a page");
  payload = (payload + page - 1) / page * page;
  void* const mapping =
      mmap(nullptr, page + payload, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) {
    return absl::ResourceExhaustedError("out of memory for request buffers");
  }
  PageBuffer buffer;
  buffer.mapping_ = mapping;
  buffer.mapping_size_ = page + payload;
  buffer.begin_ = static_cast<char*>(mapping) + page - prefix;
  buffer.prefix_ = prefix;
  buffer.payload_ = payload;
  return buffer;
}

PageBuffer::PageBuffer(PageBuffer&& other) noexcept { *this = std::move(other); }

PageBuffer& PageBuffer::operator=(PageBuffer&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_size_, other.mapping_size_);
  std::swap(begin_, other.begin_);
  std::swap(prefix_, other.prefix_);
  std::swap(payload_, other.payload_);
  return *this;
}

void PageBuffer::Release() {
  if (mapping_ != nullptr) madvise(mapping_, mapping_size_, MADV_DONTNEED);
}

PageBuffer::~PageBuffer() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_size_);
}

}  // namespace memfuse::transport

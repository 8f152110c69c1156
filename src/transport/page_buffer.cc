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
  std::swap(resident_, other.resident_);
  return *this;
}

absl::Status PageBuffer::MakeResident() {
  resident_ = true;
  if (mlock(mapping_, mapping_size_) == 0) return absl::OkStatus();
  // Pages of a process that is not privileged may be swapped out.
  if (madvise(mapping_, mapping_size_, MADV_POPULATE_WRITE) == 0) return absl::OkStatus();
  if (errno != EINVAL) return absl::ResourceExhaustedError("out of memory for request buffers");
  // Linux before 5.14.
  for (size_t i = 0; i < mapping_size_; i += 4096) static_cast<volatile char*>(mapping_)[i] = 0;
  return absl::OkStatus();
}

void PageBuffer::Release() {
  if (mapping_ != nullptr && !resident_) madvise(mapping_, mapping_size_, MADV_DONTNEED);
}

PageBuffer::~PageBuffer() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_size_);
}

}  // namespace memfuse::transport

#include "src/transport/page_buffer.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"

namespace memfuse::transport {

namespace {

absl::Status OutOfMemory() {
  return absl::ResourceExhaustedError("out of memory for request buffers");
}

}  // namespace

absl::StatusOr<PageBuffer> PageBuffer::Make(size_t prefix, size_t payload) {
  return Map(prefix, payload, base::UniqueFd());
}

absl::StatusOr<PageBuffer> PageBuffer::MakeShared(size_t prefix, size_t payload,
                                                  base::UniqueFd file) {
  if (!file.valid()) {
    file.reset(memfd_create("memfuse-requests", MFD_CLOEXEC));
    if (!file.valid()) return absl::ResourceExhaustedError("too many open files");
  }
  absl::StatusOr<PageBuffer> buffer = Map(prefix, payload, std::move(file));
  if (!buffer.ok()) return buffer;
  if (absl::Status resident = buffer->MakeResident(); !resident.ok()) return resident;
  return buffer;
}

absl::StatusOr<PageBuffer> PageBuffer::Map(size_t prefix, size_t payload, base::UniqueFd file) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (prefix > page) return absl::InvalidArgumentError("the prefix of a buffer exceeds a page");
  payload = (payload + page - 1) / page * page;
  const bool shared = file.valid();
  if (shared) {
    struct stat status;
    if (fstat(file.get(), &status) != 0) return OutOfMemory();
    if (status.st_size == 0 && ftruncate(file.get(), static_cast<off_t>(page + payload)) != 0) {
      return OutOfMemory();
    }
    if (status.st_size != 0 && status.st_size != static_cast<off_t>(page + payload)) {
      return absl::InvalidArgumentError("a request buffer has another size");
    }
  }
  void* const mapping = mmap(nullptr, page + payload, PROT_READ | PROT_WRITE,
                             shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file.get(), 0);
  if (mapping == MAP_FAILED) return OutOfMemory();
  PageBuffer buffer;
  buffer.mapping_ = mapping;
  buffer.mapping_size_ = page + payload;
  buffer.begin_ = static_cast<char*>(mapping) + page - prefix;
  buffer.prefix_ = prefix;
  buffer.payload_ = payload;
  buffer.file_ = std::move(file);
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
  std::swap(file_, other.file_);
  return *this;
}

absl::Status PageBuffer::MakeResident() {
  resident_ = true;
  if (mlock(mapping_, mapping_size_) == 0) return absl::OkStatus();
  // Pages of a process that is not privileged may be swapped out.
  if (madvise(mapping_, mapping_size_, MADV_POPULATE_WRITE) == 0) return absl::OkStatus();
  if (errno != EINVAL) return OutOfMemory();
  // Linux before 5.14.
  for (size_t i = 0; i < mapping_size_; i += 4096) {
    volatile char* const place = static_cast<char*>(mapping_) + i;
    *place = *place;
  }
  return absl::OkStatus();
}

void PageBuffer::Release() {
  if (mapping_ != nullptr && !resident_) madvise(mapping_, mapping_size_, MADV_DONTNEED);
}

PageBuffer::~PageBuffer() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_size_);
}

}  // namespace memfuse::transport

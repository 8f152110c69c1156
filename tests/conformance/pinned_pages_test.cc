// Interfaces that need exclusive control of the pages of a shared file mapping: userfaultfd(2) and
// the fixed buffers of io_uring. The kernel allows both on its tmpfs, and therefore on passthrough
// data, but not on pages of the FUSE page cache (data of the daemon store).

#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/conformance/conformance.h"
#include "tests/conformance/map.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(PinnedPages);

// UFFDIO_REGISTER: 0 or an errno.
int RegisterForFaults(const Map& map, size_t length, uint64_t mode) {
  const UniqueFd fd(
      static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
  EXPECT_TRUE(fd.valid()) << strerror(errno);
  uffdio_api api = {};
  api.api = UFFD_API;
  EXPECT_EQ(ioctl(fd.get(), UFFDIO_API, &api), 0) << strerror(errno);
  uffdio_register registration = {};
  registration.range = {reinterpret_cast<uintptr_t>(map.data()), length};
  registration.mode = mode;
  return ErrnoOf(ioctl(fd.get(), UFFDIO_REGISTER, &registration));
}

TEST_P(PinnedPages, FaultsOfAMappingAreHandledByTheProgram) {
  MakeFile("f", std::string(4 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map shared(fd.get(), 4 * kPage, kReadWrite, MAP_SHARED);
  const Map priv(fd.get(), 4 * kPage, kReadWrite, MAP_PRIVATE);
  const int expected = daemon_serves_data() ? EINVAL : 0;
  for (const uint64_t mode : {UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP}) {
    EXPECT_EQ(RegisterForFaults(shared, 4 * kPage, mode), expected) << mode;
    EXPECT_EQ(RegisterForFaults(priv, 4 * kPage, mode), expected) << mode;
  }
}

// IORING_REGISTER_BUFFERS: 0 or an errno.
int RegisterBuffer(const Map& map, size_t length) {
  io_uring_params parameters = {};
  const UniqueFd ring(static_cast<int>(syscall(SYS_io_uring_setup, 1, &parameters)));
  EXPECT_TRUE(ring.valid()) << strerror(errno);
  const iovec buffer = {map.data(), length};
  return ErrnoOf(syscall(SYS_io_uring_register, ring.get(), IORING_REGISTER_BUFFERS, &buffer, 1));
}

TEST_P(PinnedPages, MappingsAreFixedBuffers) {
  MakeFile("f", std::string(4 * kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map shared(fd.get(), 4 * kPage, kReadWrite, MAP_SHARED);
  EXPECT_EQ(RegisterBuffer(shared, 4 * kPage), daemon_serves_data() ? EFAULT : 0);
  // The pages of a private mapping are copies.
  const Map priv(fd.get(), 4 * kPage, kReadWrite, MAP_PRIVATE);
  EXPECT_EQ(RegisterBuffer(priv, 4 * kPage), 0);
}

}  // namespace
}  // namespace memfuse::conformance

// BackingFiles without FUSE. It keeps a descriptor of each registered file; a test uses that
// descriptor to do what the kernel does with a passthrough file.

#ifndef MEMFUSE_TESTS_MEMFS_FAKE_BACKING_FILES_H_
#define MEMFUSE_TESTS_MEMFS_FAKE_BACKING_FILES_H_

#include <fcntl.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "memfuse/filesystem.h"
#include "src/base/unique_fd.h"

namespace memfuse::memfs {

// Thread-safe. Each backing ID is given once.
class FakeBackingFiles final : public BackingFiles {
 public:
  Result<int32_t> Register(int descriptor) override {
    const std::lock_guard<std::mutex> lock(mu_);
    if (error_ != 0) return Errno(error_);
    base::UniqueFd copy(fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) return Errno(errno);
    files_.emplace(++last_, std::move(copy));
    return last_;
  }
  void Unregister(int32_t id) override {
    const std::lock_guard<std::mutex> lock(mu_);
    files_.erase(id);
  }

  // From now on Register fails with this errno; 0 ends that.
  void FailWith(int error) {
    const std::lock_guard<std::mutex> lock(mu_);
    error_ = error;
  }
  // Opens the file again, as the kernel does for each open(2). The result is invalid if there is no
  // such backing ID.
  base::UniqueFd Open(int32_t id, int flags) const {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto file = files_.find(id);
    if (file == files_.end()) return {};
    const std::string path = "/proc/self/fd/" + std::to_string(file->second.get());
    return base::UniqueFd(open(path.c_str(), flags | O_CLOEXEC));
  }
  // The number of files that are registered now.
  size_t count() const {
    const std::lock_guard<std::mutex> lock(mu_);
    return files_.size();
  }

 private:
  mutable std::mutex mu_;
  int error_ = 0;
  int32_t last_ = 0;
  std::map<int32_t, base::UniqueFd> files_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_FAKE_BACKING_FILES_H_

// Serves a file system in memory on a directory until the mount is gone. Prints a line when the
// directory can be used:
//
//   example DIRECTORY

#include <poll.h>

#include <iostream>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "memfuse/memory_filesystem.h"
#include "memfuse/session.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: example DIRECTORY\n";
    return 2;
  }
  // Directories change places in the lock order, which the detector takes for an error.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);

  memfuse::MemoryFileSystemOptions files;
  files.size_limit = 64 << 20;
  const auto file_system = memfuse::MemoryFileSystem::Make(files);
  if (!file_system.ok()) {
    std::cerr << "example: " << file_system.status().message() << '\n';
    return 1;
  }
  memfuse::MountOptions mount;
  mount.mount_point = argv[1];
  memfuse::SessionOptions options;
  options.threads = 2;
  const auto session = memfuse::Session::Mount(mount, options, file_system->get());
  if (!session.ok()) {
    std::cerr << "example: " << session.status().message() << '\n';
    return 1;
  }
  std::cout << "serving " << mount.mount_point << std::endl;
  pollfd end = {(*session)->end_descriptor(), POLLIN, 0};
  while (poll(&end, 1, -1) < 0) {
  }
  return 0;
}

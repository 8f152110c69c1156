// memfuse: mounts a file system in memory and serves it.

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/base/mutex.h"
#include "src/cli/allocator.h"
#include "src/cli/command_line.h"
#include "src/cli/daemonize.h"
#include "src/cli/flags.h"
#include "src/cli/help.h"
#include "src/cli/leftover.h"
#include "src/cli/machine.h"
#include "src/cli/message.h"
#include "src/cli/options.h"
#include "src/cli/preflight.h"
#include "src/cli/server.h"
#include "src/cli/service_manager.h"

namespace memfuse::cli {
namespace {

int Print(absl::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  return std::fflush(stdout) == 0 ? 0 : Fail("cannot write to standard output");
}

int Main(const std::vector<std::string>& arguments) {
  const absl::StatusOr<std::vector<std::string>> operands = ParseCommandLine(arguments);
  if (!FLAGS_foreground) ForgetServiceManager();
  if (!operands.ok()) return Fail(operands.status());
  if (FLAGS_help) return Print(HelpText());
  if (FLAGS_version) return Print(VersionText());

  absl::StatusOr<Options> options = ResolveOptions(*operands, ThisMachine());
  if (!options.ok()) return Fail(options.status());
  if (const absl::Status status = CheckSurroundings(*options); !status.ok()) {
    return Fail(status);
  }
  StartupReport report;
  if (!options->foreground) {
    // A descriptor that was handed over belongs to somebody else's mount, who clears it away.
    const bool mounts = options->fuse_fd < 0;
    absl::StatusOr<StartupReport> pipe = Daemonize(options->fuse_fd, [&] {
      if (mounts) DetachLeftover(options->mount.mount_point);
    });
    if (!pipe.ok()) return Fail(pipe.status());
    report = *std::move(pipe);
  }
  DetachFromSurroundings();
  ConfigureAllocator();
  return RunServer(*options, std::move(report));
}

}  // namespace
}  // namespace memfuse::cli

int main(int argc, char** argv) {
  memfuse::base::DisableLockOrderDetector();
  memfuse::cli::EnsureStandardStreams();
  return memfuse::cli::Main(std::vector<std::string>(argv + 1, argv + argc));
}

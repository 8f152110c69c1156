// memfuse: mounts a file system in memory and serves it.

#include <cstdio>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "src/base/mutex.h"
#include "src/cli/allocator.h"
#include "src/cli/command_line.h"
#include "src/cli/daemonize.h"
#include "src/cli/flags.h"
#include "src/cli/help.h"
#include "src/cli/logging.h"
#include "src/cli/machine.h"
#include "src/cli/message.h"
#include "src/cli/mount_helper.h"
#include "src/cli/mount_list.h"
#include "src/cli/mount_source.h"
#include "src/cli/oom_score.h"
#include "src/cli/options.h"
#include "src/cli/preflight.h"
#include "src/cli/process_limits.h"
#include "src/cli/remount.h"
#include "src/cli/server.h"
#include "src/cli/service_manager.h"
#include "src/mount/mount.h"
#include "src/mount/stale_mount.h"

namespace memfuse::cli {
namespace {

int Print(absl::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  return std::fflush(stdout) == 0 ? 0 : Fail("cannot write to standard output");
}

// Mounts and serves. In the foreground it returns at the end; otherwise the parent never returns.
int Run(Options options) {
  StartupReport report;
  if (!options.foreground) {
    // A descriptor that was passed belongs to the mount of another process, which unmounts it.
    const bool mounts = options.fuse_fd < 0;
    absl::StatusOr<StartupReport> pipe = Daemonize(options.fuse_fd, [&] {
      if (mounts) mount::DetachStaleMount(options.mount.mount_point);
    });
    if (!pipe.ok()) return Fail(pipe.status());
    report = *std::move(pipe);
  }
  DetachFromEnvironment();
  ResetInheritedState(/*background=*/!options.foreground);
  LowerOomScore(/*background=*/!options.foreground);
  for (std::string& sentence : RaiseResourceLimits()) {
    options.warnings.push_back(std::move(sentence));
  }
  ConfigureAllocator();
  StartLogging(options.foreground, options.log_dir);
  return options.resilient ? RunResilientServer(options, std::move(report))
                           : RunServer(options, std::move(report), absl::Now());
}

int Main(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return Print(MountListText(ListMounts()));
  const absl::StatusOr<std::vector<std::string>> operands = ParseCommandLine(arguments);
  if (!FLAGS_foreground) ForgetServiceManager();
  if (!operands.ok()) return Fail(operands.status());
  if (FLAGS_help) return Print(HelpText());
  if (FLAGS_version) return Print(VersionText());

  if (FLAGS_remount) {
    const absl::Status remounted = Remount(*operands, ThisMachine());
    return remounted.ok() ? 0 : Fail(remounted);
  }
  absl::StatusOr<Options> options = ResolveOptions(*operands, ThisMachine());
  if (!options.ok()) return Fail(options.status());
  if (const absl::Status status = CheckEnvironment(*options); !status.ok()) return Fail(status);
  return Run(*std::move(options));
}

// `mount -o remount`.
int RemountMounted(const MountHelperCall& call) {
  if (call.verbose) {
    const int status = Print(absl::StrCat(
        "mount.memfuse: ", call.fake ? "would remount " : "remounting ", call.mount_point, "\n"));
    if (status != 0) return status;
  }
  const absl::Status remounted = Remount({call.mount_point}, ThisMachine(), call.fake);
  return remounted.ok() ? 0 : Fail(remounted);
}

// Does nothing, for a file system that is mounted already.
int LeaveMounted(const MountHelperCall& call) {
  const auto alive = mount::CheckMountPoint(call.mount_point);
  if (!alive.ok()) return Fail(alive.status());
  const std::string line = ErrorLine(
      absl::StrCat(FLAGS_fsname, " is mounted on ", call.mount_point, " already; nothing is done"));
  std::fputs(line.c_str(), stderr);
  return 0;
}

// The program under the name mount.memfuse.
int HelperMain(const std::vector<std::string>& arguments) {
  SetProgramName(ProgramKind::kMountHelper);
  ForgetServiceManager();
  const absl::StatusOr<MountHelperCall> call = ParseMountHelperCall(arguments);
  if (!call.ok()) return Fail(call.status());
  if (!call->mount_namespace.empty()) {
    const absl::Status status = EnterMountNamespace(call->mount_namespace);
    if (!status.ok()) return Fail(status);
  }
  if (const absl::Status status = ApplyMountHelperCall(*call); !status.ok()) return Fail(status);

  if (FLAGS_remount) return RemountMounted(*call);
  absl::StatusOr<Options> options = ResolveOptions({call->mount_point}, ThisMachine());
  if (!options.ok()) return Fail(options.status());
  if (const absl::Status status = CheckEnvironment(*options); !status.ok()) return Fail(status);
  // `mount -a` compared the path that it made from the name, and so found no mount.
  if (FLAGS_fsname != call->source && IsMountedAs(FLAGS_fsname, call->mount_point)) {
    return LeaveMounted(*call);
  }
  if (call->verbose) {
    const int status =
        Print(absl::StrCat("mount.memfuse: ", call->fake ? "would mount " : "mounting ",
                           FLAGS_fsname, " on ", call->mount_point, "\n"));
    if (status != 0) return status;
  }
  if (!call->fake) return Run(*std::move(options));
  const absl::StatusOr<std::string> mount_point =
      mount::CheckMountPoint(options->mount.mount_point);
  return mount_point.ok() ? 0 : Fail(mount_point.status());
}

}  // namespace
}  // namespace memfuse::cli

int main(int argc, char** argv) {
  memfuse::base::DisableLockOrderDetector();
  memfuse::cli::EnsureStandardStreams();
  try {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    return memfuse::cli::IsMountHelper(argv[0]) ? memfuse::cli::HelperMain(arguments)
                                                : memfuse::cli::Main(arguments);
  } catch (const std::bad_alloc&) {
    std::fputs("memfuse: out of memory\n", stderr);
    return 1;
  }
}

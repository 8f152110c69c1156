// The checks of a mount point and of a mounted memfuse.

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "src/base/error_text.h"
#include "src/cli/doctor_checks.h"
#include "src/cli/size.h"
#include "src/cli/terminal_text.h"

namespace memfuse::cli {
namespace {

using Life = MountState::Life;
using Socket = MountState::Socket;

void AddTo(Findings* findings, const char* check, Verdict verdict, std::string found,
           std::string advice = "") {
  findings->push_back({check, verdict, std::move(found), std::move(advice)});
}

// The command that removes a mount whose daemon does not answer.
std::string ClearCommand(const MountPointFacts& place) {
  return absl::StrCat("'fusermount3 -uz ", place.path, "', or 'umount -l ", place.path,
                      "' as root");
}

// "because it needs ...": the part of the daemon's text after "; no passthrough: ".
std::string ReasonIn(const std::optional<std::string>& text, const std::string& mark) {
  const size_t at = text.has_value() ? text->find(mark) : std::string::npos;
  return at == std::string::npos ? "" : absl::StrCat(" (", text->substr(at + mark.size()), ")");
}

std::string AskedOr(const std::string& on_command_line,
                    const std::optional<std::string>& of_mount) {
  return on_command_line != "auto" ? on_command_line : of_mount.value_or("auto");
}

constexpr char kMountAgain[] = "Unmount, which loses all files, and mount again";

}  // namespace

void CheckMountPoint(const MachineFacts& machine, const MountPointFacts& place,
                     Findings* findings) {
  constexpr char kCheck[] = "mount point";
  const std::string& path = place.path;
  if (place.silent) {
    return AddTo(findings, kCheck, Verdict::kProblem,
                 absl::StrCat(path, " does not answer within three seconds."),
                 "Find the mount that it lies on with 'findmnt', and its daemon.");
  }
  switch (place.error) {
    case 0:
      break;
    case ENOENT:
      return AddTo(findings, kCheck, Verdict::kProblem, absl::StrCat(path, " does not exist."),
                   absl::StrCat("Make it with 'mkdir -p ", path, "'."));
    case ENOTDIR:
      return AddTo(findings, kCheck, Verdict::kProblem,
                   absl::StrCat(path, " is not in a directory."), "Give the path of a directory.");
    case ENOTCONN:
      return AddTo(findings, kCheck, Verdict::kProblem,
                   absl::StrCat(path, " belongs to a FUSE mount whose daemon has died ",
                                "('Transport endpoint is not connected')."),
                   absl::StrCat("Remove the mount with ", ClearCommand(place), "."));
    case EACCES:
      return AddTo(findings, kCheck, Verdict::kProblem,
                   absl::StrCat("This user may not reach ", path, "."),
                   "Use a directory of your own.");
    default:
      return AddTo(findings, kCheck, Verdict::kProblem,
                   absl::StrCat(path, " cannot be used: ", base::ErrorText(place.error), "."),
                   "Use another directory.");
  }
  if (!place.is_directory) {
    return AddTo(findings, kCheck, Verdict::kProblem, absl::StrCat(path, " is not a directory."),
                 "Give the path of a directory.");
  }
  if (!machine.may_mount && !place.writable) {
    return AddTo(findings, kCheck, Verdict::kProblem,
                 absl::StrCat("This user may not write to ", path, " (owner: user ", place.owner,
                              "), so fusermount3 refuses to mount there."),
                 "Use a directory of your own.");
  }
  if (!machine.may_mount && place.foreign_sticky) {
    return AddTo(findings, kCheck, Verdict::kProblem,
                 absl::StrCat(path, " is a sticky directory of user ", place.owner,
                              ", so fusermount3 refuses to mount there."),
                 absl::StrCat("Use a directory of your own, such as one below ", path, "."));
  }
  if (place.on_it.has_value()) {
    return AddTo(findings, kCheck, Verdict::kNote,
                 absl::StrCat("A file system of type ", place.on_it->type, " is mounted on ", path,
                              ", and a memfuse would cover it."),
                 "Use another directory if the files there are needed.");
  }
  if (!place.is_empty) {
    return AddTo(findings, kCheck, Verdict::kWarning,
                 absl::StrCat(path, " is not empty, and a mount hides what is in it."),
                 "Use an empty directory.");
  }
  AddTo(findings, kCheck, Verdict::kOk, absl::StrCat(path, " is an empty directory."));
}

void CheckStacking(const MachineFacts& machine, const MountPointFacts& place, Findings* findings) {
  constexpr char kCheck[] = "stacking";
  if (!place.below.has_value() || (!place.below->is_fuse() && place.below->type != "overlay")) {
    return AddTo(findings, kCheck, Verdict::kOk,
                 "The mount point lies on no overlay and no FUSE mount.");
  }
  if (place.below->type == "overlay") {
    return AddTo(
        findings, kCheck, Verdict::kNote,
        "The mount point lies on an overlay, as in a container; this makes a mount neither "
        "slower nor smaller.",
        "If overlays are to be stacked on the mount itself, give --data=daemon: with "
        "passthrough the kernel allows only one.");
  }
  const std::string on =
      absl::StrCat("The mount point lies on the FUSE mount ", place.below->mount_point);
  if (!machine.may_mount && !place.below->has_super_option("allow_other")) {
    return AddTo(findings, kCheck, Verdict::kProblem,
                 absl::StrCat(on, ", to which fusermount3 has no access."),
                 "Mount the outer file system with --allow_other, or use a directory outside of "
                 "it.");
  }
  AddTo(findings, kCheck, Verdict::kNote,
        absl::StrCat(on, ", so reaching the mount takes requests to that daemon, too."),
        "Use a directory on another file system if that is too slow.");
}

void CheckDaemon(const MountPointFacts& place, Findings* findings) {
  constexpr char kCheck[] = "daemon";
  const MountState& state = *place.state;
  switch (state.life) {
    case Life::kServes:
      if (state.read_only) {
        return AddTo(findings, kCheck, Verdict::kProblem,
                     absl::StrCat("The servers of ", place.path, " have crashed; process ",
                                  state.daemon.value_or(0), " only lets programs read."),
                     "Copy the files out and unmount. The log of the daemon has the stacks of the "
                     "crashes.");
      }
      return AddTo(findings, kCheck, Verdict::kOk,
                   state.daemon.has_value()
                       ? absl::StrCat("Process ", *state.daemon, " serves ", place.path, ".")
                       : absl::StrCat("A daemon serves ", place.path, "."));
    case Life::kDied:
      return AddTo(findings, kCheck, Verdict::kProblem,
                   absl::StrCat("The daemon of ", place.path,
                                " has died ('Transport endpoint is not connected'), and all files "
                                "are lost."),
                   absl::StrCat("Remove the mount with ", ClearCommand(place),
                                "; the log of the daemon or of the kernel may name the reason."));
    case Life::kSilent:
      return AddTo(
          findings, kCheck, Verdict::kProblem,
          absl::StrCat("The daemon of ", place.path, " does not answer within three seconds."),
          "Look whether it is stopped or frozen ('ps -C memfuse -o pid,stat,args'; state T), and "
          "continue it with 'kill -CONT PID'.");
    case Life::kCovered:
      return AddTo(findings, kCheck, Verdict::kWarning,
                   absl::StrCat("Another mount covers the memfuse on ", place.path, "."),
                   "Unmount that mount first.");
    case Life::kNoAccess:
      break;
  }
  AddTo(findings, kCheck, Verdict::kProblem,
        absl::StrCat("This user may not look at the mount of user ", place.on_it->user_id(), " on ",
                     place.path, "."),
        absl::StrCat("Run memfusectl as user ", place.on_it->user_id(),
                     ", or mount with --allow_other."));
}

void CheckControlSocket(const MountPointFacts& place, Findings* findings) {
  constexpr char kCheck[] = "control socket";
  const MountState& state = *place.state;
  switch (state.socket) {
    case Socket::kAnswers:
      return AddTo(findings, kCheck, Verdict::kOk, absl::StrCat(state.socket_path, " answers."));
    case Socket::kNotMade:
      return AddTo(findings, kCheck, Verdict::kNote,
                   "The daemon has no control socket, so memfusectl status, usage and limits do "
                   "not work.",
                   "Mount without --nocontrol, and with XDG_RUNTIME_DIR set if you are not root.");
    case Socket::kRefused:
      return AddTo(findings, kCheck, Verdict::kWarning,
                   absl::StrCat("Nothing answers at the control socket ", state.socket_path, "."),
                   "Look whether the daemon runs in another mount namespace, or whether the socket "
                   "was removed.");
    case Socket::kDenied:
      return AddTo(
          findings, kCheck, Verdict::kNote,
          absl::StrCat("This user may not reach the control socket ", state.socket_path, "."),
          absl::StrCat("Run memfusectl as user ", place.on_it->user_id(), " or root."));
    case Socket::kSilent:
      return AddTo(findings, kCheck, Verdict::kWarning,
                   absl::StrCat("The control socket ", state.socket_path,
                                " gives no answer that this program understands."),
                   "Look whether the daemon is stopped, and whether memfuse and memfusectl have "
                   "the same version.");
    case Socket::kUnknown:
      break;
  }
  AddTo(findings, kCheck, Verdict::kNote, "No control socket of this mount was found.",
        "See what is said of the daemon.");
}

void CheckStore(const MachineFacts& machine, const MountPointFacts& place, const Asked& asked,
                Findings* findings) {
  constexpr char kCheck[] = "file data";
  const MountState& state = *place.state;
  if (!state.store.has_value()) {
    return AddTo(findings, kCheck, Verdict::kNote, "It is not known where file data is.",
                 "See what is said of the daemon.");
  }
  const std::string wanted = AskedOr(asked.data, state.asked_data);
  const std::string used = *state.short_store();
  if (used == "passthrough" && wanted != "daemon" && wanted != "null") {
    return AddTo(findings, kCheck, Verdict::kOk,
                 "The kernel reads and writes file data itself (passthrough).");
  }
  if (used == "passthrough") {
    return AddTo(
        findings, kCheck, Verdict::kWarning,
        absl::StrCat("File data is passed through, although --data=", wanted, " is asked for."),
        absl::StrCat(kMountAgain, " with --data=", wanted, "."));
  }
  const std::string where = used == "daemon" ? "File data is in the memory of the daemon"
                                             : "Written data is not stored (--data=null)";
  if (wanted == used || (wanted == "null" && used == "none")) {
    return AddTo(findings, kCheck, Verdict::kOk, absl::StrCat(where, ", as asked for."));
  }
  const std::string reason = ReasonIn(state.store, "no passthrough: ");
  Findings machine_findings;
  CheckPassthrough(machine, {}, &machine_findings);
  // The machine of root, who looks at the mount of another user, says nothing about that user.
  const bool possible = machine_findings[0].verdict == Verdict::kOk && place.on_it->user_id() == 0;
  if (possible) {
    // Without the control socket it is not known whether --data=daemon was given.
    return AddTo(findings, kCheck,
                 state.asked_data.has_value() ? Verdict::kWarning : Verdict::kNote,
                 absl::StrCat(where, reason, ", although passthrough is possible here."),
                 absl::StrCat(kMountAgain, ", without --data=daemon and --writeback."));
  }
  AddTo(findings, kCheck, asked.data == "passthrough" ? Verdict::kWarning : Verdict::kNote,
        absl::StrCat(where, reason, ", so small writes are slower than with passthrough."),
        place.on_it->user_id() == 0 ? machine_findings[0].advice
                                    : "Mount as root on Linux 6.9 or newer for passthrough.");
}

void CheckTransport(const MachineFacts& machine, const MountPointFacts& place, const Asked& asked,
                    Findings* findings) {
  constexpr char kCheck[] = "requests";
  const MountState& state = *place.state;
  if (!state.transport.has_value()) {
    return AddTo(findings, kCheck, Verdict::kNote, "It is not known how requests come.",
                 "See what is said of the daemon.");
  }
  const std::string wanted = AskedOr(asked.transport, state.asked_transport);
  const bool uring = *state.short_transport() == "io_uring";
  const char* const how =
      uring ? "Requests come through io_uring" : "Requests come through /dev/fuse";
  if (wanted == (uring ? "uring" : "dev") || (uring && wanted == "auto")) {
    return AddTo(findings, kCheck, Verdict::kOk, absl::StrCat(how, ", as asked for."));
  }
  if (uring) {
    return AddTo(findings, kCheck, Verdict::kWarning,
                 absl::StrCat(how, ", although --transport=dev is asked for."),
                 absl::StrCat(kMountAgain, " with --transport=dev."));
  }
  const std::string reason = ReasonIn(state.transport, "no io_uring: ");
  Findings machine_findings;
  CheckUring(machine, {}, &machine_findings);
  if (machine_findings[0].verdict == Verdict::kOk) {
    return AddTo(
        findings, kCheck,
        state.asked_transport.has_value() || wanted == "uring" ? Verdict::kWarning : Verdict::kNote,
        absl::StrCat(how, reason, ", although io_uring is possible now."),
        absl::StrCat(kMountAgain, "."));
  }
  AddTo(findings, kCheck, wanted == "uring" ? Verdict::kWarning : Verdict::kNote,
        absl::StrCat(how, reason,
                     wanted == "uring" ? ", although --transport=uring is asked for."
                                       : "; io_uring is up to twice as fast for names."),
        absl::StrCat(absl::StripSuffix(machine_findings[0].advice, "."),
                     ", unmount, which loses "
                     "all files, and mount again."));
}

void CheckSpace(const MountPointFacts& place, Findings* findings) {
  constexpr char kCheck[] = "space";
  const MountState& state = *place.state;
  if (!state.size_limit.has_value() || !state.size_used.has_value() ||
      !state.inode_limit.has_value() || !state.inodes_used.has_value()) {
    return AddTo(findings, kCheck, Verdict::kNote, "It is not known how full the mount is.",
                 "See what is said of the daemon.");
  }
  const auto nearly = [](uint64_t used, uint64_t limit) { return used >= limit - limit / 20; };
  const bool bytes = nearly(*state.size_used, *state.size_limit);
  if (bytes || nearly(*state.inodes_used, *state.inode_limit)) {
    const std::string use =
        bytes ? absl::StrCat(FormatSize(*state.size_used), " of ", FormatSize(*state.size_limit))
              : absl::StrCat(FormatCount(*state.inodes_used), " of ",
                             FormatCount(*state.inode_limit), " inodes");
    return AddTo(
        findings, kCheck, Verdict::kWarning,
        absl::StrCat("The mount is nearly full: ", use, " are used."),
        bytes ? absl::StrCat("Remove files, or run 'memfusectl resize ", place.path, " AMOUNT'.")
              : absl::StrCat("Remove files, or run 'memfusectl limits ", place.path,
                             " --nr_inodes=COUNT'."));
  }
  if (state.refusals > 0) {
    return AddTo(
        findings, kCheck, Verdict::kNote,
        absl::StrCat("Since the mount, ", state.refusals,
                     state.refusals == 1 ? " limit has" : " limits have", " refused operations."),
        absl::StrCat("Run 'memfusectl status ", place.path, "', which names the limits."));
  }
  AddTo(findings, kCheck, Verdict::kOk,
        absl::StrCat(FormatSize(*state.size_used), " of ", FormatSize(*state.size_limit), " and ",
                     FormatCount(*state.inodes_used), " of ", FormatCount(*state.inode_limit),
                     " inodes are used."));
}

void CheckAccess(const MountPointFacts& place, Findings* findings) {
  constexpr char kCheck[] = "access";
  if (place.on_it->has_super_option("allow_other")) {
    return AddTo(findings, kCheck, Verdict::kOk,
                 "Other users have access, as far as the permissions of the files allow.");
  }
  AddTo(findings, kCheck, Verdict::kNote,
        absl::StrCat("Only user ", place.on_it->user_id(),
                     ", who mounted it, has access; not even root has, if that is another user."),
        "Mount with --allow_other if other users need access.");
}

Findings ExamineMountPoint(const MachineFacts& machine, const MountPointFacts& place,
                           const Asked& asked) {
  Findings findings;
  if (!place.state.has_value()) {
    findings = ExamineMachine(machine, asked);
    CheckMountPoint(machine, place, &findings);
    CheckStacking(machine, place, &findings);
    return findings;
  }
  const MountState& state = *place.state;
  CheckDaemon(place, &findings);
  // Without any answer nothing else is known.
  if (state.life != Life::kServes && state.socket != Socket::kAnswers) return findings;
  CheckControlSocket(place, &findings);
  CheckStore(machine, place, asked, &findings);
  CheckTransport(machine, place, asked, &findings);
  CheckSpace(place, &findings);
  CheckAccess(place, &findings);
  if (state.daemon.has_value() && state.size_limit.has_value()) {
    CheckMemory(place.daemon_memory, machine.machine.ram, *state.size_limit, &findings);
    CheckLimits(place.daemon_limits, place.daemon_may_lift_limits, state.short_store() == "daemon",
                state.threads.value_or(1), *state.size_limit, &findings);
  }
  return findings;
}

}  // namespace memfuse::cli

// The checks of the machine. src/KERNEL.md has the facts about the kernel.

#include "src/cli/doctor_checks.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "src/base/error_text.h"
#include "src/cli/flag_table.h"
#include "src/cli/size.h"

namespace memfuse::cli {
namespace {

void Add(Findings* findings, const char* check, Verdict verdict, std::string found,
         std::string advice = "") {
  findings->push_back({check, verdict, std::move(found), std::move(advice)});
}

constexpr KernelVersion kOldest = {5, 4};
constexpr KernelVersion kPassthrough = {6, 9};
constexpr KernelVersion kUring = {6, 14};

constexpr char kModprobe[] = "Load the module with 'modprobe fuse' as root.";
constexpr char kPassDevice[] = "Start the container with '--device /dev/fuse'.";

}  // namespace

void CheckDevice(const MachineFacts& machine, Findings* findings) {
  const DeviceFacts& device = machine.device;
  constexpr char kCheck[] = "fuse device";
  if (!device.exists) {
    if (device.in_kernel) {
      return Add(findings, kCheck, Verdict::kProblem,
                 "/dev/fuse is missing, although the kernel has FUSE.", kPassDevice);
    }
    return Add(findings, kCheck, Verdict::kProblem,
               "/dev/fuse is missing, and the module fuse is not loaded.", kModprobe);
  }
  if (!device.is_fuse) {
    return Add(findings, kCheck, Verdict::kProblem, "/dev/fuse is not the device of FUSE (10:229).",
               "Make it with 'mknod /dev/fuse c 10 229' as root.");
  }
  switch (device.open_error) {
    case 0:
      return Add(findings, kCheck, Verdict::kOk, "/dev/fuse can be opened.");
    case EACCES:
    case EPERM:
      // The rights are those that udev sets, so a container does not pass the device on.
      if ((device.mode & 0666) == 0666 || machine.uid == 0) {
        return Add(findings, kCheck, Verdict::kProblem,
                   "/dev/fuse cannot be opened, although its mode permits it.", kPassDevice);
      }
      return Add(
          findings, kCheck, Verdict::kProblem,
          absl::StrFormat("/dev/fuse has mode %04o, so this user cannot open it.", device.mode),
          "Run 'chmod 0666 /dev/fuse' as root.");
    case ENXIO:
    case ENODEV:
      return Add(findings, kCheck, Verdict::kProblem,
                 "/dev/fuse exists, but the module fuse is not loaded.", kModprobe);
    default:
      return Add(
          findings, kCheck, Verdict::kProblem,
          absl::StrCat("/dev/fuse cannot be opened: ", base::ErrorText(device.open_error), "."),
          "Look at the log of the kernel with 'dmesg' as root.");
  }
}

void CheckFusermount(const MachineFacts& machine, Findings* findings) {
  const FusermountFacts& helper = machine.fusermount;
  constexpr char kCheck[] = "fusermount3";
  if (machine.may_mount) {
    return Add(findings, kCheck, Verdict::kOk,
               "It is not needed, because this user may mount without it.");
  }
  if (helper.path.empty()) {
    return Add(findings, kCheck, Verdict::kProblem,
               "fusermount3, which mounts for users other than root, is not installed.",
               "Install the package fuse3.");
  }
  if (!helper.executable) {
    return Add(findings, kCheck, Verdict::kProblem,
               absl::StrCat("This user may not run ", helper.path, "."),
               absl::StrCat("Run 'chmod 4755 ", helper.path, "' as root."));
  }
  if (!helper.privileged) {
    return Add(findings, kCheck, Verdict::kProblem,
               absl::StrCat(helper.path, " is not a set-user-id program of root, so it may not ",
                            "mount."),
               absl::StrCat("Run 'chown root ", helper.path, "' and 'chmod 4755 ", helper.path,
                            "' as root, or let PATH find another fusermount3 first."));
  }
  if (helper.nosuid) {
    return Add(findings, kCheck, Verdict::kProblem,
               absl::StrCat(helper.path, " is on a mount with nosuid, so it may not mount."),
               "Remount that file system with the option suid.");
  }
  if (machine.no_new_privileges) {
    return Add(findings, kCheck, Verdict::kProblem,
               "This process runs with no_new_privs, so fusermount3 gets no privileges.",
               "Start the container or service without no-new-privileges.");
  }
  Add(findings, kCheck, Verdict::kOk,
      absl::StrCat(helper.path, " mounts for users other than root."));
}

void CheckAllowOther(const MachineFacts& machine, const Asked& asked, Findings* findings) {
  constexpr char kCheck[] = "allow_other";
  if (machine.may_mount) {
    return Add(findings, kCheck, Verdict::kOk, "This user may let other users access a mount.");
  }
  if (machine.user_allow_other) {
    return Add(findings, kCheck, Verdict::kOk,
               "/etc/fuse.conf permits --allow_other for every user.");
  }
  Add(findings, kCheck, asked.allow_other ? Verdict::kProblem : Verdict::kNote,
      "/etc/fuse.conf has no line 'user_allow_other', so fusermount3 refuses --allow_other.",
      "If other users need access, add the line 'user_allow_other' to /etc/fuse.conf as root.");
}

void CheckKernel(const MachineFacts& machine, Findings* findings) {
  constexpr char kCheck[] = "kernel";
  const std::string name = absl::StrCat("Linux ", machine.kernel_release);
  if (machine.kernel < kOldest) {
    return Add(findings, kCheck, Verdict::kProblem,
               absl::StrCat(name, " does not have FUSE protocol 7.31, which memfuse needs."),
               "Use Linux 5.4 or newer.");
  }
  // The version that has the feature first.
  const std::pair<KernelVersion, const char*> features[] = {
      {{6, 4}, "--noswap"},
      {{6, 6}, "birth times"},
      {kPassthrough, "passthrough of file data"},
      {{6, 12}, "idmapped mounts"},
      {kUring, "requests through io_uring"}};
  std::vector<std::string> missing;
  for (const auto& [version, feature] : features) {
    if (machine.kernel < version) {
      missing.push_back(absl::StrCat(feature, " (", version.major, ".", version.minor, ")"));
    }
  }
  if (missing.empty()) {
    return Add(findings, kCheck, Verdict::kOk,
               absl::StrCat(name, " has everything that memfuse can use."));
  }
  Add(findings, kCheck, Verdict::kNote,
      absl::StrCat(name, " is too old for: ", absl::StrJoin(missing, ", "), "."),
      "Use a newer kernel if you need one of these.");
}

void CheckPassthrough(const MachineFacts& machine, const Asked& asked, Findings* findings) {
  constexpr char kCheck[] = "passthrough";
  if (asked.data == "daemon" || asked.data == "null") {
    return Add(findings, kCheck, Verdict::kOk,
               absl::StrCat("It is not needed for --data=", asked.data, "."));
  }
  std::string reason, advice;
  if (machine.kernel < kPassthrough) {
    reason = absl::StrCat("Linux ", machine.kernel_release, " has no FUSE passthrough");
    advice = "Use Linux 6.9 or newer";
  } else if (machine.has_passthrough == false) {
    reason = "The kernel was built without CONFIG_FUSE_PASSTHROUGH";
    advice = "Use a kernel with CONFIG_FUSE_PASSTHROUGH=y";
  } else if (!machine.may_mount || !machine.initial_namespace) {
    reason = "Passthrough needs CAP_SYS_ADMIN in the initial user namespace";
    advice = "Mount as root, outside of user namespaces, for file data at the speed of tmpfs";
  }
  if (reason.empty()) {
    return Add(findings, kCheck, Verdict::kOk,
               "The kernel can read and write file data itself, at the speed of tmpfs.");
  }
  if (asked.data == "passthrough") {
    return Add(findings, kCheck, Verdict::kProblem,
               absl::StrCat(reason, ", so --data=passthrough is refused."),
               absl::StrCat(advice, ", or mount with --data=auto."));
  }
  Add(findings, kCheck, Verdict::kNote,
      absl::StrCat(reason, ", so file data is in the memory of the daemon, and small writes are ",
                   "slower."),
      advice + ".");
}

void CheckUring(const MachineFacts& machine, const Asked& asked, Findings* findings) {
  constexpr char kCheck[] = "io_uring";
  if (asked.transport == "dev") {
    return Add(findings, kCheck, Verdict::kOk, "It is not needed for --transport=dev.");
  }
  std::string reason, advice;
  if (machine.kernel < kUring) {
    reason = absl::StrCat("Linux ", machine.kernel_release, " has no FUSE over io_uring");
    advice = "Use Linux 6.14 or newer";
  } else if (machine.has_uring == false || !machine.uring_switch.has_value()) {
    reason = machine.device.in_kernel ? "The kernel was built without CONFIG_FUSE_IO_URING"
                                      : "The module fuse is not loaded";
    advice = machine.device.in_kernel ? "Use a kernel with CONFIG_FUSE_IO_URING=y"
                                      : "Load the module with 'modprobe fuse' as root";
  } else if (!*machine.uring_switch) {
    reason = "FUSE over io_uring is switched off";
    advice = "Run 'echo Y > /sys/module/fuse/parameters/enable_uring' as root";
  } else if (machine.uring_forbidden) {
    reason = "The sysctl kernel.io_uring_disabled forbids io_uring to this user";
    advice = "Run 'sysctl kernel.io_uring_disabled=0' as root";
  }
  if (reason.empty()) {
    return Add(findings, kCheck, Verdict::kOk, "Requests can come through io_uring.");
  }
  if (asked.transport == "uring") {
    return Add(findings, kCheck, Verdict::kProblem,
               absl::StrCat(reason, ", so --transport=uring is refused."),
               absl::StrCat(advice, ", or mount with --transport=auto."));
  }
  Add(findings, kCheck, Verdict::kNote,
      absl::StrCat(reason, ", so requests come through /dev/fuse, and creating, renaming and ",
                   "removing files takes up to twice as long."),
      advice + ".");
}

void CheckMemory(const MemoryFacts& memory, uint64_t ram, uint64_t size, Findings* findings) {
  constexpr char kCheck[] = "memory";
  if (memory.cgroup_limit.has_value()) {
    const uint64_t room = RoomForFiles(*memory.cgroup_limit);
    if (WarnOfSize(size, memory.cgroup_limit).has_value()) {
      return Add(findings, kCheck, Verdict::kWarning,
                 absl::StrCat("The size of ", FormatSize(size), " is more than the ",
                              FormatSize(room), " that the control group leaves of its limit of ",
                              FormatSize(*memory.cgroup_limit), "."),
                 absl::StrCat("Give --size=", room >> 20,
                              "m or less, or raise the memory limit of ", "the control group."));
    }
    if (memory.room.has_value() && memory.room->for_files() < size / 2) {
      return Add(findings, kCheck, Verdict::kNote,
                 absl::StrCat("The control group has only ", FormatSize(memory.room->for_files()),
                              " left for files now, of a size of ", FormatSize(size), "."),
                 "Look at what else uses memory in the control group.");
    }
    return Add(findings, kCheck, Verdict::kOk,
               absl::StrCat("The size of ", FormatSize(size),
                            " fits into the memory limit of the control group, ",
                            FormatSize(*memory.cgroup_limit), "."));
  }
  if (ram != 0 && size > ram) {
    return Add(findings, kCheck, Verdict::kWarning,
               absl::StrCat("The size of ", FormatSize(size), " is more than the memory of the ",
                            "machine, ", FormatSize(ram), "."),
               absl::StrCat("Give --size=", ram >> 20, "m or less."));
  }
  Add(findings, kCheck, Verdict::kOk,
      absl::StrCat("The size of ", FormatSize(size), " fits into the memory of the machine, ",
                   FormatSize(ram), "."));
}

void CheckAppArmor(const MachineFacts& machine, Findings* findings) {
  constexpr char kCheck[] = "apparmor";
  const size_t before = findings->size();
  if (!machine.may_mount && machine.fusermount.has_profile) {
    Add(findings, kCheck, Verdict::kNote,
        "An AppArmor profile restricts fusermount3 to certain mount points, such as those below "
        "the home directory, /mnt, /media and /tmp.",
        "If fusermount3 says 'Permission denied', mount there, or extend "
        "/etc/apparmor.d/local/fusermount3 as root.");
  }
  if (!machine.may_mount && machine.userns_restricted) {
    Add(findings, kCheck, Verdict::kNote,
        "This user may not make user namespaces, so file data in the daemon gets no huge pages.",
        "Permit user namespaces as root, for instance with 'sysctl "
        "kernel.apparmor_restrict_unprivileged_userns=0'.");
  }
  if (findings->size() == before) {
    Add(findings, kCheck, Verdict::kOk, "No rule of a security module restricts a mount.");
  }
}

void CheckLimits(const HardLimits& limits, bool may_lift, bool in_daemon, int threads,
                 uint64_t size, Findings* findings) {
  constexpr char kCheck[] = "resource limits";
  const size_t before = findings->size();
  if (limits.cpu_seconds.has_value() && !may_lift) {
    Add(findings, kCheck, Verdict::kWarning,
        absl::StrCat("The hard limit on CPU time is ", *limits.cpu_seconds,
                     " seconds; then the kernel kills the daemon, and all files are lost."),
        "Remove the limit with 'ulimit -t unlimited' as root, or in limits.conf, before the "
        "mount.");
  }
  if (limits.file_bytes.has_value() && !may_lift && in_daemon && *limits.file_bytes < size) {
    Add(findings, kCheck, Verdict::kWarning,
        absl::StrCat("The hard limit on the size of files is ", *limits.file_bytes,
                     " bytes; file data in the daemon cannot take more in all."),
        "Remove the limit with 'ulimit -f unlimited' as root, or in limits.conf, before the "
        "mount.");
  }
  // Room for the program, its threads and the structures of the file system.
  constexpr uint64_t kProgram = uint64_t{256} << 20;
  const uint64_t needed = (in_daemon ? size : size / 8) + kProgram;
  const std::tuple<std::optional<uint64_t>, const char*, const char*> spaces[] = {
      {limits.address_bytes, "the address space", "-v"}, {limits.data_bytes, "data memory", "-d"}};
  for (const auto& [limit, name, letter] : spaces) {
    if (!limit.has_value() || *limit >= needed) continue;
    Add(findings, kCheck, Verdict::kWarning,
        absl::StrCat("The hard limit on ", name, " is ", *limit,
                     " bytes; beyond it operations fail with ENOMEM or ENOSPC."),
        absl::StrCat("Remove the limit with 'ulimit ", letter,
                     " unlimited' as root, or in limits.conf, before the mount."));
  }
  // Every thread has a descriptor of /dev/fuse. The rest are spare workers, the private tmpfs, the
  // log and the control socket.
  const uint64_t least = static_cast<uint64_t>(threads) + 12;
  const uint64_t comfortable = static_cast<uint64_t>(threads) + 64;
  if (limits.descriptors.has_value() && *limits.descriptors < comfortable) {
    const bool fails = *limits.descriptors < least;
    Add(findings, kCheck, fails ? Verdict::kProblem : Verdict::kWarning,
        absl::StrCat("The hard limit on open files is ", *limits.descriptors,
                     fails ? ", too few to mount with " : ", few for a mount with ", threads,
                     threads == 1 ? " thread." : " threads."),
        absl::StrCat("Raise it to ", comfortable, " or more with 'ulimit -n' as root, or in ",
                     "limits.conf, before the mount."));
  }
  if (findings->size() == before) {
    Add(findings, kCheck, Verdict::kOk, "No resource limit can end the daemon or stop a write.");
  }
}

Findings ExamineMachine(const MachineFacts& machine, const Asked& asked) {
  Findings findings;
  CheckDevice(machine, &findings);
  CheckFusermount(machine, &findings);
  CheckAllowOther(machine, asked, &findings);
  CheckKernel(machine, &findings);
  CheckPassthrough(machine, asked, &findings);
  CheckUring(machine, asked, &findings);
  uint64_t size = asked.size.value_or(0);
  if (!asked.size.has_value()) {
    const auto standard = ParseSize(FindFlag("size")->default_value, machine.machine.memory);
    if (standard.ok()) size = *standard;
  }
  CheckMemory(machine.memory, machine.machine.ram, size, &findings);
  CheckAppArmor(machine, &findings);
  const bool in_daemon = asked.data == "daemon" || machine.kernel < kPassthrough ||
                         machine.has_passthrough == false || !machine.may_mount ||
                         !machine.initial_namespace;
  CheckLimits(machine.limits, machine.may_lift_limits, in_daemon,
              DefaultThreads(machine.machine.cpus), size, &findings);
  return findings;
}

int StatusOf(const Findings& findings) {
  Verdict worst = Verdict::kOk;
  for (const Finding& finding : findings) worst = std::max(worst, finding.verdict);
  if (worst == Verdict::kProblem) return 2;
  return worst == Verdict::kWarning ? 1 : 0;
}

}  // namespace memfuse::cli

// memfusectl: shows and changes a running memfuse through its control socket, lists the mounts, and
// explains what is wrong with them.

#include <unistd.h>

#include <cerrno>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "memfuse/quota.h"
#include "src/base/error_text.h"
#include "src/base/unique_fd.h"
#include "src/cli/control_call.h"
#include "src/cli/control_table.h"
#include "src/cli/control_text.h"
#include "src/cli/doctor_checks.h"
#include "src/cli/doctor_report.h"
#include "src/cli/environment_facts.h"
#include "src/cli/help.h"
#include "src/cli/machine.h"
#include "src/cli/message.h"
#include "src/cli/mount_list.h"
#include "src/cli/quota_rules.h"
#include "src/cli/size.h"
#include "src/cli/top.h"
#include "src/cli/usage_command.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;

// The exit status of 'doctor' for a wrong call: 1 and 2 are results.
constexpr int kDoctorUsage = 3;

// The body of PUT /v1/limits. A percentage of --quota is one of the size that the mount has, or
// gets.
absl::StatusOr<json> ChangeOf(const ControlCall& call, const std::string& directory) {
  const std::optional<std::string> size_text = call.value("size");
  const std::optional<std::string> inodes_text = call.value("nr_inodes");
  const std::optional<std::string> quota_text = call.value("quota");
  json change = json::object();
  if (size_text.has_value()) {
    const absl::StatusOr<uint64_t> size = ParseSize(*size_text, ThisMachine().memory);
    if (!size.ok()) return size.status();
    change["size"] = *size;
  }
  if (inodes_text.has_value()) {
    const absl::StatusOr<uint64_t> inodes = ParseInodeCount(*inodes_text);
    if (!inodes.ok()) return inodes.status();
    change["nr_inodes"] = *inodes;
  }
  if (quota_text.has_value()) {
    uint64_t size = change.value("size", uint64_t{0});
    if (size == 0) {
      const absl::StatusOr<json> limits = Ask(directory, "GET", "/v1/limits");
      if (!limits.ok()) return limits.status();
      size = limits->at("size").get<uint64_t>();
    }
    const auto changes = ParseQuotaChanges(*quota_text, size);
    if (!changes.ok()) return changes.status();
    const auto limit = [](uint64_t value) { return value == kNoQuota ? json() : json(value); };
    json quotas = json::array();
    for (const QuotaChange& one : *changes) {
      json quota;
      if (one.rule.kind == QuotaKind::kTree) {
        quota = {{"kind", "path"}, {"path", one.rule.path}};
      } else {
        quota = {{"kind", one.rule.kind == QuotaKind::kUser ? "uid" : "gid"},
                 {"id", one.rule.id.has_value() ? json(*one.rule.id) : json("*")}};
      }
      if (one.has_bytes) quota["bytes"] = limit(one.rule.bytes);
      if (one.has_inodes) quota["inodes"] = limit(one.rule.inodes);
      quotas.push_back(quota);
    }
    change["quotas"] = quotas;
  }
  return change;
}

int ShowOrSetLimits(const ControlCall& call, const std::string& directory) {
  const bool json_output = call.has("json");
  if (!call.has("size") && !call.has("nr_inodes") && !call.has("quota")) {
    return Show(Ask(directory, "GET", "/v1/limits"), json_output, LimitsText);
  }
  const absl::StatusOr<json> change = ChangeOf(call, directory);
  if (!change.ok()) return Fail(change.status());
  return Show(Ask(directory, "PUT", "/v1/limits", change->dump()), json_output, LimitsText);
}

int Unmount(const std::string& directory) {
  {
    // Closed before umount(8) runs.
    const absl::StatusOr<base::UniqueFd> opened = OpenPath(directory);
    if (!opened.ok()) return Fail(opened.status());
    const absl::StatusOr<std::string> socket = FindSocket(opened->get(), directory);
    if (!socket.ok() && absl::IsNotFound(socket.status())) return Fail(socket.status());
  }
  const bool root = geteuid() == 0;
  if (root) {
    execlp("umount", "umount", "--", directory.c_str(), nullptr);
  } else {
    execlp("fusermount3", "fusermount3", "-u", "--", directory.c_str(), nullptr);
  }
  return Fail(
      absl::StrCat("cannot run ", root ? "umount" : "fusermount3", ": ", base::ErrorText(errno)));
}

int Top(const ControlCall& call, const std::string& directory) {
  TopOptions options;
  if (const std::optional<std::string> text = call.value("interval"); text.has_value()) {
    constexpr double kMin = 0.1;
    constexpr double kMax = 3600;
    double seconds = 0;
    if (!absl::SimpleAtod(*text, &seconds) || !(seconds >= kMin && seconds <= kMax)) {
      return Fail(
          absl::StrCat("--interval: '", *text, "' is no number of seconds from 0.1 to 3600"));
    }
    options.interval = absl::Seconds(seconds);
  }
  options.once = call.has("once") || isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0;
  const absl::Status status = RunTop(
      [&directory](const std::string& path) { return Ask(directory, "GET", path); }, options);
  return status.ok() ? 0 : Fail(status);
}

int List(const ControlCall& call) {
  const std::vector<ListedMount> mounts = ListMounts();
  return Print(call.has("json") ? MountListJson(mounts) : MountListText(mounts));
}

int Doctor(const ControlCall& call) {
  Asked asked;
  asked.data = call.value("data").value_or(asked.data);
  asked.transport = call.value("transport").value_or(asked.transport);
  asked.allow_other = call.has("allow_other");
  const MachineFacts machine = GatherMachineFacts();
  if (const std::optional<std::string> text = call.value("size"); text.has_value()) {
    const absl::StatusOr<uint64_t> size = ParseSize(*text, machine.machine.memory);
    if (!size.ok()) {
      Fail(size.status());
      return kDoctorUsage;
    }
    asked.size = *size;
  }
  std::string mount_point;
  Findings findings;
  if (call.operands.empty()) {
    findings = ExamineMachine(machine, asked);
  } else {
    const MountPointFacts place = GatherMountPointFacts(call.operands[0]);
    mount_point = place.path;
    findings = ExamineMountPoint(machine, place, asked);
  }
  const int written = Print(
      call.has("json") ? DoctorJson(findings, machine.uid, mount_point)
                       : DoctorText(findings, machine.uid, mount_point, StyleOfStandardOutput()));
  return written != 0 ? kDoctorUsage : StatusOf(findings);
}

int Main(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--help" || word == "-h") return Print(ControlHelpText());
    if (word == "--version") return Print(absl::StrCat("memfusectl ", VersionNumber(), "\n"));
  }
  if (!words.empty() && words[0] == "help") return Print(ControlHelpText());
  absl::StatusOr<ControlCall> call = ParseControlCall(words);
  if (!call.ok()) {
    const int status = Fail(call.status());
    return !words.empty() && words[0] == "doctor" ? kDoctorUsage : status;
  }
  const absl::string_view command = call->command->name;
  if (command == "doctor") return Doctor(*call);
  if (command == "list") return List(*call);
  const std::string directory = call->operands.empty() ? "." : call->operands[0];
  const bool json_output = call->has("json");
  if (command == "unmount") return Unmount(directory);
  if (command == "top") return Top(*call, directory);
  if (command == "resize") call->flags["size"] = call->operands[1];
  if (command == "resize" || command == "limits") return ShowOrSetLimits(*call, directory);
  if (command == "usage") {
    UsageArguments usage;
    usage.directory = directory;
    if (call->operands.size() > 1) usage.path = call->operands[1];
    usage.by = call->value("by");
    usage.deleted = call->has("deleted");
    usage.largest = call->has("largest");
    usage.limit = call->value("limit");
    usage.json_output = json_output;
    return ShowUsage(usage);
  }
  return Show(Ask(directory, "GET", "/v1/status"), json_output, StatusText);
}

}  // namespace
}  // namespace memfuse::cli

int main(int argc, char** argv) {
  memfuse::cli::SetProgramName(memfuse::cli::ProgramKind::kControl);
  try {
    return memfuse::cli::Main(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    return memfuse::cli::Fail(error.what());
  }
}

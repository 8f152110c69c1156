#include "src/cli/mount_state.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "memfuse/ioctl.h"
#include "src/base/unique_fd.h"
#include "src/cli/bounded_call.h"
#include "src/cli/mount_description.h"
#include "src/control/client.h"
#include "src/mount/probe_mount.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;
using Life = MountState::Life;
using Socket = MountState::Socket;

constexpr absl::Duration kAnswerTimeout = absl::Seconds(3);
constexpr absl::Duration kSocketTimeout = absl::Milliseconds(1500);

template <typename T>
void Put(json* object, const char* name, const std::optional<T>& value) {
  if (value.has_value()) (*object)[name] = *value;
}

template <typename T>
void Take(const json& object, const char* name, std::optional<T>* value) {
  if (const auto found = object.find(name); found != object.end()) *value = found->get<T>();
}

std::string Pack(const MountState& state) {
  json packed = {{"life", state.life},
                 {"socket", state.socket},
                 {"socket_path", state.socket_path},
                 {"refusals", state.refusals},
                 {"read_only", state.read_only}};
  Put(&packed, "size_limit", state.size_limit);
  Put(&packed, "size_used", state.size_used);
  Put(&packed, "inode_limit", state.inode_limit);
  Put(&packed, "inodes_used", state.inodes_used);
  Put(&packed, "store", state.store);
  Put(&packed, "transport", state.transport);
  Put(&packed, "asked_data", state.asked_data);
  Put(&packed, "asked_transport", state.asked_transport);
  Put(&packed, "daemon", state.daemon);
  Put(&packed, "threads", state.threads);
  return packed.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<MountState> Unpack(const std::string& text) {
  const json packed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!packed.is_object()) return std::nullopt;
  MountState state;
  state.life = packed.at("life").get<Life>();
  state.socket = packed.at("socket").get<Socket>();
  state.socket_path = packed.at("socket_path").get<std::string>();
  state.refusals = packed.at("refusals").get<uint64_t>();
  state.read_only = packed.at("read_only").get<bool>();
  Take(packed, "size_limit", &state.size_limit);
  Take(packed, "size_used", &state.size_used);
  Take(packed, "inode_limit", &state.inode_limit);
  Take(packed, "inodes_used", &state.inodes_used);
  Take(packed, "store", &state.store);
  Take(packed, "transport", &state.transport);
  Take(packed, "asked_data", &state.asked_data);
  Take(packed, "asked_transport", &state.asked_transport);
  Take(packed, "daemon", &state.daemon);
  Take(packed, "threads", &state.threads);
  return state;
}

// Where the daemon of the mount makes its socket, if it did not say so itself.
std::vector<std::string> LikelySockets(const MountEntry& mount) {
  const std::string name = absl::StrCat("/memfuse/", mount.device, ".sock");
  if (mount.user_id() == 0) return {absl::StrCat("/run", name)};
  std::vector<std::string> paths = {absl::StrCat("/run/user/", mount.user_id(), name)};
  // No thread of this program changes the environment.
  const char* const own = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (own != nullptr && mount.user_id() == geteuid()) {
    paths.insert(paths.begin(), absl::StrCat(own, name));
  }
  return paths;
}

// Throws json::exception: the object is not one of a daemon.
void TakeStatus(const json& status, MountState* state) {
  MountState read = *state;
  read.size_limit = status.at("size").at("limit").get<uint64_t>();
  read.size_used = status.at("size").at("used").get<uint64_t>();
  read.inode_limit = status.at("inodes").at("limit").get<uint64_t>();
  read.inodes_used = status.at("inodes").at("used").get<uint64_t>();
  read.store = status.at("store").get<std::string>();
  read.transport = status.at("transport").get<std::string>();
  read.daemon = status.at("server_pid").get<pid_t>();
  read.threads = status.at("threads").get<int>();
  read.refusals = status.at("refusals").size();
  // A daemon of an earlier version does not say the rest.
  read.read_only = status.value("read_only", false);
  if (const auto asked = status.find("asked"); asked != status.end()) {
    read.asked_data = asked->at("data").get<std::string>();
    read.asked_transport = asked->at("transport").get<std::string>();
  }
  *state = std::move(read);
}

Socket AskStatus(const std::string& path, MountState* state) {
  if (access(path.c_str(), F_OK) != 0) {
    return errno == EACCES ? Socket::kDenied : Socket::kRefused;
  }
  const absl::StatusOr<control::HttpResponse> response =
      control::Call(path, {"GET", "/v1/status", "", {}}, kSocketTimeout);
  if (!response.ok()) {
    if (absl::IsPermissionDenied(response.status())) return Socket::kDenied;
    return absl::StrContains(response.status().message(), "refused") ? Socket::kRefused
                                                                     : Socket::kSilent;
  }
  try {
    TakeStatus(json::parse(response->body), state);
  } catch (const json::exception&) {
    return Socket::kSilent;
  }
  return Socket::kAnswers;
}

std::string DeviceOf(const struct statx& root) {
  return absl::StrCat(root.stx_dev_major, ":", root.stx_dev_minor);
}

// Asks the file system. Returns the path of the control socket, if the daemon tells it.
std::optional<std::string> AskFileSystem(const MountEntry& mount, MountState* state) {
  struct statx root = {};
  if (const int error = mount::ProbeMount(mount.mount_point, AT_NO_AUTOMOUNT, &root); error != 0) {
    state->life = error == ENOTCONN ? Life::kDied : Life::kNoAccess;
    return std::nullopt;
  }
  if (DeviceOf(root) != mount.device) {
    state->life = Life::kCovered;
    return std::nullopt;
  }
  if (struct statvfs space = {}; statvfs(mount.mount_point.c_str(), &space) == 0) {
    state->size_limit = space.f_blocks * space.f_frsize;
    state->size_used = (space.f_blocks - space.f_bfree) * space.f_frsize;
    state->inode_limit = space.f_files;
    state->inodes_used = space.f_files - space.f_ffree;
  }
  const base::UniqueFd directory(
      open(mount.mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC));
  memfuse_mount_options options = {};
  if (!directory.valid() || ioctl(directory.get(), MEMFUSE_IOC_GET_OPTIONS, &options) != 0) {
    return std::nullopt;
  }
  options.text[sizeof(options.text) - 1] = '\0';
  state->store = ValueInDescription(options.text, "data");
  state->transport = ValueInDescription(options.text, "transport");
  if (state->transport.has_value()) {
    state->transport = *state->transport == "uring" ? "io_uring" : "/dev/fuse";
  }
  return ValueInDescription(options.text, "control");
}

// Runs in a child process.
MountState Examine(const MountEntry& mount, bool ask_file_system) {
  MountState state;
  state.life = ask_file_system ? Life::kServes : Life::kSilent;
  std::optional<std::string> told;
  if (ask_file_system) told = AskFileSystem(mount, &state);
  if (state.life == Life::kDied) return state;
  if (told.has_value() && told->empty()) {
    state.socket = Socket::kNotMade;
    return state;
  }
  const std::vector<std::string> paths =
      told.has_value() ? std::vector<std::string>{*told} : LikelySockets(mount);
  for (const std::string& path : paths) {
    const Socket socket = AskStatus(path, &state);
    // Without the word of the daemon, a path that does not exist says nothing.
    if (!told.has_value() && socket != Socket::kAnswers && socket != Socket::kSilent) continue;
    state.socket = socket;
    state.socket_path = path;
    if (socket == Socket::kAnswers) break;
  }
  return state;
}

std::optional<std::string> FirstPart(const std::optional<std::string>& text) {
  if (!text.has_value()) return text;
  return text->substr(0, text->find_first_of(",;:"));
}

}  // namespace

std::optional<std::string> MountState::short_store() const { return FirstPart(store); }
std::optional<std::string> MountState::short_transport() const { return FirstPart(transport); }

std::vector<MountState> ReadMountStates(const std::vector<MountEntry>& mounts) {
  const auto call = [](const MountEntry& mount, bool ask_file_system) {
    return [&mount, ask_file_system] { return Pack(Examine(mount, ask_file_system)); };
  };
  std::vector<std::function<std::string()>> first;
  first.reserve(mounts.size());
  for (const MountEntry& mount : mounts) first.emplace_back(call(mount, true));
  const auto answers = CallInChildren(first, kAnswerTimeout);
  // Where the file system does not answer, the thread of the control socket may.
  std::vector<std::function<std::string()>> second;
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (!answers[i].has_value()) second.emplace_back(call(mounts[i], false));
  }
  const auto more = CallInChildren(second, absl::Seconds(2));
  std::vector<MountState> states;
  size_t next = 0;
  for (const std::optional<std::string>& answer : answers) {
    MountState silent;
    silent.life = Life::kSilent;
    const std::optional<std::string>& text = answer.has_value() ? answer : more[next++];
    MountState unknown;
    unknown.life = Life::kNoAccess;
    states.push_back(
        text.has_value() ? Unpack(*text).value_or(answer.has_value() ? unknown : silent) : silent);
  }
  return states;
}

}  // namespace memfuse::cli

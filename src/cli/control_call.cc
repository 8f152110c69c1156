#include "src/cli/control_call.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "memfuse/ioctl.h"
#include "src/base/error_text.h"
#include "src/cli/message.h"
#include "src/cli/mount_description.h"
#include "src/control/client.h"

namespace memfuse::cli {

using nlohmann::json;

absl::StatusOr<base::UniqueFd> OpenPath(const std::string& path) {
  base::UniqueFd opened(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!opened.valid()) {
    return absl::NotFoundError(absl::StrCat("cannot open ", path, ": ", base::ErrorText(errno)));
  }
  return opened;
}

absl::StatusOr<std::string> FindSocket(int descriptor, const std::string& name) {
  memfuse_mount_options options = {};
  if (ioctl(descriptor, MEMFUSE_IOC_GET_OPTIONS, &options) != 0) {
    return absl::NotFoundError(absl::StrCat("no memfuse is mounted on ", name));
  }
  options.text[sizeof(options.text) - 1] = '\0';
  std::optional<std::string> path = ValueInDescription(options.text, "control");
  if (!path.has_value() || path->empty()) {
    return absl::UnavailableError(absl::StrCat("the memfuse on ", name, " has no control socket"));
  }
  return *std::move(path);
}

namespace {

constexpr absl::Duration kLongestRetry = absl::Seconds(3);

// How long the daemon asks to wait; infinite if the question is answered.
absl::Duration RetryAfter(int status, const json& answer) {
  if (status != 503 || !answer.is_object()) return absl::InfiniteDuration();
  const auto seconds = answer.find("retry_after_seconds");
  if (seconds == answer.end() || !seconds->is_number()) return absl::InfiniteDuration();
  return absl::Seconds(std::max(seconds->get<double>(), 0.001));
}

}  // namespace

absl::StatusOr<json> AskSocket(const std::string& socket, const control::HttpRequest& request) {
  const absl::Time deadline = absl::Now() + kLongestRetry;
  absl::StatusOr<control::HttpResponse> response = control::Call(socket, request);
  json answer;
  for (;; response = control::Call(socket, request)) {
    if (!response.ok()) return response.status();
    answer = json::parse(response->body, nullptr, /*allow_exceptions=*/false);
    const absl::Duration wait = RetryAfter(response->status, answer);
    if (absl::Now() + wait >= deadline) break;
    absl::SleepFor(wait);
  }
  if (response->status == 200 && answer.is_object()) return answer;
  const std::string text = answer.is_object() && answer.value("error", json()).is_string()
                               ? answer["error"].get<std::string>()
                               : absl::StrCat("the daemon answers with status ", response->status);
  if (response->status == 403) return absl::PermissionDeniedError(text);
  return absl::FailedPreconditionError(text);
}

absl::StatusOr<json> Ask(const std::string& directory, const std::string& method,
                         const std::string& path, const std::string& body) {
  const absl::StatusOr<base::UniqueFd> opened = OpenPath(directory);
  if (!opened.ok()) return opened.status();
  const absl::StatusOr<std::string> socket = FindSocket(opened->get(), directory);
  if (!socket.ok()) return socket.status();
  return AskSocket(*socket, {method, path, body, {}});
}

std::string PathText(const json& path) {
  return path.is_null() ? "(removed)" : OneLine(path.get<std::string>());
}

std::string SubjectText(const json& subject) {
  const std::string kind = subject.at("kind");
  if (kind == "path") return absl::StrCat("path:", PathText(subject.at("path")));
  const json& id = subject.at("id");
  return absl::StrCat(kind, ":",
                      id.is_string() ? id.get<std::string>() : absl::StrCat(id.get<uint64_t>()));
}

int Print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  return std::fflush(stdout) == 0 ? 0 : Fail("cannot write to standard output");
}

int Show(const absl::StatusOr<json>& answer, bool as_json,
         const std::function<std::string(const json&)>& text) {
  if (!answer.ok()) return Fail(answer.status());
  return Print(as_json ? answer->dump(2, ' ', false, json::error_handler_t::replace) + "\n"
                       : text(*answer));
}

}  // namespace memfuse::cli

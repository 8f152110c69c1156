// Calls of memfusectl to the daemon of a mount.

#ifndef MEMFUSE_SRC_CLI_CONTROL_CALL_H_
#define MEMFUSE_SRC_CLI_CONTROL_CALL_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "src/base/unique_fd.h"
#include "src/control/http.h"

namespace memfuse::cli {

// Opens a directory or file. NotFound, with a sentence.
absl::StatusOr<base::UniqueFd> OpenPath(const std::string& path);

// The path of the control socket of the memfuse that `descriptor` belongs to; `name` is its name in
// sentences. NotFound (no memfuse), Unavailable (no socket).
absl::StatusOr<std::string> FindSocket(int descriptor, const std::string& name);

// Sends a request to a control socket; returns the JSON of its answer. If the daemon says that the
// user can ask again within a few seconds, it waits so long and asks again. PermissionDenied
// (status 403), FailedPrecondition (any other status than 200), or an error of control::Call.
absl::StatusOr<nlohmann::json> AskSocket(const std::string& socket,
                                         const control::HttpRequest& request);

// The same for the daemon of `directory`.
absl::StatusOr<nlohmann::json> Ask(const std::string& directory, const std::string& method,
                                   const std::string& path, const std::string& body = "");

// The path of a directory with a quota.
std::string PathText(const nlohmann::json& path);
// The user, the group or the tree of a quota, of a refusal or of usage in an answer: "uid:1000".
std::string SubjectText(const nlohmann::json& object);

// Writes to standard output. Returns the exit status.
int Print(const std::string& text);

// Prints the answer, as JSON or as `text` makes it, or fails. Returns the exit status.
int Show(const absl::StatusOr<nlohmann::json>& answer, bool as_json,
         const std::function<std::string(const nlohmann::json&)>& text);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_CONTROL_CALL_H_

// memfusectl top: a screen that shows what a mount does.

#ifndef MEMFUSE_SRC_CLI_TOP_H_
#define MEMFUSE_SRC_CLI_TOP_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace memfuse::cli {

// Asks the daemon: the JSON of GET `path`.
using TopQuestion = std::function<absl::StatusOr<nlohmann::json>(const std::string& path)>;

struct TopOptions {
  absl::Duration interval = absl::Seconds(2);  // between two readings; > 0
  // Print the tables of one interval as text instead of taking the terminal over.
  bool once = false;
};

// Runs until the user ends it, or for one interval. Returns the error of the first question, or
// FailedPrecondition: the terminal cannot be controlled. A daemon that stops answering later is
// reported on the screen.
absl::Status RunTop(const TopQuestion& ask, const TopOptions& options);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_TOP_H_

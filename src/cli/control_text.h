// The text of what a daemon answers on its control socket.

#ifndef MEMFUSE_SRC_CLI_CONTROL_TEXT_H_
#define MEMFUSE_SRC_CLI_CONTROL_TEXT_H_

#include <nlohmann/json.hpp>
#include <string>

namespace memfuse::cli {

// Of GET /v1/status and GET /v1/limits. They throw nlohmann::json::exception if the
// answer has another format.
std::string StatusText(const nlohmann::json& status);
std::string LimitsText(const nlohmann::json& limits);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_CONTROL_TEXT_H_

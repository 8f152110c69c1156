// Responses with a JSON body, and values in it.

#ifndef MEMFUSE_SRC_CONTROL_JSON_REPLY_H_
#define MEMFUSE_SRC_CONTROL_JSON_REPLY_H_

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "memfuse/quota.h"
#include "src/control/http.h"

namespace memfuse::control {

// Paths and options may contain bytes that are no UTF-8; U+FFFD takes their place.
inline HttpResponse Reply(int status, const nlohmann::json& body) {
  return {status, body.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
}

inline HttpResponse Error(int status, const std::string& text) {
  return Reply(status, {{"error", text}});
}

// Status 503 to a question that would be answered after `wait`, which the field Retry-After and the
// member "retry_after_seconds" have.
inline HttpResponse AskAgain(const std::string& reason, std::chrono::nanoseconds wait) {
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(wait);
  const auto seconds = std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count());
  HttpResponse response = Reply(
      503,
      {{"error", reason + "; ask again in " + seconds + (seconds == "1" ? " second" : " seconds")},
       {"retry_after_seconds", static_cast<double>(milliseconds.count()) / 1000}});
  response.fields = {{"Retry-After", seconds}};
  return response;
}

// The path of a directory with a quota. null: the directory is removed.
inline nlohmann::json PathOrNull(const std::string& path) {
  return path.empty() ? nlohmann::json(nullptr) : nlohmann::json(path);
}

// A limit of a quota. null: there is none.
inline nlohmann::json LimitOrNull(uint64_t limit) {
  return limit == kNoQuota ? nlohmann::json(nullptr) : nlohmann::json(limit);
}

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_JSON_REPLY_H_

// Responses with a JSON body, and values in it.

#ifndef MEMFUSE_SRC_CONTROL_JSON_REPLY_H_
#define MEMFUSE_SRC_CONTROL_JSON_REPLY_H_

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

// A limit of a quota. null: there is none.
inline nlohmann::json LimitOrNull(uint64_t limit) {
  return limit == kNoQuota ? nlohmann::json(nullptr) : nlohmann::json(limit);
}

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_JSON_REPLY_H_

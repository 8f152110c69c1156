// Responses with a JSON body.

#ifndef MEMFUSE_SRC_CONTROL_JSON_REPLY_H_
#define MEMFUSE_SRC_CONTROL_JSON_REPLY_H_

#include <nlohmann/json.hpp>
#include <string>

#include "src/control/http.h"

namespace memfuse::control {

// Paths and options may contain bytes that are no UTF-8; U+FFFD takes their place.
inline HttpResponse Reply(int status, const nlohmann::json& body) {
  return {status, body.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
}

inline HttpResponse Error(int status, const std::string& text) {
  return Reply(status, {{"error", text}});
}

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_JSON_REPLY_H_

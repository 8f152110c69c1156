// The JSON of a refusal, in GET /v1/status and on the page.

#ifndef MEMFUSE_SRC_CONTROL_REFUSAL_JSON_H_
#define MEMFUSE_SRC_CONTROL_REFUSAL_JSON_H_

#include <nlohmann/json_fwd.hpp>

#include "memfuse/quota.h"

namespace memfuse::control {

//   {"limit": "bytes", "of": "path", "id": 12, "path": "/builds", "count": 3, "asked": 4096,
//    "left": 0, "pid": 77, "uid": 1000, "time": 1700000000}
//
// "id" is there for a user, a group and a directory, whose inode number it is. "path" is there for
// a directory if `show_path` is set, and null if the directory is removed. The pid is 0 and the uid
// null where the kernel did not tell it. Throws std::bad_alloc.
nlohmann::json RefusalToJson(const Refusal& refusal, bool show_path);

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_REFUSAL_JSON_H_

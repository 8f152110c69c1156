#include "src/control/refusal_json.h"

#include <nlohmann/json.hpp>

#include "src/control/json_reply.h"
#include "src/control/names.h"

namespace memfuse::control {

using nlohmann::json;

json RefusalToJson(const Refusal& refusal, bool show_path) {
  json entry = {{"limit", LimitName(refusal.limit)},
                {"of", OwnerName(refusal.owner)},
                {"count", refusal.count},
                {"asked", refusal.asked},
                {"left", refusal.left},
                {"pid", refusal.pid},
                {"uid", refusal.uid.has_value() ? json(*refusal.uid) : json(nullptr)},
                {"time", refusal.time.seconds}};
  const bool of_tree = refusal.owner == Refusal::Owner::kTree;
  if (of_tree || refusal.owner == Refusal::Owner::kUser ||
      refusal.owner == Refusal::Owner::kGroup) {
    entry["id"] = refusal.id;
  }
  if (of_tree && show_path) entry["path"] = PathOrNull(refusal.path);
  return entry;
}

}  // namespace memfuse::control

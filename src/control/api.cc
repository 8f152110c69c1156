#include "src/control/api.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/base/error_text.h"
#include "src/control/json_reply.h"
#include "src/control/names.h"
#include "src/control/operations_json.h"
#include "src/control/path_text.h"
#include "src/control/refusal_json.h"

namespace memfuse::control {
namespace {

using nlohmann::json;

// Whether a peer that is no administrator may see what the user or the group stores. Paths may be
// secret, so such a peer sees no trees.
bool IsOwn(const Peer& peer, QuotaKind kind, uint64_t id) {
  return kind != QuotaKind::kTree && id == (kind == QuotaKind::kUser ? peer.uid : peer.gid);
}

// The refusal as a peer that is no administrator may see it; nothing if it may not.
std::optional<Refusal> AsSeenBy(const Peer& peer, Refusal refusal) {
  const bool caused = refusal.uid == std::optional<uint32_t>(peer.uid);
  const bool own_user = refusal.owner == Refusal::Owner::kUser && refusal.id == peer.uid;
  const bool own_group = refusal.owner == Refusal::Owner::kGroup && refusal.id == peer.gid;
  // What is left to another user is not shown.
  const bool of_another_user = refusal.owner == Refusal::Owner::kUser && !own_user;
  if (of_another_user || !(caused || own_user || own_group)) return std::nullopt;
  if (refusal.uid.has_value() && !caused) {
    refusal.pid = 0;
    refusal.uid.reset();
  }
  return refusal;
}

// A member "path" for trees, otherwise a member "id".
json Subject(QuotaKind kind, const json& id, const std::string& path) {
  json subject = {{"kind", KindName(kind)}};
  if (kind == QuotaKind::kTree) {
    subject["path"] = PathOrNull(path);
  } else {
    subject["id"] = id;
  }
  return subject;
}

// A change of limits that is wrong.
struct BadChange {
  std::string text;
};

// A number of the body; nothing if it is missing. Throws BadChange.
std::optional<uint64_t> NumberIn(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return std::nullopt;
  if (!found->is_number_unsigned()) {
    throw BadChange{absl::StrCat("'", name, "' is no number of bytes or inodes")};
  }
  return found->get<uint64_t>();
}

// The limit of a quota, which may be null, in the body.
std::optional<uint64_t> QuotaIn(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found != object.end() && found->is_null()) return kNoQuota;
  return NumberIn(object, name);
}

// A limit of the file system in the body. If it is missing, 0, which keeps the limit
// (MemoryFileSystem::SetLimits). The number 0, which means "unlimited" on tmpfs, is refused. Throws
// BadChange.
uint64_t LimitIn(const json& object, const char* name) {
  const std::optional<uint64_t> limit = NumberIn(object, name);
  if (limit == uint64_t{0}) {
    throw BadChange{absl::StrCat("'", name, "' is 0; leave it out to keep the present limit")};
  }
  return limit.value_or(0);
}

// The member of an object, or null.
const json& MemberOf(const json& object, const char* name) {
  static const json null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

// Why a directory cannot have a quota.
std::string TreeQuotaError(const std::string& path, int error) {
  switch (error) {
    case EINVAL:
      return absl::StrCat("'", path, "' is no path of a directory below the root, such as /builds");
    case ENOTEMPTY:
      return absl::StrCat("'", path,
                          "' is not empty; only an empty directory can get its first quota");
    default:
      return absl::StrCat("'", path, "' cannot get a quota: ", base::ErrorText(error));
  }
}

// The rule of a quota in the body. Limits that it does not name are those of `rules`.
QuotaRule RuleIn(const json& object, const std::vector<QuotaRule>& rules) {
  if (!object.is_object()) throw BadChange{"a quota is no object"};
  for (const auto& [name, value] : object.items()) {
    if (name != "kind" && name != "id" && name != "path" && name != "bytes" && name != "inodes") {
      throw BadChange{absl::StrCat("a quota has no member '", name, "'")};
    }
  }
  QuotaRule rule;
  const json& kind = MemberOf(object, "kind");
  if (kind == "gid") {
    rule.kind = QuotaKind::kGroup;
  } else if (kind == "path") {
    rule.kind = QuotaKind::kTree;
  } else if (kind != "uid") {
    throw BadChange{"'kind' of a quota is none of uid, gid and path"};
  }
  const bool tree = rule.kind == QuotaKind::kTree;
  const json& id = MemberOf(object, "id");
  const json& path = MemberOf(object, "path");
  if ((tree ? id : path) != nullptr) {
    throw BadChange{"a quota has a 'path' if its kind is path, and otherwise an 'id'"};
  }
  if (tree) {
    if (!path.is_string()) throw BadChange{"'path' of a quota is no string"};
    rule.path = CanonicalPath(path.get<std::string>());
  } else if (id.is_number_unsigned() && id.get<uint64_t>() < 0xffffffff) {
    rule.id = id.get<uint64_t>();
  } else if (id != "*") {
    throw BadChange{"'id' of a quota is neither a number nor *"};
  }
  for (const QuotaRule& present : rules) {
    const bool same = tree ? present.path == rule.path : present.id == rule.id;
    if (present.kind == rule.kind && same) rule = present;
  }
  rule.bytes = QuotaIn(object, "bytes").value_or(rule.bytes);
  rule.inodes = QuotaIn(object, "inodes").value_or(rule.inodes);
  return rule;
}

}  // namespace

control::Answer Api::Answer(const HttpRequest& request) {
  if (!request.peer.has_value()) return Error(403, "the client has no identity");
  const bool get = request.method == "GET";
  if (!request.query.empty() && request.path != "/v1/usage") {
    return Error(400, absl::StrCat("'", request.path, "' takes no query"));
  }
  if (request.path == "/v1/status") {
    return get ? Status(*request.peer) : Error(405, "/v1/status can be read only");
  }
  if (request.path == "/v1/top") {
    return get ? Top(*request.peer) : Error(405, "/v1/top can be read only");
  }
  if (request.path == "/v1/statistics") {
    return get ? Statistics() : Error(405, "/v1/statistics can be read only");
  }
  if (request.path == "/v1/usage") {
    return get ? Usage(request) : Error(405, "/v1/usage can be read only");
  }
  if (request.path == "/v1/usage/progress") {
    return get ? usage_answers_.Progress() : Error(405, "/v1/usage/progress can be read only");
  }
  if (request.path == "/v1/limits") {
    if (get) return Limits(*request.peer);
    if (request.method == "PUT" && facts_.read_only) {
      return Error(409, "the file system is read-only, because its servers have crashed");
    }
    if (request.method == "PUT") return SetLimits(request);
    return Error(405, "/v1/limits can be read by GET and changed by PUT");
  }
  return Error(404, absl::StrCat("there is no '", request.path, "'"));
}

int64_t Api::UptimeSeconds() const { return absl::ToInt64Seconds(absl::Now() - facts_.start); }

HttpResponse Api::Status(const Peer& peer) const {
  const MemoryFileSystemUsage usage = fs_.Usage();
  json requests = json::object();
  uint64_t total = 0;
  for (const OperationStatistics& operation : statistics_()) {
    if (operation.requests == 0) continue;
    total += operation.requests;
    requests[std::string(operation.name)] = operation.requests;
  }
  json refusals = json::array();
  const bool administrator = IsAdministrator(peer);
  for (const Refusal& refusal : fs_.Refusals()) {
    const std::optional<Refusal> seen = administrator ? refusal : AsSeenBy(peer, refusal);
    if (seen.has_value()) refusals.push_back(RefusalToJson(*seen, /*show_path=*/administrator));
  }
  return Reply(200,
               {{"version", facts_.version},
                {"mount_point", facts_.mount_point},
                {"server_pid", getpid()},
                {"keeper_pid", facts_.keeper_pid > 0 ? json(facts_.keeper_pid) : json(nullptr)},
                {"read_only", facts_.read_only},
                {"takeovers", facts_.takeovers},
                {"uptime_seconds", absl::ToInt64Seconds(absl::Now() - facts_.mounted)},
                {"size",
                 {{"limit", usage.size_limit},
                  {"used", usage.bytes_used},
                  {"data", usage.data_bytes},
                  {"metadata", usage.bytes_used - std::min(usage.bytes_used, usage.data_bytes)}}},
                {"inodes", {{"limit", usage.inode_limit}, {"used", usage.inodes_used}}},
                {"store", facts_.store},
                {"transport", facts_.transport},
                {"asked", {{"data", facts_.asked_data}, {"transport", facts_.asked_transport}}},
                {"threads", facts_.threads},
                {"requests", {{"total", total}, {"by_operation", requests}}},
                {"refusals", refusals}});
}

HttpResponse Api::Statistics() const {
  return Reply(
      200, {{"uptime_seconds", UptimeSeconds()}, {"operations", OperationsToJson(statistics_())}});
}

HttpResponse Api::Top(const Peer& peer) {
  std::optional<uint32_t> only_uid;
  if (!IsAdministrator(peer)) only_uid = peer.uid;
  return Reply(200, top_.Get(only_uid));
}

control::Answer Api::Usage(const HttpRequest& request) {
  const absl::StatusOr<UsageQuestion> question = ParseUsageQuery(request.query);
  if (!question.ok()) return Error(400, std::string(question.status().message()));
  if (question->kind == UsageQuestion::Kind::kOwners) {
    return Owners(*request.peer, question->owners);
  }
  return usage_answers_.Find(*question, *request.peer, IsAdministrator(*request.peer));
}

control::Answer Api::Owners(const Peer& peer, std::optional<QuotaKind> only) {
  const bool administrator = IsAdministrator(peer);
  return usage_.Ask([peer, only, administrator](const UsageCache::Usage& all) {
    json owners = json::array();
    for (const QuotaUsage& usage : all) {
      if (only.has_value() && usage.kind != *only) continue;
      if (!administrator && !IsOwn(peer, usage.kind, usage.id)) continue;
      json owner = Subject(usage.kind, usage.id, usage.path);
      owner["bytes"] = usage.bytes;
      owner["inodes"] = usage.inodes;
      owner["byte_limit"] = LimitOrNull(usage.byte_limit);
      owner["inode_limit"] = LimitOrNull(usage.inode_limit);
      owners.push_back(std::move(owner));
    }
    return Reply(200, {{"owners", owners}});
  });
}

HttpResponse Api::Limits(const Peer& peer) const {
  const MemoryFileSystemUsage usage = fs_.Usage();
  json quotas = json::array();
  const bool administrator = IsAdministrator(peer);
  for (const QuotaRule& rule : fs_.Quotas()) {
    if (rule.id.has_value() && !administrator && !IsOwn(peer, rule.kind, *rule.id)) continue;
    json quota = Subject(rule.kind, rule.id.has_value() ? json(*rule.id) : json("*"), rule.path);
    quota["bytes"] = LimitOrNull(rule.bytes);
    quota["inodes"] = LimitOrNull(rule.inodes);
    quotas.push_back(std::move(quota));
  }
  return Reply(200,
               {{"size", usage.size_limit}, {"nr_inodes", usage.inode_limit}, {"quotas", quotas}});
}

HttpResponse Api::SetLimits(const HttpRequest& request) {
  if (!IsAdministrator(*request.peer)) {
    return Error(403, "only root and the user who runs the daemon may change limits");
  }
  // Copying a JSON value is recursive, so its depth is bounded.
  constexpr int kMaxDepth = 4;
  bool too_deep = false;
  const auto bounded = [&too_deep](int depth, json::parse_event_t, const json&) {
    too_deep |= depth > kMaxDepth;
    return depth <= kMaxDepth;
  };
  const json body = json::parse(request.body, bounded, /*allow_exceptions=*/false);
  if (!body.is_object() || too_deep) return Error(400, "the body is no JSON object of limits");
  uint64_t size = 0;
  uint64_t inodes = 0;
  std::vector<QuotaRule> rules;
  try {
    for (const auto& [name, value] : body.items()) {
      if (name != "size" && name != "nr_inodes" && name != "quotas") {
        throw BadChange{absl::StrCat("there is no limit '", name, "'")};
      }
    }
    size = LimitIn(body, "size");
    inodes = LimitIn(body, "nr_inodes");
    if (const auto quotas = body.find("quotas"); quotas != body.end()) {
      if (!quotas->is_array()) throw BadChange{"'quotas' is no array"};
      const std::vector<QuotaRule> present = fs_.Quotas();
      for (const json& quota : *quotas) rules.push_back(RuleIn(quota, present));
    }
  } catch (const BadChange& bad) {
    return Error(400, bad.text);
  }
  // Everything is checked before the first change, and what can fail is changed first: the rules
  // for users and groups cannot fail. A rule for a directory can still fail after the size has been
  // changed if the directory was changed since the check, or is charged to a quota that is full.
  std::stable_partition(rules.begin(), rules.end(),
                        [](const QuotaRule& rule) { return rule.kind == QuotaKind::kTree; });
  for (const QuotaRule& rule : rules) {
    if (const Result<void> may = fs_.CheckQuota(rule); !may.ok()) {
      return Error(409, TreeQuotaError(rule.path, may.error().value()));
    }
  }
  if (size != 0 || inodes != 0) {
    if (const Result<void> set = fs_.SetLimits(size, inodes); !set.ok()) {
      if (set.error() != EINVAL) return Error(500, base::ErrorText(set.error().value()));
      if (size > kMaxSizeLimit || inodes > kMaxInodeLimit) {
        return Error(400, "the limit is larger than memory can be");
      }
      return Error(409, "more is in use than the new limits allow");
    }
  }
  for (const QuotaRule& rule : rules) {
    if (const Result<void> set = fs_.SetQuota(rule); !set.ok()) {
      return Error(409, TreeQuotaError(rule.path, set.error().value()));
    }
  }
  return Limits(*request.peer);
}

}  // namespace memfuse::control

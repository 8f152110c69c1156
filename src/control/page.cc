#include "src/control/page.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/control/json_reply.h"
#include "src/control/names.h"
#include "src/control/operations_json.h"
#include "src/control/page_files.h"
#include "src/control/query.h"
#include "src/control/refusal_json.h"

namespace memfuse::control {
namespace {

using nlohmann::json;

// The page needs nothing but its own files and documents. Inline scripts and styles, frames and
// other servers are forbidden, so that a name of a file cannot do anything even if the script
// inserted it as markup by mistake.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

HttpResponse FileResponse(const PageFile& file, const std::string& if_none_match) {
  HttpResponse response;
  const std::string etag(file.etag);
  if (if_none_match.find(etag) != std::string::npos) {
    response.status = 304;
  } else {
    response.body = std::string(file.content);
  }
  response.content_type = std::string(file.content_type);
  response.fields = {{"ETag", etag},
                     {"Cache-Control", "no-cache"},  // a browser asks whether the file has changed
                     {"Content-Security-Policy", kContentSecurityPolicy},
                     {"Referrer-Policy", "no-referrer"}};
  return response;
}

// How full the fuller of two quotas is.
double Fullness(const QuotaUsage& usage) {
  const auto share = [](uint64_t used, uint64_t limit) {
    if (limit == kNoQuota) return 0.0;
    return static_cast<double>(used) / static_cast<double>(std::max<uint64_t>(limit, 1));
  };
  return std::max(share(usage.bytes, usage.byte_limit), share(usage.inodes, usage.inode_limit));
}

// The first kMaxRows of those that fulfil a condition, in an order.
template <typename Condition, typename Before>
std::vector<QuotaUsage> First(const std::vector<QuotaUsage>& all, Condition condition,
                              Before before) {
  std::vector<QuotaUsage> some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some), condition);
  std::stable_sort(some.begin(), some.end(), before);
  if (some.size() > Page::kMaxRows) some.resize(Page::kMaxRows);
  return some;
}

json UsersToJson(const std::vector<QuotaUsage>& all) {
  json rows = json::array();
  for (const QuotaUsage& user : First(
           all,
           [](const QuotaUsage&usage) {
             return usage.kind == QuotaKind::kUser && usage.inodes > 0;
           },
           [](const QuotaUsage&a, const QuotaUsage&b) { return a.bytes > b.bytes; })) {
    rows.push_back({{"id", user.id}, {"bytes", user.bytes}, {"inodes", user.inodes}});
  }
  return rows;
}

json QuotasToJson(const std::vector<QuotaUsage>& all, bool show_directories) {
  json rows = json::array();
  for (const QuotaUsage& quota : First(
           all,
           [](const QuotaUsage&usage) {
             return usage.byte_limit != kNoQuota || usage.inode_limit != kNoQuota;
           },
           [](const QuotaUsage&a, const QuotaUsage&b) { return Fullness(a) > Fullness(b); })) {
    rows.push_back({{"kind", KindName(quota.kind)},
                    {"id", quota.id},
                    {"bytes", quota.bytes},
                    {"inodes", quota.inodes},
                    {"byte_limit", LimitOrNull(quota.byte_limit)},
                    {"inode_limit", LimitOrNull(quota.inode_limit)}});
    if (show_directories && !quota.path.empty()) rows.back()["path"] = quota.path;
  }
  return rows;
}

json RefusalsToJson(const std::vector<Refusal>& refusals, bool show_directories) {
  json rows = json::array();
  for (const Refusal& refusal : refusals) rows.push_back(RefusalToJson(refusal, show_directories));
  return rows;
}

json HistoryToJson(const UsageHistory::Part& part) {
  json samples = json::array();
  for (const UsageHistory::Sample& sample : part.samples) {
    samples.push_back({sample.time, sample.bytes, sample.inodes});
  }
  return {{"capacity", UsageHistory::kCapacity}, {"next", part.next}, {"samples", samples}};
}

}  // namespace

control::Answer Page::Answer(const HttpRequest& request) {
  const auto* const file =
      std::find_if(std::begin(kPageFiles), std::end(kPageFiles),
                   [&](const PageFile& candidate) { return candidate.path == request.path; });
  const bool status = request.path == "/status.json";
  const bool directories = request.path == "/directories.json";
  if (file == std::end(kPageFiles) && !status && !directories) {
    return HttpResponse{404, "The paths are / and /metrics.\n", "text/plain; charset=utf-8"};
  }
  if (request.method != "GET" && request.method != "HEAD") {
    return HttpResponse{405, "The page can be read only.\n", "text/plain; charset=utf-8",
                        "GET, HEAD"};
  }
  if (status) return Status(request.query);
  if (directories) return Directories(request.query);
  return FileResponse(*file, request.if_none_match);
}

control::Answer Page::Status(const std::string& query) {
  const auto pairs = ParseQuery(query);
  if (!pairs.ok()) return Error(400, std::string(pairs.status().message()));
  uint64_t from = 0;
  for (const auto& [name, value] : *pairs) {
    if (name != "from" || !absl::SimpleAtoi(value, &from)) {
      return Error(400, "the query is not from=NUMBER");
    }
  }
  return usage_.Ask([this, from](const UsageCache::Usage& owners) {
    const absl::Time now = absl::Now();
    const MemoryFileSystemUsage usage = fs_.Usage();
    const json status = {
        {"version", facts_.version},
        {"mount_point", facts_.mount_point},
        {"store", facts_.store},
        {"transport", facts_.transport},
        {"start", absl::ToDoubleSeconds(facts_.start - absl::UnixEpoch())},
        {"now", absl::ToUnixSeconds(now)},
        {"uptime", absl::ToDoubleSeconds(now - facts_.start)},
        {"age", absl::ToDoubleSeconds(now - facts_.mounted)},
        {"size",
         {{"limit", usage.size_limit},
          {"used", usage.bytes_used},
          {"data", usage.data_bytes},
          {"removed", usage.removed_bytes}}},
        {"inodes",
         {{"limit", usage.inode_limit >= kMaxInodeLimit ? json(nullptr) : json(usage.inode_limit)},
          {"used", usage.inodes_used}}},
        {"users", UsersToJson(owners)},
        {"quotas", QuotasToJson(owners, facts_.show_directories)},
        {"refusals", RefusalsToJson(fs_.Refusals(), facts_.show_directories)},
        {"operations", OperationsToJson(statistics_())},
        {"history", HistoryToJson(history_.From(from))},
        {"directories", facts_.show_directories}};
    // Without the line breaks of Reply, which would double the size.
    return HttpResponse{200, status.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
  });
}

control::Answer Page::Directories(const std::string& query) {
  if (!facts_.show_directories) {
    return Error(403, "only --metrics_show_directories shows names of directories");
  }
  const auto pairs = ParseQuery(query);
  if (!pairs.ok()) return Error(400, std::string(pairs.status().message()));
  if (pairs->size() != 1 || pairs->begin()->first != "path") {
    return Error(400, "the query is not path=PATH");
  }
  absl::StatusOr<UsageQuestion> question = ParseUsageQuery("by=dir&" + query);
  if (!question.ok()) return Error(400, std::string(question.status().message()));
  question->limit = kMaxDirectories;
  return usage_answers_.FindWithNames(*question);
}

}  // namespace memfuse::control

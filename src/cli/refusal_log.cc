#include "src/cli/refusal_log.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace memfuse::cli {
namespace {

std::string Amount(uint64_t count, Refusal::Limit limit) {
  if (limit == Refusal::Limit::kBytes) return absl::StrCat(count, count == 1 ? " byte" : " bytes");
  return absl::StrCat(count, count == 1 ? " inode" : " inodes");
}

std::string Owner(const Refusal& refusal) {
  switch (refusal.owner) {
    case Refusal::Owner::kUser:
      return absl::StrCat("the quota of user ", refusal.id);
    case Refusal::Owner::kGroup:
      return absl::StrCat("the quota of group ", refusal.id);
    case Refusal::Owner::kTree:
      return refusal.path.empty() ? "the quota of a removed directory"
                                  : absl::StrCat("the quota of the directory ", refusal.path);
    case Refusal::Owner::kMemory:
      return "the memory of the control group";
    case Refusal::Owner::kFileSystem:
      break;
  }
  return "the file system";
}

}  // namespace

std::string DescribeRefusal(const Refusal& refusal) {
  // The kernel itself writes pages back, and does not always tell the process and the user.
  const std::string process =
      refusal.pid != 0 ? absl::StrCat("process ", refusal.pid) : "an unknown process";
  const std::string user =
      refusal.uid.has_value() ? absl::StrCat(" of user ", *refusal.uid) : std::string();
  return absl::StrCat("refused ", Amount(refusal.asked, refusal.limit), " to ", process, user, ": ",
                      Owner(refusal), " has ", Amount(refusal.left, refusal.limit), " left");
}

std::vector<std::string> RefusalLog::NewLines(absl::Span<const Refusal> refusals, absl::Time now) {
  std::vector<std::string> lines;
  std::map<Key, Logged> kept;
  for (const Refusal& refusal : refusals) {
    const Key key{refusal.limit, refusal.owner, refusal.id};
    const auto found = logged_.find(key);
    Logged logged = found == logged_.end() ? Logged() : found->second;
    // The list dropped the limit in the meantime and counts anew.
    if (refusal.count < logged.count) logged.count = 0;
    if (refusal.count > logged.count && now - logged.time >= kInterval) {
      const uint64_t more = refusal.count - logged.count - 1;
      lines.push_back(more == 0 ? DescribeRefusal(refusal)
                                : absl::StrCat(DescribeRefusal(refusal), "; ", more,
                                               " more since the last such line"));
      logged = {refusal.count, now};
    }
    kept[key] = logged;
  }
  logged_ = std::move(kept);
  return lines;
}

}  // namespace memfuse::cli

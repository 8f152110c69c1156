#include "src/cli/quota_rules.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "src/cli/owner.h"
#include "src/cli/size.h"

namespace memfuse::cli {
namespace {

absl::Status BadRule(absl::string_view rule, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--quota: '", rule, "' ", why));
}

// "/a//b/" becomes "/a/b".
std::string PathWithoutEmptyNames(absl::string_view path) {
  return absl::StrCat("/", absl::StrJoin(absl::StrSplit(path, '/', absl::SkipEmpty()), "/"));
}

// A rule without limits for KIND:SUBJECT.
absl::StatusOr<QuotaRule> ParseSubject(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  QuotaRule rule;
  if (parts.first == "path") {
    rule.kind = QuotaKind::kTree;
    rule.path = PathWithoutEmptyNames(parts.second);
    if (parts.second.substr(0, 1) != "/" || rule.path == "/") {
      return BadRule(text, "names no directory below the root, such as path:/builds");
    }
    return rule;
  }
  if (parts.first == "gid") {
    rule.kind = QuotaKind::kGroup;
  } else if (parts.first != "uid") {
    return BadRule(text, "begins with none of 'uid:', 'gid:' and 'path:'");
  }
  if (parts.second == "*") return rule;
  const std::string who(parts.second);
  const absl::StatusOr<uint32_t> id =
      rule.kind == QuotaKind::kUser ? ParseUser(who) : ParseGroup(who);
  if (!id.ok()) {
    return BadRule(text, rule.kind == QuotaKind::kUser ? "names no user" : "names no group");
  }
  rule.id = *id;
  return rule;
}

// Returns the change for the same subject in `changes`, which is added if there is none.
QuotaChange* FindChange(std::vector<QuotaChange>* changes, const QuotaRule& subject) {
  for (QuotaChange& change : *changes) {
    const QuotaRule& rule = change.rule;
    if (rule.kind == subject.kind && rule.id == subject.id && rule.path == subject.path) {
      return &change;
    }
  }
  changes->push_back({subject, false, false});
  return &changes->back();
}

}  // namespace

absl::StatusOr<std::vector<QuotaChange>> ParseQuotaChanges(absl::string_view text,
                                                           uint64_t size_limit) {
  std::vector<QuotaChange> changes;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    // A path may contain the sign.
    const size_t equals = part.rfind('=');
    if (equals == absl::string_view::npos) {
      return BadRule(part, "is no rule like uid:1000=2g, gid:100=1g/10k or path:/builds=5g");
    }
    const absl::StatusOr<QuotaRule> subject = ParseSubject(part.substr(0, equals));
    if (!subject.ok()) return subject.status();
    const std::pair<absl::string_view, absl::string_view> limits =
        absl::StrSplit(part.substr(equals + 1), absl::MaxSplits('/', 1));
    if (limits.first.empty() && limits.second.empty()) return BadRule(part, "has no limit");
    QuotaChange* const change = FindChange(&changes, *subject);
    if (!limits.first.empty()) {
      const absl::StatusOr<uint64_t> bytes = ParseSize(limits.first, size_limit);
      if (!bytes.ok()) {
        return BadRule(part,
                       "has no size; give bytes, a number with k, m, g or t, or a percentage");
      }
      change->has_bytes = true;
      change->rule.bytes = limits.first == "0" ? kNoQuota : *bytes;
    }
    if (!limits.second.empty()) {
      const absl::StatusOr<uint64_t> inodes = ParseInodeCount(limits.second);
      if (!inodes.ok()) {
        return BadRule(part, "has no count of inodes; give a number, or one with k, m or g");
      }
      change->has_inodes = true;
      change->rule.inodes = limits.second == "0" ? kNoQuota : *inodes;
    }
  }
  return changes;
}

absl::StatusOr<std::vector<QuotaRule>> ParseQuotaRules(absl::string_view text,
                                                       uint64_t size_limit) {
  const absl::StatusOr<std::vector<QuotaChange>> changes = ParseQuotaChanges(text, size_limit);
  if (!changes.ok()) return changes.status();
  std::vector<QuotaRule> rules;
  for (const QuotaChange& change : *changes) rules.push_back(change.rule);
  return rules;
}

}  // namespace memfuse::cli

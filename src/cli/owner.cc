#include "src/cli/owner.h"

#include <grp.h>
#include <pwd.h>

#include <limits>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "src/cli/number.h"

namespace memfuse::cli {
namespace {

constexpr uint32_t kNoId = std::numeric_limits<uint32_t>::max();

// Large enough for any entry except a group with thousands of members. The user can give the number
// of such a group instead.
constexpr size_t kEntrySize = size_t{1} << 16;

std::optional<uint32_t> ParseId(const std::string& text) {
  const std::optional<uint64_t> id = ParseNumber(text);
  if (!id.has_value() || *id >= kNoId) return std::nullopt;
  return static_cast<uint32_t>(*id);
}

absl::Status Unknown(absl::string_view flag, const std::string& text, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": '", text, "' is neither a number nor the name of a ", what));
}

}  // namespace

absl::StatusOr<uint32_t> ParseUser(const std::string& text) {
  if (const std::optional<uint32_t> id = ParseId(text)) return *id;
  std::vector<char> buffer(kEntrySize);
  passwd entry;
  passwd* found = nullptr;
  getpwnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return Unknown("uid", text, "user");
  return found->pw_uid;
}

absl::StatusOr<uint32_t> ParseGroup(const std::string& text) {
  if (const std::optional<uint32_t> id = ParseId(text)) return *id;
  std::vector<char> buffer(kEntrySize);
  group entry;
  group* found = nullptr;
  getgrnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return Unknown("gid", text, "group");
  return found->gr_gid;
}

}  // namespace memfuse::cli

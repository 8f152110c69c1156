#include "src/control/usage_answers.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"
#include "src/control/json_reply.h"
#include "src/control/path_text.h"
#include "src/control/query.h"

namespace memfuse::control {
namespace {

using nlohmann::json;

using Kind = UsageQuestion::Kind;

const char* TypeName(FileType type) {
  switch (type) {
    case FileType::kRegular:
      return "regular";
    case FileType::kDirectory:
      return "directory";
    case FileType::kSymlink:
      return "symlink";
    case FileType::kDevice:
      return "device";
    case FileType::kFifo:
      return "fifo";
    case FileType::kSocket:
      break;
  }
  return "socket";
}

json AmountToJson(const UsageAmount& amount) {
  return {{"inodes", amount.inodes}, {"bytes", amount.bytes}, {"disk_usage", amount.disk_usage}};
}

// For the answer to a client that may ask again at once.
constexpr UsageWalk::Clock::duration kShortestWait = std::chrono::seconds(1);

double Seconds(UsageWalk::Clock::duration time) {
  // Milliseconds are enough, and are short in JSON.
  return static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) /
         1000;
}

// The rows of `directories` that `limit` permits, and the others in one.
void AddDirectories(const TreeUsage& tree, size_t limit, json* answer) {
  json rows = json::array();
  UsageAmount other = tree.other_children;
  uint64_t other_count = tree.other_count;
  for (const TreeUsage::Child& child : tree.children) {
    if (rows.size() < limit) {
      json row = AmountToJson(child.usage);
      AddName("name", child.name, &row);
      rows.push_back(std::move(row));
    } else {
      other += child.usage;
      ++other_count;
    }
  }
  (*answer)["directories"] = std::move(rows);
  (*answer)["other"] = AmountToJson(other);
  (*answer)["other"]["count"] = other_count;
  (*answer)["files"] = AmountToJson(tree.direct);
}

json LargestToJson(const TreeUsage& tree, size_t limit) {
  json rows = json::array();
  for (const TreeUsage::File& file : tree.largest) {
    if (rows.size() == limit) break;
    json row = {
        {"ino", ToInt(file.ino)}, {"size", file.size}, {"bytes", file.bytes}, {"uid", file.uid}};
    AddName("path", file.path, &row);
    rows.push_back(std::move(row));
  }
  return rows;
}

json TypesToJson(const TreeUsage& tree) {
  json rows = json::array();
  for (size_t i = 0; i < kFileTypes; ++i) {
    json row = AmountToJson(tree.by_type[i]);
    row["type"] = TypeName(static_cast<FileType>(i));
    rows.push_back(std::move(row));
  }
  return rows;
}

json NamelessToJson(const NamelessUsage& nameless, size_t limit) {
  json rows = json::array();
  for (const NamelessInode& inode : nameless.inodes) {
    if (rows.size() == limit) break;
    rows.push_back({{"ino", ToInt(inode.ino)},
                    {"type", TypeName(inode.type)},
                    {"size", inode.size},
                    {"bytes", inode.bytes},
                    {"uid", inode.uid},
                    {"gid", inode.gid},
                    {"opens", inode.opens},
                    {"lookups", inode.lookups}});
  }
  return rows;
}

absl::Status Wrong(const std::string& text) { return absl::InvalidArgumentError(text); }

// A number of rows.
absl::StatusOr<size_t> ParseRows(const std::string& name, const std::string& text) {
  uint64_t rows = 0;
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || !absl::SimpleAtoi(text, &rows) || rows == 0 || rows > kMaxUsageRows) {
    return Wrong(absl::StrCat("'", name, "' is no number from 1 to ", kMaxUsageRows));
  }
  return rows;
}

}  // namespace

absl::StatusOr<UsageQuestion> ParseUsageQuery(const std::string& query) {
  const auto pairs = ParseQuery(query);
  if (!pairs.ok()) return pairs.status();
  UsageQuestion question;
  int kinds = 0;
  bool has_path = false;
  bool has_limit = false;
  for (const auto& [name, value] : *pairs) {
    if (name == "by") {
      ++kinds;
      if (value == "uid") {
        question.owners = QuotaKind::kUser;
      } else if (value == "gid") {
        question.owners = QuotaKind::kGroup;
      } else if (value == "path") {
        question.owners = QuotaKind::kTree;
      } else if (value == "dir") {
        question.kind = Kind::kDirectories;
      } else if (value == "type") {
        question.kind = Kind::kTypes;
      } else {
        return Wrong("'by' is none of uid, gid, path, dir and type");
      }
    } else if (name == "deleted") {
      ++kinds;
      question.kind = Kind::kDeleted;
      if (value != "1") return Wrong("'deleted' is not 1");
    } else if (name == "largest" || name == "limit") {
      const absl::StatusOr<size_t> rows = ParseRows(name, value);
      if (!rows.ok()) return rows.status();
      question.limit = *rows;
      if (name == "limit") {
        has_limit = true;
      } else {
        ++kinds;
        question.kind = Kind::kLargest;
      }
    } else if (name == "path") {
      has_path = true;
      if (value.empty() || value[0] != '/') return Wrong("'path' does not begin with '/'");
      question.path = CanonicalPath(value);  // results are remembered by path
    } else {
      return Wrong(absl::StrCat("the query has the unknown name '", name, "'"));
    }
  }
  if (kinds > 1) return Wrong("only one of 'by', 'largest' and 'deleted' can be asked for");
  const Kind kind = question.kind;
  if (has_path && kind != Kind::kDirectories && kind != Kind::kTypes && kind != Kind::kLargest) {
    return Wrong("'path' goes with by=dir, by=type and largest only");
  }
  if (has_limit && kind != Kind::kDirectories && kind != Kind::kDeleted) {
    return Wrong("'limit' goes with by=dir and deleted=1 only");
  }
  return question;
}

// One question that waits for the thread.
class UsageAnswers::Walk final : public LongAnswer {
 public:
  Walk(UsageAnswers* answers, UsageQuestion question, const Client& client)
      : answers_(*answers), question_(std::move(question)), client_(client) {}

  HttpResponse Compute() override { return answers_.Compute(question_, client_, walk_); }
  void Cancel() override { walk_->Cancel(); }

 private:
  UsageAnswers& answers_;
  const UsageQuestion question_;
  const Client client_;
  const std::shared_ptr<UsageWalk> walk_ = std::make_shared<UsageWalk>();
};

Answer UsageAnswers::Find(const UsageQuestion& question, const Peer& peer, bool administrator) {
  // Names may be confidential.
  const bool has_names = question.kind == Kind::kDirectories || question.kind == Kind::kLargest ||
                         question.path != "/";
  if (has_names && !administrator) {
    return Error(403, "only root and the user who runs the daemon may see directories and files");
  }
  Client client{peer.uid, administrator, std::nullopt};
  if (question.kind == Kind::kDeleted && !administrator) client.only_uid = peer.uid;
  return std::make_unique<Walk>(this, question, client);
}

std::unique_ptr<LongAnswer> UsageAnswers::FindWithNames(const UsageQuestion& question) {
  return std::make_unique<Walk>(this, question, Client());
}

HttpResponse UsageAnswers::Compute(const UsageQuestion& question, const Client& client,
                                   const std::shared_ptr<UsageWalk>& walk) {
  const bool deleted = question.kind == Kind::kDeleted;
  // Neither a path nor a number has the first character.
  const std::string key = !deleted                      ? question.path
                          : client.only_uid.has_value() ? absl::StrCat("uid ", *client.only_uid)
                                                        : "all";
  FoundRef found = Remembered(key, client.administrator);
  if (found == nullptr) {
    if (const auto wait = WaitOf(client); wait > UsageWalk::Clock::duration::zero()) {
      return AskAgain("the walks of a user take at most a twentieth of the time", wait);
    }
    const Result<FoundRef> walked = WalkNow(question, client, key, walk);
    if (!walked.ok()) {
      const int error = walked.error().value();
      return Error(error == EINVAL ? 400 : 404, error == EINVAL
                                                    ? "'path' contains '.' or '..'"
                                                    : absl::StrCat("no directory '", question.path,
                                                                   "': ", base::ErrorText(error)));
    }
    found = *walked;
    if (walk->cancelled() && !IsComplete(*found)) {
      return AskAgain("the walk was stopped", std::max(WaitOf(client), kShortestWait));
    }
  }
  const UsageWalk::Clock::time_point now = now_();
  json answer = {{"complete", IsComplete(*found)},
                 {"age_seconds", Seconds(now - found->end)},
                 {"walk_seconds", Seconds(found->duration)},
                 {"total", AmountToJson(deleted ? found->nameless.total : found->tree.total)}};
  if (!deleted) answer["path"] = question.path;
  switch (question.kind) {
    case Kind::kDirectories:
      AddDirectories(found->tree, question.limit, &answer);
      break;
    case Kind::kTypes:
      answer["types"] = TypesToJson(found->tree);
      break;
    case Kind::kLargest:
      answer["largest"] = LargestToJson(found->tree, question.limit);
      break;
    case Kind::kDeleted:
      answer["inodes"] = NamelessToJson(found->nameless, question.limit);
      if (!client.only_uid.has_value()) answer["being_freed"] = found->nameless.being_freed;
      break;
    case Kind::kOwners:
      break;
  }
  return Reply(200, answer);
}

UsageAnswers::FoundRef UsageAnswers::Remembered(const std::string& key, bool administrator) const {
  for (const FoundRef& found : remembered_) {
    const auto longest = (administrator ? 1 : kUsageShare) * found->duration;
    if (found->key == key && now_() - found->end < longest) return found;
  }
  return nullptr;
}

UsageWalk::Clock::duration UsageAnswers::WaitOf(const Client& client) const {
  const auto found = client.administrator ? not_before_.end() : not_before_.find(client.user);
  if (found == not_before_.end()) return UsageWalk::Clock::duration::zero();
  return found->second - now_();
}

Result<UsageAnswers::FoundRef> UsageAnswers::WalkNow(const UsageQuestion& question,
                                                     const Client& client, const std::string& key,
                                                     const std::shared_ptr<UsageWalk>& walk) {
  auto found = std::make_shared<Found>();
  found->key = key;
  const UsageWalk::Clock::time_point begin = now_();
  for (auto it = not_before_.begin(); it != not_before_.end();) {
    it = it->second <= begin ? not_before_.erase(it) : std::next(it);
  }
  // The memory for it is allocated before the walk, which is charged even if it fails.
  UsageWalk::Clock::time_point* const not_before =
      client.administrator ? nullptr : &not_before_[client.user];
  const bool deleted = question.kind == Kind::kDeleted;
  {
    base::MutexLock lock(&mu_);
    current_ = walk;
    current_begin_ = begin;
    current_visits_all_ = deleted || question.path == "/";
  }
  auto end_of_walk = absl::MakeCleanup([&] {
    found->end = now_();
    found->duration = found->end - begin;
    if (not_before != nullptr) *not_before = found->end + (kUsageShare - 1) * found->duration;
    base::MutexLock lock(&mu_);
    current_.reset();
  });
  if (deleted) {
    found->nameless = fs_.UsageOfNameless(client.only_uid, walk.get());
  } else {
    Result<TreeUsage> tree = fs_.UsageOfTree(question.path, walk.get());
    if (!tree.ok()) return tree.error();
    found->tree = *std::move(tree);
  }
  std::move(end_of_walk).Invoke();
  if (IsComplete(*found) || !walk->cancelled()) {
    remembered_.erase(std::remove_if(remembered_.begin(), remembered_.end(),
                                     [&](const FoundRef& other) { return other->key == key; }),
                      remembered_.end());
    if (remembered_.size() == kMaxRemembered) remembered_.pop_back();
    remembered_.insert(remembered_.begin(), found);
  }
  return FoundRef(std::move(found));
}

HttpResponse UsageAnswers::Progress() const {
  std::shared_ptr<const UsageWalk> walk;
  UsageWalk::Clock::time_point begin;
  bool visits_all = false;
  {
    base::MutexLock lock(&mu_);
    walk = current_;
    begin = current_begin_;
    visits_all = current_visits_all_;
  }
  json answer = {{"walking", walk != nullptr}, {"visited", 0}, {"inodes", nullptr}, {"seconds", 0}};
  if (walk != nullptr) {
    answer["visited"] = walk->visited();
    answer["seconds"] = Seconds(now_() - begin);
    if (visits_all) answer["inodes"] = fs_.Usage().inodes_used;
  }
  return Reply(200, answer);
}

}  // namespace memfuse::control

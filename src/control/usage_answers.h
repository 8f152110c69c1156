// The questions of GET /v1/usage, and the answers to those that take a walk over the inodes.

#ifndef MEMFUSE_SRC_CONTROL_USAGE_ANSWERS_H_
#define MEMFUSE_SRC_CONTROL_USAGE_ANSWERS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "memfuse/memory_filesystem.h"
#include "src/base/mutex.h"
#include "src/control/http.h"

namespace memfuse::control {

struct UsageQuestion {
  enum class Kind : uint8_t {
    kOwners,       // the default, by=uid, by=gid, by=path
    kDirectories,  // by=dir
    kTypes,        // by=type
    kLargest,      // largest=N
    kDeleted,      // deleted=1
  };
  Kind kind = Kind::kOwners;
  std::optional<QuotaKind> owners;  // kOwners: these only
  std::string path = "/";           // kDirectories, kTypes, kLargest
  size_t limit = 20;                // rows; kDirectories, kLargest, kDeleted
};

// Returns InvalidArgument, with a sentence: the query is malformed (query.h), has an unknown or a
// superfluous name, or a value that is out of range. May throw std::bad_alloc.
absl::StatusOr<UsageQuestion> ParseUsageQuery(const std::string& query);

// Answers all questions but kOwners. The last kMaxRemembered results are kept, and used again: for
// administrators until as much time has passed as the walk took, and for others until kShare times
// that has passed, at most kMaxAge. Users may ask in a loop, and walks then take a bounded part of
// the time. Each answer has its age.
//
// Find and Progress are called from one thread, the server's. Long answers are computed on one
// other thread, and must be destroyed before this object. The file system must outlive it.
class UsageAnswers {
 public:
  static constexpr size_t kMaxRemembered = 4;
  static constexpr int kShare = 20;
  static constexpr UsageWalk::Clock::duration kMaxAge = std::chrono::seconds(60);

  // A monotonic clock; called from both threads.
  using Now = std::function<UsageWalk::Clock::time_point()>;

  explicit UsageAnswers(const MemoryFileSystem* fs, Now now = UsageWalk::Clock::now)
      : fs_(*fs), now_(std::move(now)) {}
  UsageAnswers(const UsageAnswers&) = delete;
  UsageAnswers& operator=(const UsageAnswers&) = delete;

  // Users who are no administrators may ask kTypes of the root, and kDeleted, which lists their own
  // inodes only. Status 403 else; a LongAnswer otherwise, whose status is 200, 400 (the path), or
  // 404 (there is no such directory).
  Answer Find(const UsageQuestion& question, const Peer& peer, bool administrator);
  // The same for a client to which all names may be shown, without the freshness that
  // administrators get. Not for kOwners.
  std::unique_ptr<LongAnswer> FindWithNames(const UsageQuestion& question);
  // The walk in progress, for GET /v1/usage/progress.
  HttpResponse Progress() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Walk;
  // What a walk has found; one of the two usages.
  struct Found {
    std::string key;  // of the walk
    TreeUsage tree;
    NamelessUsage nameless;
    UsageWalk::Clock::time_point end;
    UsageWalk::Clock::duration duration{};
  };
  using FoundRef = std::shared_ptr<const Found>;

  // Computes the answer; called from the thread for long answers. `uid`: the inodes of this user
  // only.
  HttpResponse Compute(const UsageQuestion& question, std::optional<uint32_t> uid,
                       bool administrator, const std::shared_ptr<UsageWalk>& walk)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Returns a result that is young enough, or null.
  FoundRef Remembered(const std::string& key, bool administrator) const;
  // Walks, and remembers what it finds unless the walk was cancelled. Returns the errors of
  // MemoryFileSystem::UsageOfTree.
  Result<FoundRef> WalkNow(const UsageQuestion& question, std::optional<uint32_t> uid,
                           const std::string& key, const std::shared_ptr<UsageWalk>& walk)
      ABSL_LOCKS_EXCLUDED(mu_);

  const MemoryFileSystem& fs_;
  const Now now_;
  // The latest first; used by the thread for long answers only.
  std::vector<FoundRef> remembered_;

  mutable base::Mutex<50> mu_;  // no other lock is taken under it
  std::shared_ptr<const UsageWalk> current_ ABSL_GUARDED_BY(mu_);
  UsageWalk::Clock::time_point current_begin_ ABSL_GUARDED_BY(mu_);
  bool current_visits_all_ ABSL_GUARDED_BY(mu_) = false;  // every inode
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_USAGE_ANSWERS_H_

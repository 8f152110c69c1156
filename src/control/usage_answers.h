// The questions of GET /v1/usage, and the answers to those that take a walk over the inodes.

#ifndef MEMFUSE_SRC_CONTROL_USAGE_ANSWERS_H_
#define MEMFUSE_SRC_CONTROL_USAGE_ANSWERS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
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
#include "src/control/usage_cache.h"

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

// Answers all questions but kOwners. The last kMaxRemembered results are kept. A result is used
// again for administrators for as long as the walk took, and for others for kUsageShare times that.
// Each answer has its age.
//
// The walks of one user who is no administrator take at most the share 1 / kUsageShare of the time:
// after a walk that took the time t, whether it was cancelled, failed or was completed, no walk of
// that user begins before (kUsageShare - 1) * t has passed. The clients without identity count as
// one user. Status 503 says when a question can be asked again.
//
// Find and Progress are called from one thread, the server's. Long answers are computed on one
// other thread, and must be destroyed before this object. The file system must outlive it.
class UsageAnswers {
 public:
  static constexpr size_t kMaxRemembered = 4;

  // A monotonic clock; called from both threads.
  using Now = std::function<UsageWalk::Clock::time_point()>;

  explicit UsageAnswers(const MemoryFileSystem* fs, Now now = UsageWalk::Clock::now)
      : fs_(*fs), now_(std::move(now)) {}
  UsageAnswers(const UsageAnswers&) = delete;
  UsageAnswers& operator=(const UsageAnswers&) = delete;

  // Users who are no administrators may ask kTypes of the root, and kDeleted, which lists their own
  // inodes only. Status 403 else; a LongAnswer otherwise, whose status is 200, 503 (a walk of the
  // user has to wait), 400 (the path), 404 (there is no such directory), or 503 (the walk was
  // cancelled before its end).
  Answer Find(const UsageQuestion& question, const Peer& peer, bool administrator);
  // The same for a client without identity to which all names may be shown, without the rights that
  // administrators have to the time of the thread. Not for kOwners.
  std::unique_ptr<LongAnswer> FindWithNames(const UsageQuestion& question);
  // The walk in progress, for GET /v1/usage/progress.
  HttpResponse Progress() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Walk;
  // No value: a client without identity.
  using User = std::optional<uint32_t>;
  // For which client an answer is.
  struct Client {
    User user;
    bool administrator = false;
    std::optional<uint32_t> only_uid;  // may see the inodes of this user only
  };
  // What a walk has found; one of the two usages.
  struct Found {
    std::string key;  // of the walk
    TreeUsage tree;
    NamelessUsage nameless;
    UsageWalk::Clock::time_point end;
    UsageWalk::Clock::duration duration{};
  };
  // The usage that was not asked for is complete.
  static bool IsComplete(const Found& found) {
    return found.tree.complete && found.nameless.complete;
  }
  using FoundRef = std::shared_ptr<const Found>;

  // Computes the answer; called from the thread for long answers.
  HttpResponse Compute(const UsageQuestion& question, const Client& client,
                       const std::shared_ptr<UsageWalk>& walk) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns a result that is young enough, or null.
  FoundRef Remembered(const std::string& key, bool administrator) const;
  // How long no walk of the client may begin. At most zero: it may begin now.
  UsageWalk::Clock::duration WaitOf(const Client& client) const;
  // Walks, charges the client with the time, and remembers what it finds unless the walk was
  // cancelled before its end. Returns the errors of MemoryFileSystem::UsageOfTree.
  Result<FoundRef> WalkNow(const UsageQuestion& question, const Client& client,
                           const std::string& key, const std::shared_ptr<UsageWalk>& walk)
      ABSL_LOCKS_EXCLUDED(mu_);

  const MemoryFileSystem& fs_;
  const Now now_;
  // The latest first; used by the thread for long answers only.
  std::vector<FoundRef> remembered_;
  // When the next walk of each user may begin; not of administrators. Used by that thread only.
  // Times that have passed are erased before each walk.
  std::map<User, UsageWalk::Clock::time_point> not_before_;

  mutable base::Mutex<50> mu_;  // no other lock is taken under it
  std::shared_ptr<const UsageWalk> current_ ABSL_GUARDED_BY(mu_);
  UsageWalk::Clock::time_point current_begin_ ABSL_GUARDED_BY(mu_);
  bool current_visits_all_ ABSL_GUARDED_BY(mu_) = false;  // every inode
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_USAGE_ANSWERS_H_

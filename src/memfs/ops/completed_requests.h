// The requests that another process has carried out without answering them
// (records/request_scope.h). The kernel sends them again, and MemFs makes the reply from the
// result.

#ifndef MEMFUSE_SRC_MEMFS_OPS_COMPLETED_REQUESTS_H_
#define MEMFUSE_SRC_MEMFS_OPS_COMPLETED_REQUESTS_H_

#include <cstdint>
#include <map>
#include <optional>

#include "memfuse/requests.h"
#include "src/memfs/records/record_file.h"
#include "src/memfs/records/request_scope.h"
#include "src/memfs/space/lock_order.h"

namespace memfuse::memfs {

// Thread-safe.
class CompletedRequests {
 public:
  // Gets the requests of RecordFile::completed. `records` must outlive the object. May throw
  // std::bad_alloc.
  explicit CompletedRequests(RecordFile* records) : records_(*records) {
    MutexLock lock(&mu_);
    for (const RecordFile::Completed& found : records->completed()) {
      found_.emplace(found.request, found);
    }
  }
  CompletedRequests(const CompletedRequests&) = delete;
  CompletedRequests& operator=(const CompletedRequests&) = delete;

  // Returns the result of the request if it was completed, once; otherwise nothing. If the calling
  // thread has a RequestScope, which is that of the request, the request stays completed until the
  // scope ends.
  std::optional<uint64_t> Take(const RequestContext& context) {
    if (!context.resent) return std::nullopt;
    std::optional<RecordFile::Completed> found;
    {
      MutexLock lock(&mu_);
      const auto place = found_.find(ToInt(context.id));
      if (place == found_.end()) return std::nullopt;
      found = place->second;
      found_.erase(place);
    }
    if (RequestScope* const scope = RequestScope::Current(&records_)) {
      scope->Adopt(*found);
    } else {
      records_.ForgetCompleted(found->place);
    }
    return found->result;
  }

  // Forgets the requests that the kernel has not sent again, because it had the replies. Their
  // places are free then. Requires: no request will come again, and each that came was taken.
  void ForgetRest() {
    MutexLock lock(&mu_);
    for (const auto& [request, found] : found_) records_.ForgetCompleted(found.place);
    found_.clear();
  }

 private:
  RecordFile& records_;
  LeafMutex mu_;
  std::map<uint64_t, RecordFile::Completed> found_ ABSL_GUARDED_BY(mu_);
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_COMPLETED_REQUESTS_H_

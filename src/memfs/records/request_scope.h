// Requests that were carried out and not answered when the process died. The kernel sends them to
// the successor again, which must not carry them out twice.
//
// A thread that serves a request has a RequestScope until the reply is sent. The transaction with
// the last change of the request calls CommitRequest: the same store makes the change permanent and
// the request *completed*. RecordFile::Open finds the completed requests of a process that has
// died. A request that is not among them has changed nothing that would be wrong to do again.
//
// How a completed request is found. A thread writes the request, its result, the number of the
// journal, and the number that this commit has in the journal into a place of its own
// (CompletedRequest), and then commits. The request is completed if the journal has reached that
// number.

#ifndef MEMFUSE_SRC_MEMFS_RECORDS_REQUEST_SCOPE_H_
#define MEMFUSE_SRC_MEMFS_RECORDS_REQUEST_SCOPE_H_

#include <cstdint>
#include <optional>

#include "src/memfs/records/record_file.h"

namespace memfuse::memfs {

// Used by the thread that makes it. A thread has at most one for each record file.
class RequestScope {
 public:
  // `request` is not 0, and no other request of the connection has this number. `file` must outlive
  // the object.
  RequestScope(RecordFile* file, uint64_t request) noexcept;
  // The reply was sent.
  ~RequestScope();
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;

  // The scope of the calling thread, or null.
  static RequestScope* Current();

  // Makes the request completed, with the result that the dead process has recorded for it. The
  // caller then calls RecordFile::ForgetCompleted.
  void Adopt(uint64_t result) noexcept;

 private:
  friend class Transaction;

  // Called before the commit that makes the request completed. `commit` is the number of that
  // commit in the journal.
  void Prepare(uint32_t journal, uint64_t commit, uint64_t result) noexcept;

  RecordFile& file_;
  const uint64_t request_;
  RequestScope* const outer_;      // of another record file
  std::optional<uint32_t> place_;  // set by the first call of Prepare
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECORDS_REQUEST_SCOPE_H_

// Requests that were carried out and not answered when the process died. The kernel can send them
// to the successor again, which must not carry them out twice.
//
// A thread that serves a request has a RequestScope until the kernel has the reply. The transaction
// with the last change of the request calls CommitRequest: the same store makes the change
// permanent and the request *completed*. RecordFile::Open finds the completed requests of a process
// that has died.
//
// How a completed request is found. A thread writes the request, its result, the number of the
// journal, and the number that this commit has in the journal into a place of its own
// (CompletedRequest), and then commits. The request is completed if the journal has reached that
// number.

#ifndef MEMFUSE_SRC_MEMFS_RECORDS_REQUEST_SCOPE_H_
#define MEMFUSE_SRC_MEMFS_RECORDS_REQUEST_SCOPE_H_

#include <cstdint>

#include "src/memfs/records/record_file.h"

namespace memfuse::memfs {

// Used by the thread that makes it. A thread has at most one for each record file.
class RequestScope {
 public:
  // `request` is not 0, and no other request of the connection has this number. `file` must outlive
  // the object. If there is no place and no memory for one more, waits until another request is
  // answered. Requires: the caller holds no lock.
  RequestScope(RecordFile* file, uint64_t request) noexcept;
  // The kernel has the reply. The request is not found as completed any more.
  ~RequestScope();
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;

  // The scope of the calling thread for this file, or null.
  static RequestScope* Current(const RecordFile* file);

  // The request is one that the dead process had completed. The scope takes over its place.
  void Adopt(const RecordFile::Completed& completed) noexcept;

 private:
  friend class Transaction;

  // The place, if a commit has completed the request or a part of it; otherwise null.
  const CompletedRequest* result() const noexcept;

  // Called before the commit that makes the request completed. `commit` is the number of that
  // commit in the journal.
  void Prepare(uint32_t journal, uint64_t commit, uint64_t result) noexcept;

  RecordFile& file_;
  const uint64_t request_;
  RequestScope* const outer_;  // of another record file
  uint32_t place_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECORDS_REQUEST_SCOPE_H_

// The destination of the answer to a READ.
//
// The file system chooses one of two ways for each request:
//
//   fill   It writes the data into buffer(), and returns the number of bytes from
//          FileSystem::Read.
//   send   It calls Send once with the memory that holds the data, and returns the number of
//          bytes. The sink does not copy the data and no longer accesses the memory when Send
//          returns. The file system may therefore lock the data for that time and no longer.
//
// A request has one answer. An error that FileSystem::Read returns, or an exception, is the answer
// unless Send was called before. After Send the return value has no effect. The file system does
// not learn the outcome of the answer: if the caller no longer exists, the answer is dropped; if
// the kernel could not accept it (for lack of memory, for example), the caller receives EIO.

#ifndef MEMFUSE_READ_SINK_H_
#define MEMFUSE_READ_SINK_H_

#include <cstddef>

#include "absl/types/span.h"

namespace memfuse {

// Used by one thread, for one request.
class ReadSink {
 public:
  using Piece = absl::Span<const char>;
  // The maximum number of pieces in one Send. It is more than the number of pages in the largest
  // READ, so pieces of one page each always fit.
  static constexpr size_t kMaxPieces = 512;

  virtual ~ReadSink() = default;

  // Returns: a buffer whose size is the most that the caller accepts. Fewer bytes mean the end of
  // the file.
  virtual absl::Span<char> buffer() = 0;

  // Returns whether Send is supported for this caller and saves a copy. Send must not be called
  // otherwise.
  virtual bool gathers() const = 0;

  // Answers with `pieces`, in their order. Requires: gathers(); `pieces` have at most
  // buffer().size() bytes together, and none of them is inside buffer(). May be called while locks
  // of the file system are held: Send does not block and does not call the file system. Reading a
  // piece must not cause a page fault, except for a page that was swapped out, because a fault
  // would fill a hole in a mapped file.
  virtual void Send(absl::Span<const Piece> pieces) = 0;
};

}  // namespace memfuse

#endif  // MEMFUSE_READ_SINK_H_

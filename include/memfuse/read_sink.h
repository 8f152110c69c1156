// Where the answer to a READ goes.
//
// The file system chooses one of two ways, for each request anew:
//
//   fill   puts the data into buffer(), and returns from FileSystem::Read how many bytes it is;
//   send   calls Send, once, with the memory where the data lies, and returns how many bytes that
//          was. The sink copies nothing and has let go of the memory when Send returns, so the file
//          system may lock the data for that time, and for no longer.
//
// A request has one answer. An error that FileSystem::Read returns, or throws, is the answer unless
// Send was called before; what it returns after Send changes nothing. What became of the answer
// is not the file system's concern: where the caller has gone, nobody gets it; where the kernel
// could not take it (it was out of memory, say), the caller gets EIO.

#ifndef MEMFUSE_READ_SINK_H_
#define MEMFUSE_READ_SINK_H_

#include <cstddef>

#include "absl/types/span.h"

namespace memfuse {

// Used by one thread, for one request.
class ReadSink {
 public:
  using Piece = absl::Span<const char>;
  // A Send takes no more. It is more than the pages of the largest READ, so that pieces of a page
  // each always fit.
  static constexpr size_t kMaxPieces = 512;

  virtual ~ReadSink() = default;

  // Its size is the most that the caller takes. Fewer bytes are the end of the file.
  virtual absl::Span<char> buffer() = 0;

  // Whether Send is there for this caller, and saves a copy; it must not be called otherwise.
  virtual bool gathers() const = 0;

  // Answers with `pieces`, in their order. They are at most buffer().size() bytes in all, and none
  // lies in buffer(). May be called under locks of the file system: it does not block, and does not
  // call the file system. Reading a piece must not fault but for a page that was swapped out: a
  // hole in a mapped file would be filled.
  virtual void Send(absl::Span<const Piece> pieces) = 0;

  // Before the answer: the attributes that the kernel has cached of the file are to be dropped.
  virtual void ForgetAttributes() {}
};

}  // namespace memfuse

#endif  // MEMFUSE_READ_SINK_H_

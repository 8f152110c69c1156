// The keeper: a process that starts the server, holds everything of it that must outlive it, and
// starts the next server when one dies.
//
// The keeper holds the descriptors that servers send it: those of the connection to the kernel, the
// memory files with the records and the data, and the mount of the private tmpfs. While the keeper
// holds them, requests of programs wait in the kernel. A server that dies by a signal therefore
// loses nothing that is in these files, and the next server, the *successor*, goes on. A server
// that was ready and exits ends the file system, with any exit status. A successor that exits
// before it is ready is replaced.
//
// What the keeper trusts. It does not look at the content of a file or at a request. A server sends
// it messages of a fixed size through a socket pair: a number, and at most one descriptor. The
// keeper ignores messages that it does not know, and closes descriptors that do not fit its table.
//
// The keeper has one thread. It allocates no memory after its start, except where `log` does.
// Servers are forked from it, so a successor has the options that the command line gave the first
// one.

#ifndef MEMFUSE_SRC_KEEPER_KEEPER_H_
#define MEMFUSE_SRC_KEEPER_KEEPER_H_

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/types/span.h"
#include "src/base/unique_fd.h"

namespace memfuse::keeper {

// What a descriptor is. A later one of the same kind replaces an earlier one, except that there are
// many of the kinds kConnection and kBuffer.
enum class Kind : uint32_t {
  kConnection = 1,  // /dev/fuse; the first one is that of the mount
  kRecords = 2,
  kData = 3,
  kState = 4,   // a memory file with a ConnectionState
  kBuffer = 5,  // a memory file into which requests are read
};

// The descriptors that the keeper holds. They belong to the process that has the object: a
// successor gets a copy of the table with fork(2).
class Descriptors {
 public:
  // 512 workers, spare workers, and some more.
  static constexpr size_t kMaxConnections = 1024;

  // Takes ownership of the descriptor. Closes it if there is no room.
  void Add(Kind kind, base::UniqueFd descriptor);
  // The descriptor, or -1. The object owns it.
  int records() const { return records_.get(); }
  int data() const { return data_.get(); }
  int state() const { return state_.get(); }
  // In the order in which they came.
  absl::Span<const base::UniqueFd> connections() const { return connections_.present(); }
  absl::Span<const base::UniqueFd> buffers() const { return buffers_.present(); }
  // Gives a descriptor away.
  base::UniqueFd TakeRecords() { return std::move(records_); }
  base::UniqueFd TakeData() { return std::move(data_); }
  base::UniqueFd TakeConnection(size_t index) { return std::move(connections_.all[index]); }
  void CloseConnections() { connections_.Clear(); }
  base::UniqueFd TakeBuffer(size_t index) { return std::move(buffers_.all[index]); }

 private:
  struct List {
    absl::Span<const base::UniqueFd> present() const {
      return absl::MakeConstSpan(all).first(count);
    }
    void Add(base::UniqueFd descriptor) {
      if (count < all.size()) all[count++] = std::move(descriptor);
    }
    void Clear() {
      while (count > 0) all[--count].reset();
    }
    std::array<base::UniqueFd, kMaxConnections> all;
    size_t count = 0;
  };
  base::UniqueFd records_;
  base::UniqueFd data_;
  base::UniqueFd state_;
  List connections_;
  List buffers_;
};

// The server's side of the socket pair. Thread-safe. If the keeper has died, the calls have no
// effect: the server goes on without it.
class Client {
 public:
  explicit Client(base::UniqueFd socket) : socket_(std::move(socket)) {}

  // Lets the keeper hold a duplicate of the descriptor. Once the call has returned, the descriptor
  // outlives this process, unless the kernel had no memory for the message.
  void Hold(Kind kind, int descriptor) const;
  // The mount can be used, and a successor can take over from now on.
  void ReportReady() const;
  // The server has received a request, and has answered one.
  void ReportReceived() const;
  void ReportServed() const;
  // This process hangs, and is going to end itself. Its death counts as a crash, even by SIGKILL.
  void ReportHanging() const;
  // The file system has ended, and this process is going to free it: there is no successor. Sent
  // only after ReportReady.
  void ReportEnded() const;
  // The process ID of the keeper.
  static pid_t keeper_pid();

 private:
  const base::UniqueFd socket_;
};

// What a server is started with.
struct Start {
  const Client* client;
  // Null for the first server. A successor takes the descriptors out of it.
  Descriptors* predecessor;
  // The number of successors that were ready, and this server if it is one.
  uint64_t takeovers;
  // The predecessor has crashed.
  bool after_crash;
  // There were three early crashes within ten seconds. This server only lets programs read.
  bool read_only;
  // A non-blocking pipe, or -1. When the server has died, the keeper logs the text in it. For a
  // handler of fatal signals: the keeper can still allocate memory and take locks. The object that
  // RunKeeper made owns it.
  int crash_report;
};

struct Callbacks {
  // Runs a server, in a process of its own, and returns the exit status. Its main thread has the
  // signals of the keeper blocked.
  std::function<int(const Start&)> serve;
  // Called in the keeper when the first server is ready. Returns whether to go on; otherwise the
  // server gets SIGTERM.
  std::function<bool()> on_ready;
  // Logs a sentence that ends without a line feed.
  std::function<void(const char* sentence)> log;
};

// Starts servers until
// - one exits after it was ready;
// - the first one exits, dies or cannot be forked, before it is ready;
// - one dies by a signal after ReportEnded;
// - no successor can be started, and SIGTERM or SIGINT has come; or
// - there were three early crashes of read-only servers within ten seconds.
//
// A *crash* is the death of a server by a signal other than SIGKILL, or by any signal after
// ReportHanging. SIGKILL otherwise comes from another process or from the out-of-memory killer. An
// *early crash* is a crash before the server is ready, or after it has received its first request
// and before it has answered one. After three early crashes within ten seconds all servers are
// read-only.
//
// A successor that cannot be forked, or exits before it is ready, is started again after a pause.
// The pause doubles from 0.1 to 5 seconds.
//
// Forwards SIGTERM, SIGINT and SIGUSR1 to the server, and the first two to its successors as well.
// Returns the exit status for this process: that of the server, or 1. In the processes of the
// servers it does not return. Requires: the process has no other thread.
int RunKeeper(const Callbacks& callbacks);

}  // namespace memfuse::keeper

#endif  // MEMFUSE_SRC_KEEPER_KEEPER_H_

// A request to the control socket or to the metrics port, and its answer.

#ifndef MEMFUSE_SRC_CONTROL_HTTP_H_
#define MEMFUSE_SRC_CONTROL_HTTP_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace memfuse::control {

// The process that made the connection, from the kernel (SO_PEERCRED): the IDs that it had then, in
// the user namespace of the daemon.
struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
};

struct HttpRequest {
  std::string method;  // "GET", "PUT", ...
  std::string path;    // without the query, such as "/v1/status"
  std::string body;
  std::optional<Peer> peer;  // nullopt: on a TCP port, whose clients have no identity
  std::string query = {};    // what follows the '?' of the target, as it was sent: percent-encoded
  std::string host = {};     // the field Host; empty without one
  std::string if_none_match = {};  // the field If-None-Match
};

struct HttpResponse {
  int status = 200;  // RFC 9110
  std::string body;
  std::string content_type = "application/json";
  std::string allow = {};  // with status 405: the methods of the path
  std::vector<std::pair<std::string, std::string>> fields = {};  // further fields of the header
};

// An answer that takes long: more than some milliseconds. The server computes those of each kind
// one at a time, on a thread of their own.
class LongAnswer {
 public:
  enum class Kind : uint8_t {
    kWalk,     // up to ten seconds
    kSummary,  // less than a second; does not wait for a walk
  };

  virtual ~LongAnswer() = default;
  virtual Kind kind() const { return Kind::kWalk; }
  // Called once, without locks. Throws std::bad_alloc.
  virtual HttpResponse Compute() = 0;
  // Called from another thread, before or during Compute, which is to return soon: no client waits
  // for the answer any more, or an administrator waits for another one. In the latter case the
  // client gets what Compute returns, an answer or status 503.
  virtual void Cancel() = 0;
};

using Answer = std::variant<HttpResponse, std::unique_ptr<LongAnswer>>;

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_HTTP_H_

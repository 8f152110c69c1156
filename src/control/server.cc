#include "src/control/server.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/mutex.h"
#include "src/base/thread_name.h"
#include "src/base/unique_fd.h"
#include "src/control/beast.h"
#include "src/control/long_answers.h"

namespace memfuse::control {
namespace {

constexpr unsigned kMaxConnections = 64;
constexpr unsigned kMaxOfOthers = 48;  // of all users but the administrators
constexpr unsigned kMaxOfUser = 8;
constexpr std::chrono::seconds kTimeout{10};
constexpr uint32_t kMaxHeader = 8 << 10;
constexpr size_t kMaxBody = 64 << 10;

// The connections of each user. Used by the server's thread only.
class Connections {
 public:
  explicit Connections(uid_t administrator) : administrator_(administrator) {}

  // One counted connection.
  class Slot {
   public:
    Slot(Connections* connections, std::optional<uid_t> uid)
        : connections_(connections), uid_(uid) {}
    Slot(Slot&& other) noexcept
        : connections_(std::exchange(other.connections_, nullptr)), uid_(other.uid_) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (connections_ != nullptr) connections_->Remove(uid_);
    }

   private:
    Connections* connections_;
    std::optional<uid_t> uid_;
  };

  // Whether the user is no administrator.
  bool IsOther(std::optional<uid_t> uid) const {
    return !uid.has_value() || (*uid != 0 && *uid != administrator_);
  }

  // Counts one more connection of the user, until the slot is destroyed. Returns nullopt if there
  // are too many. No user: the identity of the peer is unknown, and the bound for each user does
  // not apply. Throws std::bad_alloc.
  std::optional<Slot> TryAdd(std::optional<uid_t> uid) {
    if (total_ >= kMaxConnections) return std::nullopt;
    if (IsOther(uid)) {
      const auto found = of_user_.find(uid);
      if (others_ >= kMaxOfOthers ||
          (uid.has_value() && found != of_user_.end() && found->second >= kMaxOfUser)) {
        return std::nullopt;
      }
    }
    ++of_user_[uid];
    ++total_;
    if (IsOther(uid)) ++others_;
    return Slot(this, uid);
  }

 private:
  void Remove(std::optional<uid_t> uid) {
    const auto found = of_user_.find(uid);
    if (--found->second == 0) of_user_.erase(found);
    --total_;
    if (IsOther(uid)) --others_;
  }

  const uid_t administrator_;
  std::map<std::optional<uid_t>, unsigned> of_user_;
  unsigned total_ = 0;
  unsigned others_ = 0;
};

// The threads for the kinds of long answers. Each starts with its first answer.
class LongAnswerThreads {
 public:
  // `descriptor`: as for LongAnswers; both share it.
  explicit LongAnswerThreads(int descriptor)
      : walks_(descriptor, "memfuse-usage"), summaries_(descriptor, "memfuse-sums") {}

  LongAnswers& Of(LongAnswer::Kind kind) {
    return kind == LongAnswer::Kind::kSummary ? summaries_ : walks_;
  }
  void Deliver() {
    walks_.Deliver();
    summaries_.Deliver();
  }

 private:
  LongAnswers walks_;
  LongAnswers summaries_;
};

// One connection: receives a request, answers it, and ends. The operation in progress keeps the
// object.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  // `privileged`: the peer is an administrator.
  Connection(Stream::socket socket, std::optional<Peer> peer, bool privileged,
             Connections::Slot slot, Server::Handler* handler, LongAnswerThreads* long_answers)
      : stream_(std::move(socket)),
        peer_(peer),
        privileged_(privileged),
        slot_(std::move(slot)),
        handler_(*handler),
        long_answers_(*long_answers) {
    parser_.header_limit(kMaxHeader);
    parser_.body_limit(kMaxBody);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Receive() {
    stream_.expires_after(kTimeout);
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](beast::error_code error, size_t /*size*/) {
                       self->OnRequest(error);
                     });
  }

 private:
  void OnRequest(beast::error_code error) {
    if (error == http::error::body_limit) {
      Answer({413, "{\"error\":\"the body is longer than 64 KiB\"}\n"});
    } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream) {
      Answer({400, "{\"error\":\"this is no request of HTTP\"}\n"});
    } else if (!error) {
      AnswerRequest();
    }
  }

  void AnswerRequest() {
    const auto& message = parser_.get();
    try {
      const auto method = message.method_string();
      const std::string target(message.target().data(), message.target().size());
      const size_t path_end = std::min(target.find('?'), target.size());
      control::Answer answer =
          handler_({std::string(method.data(), method.size()), target.substr(0, path_end),
                    message.body(), peer_, target.substr(std::min(path_end + 1, target.size())),
                    Field(http::field::host), Field(http::field::if_none_match)});
      if (auto* const now = std::get_if<HttpResponse>(&answer)) {
        Answer(std::move(*now));
      } else {
        AnswerLater(std::get<std::unique_ptr<LongAnswer>>(std::move(answer)));
      }
    } catch (const std::exception&) {
      Answer({500, "{\"error\":\"not enough memory\"}\n"});
    }
  }

  // The value of a field of the request; empty without one.
  std::string Field(http::field name) const {
    const auto value = parser_.get()[name];
    return std::string(value.data(), value.size());
  }

  void AnswerLater(std::unique_ptr<LongAnswer> answer) {
    stream_.expires_never();
    job_thread_ = &long_answers_.Of(answer->kind());
    const auto uid = peer_.has_value() ? std::optional<uid_t>(peer_->uid) : std::nullopt;
    job_ = job_thread_->Submit(uid, privileged_, std::move(answer),
                               [self = shared_from_this()](HttpResponse response) {
                                 self->job_ = nullptr;
                                 beast::error_code ignored;
                                 self->stream_.socket().cancel(ignored);
                                 self->Answer(std::move(response));
                               });
    if (job_ == nullptr) {
      return Answer({503, "{\"error\":\"too many of these questions wait; ask again later\"}\n"});
    }
    try {
      // EPOLLHUP: the client has closed its socket, and not only its side of it as shutdown(2)
      // does.
      stream_.socket().async_wait(Stream::socket::wait_error,
                                  [self = shared_from_this()](beast::error_code /*error*/) {
                                    if (self->job_ != nullptr)
                                      self->job_thread_->Cancel(self->job_);
                                  });
    } catch (const std::exception&) {
      // The answer is computed even if the client leaves.
    }
  }

  void Answer(HttpResponse response) {
    response_.version(11);
    response_.result(static_cast<unsigned>(response.status));
    response_.set(http::field::content_type, response.content_type);
    if (!response.allow.empty()) response_.set(http::field::allow, response.allow);
    // A browser neither keeps the numbers, nor guesses that they are a program, nor gives them to
    // the pages of other servers.
    response_.set(http::field::cache_control, "no-store");
    response_.set("X-Content-Type-Options", "nosniff");
    response_.set("Cross-Origin-Resource-Policy", "same-origin");
    for (const auto& [name, value] : response.fields) response_.set(name, value);
    response_.keep_alive(false);
    if (response.status != 304) response_.content_length(response.body.size());
    // The answer to HEAD has the header of the answer to GET, and no body (RFC 9110, 9.3.2).
    if (parser_.get().method() != http::verb::head) response_.body() = std::move(response.body);
    stream_.expires_after(kTimeout);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](beast::error_code /*error*/, size_t /*size*/) {
                        beast::error_code ignored;
                        self->stream_.socket().shutdown(Stream::socket::shutdown_send, ignored);
                      });
  }

  beast::basic_stream<Stream> stream_;
  const std::optional<Peer> peer_;
  const bool privileged_;
  const Connections::Slot slot_;
  Server::Handler& handler_;
  LongAnswerThreads& long_answers_;
  LongAnswers* job_thread_ = nullptr;  // that of job_
  LongAnswers::Job* job_ = nullptr;    // the answer that is computed; exists until its Done returns
  beast::flat_buffer buffer_{kMaxHeader + kMaxBody};
  http::request_parser<http::string_body> parser_;
  http::response<http::string_body> response_;
};

class ServerImpl final : public Server {
 public:
  ServerImpl(std::unique_ptr<Listener> listener, std::string thread_name, uid_t administrator,
             Handler handler)
      : listener_(std::move(listener)),
        thread_name_(std::move(thread_name)),
        handler_(std::move(handler)),
        connections_(administrator) {}

  ~ServerImpl() override {
    if (thread_.joinable()) {
      io_.stop();
      thread_.join();
    }
    long_answers_.reset();
  }

  absl::Status Begin() {
    // The acceptor closes its descriptor, and the listener closes the other one.
    base::UniqueFd socket(fcntl(listener_->descriptor(), F_DUPFD_CLOEXEC, 0));
    const int finished = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (finished >= 0) finished_.assign(finished);
    if (!socket.valid() || finished < 0) return absl::ResourceExhaustedError("too many open files");
    beast::error_code error;
    acceptor_.assign(Stream(listener_->family(), 0), socket.get(), error);
    if (error) return absl::ResourceExhaustedError("no memory for the server of a socket");
    (void)socket.release();
    long_answers_ = std::make_unique<LongAnswerThreads>(finished);
    Accept();
    AwaitFinished();
    try {
      thread_ = std::thread([this] { Run(); });
    } catch (const std::system_error&) {
      return absl::ResourceExhaustedError(absl::StrCat("no thread for ", thread_name_));
    }
    return absl::OkStatus();
  }

 private:
  void Run() noexcept {
    base::PrepareThreadForLocks();
    base::SetThreadName(thread_name_.c_str());
    // Requests of the file system come first. SCHED_IDLE would be too low: the thread takes locks
    // that requests wait for.
    constexpr int kNice = 10;
    (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
    while (!io_.stopped()) {
      try {
        io_.run();
      } catch (const std::exception&) {
        // A connection found no memory. It is closed, and the others go on.
        if (!accepting_) RetryAccept();
        if (!awaiting_) RetryAwait();
      }
    }
  }

  void Accept() {
    acceptor_.async_accept([this](beast::error_code error, Stream::socket socket) {
      accepting_ = false;
      if (!error) AddConnection(std::move(socket));
      if (error) {
        RetryAccept();
      } else {
        Accept();
      }
    });
    accepting_ = true;
  }
  // Accepts again when resources may be free.
  void RetryAccept() noexcept {
    try {
      retry_.expires_after(std::chrono::seconds(1));
      retry_.async_wait([this](beast::error_code error) {
        if (!error) Accept();
      });
    } catch (const std::exception&) {
      io_.stop();  // there is no memory at all
    }
  }

  // Delivers long answers when there are any.
  void AwaitFinished() {
    finished_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [this](beast::error_code error) {
                           awaiting_ = false;
                           if (error) return;
                           eventfd_t count;
                           (void)eventfd_read(finished_.native_handle(), &count);
                           long_answers_->Deliver();
                           AwaitFinished();
                         });
    awaiting_ = true;
  }
  void RetryAwait() noexcept {
    try {
      AwaitFinished();
    } catch (const std::exception&) {
      io_.stop();  // there is no memory at all
    }
  }

  void AddConnection(Stream::socket socket) {
    std::optional<Peer> peer;
    std::optional<uid_t> uid;
    if (listener_->family() == AF_UNIX) {
      ucred credentials = {};
      socklen_t size = sizeof(credentials);
      if (getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
        return;
      }
      peer = Peer{credentials.uid, credentials.gid, credentials.pid};
      uid = credentials.uid;
    }
    try {
      std::optional<Connections::Slot> slot = connections_.TryAdd(uid);
      if (!slot.has_value()) return;
      std::make_shared<Connection>(std::move(socket), peer, !connections_.IsOther(uid),
                                   *std::move(slot), &handler_, long_answers_.get())
          ->Receive();
    } catch (const std::bad_alloc&) {
      // The connection is closed.
    }
  }

  const std::unique_ptr<Listener> listener_;
  const std::string thread_name_;
  // The thread uses the members below from its start to its end.
  Handler handler_;
  Connections connections_;
  asio::io_context io_{1};
  asio::basic_socket_acceptor<Stream> acceptor_{io_};
  asio::steady_timer retry_{io_};
  asio::posix::stream_descriptor finished_{io_};  // the eventfd of long_answers_
  bool awaiting_ = false;
  // Its jobs refer to connections, and these to members above.
  std::unique_ptr<LongAnswerThreads> long_answers_;
  bool accepting_ = false;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(std::unique_ptr<Listener> listener,
                                                      const std::string& thread_name,
                                                      uid_t administrator, Handler handler) {
  auto server = std::make_unique<ServerImpl>(std::move(listener), thread_name, administrator,
                                             std::move(handler));
  if (absl::Status begun = server->Begin(); !begun.ok()) return begun;
  return server;
}

}  // namespace memfuse::control

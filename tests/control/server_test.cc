// The server of the control socket with real clients, also with bad ones.

#include "src/control/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/base/event_count.h"
#include "src/base/unique_fd.h"
#include "src/control/client.h"

namespace memfuse::control {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// What happens to long answers, which end when the test says so or when they are cancelled.
struct Gates {
  base::EventCount changed;
  std::atomic<int> begun{0};
  std::atomic<int> permitted{0};
  std::atomic<int> cancelled{0};

  void AwaitBegun(int count) {
    for (;;) {
      const uint64_t seen = changed.version();
      if (begun.load() >= count) return;
      changed.WaitForChange(seen);
    }
  }
  void AwaitCancelled(int count) {
    for (;;) {
      const uint64_t seen = changed.version();
      if (cancelled.load() >= count) return;
      changed.WaitForChange(seen);
    }
  }
  void Permit(int count) {
    permitted.fetch_add(count);
    changed.Notify();
  }
};

class Gate final : public LongAnswer {
 public:
  explicit Gate(Gates* gates) : gates_(*gates) {}
  HttpResponse Compute() override {
    const int number = ++gates_.begun;
    gates_.changed.Notify();
    for (;;) {
      const uint64_t seen = gates_.changed.version();
      if (cancelled_.load()) return {200, "cancelled"};
      if (gates_.permitted.load() >= number) return {200, "long " + std::to_string(number)};
      gates_.changed.WaitForChange(seen);
    }
  }
  void Cancel() override {
    cancelled_.store(true);
    ++gates_.cancelled;
    gates_.changed.Notify();
  }

 private:
  Gates& gates_;
  std::atomic<bool> cancelled_{false};
};

// A long answer that does not wait for the others.
class Summary final : public LongAnswer {
 public:
  Kind kind() const override { return Kind::kSummary; }
  HttpResponse Compute() override { return {200, "sum"}; }
  void Cancel() override {}
};

class ControlServerTest : public ::testing::Test {
 protected:
  ControlServerTest() {
    char name[] = "/tmp/memfuse_control.XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/run/socket";
    Restart();
  }
  ~ControlServerTest() override {
    server_.reset();
    EXPECT_NE(access(path_.c_str(), F_OK), 0) << "the socket stays";
    EXPECT_EQ(rmdir(directory_.c_str()), 0) << "the directory of the socket stays";
  }

  void Restart() {
    server_.reset();
    auto listener = Listener::OnPath(path_);
    ASSERT_TRUE(listener.ok()) << listener.status();
    Start(*std::move(listener));
  }
  void Start(std::unique_ptr<Listener> listener) {
    auto server = Server::Start(
        std::move(listener), "server", geteuid(), [this](const HttpRequest& request) -> Answer {
          if (request.path == "/long") return std::make_unique<Gate>(&gates_);
          if (request.path == "/summary") return std::make_unique<Summary>();
          if (request.path == "/memory") throw std::bad_alloc();
          if (request.path == "/fields") {
            HttpResponse response{200, request.host + " " + request.if_none_match};
            response.fields = {{"ETag", "\"c\""}, {"Cache-Control", "no-cache"}};
            return response;
          }
          if (request.path == "/read-only") return HttpResponse{405, "no", "text/plain", "GET"};
          const std::string peer =
              request.peer.has_value()
                  ? std::to_string(request.peer->uid) + " " + std::to_string(request.peer->pid)
                  : "nobody";
          return HttpResponse{request.path == "/teapot" ? 418 : 200,
                              request.method + " " + request.path + " " + request.body + " " +
                                  peer + (request.query.empty() ? "" : " " + request.query)};
        });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  base::UniqueFd Connect() const {
    base::UniqueFd connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return connection;
  }
  // Sends the bytes, and returns everything up to the end of the connection.
  std::string Exchange(const std::string& bytes) const { return Exchange(bytes, Connect()); }
  static std::string Exchange(const std::string& bytes, const base::UniqueFd& connection) {
    (void)!send(connection.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    shutdown(connection.get(), SHUT_WR);
    return ReadAll(connection);
  }
  HttpResponse Get(const std::string& path) const {
    const auto response = Call(path_, {"GET", path, "", {}});
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : HttpResponse{0, ""};
  }

  // Sends a request for a long answer.
  base::UniqueFd AskLong() const {
    base::UniqueFd connection = Connect();
    constexpr std::string_view kRequest = "GET /long HTTP/1.1\r\nHost: x\r\n\r\n";
    EXPECT_EQ(send(connection.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(kRequest.size()));
    return connection;
  }
  static std::string ReadAll(const base::UniqueFd& connection) {
    std::string answer;
    char buffer[4096];
    ssize_t n;
    while ((n = recv(connection.get(), buffer, sizeof(buffer), 0)) > 0) {
      answer.append(buffer, static_cast<size_t>(n));
    }
    return answer;
  }

  Gates gates_;
  std::string directory_;
  std::string path_;
  std::unique_ptr<Server> server_;
};

TEST_F(ControlServerTest, AnswersWithTheIdentityOfTheCaller) {
  const std::string me = std::to_string(geteuid()) + " " + std::to_string(getpid());
  EXPECT_EQ(Get("/v1/x").body, "GET /v1/x  " + me);
  const auto put = Call(path_, {"PUT", "/y", "{}", {}});
  ASSERT_TRUE(put.ok());
  EXPECT_EQ(put->body, "PUT /y {} " + me);
  EXPECT_EQ(Get("/teapot").status, 418);
  struct stat socket = {};
  ASSERT_EQ(stat(path_.c_str(), &socket), 0);
  EXPECT_EQ(socket.st_mode & 0777, 0666u);
}

TEST_F(ControlServerTest, AFailedAllocationIsAnAnswer) {
  EXPECT_EQ(Get("/memory").status, 500);
  EXPECT_EQ(Get("/").status, 200);
}

TEST_F(ControlServerTest, ALargeBodyIsRefused) {
  const auto fits = Call(path_, {"PUT", "/", std::string(64 << 10, 'x'), {}});
  ASSERT_TRUE(fits.ok()) << fits.status();
  EXPECT_EQ(fits->status, 200);
  const auto large = Call(path_, {"PUT", "/", std::string((64 << 10) + 1, 'x'), {}});
  ASSERT_TRUE(large.ok()) << large.status();
  EXPECT_EQ(large->status, 413);
}

TEST_F(ControlServerTest, MalformedRequestsHarmNobody) {
  for (const std::string& bytes : std::vector<std::string>{
           std::string(), std::string("\0\0\0", 3), std::string("GET"),
           std::string("GET / HTTP/1.1"), std::string("GET / HTTP/9.9\r\n\r\n"),
           std::string(100'000, 'A'), "GET /" + std::string(50'000, 'a') + " HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(50'000, 'a') + "\r\n\r\n",
           std::string("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
           std::string("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n"),
           std::string("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")}) {
    (void)Exchange(bytes);
    EXPECT_EQ(Get("/").status, 200) << bytes.substr(0, 60);
  }
  EXPECT_THAT(Exchange("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              ::testing::AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("application/json")));
}

// More clients than there may be, which send nothing: the server answers again after they have
// left.
TEST_F(ControlServerTest, SilentClientsAreBounded) {
  std::vector<base::UniqueFd> silent;
  for (int i = 0; i < 60; ++i) silent.push_back(Connect());
  EXPECT_EQ(Get("/").status, 200);
  for (int i = 0; i < 200; ++i) silent.push_back(Connect());
  silent.clear();
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  // The server closes further connections until it has noticed that the others ended.
  while (!Call(path_, {"GET", "/", "", {}}).ok()) ASSERT_LT(absl::Now(), deadline);
}

TEST_F(ControlServerTest, TheQueryIsSeparateFromThePath) {
  const auto response = Call(path_, {"GET", "/v1/x", "", {}, "a=%20&b=?"});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(response->body, StartsWith("GET /v1/x  "));
  EXPECT_THAT(response->body, ::testing::EndsWith(" a=%20&b=?"));
  EXPECT_THAT(Exchange("GET /a? HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("GET /a  "));
}

TEST_F(ControlServerTest, OthersAreServedWhileALongAnswerIsComputed) {
  const base::UniqueFd first = AskLong();
  gates_.AwaitBegun(1);
  const base::UniqueFd second = AskLong();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Get("/").status, 200);
  EXPECT_EQ(gates_.begun.load(), 1) << "one at a time";
  gates_.Permit(2);
  EXPECT_THAT(ReadAll(first), HasSubstr("long 1"));
  EXPECT_THAT(ReadAll(second), HasSubstr("long 2"));
}

TEST_F(ControlServerTest, ASummaryDoesNotWaitForAWalk) {
  const base::UniqueFd walk = AskLong();
  gates_.AwaitBegun(1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Get("/summary").body, "sum");
  gates_.Permit(1);
  EXPECT_THAT(ReadAll(walk), HasSubstr("long 1"));
}

// A client that has sent everything may end its side of the connection.
TEST_F(ControlServerTest, AHalfClosedConnectionGetsItsLongAnswer) {
  const base::UniqueFd connection = AskLong();
  gates_.AwaitBegun(1);
  shutdown(connection.get(), SHUT_WR);
  EXPECT_EQ(Get("/").status, 200);
  gates_.Permit(1);
  EXPECT_THAT(ReadAll(connection), HasSubstr("long 1"));
}

TEST_F(ControlServerTest, ALongAnswerIsCancelledWhenItsClientLeaves) {
  base::UniqueFd running = AskLong();
  gates_.AwaitBegun(1);
  base::UniqueFd waiting = AskLong();
  EXPECT_EQ(Get("/").status, 200);
  waiting.reset();
  gates_.AwaitCancelled(1);
  EXPECT_EQ(gates_.begun.load(), 1);
  running.reset();
  gates_.AwaitCancelled(2);
  const base::UniqueFd next = AskLong();
  gates_.AwaitBegun(2);
  gates_.Permit(2);
  EXPECT_THAT(ReadAll(next), HasSubstr("long 2"));
}

TEST_F(ControlServerTest, TooManyLongQuestionsAreRefused) {
  std::vector<base::UniqueFd> asked;
  asked.push_back(AskLong());
  gates_.AwaitBegun(1);
  for (int i = 1; i < 16; ++i) asked.push_back(AskLong());
  // The server accepts connections in their order.
  EXPECT_EQ(Get("/").status, 200);
  EXPECT_EQ(Get("/long").status, 503);
  gates_.Permit(100);
  for (const base::UniqueFd& connection : asked) {
    EXPECT_THAT(ReadAll(connection), HasSubstr("200 OK"));
  }
  EXPECT_EQ(Get("/long").status, 200);
}

TEST_F(ControlServerTest, TheEndOfTheServerCancelsLongAnswers) {
  const base::UniqueFd running = AskLong();
  gates_.AwaitBegun(1);
  const base::UniqueFd waiting = AskLong();
  EXPECT_EQ(Get("/").status, 200);
  server_.reset();
  EXPECT_EQ(gates_.cancelled.load(), 1);
  EXPECT_EQ(gates_.begun.load(), 1);
  EXPECT_EQ(ReadAll(running), "");
  EXPECT_EQ(ReadAll(waiting), "");
}

TEST_F(ControlServerTest, ReplacesTheSocketOfAnEarlierServer) {
  server_.reset();
  // The socket of a server that was killed.
  ASSERT_EQ(mkdir((directory_ + "/run").c_str(), 0755), 0);
  const base::UniqueFd left(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(left.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  Restart();
  EXPECT_EQ(Get("/").status, 200);
}

// Connects to the TCP port of a listener.
base::UniqueFd ConnectTo(const Listener& listener) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  EXPECT_EQ(getsockname(listener.descriptor(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  base::UniqueFd connection(socket(listener.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(connection.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  return connection;
}

TEST_F(ControlServerTest, ServesATcpPort) {
  for (const char* const address : {"127.0.0.1", "::1"}) {
    auto listener = Listener::OnPort(address, 0);
    if (!listener.ok() && address[0] == ':') GTEST_SKIP() << "no IPv6: " << listener.status();
    ASSERT_TRUE(listener.ok()) << listener.status();
    const Listener& port = **listener;
    server_.reset();
    Start(*std::move(listener));
    EXPECT_THAT(Exchange("GET /x?y=z HTTP/1.1\r\nHost: x\r\n\r\n", ConnectTo(port)),
                ::testing::AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Content-Length: 18\r\n"),
                                 ::testing::EndsWith("\r\n\r\nGET /x  nobody y=z")));
    // The kernel keeps connections in its queue, so more than the bound can be made. The server
    // closes those that it does not admit.
    std::vector<base::UniqueFd> silent;
    for (int i = 0; i < 100; ++i) silent.push_back(ConnectTo(port));
    const base::UniqueFd& last = silent.back();
    char byte;
    EXPECT_EQ(recv(last.get(), &byte, 1, 0), 0) << "the 100th connection is closed";
    silent.clear();
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (Exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n", ConnectTo(port)).empty()) {
      ASSERT_LT(absl::Now(), deadline);
    }
  }
}

TEST_F(ControlServerTest, TheAnswerToHeadIsThatToGetWithoutItsBody) {
  const std::string answer = Exchange("HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string peer = std::to_string(geteuid()) + " " + std::to_string(getpid());
  const size_t size = std::string("HEAD /abc  ").size() + peer.size();
  EXPECT_THAT(answer, HasSubstr("Content-Length: " + std::to_string(size) + "\r\n"));
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\n"));
}

TEST_F(ControlServerTest, StatusMethodNotAllowedNamesTheMethods) {
  EXPECT_THAT(Exchange("GET /read-only HTTP/1.1\r\nHost: x\r\n\r\n"),
              ::testing::AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: GET\r\n"),
                               HasSubstr("Content-Type: text/plain\r\n")));
}

TEST_F(ControlServerTest, FieldsOfTheHeader) {
  EXPECT_THAT(Exchange("GET /fields HTTP/1.1\r\nHost: a:1\r\nIf-None-Match: \"b\"\r\n\r\n"),
              ::testing::AllOf(HasSubstr("X-Content-Type-Options: nosniff\r\n"),
                               HasSubstr("Cache-Control: no-cache\r\n"),
                               HasSubstr("ETag: \"c\"\r\n"), ::testing::EndsWith("a:1 \"b\"")));
  EXPECT_THAT(Exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
              HasSubstr("Cache-Control: no-store\r\n"));
}

TEST_F(ControlServerTest, FailsWithASentence) {
  EXPECT_THAT(Listener::OnPath("/proc/none/socket").status().message(),
              HasSubstr("no control socket at /proc/none/socket: "));
  EXPECT_THAT(Listener::OnPath(directory_ + "/" + std::string(200, 'x')).status().message(),
              HasSubstr("name too long"));
  const auto first = Listener::OnPort("127.0.0.1", 0);
  ASSERT_TRUE(first.ok());
  sockaddr_in address = {};
  socklen_t size = sizeof(address);
  getsockname((*first)->descriptor(), reinterpret_cast<sockaddr*>(&address), &size);
  const uint16_t port = ntohs(address.sin_port);
  EXPECT_EQ(
      Listener::OnPort("127.0.0.1", port).status().message(),
      "cannot listen on port " + std::to_string(port) + " of 127.0.0.1: Address already in use");
  EXPECT_THAT(Listener::OnPort("192.0.2.1", port).status().message(),
              HasSubstr("Cannot assign requested address"));
  EXPECT_THAT(Call(directory_ + "/nothing", {"GET", "/", "", {}}).status().message(),
              HasSubstr("does not answer: "));
}

}  // namespace
}  // namespace memfuse::control

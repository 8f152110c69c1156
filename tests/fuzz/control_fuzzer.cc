// Sends arbitrary bytes to the control socket.
//
// Input: one byte of options, then what a client sends before it closes its side. Options: bit 0,
// the client is an administrator; bits 1 to 3, the number of pieces in which the bytes are sent,
// less one. The file system is kept from input to input, so that limits and quotas of earlier
// inputs are in effect.
//
// The server answers once or not at all, in HTTP, with JSON, and never with status 500.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "memfuse/memory_filesystem.h"
#include "src/base/unique_fd.h"
#include "src/control/api.h"
#include "src/control/server.h"
#include "tests/fuzz/fail.h"
#include "tests/testing/caller.h"

namespace memfuse::control {
namespace {

class Fixture {
 public:
  Fixture() {
    MemoryFileSystemOptions options;
    options.size_limit = 8 << 20;
    options.inode_limit = 100;
    options.quotas = {{QuotaKind::kUser, 1000, 1 << 20, kNoQuota},
                      {QuotaKind::kTree, std::nullopt, 1 << 20, 20, "/tree"}};
    fs_ = *MemoryFileSystem::Make(options);
    const test::Caller alice(fs_.get(), 1000, 100);
    const auto tree = alice.Lookup(kRootInode, "tree");
    if (!tree.ok() || !alice.Mkdir(tree->ino, "builds").ok() ||
        !alice.Create(tree->ino, "file").ok()) {
      fuzz::Fail("the file system cannot be filled");
    }
    ApiFacts facts;
    facts.version = "0";
    facts.mount_point = "/mnt/\xff";
    facts.is_administrator = [this](const Peer&) { return is_administrator_; };
    api_ = std::make_unique<Api>(
        std::move(facts), fs_.get(), [] { return std::vector<OperationStatistics>(); },
        [] { return RecentRequestList(); }, [](uint32_t) { return std::string_view("LOOKUP"); });
    char directory[] = "/tmp/control_fuzzer.XXXXXX";
    if (mkdtemp(directory) == nullptr) fuzz::Fail("no directory in /tmp");
    path_ = std::string(directory) + "/socket";
    auto listener = Listener::OnPath(path_);
    if (!listener.ok()) fuzz::Fail("%s", std::string(listener.status().message()).c_str());
    auto server =
        Server::Start(*std::move(listener), "server", geteuid(),
                      [this](const HttpRequest& request) { return api_->Answer(request); });
    if (!server.ok()) fuzz::Fail("%s", std::string(server.status().message()).c_str());
    server_ = *std::move(server);
  }

  // Returns what the server sends.
  std::string Exchange(bool is_administrator, size_t pieces, const std::string& bytes) {
    is_administrator_ = is_administrator;
    const base::UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      fuzz::Fail("the server does not accept a connection");
    }
    const size_t piece = bytes.size() / pieces + 1;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      // The server may have closed the connection already.
      const std::string part = bytes.substr(at, piece);
      if (send(client.get(), part.data(), part.size(), MSG_NOSIGNAL) < 0) break;
    }
    shutdown(client.get(), SHUT_WR);
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = read(client.get(), buffer, sizeof(buffer))) > 0;) {
      answer.append(buffer, static_cast<size_t>(n));
    }
    return answer;
  }

 private:
  std::unique_ptr<MemoryFileSystem> fs_;
  std::unique_ptr<Api> api_;
  std::string path_;
  // The server's thread reads it while a request is served, which begins after it was written.
  bool is_administrator_ = false;
  std::unique_ptr<Server> server_;
};

void Check(const std::string& answer) {
  if (answer.empty()) return;
  static const std::set<std::string> kStatuses = {"200", "400", "403", "404", "405",
                                                  "409", "413", "431", "503"};
  const size_t body = answer.find("\r\n\r\n");
  if (answer.compare(0, 9, "HTTP/1.1 ") != 0 || body == std::string::npos) {
    fuzz::Fail("no answer in HTTP: %s", answer.c_str());
  }
  const std::string status = answer.substr(9, 3);
  if (kStatuses.count(status) == 0) fuzz::Fail("status %s", status.c_str());
  if (!nlohmann::json::accept(answer.substr(body + 4)) && body + 4 != answer.size()) {
    fuzz::Fail("no JSON: %s", answer.c_str());
  }
}

}  // namespace
}  // namespace memfuse::control

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const fixture = new memfuse::control::Fixture;
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  memfuse::control::Check(fixture->Exchange((data[0] & 1) != 0, 1 + (data[0] >> 1 & 7), bytes));
  return 0;
}

#include "src/control/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"
#include "src/base/unique_fd.h"

namespace memfuse::control {
namespace {

// Connections that the kernel keeps until the server accepts them.
constexpr int kBacklog = 64;

class SocketListener : public Listener {
 public:
  SocketListener(base::UniqueFd socket, int family) : socket_(std::move(socket)), family_(family) {}

  int descriptor() const override { return socket_.get(); }
  int family() const override { return family_; }

 private:
  const base::UniqueFd socket_;
  const int family_;
};

std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

class PathListener final : public SocketListener {
 public:
  PathListener(base::UniqueFd socket, std::string path)
      : SocketListener(std::move(socket), AF_UNIX), path_(std::move(path)) {
    // Fails only if another process has removed the socket already.
    (void)stat(path_.c_str(), &made_);
  }
  ~PathListener() override {
    // The server of a later mount with the same device number may have replaced the socket.
    struct stat now = {};
    if (stat(path_.c_str(), &now) == 0 && now.st_dev == made_.st_dev &&
        now.st_ino == made_.st_ino) {
      unlink(path_.c_str());
      // Fails while other daemons have sockets there.
      rmdir(DirectoryOf(path_).c_str());
    }
  }

 private:
  const std::string path_;
  struct stat made_ = {};
};

absl::Status PathError(const std::string& path, int error) {
  return absl::FailedPreconditionError(
      absl::StrCat("no control socket at ", path, ": ", base::ErrorText(error)));
}

// Binds to the path, and makes its directory if it is missing. Returns 0 or the error number.
int BindToPath(int socket, const std::string& path, const sockaddr_un& address) {
  // Another daemon may remove the directory in between, when it ends.
  constexpr int kTries = 10;
  int error = 0;
  for (int i = 0; i < kTries; ++i) {
    if (mkdir(DirectoryOf(path).c_str(), 0755) != 0 && errno != EEXIST) return errno;
    if (bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return 0;
    error = errno;
    if (error != ENOENT) break;
  }
  return error;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::OnPath(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return PathError(path, ENAMETOOLONG);
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  // Only the server of a mount that does not exist any more has the same path.
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return PathError(path, errno);
  base::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return PathError(path, errno);
  if (const int error = BindToPath(socket.get(), path, address); error != 0) {
    return PathError(path, error);
  }
  // From here on its destructor removes the socket.
  auto listener = std::make_unique<PathListener>(std::move(socket), path);
  if (chmod(path.c_str(), 0666) != 0 || listen(listener->descriptor(), kBacklog) != 0) {
    return PathError(path, errno);
  }
  return listener;
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::OnPort(const std::string& address,
                                                           uint16_t port) {
  sockaddr_in v4 = {};
  sockaddr_in6 v6 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  const bool is_v4 = inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1;
  const auto failed = [&](int error) {
    return absl::FailedPreconditionError(absl::StrCat("cannot listen on port ", port, " of ",
                                                      address, ": ", base::ErrorText(error)));
  };
  if (!is_v4 && inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) != 1) return failed(EINVAL);
  const int family = is_v4 ? AF_INET : AF_INET6;
  base::UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return failed(errno);
  const int on = 1;
  // Connections of an earlier daemon that are still in TIME_WAIT must not keep the port. Two
  // sockets that listen on the same port remain an error.
  (void)setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // "::" means IPv6 only, regardless of net.ipv6.bindv6only.
  if (!is_v4) (void)setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  const auto* const name =
      is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  const socklen_t size = is_v4 ? sizeof(v4) : sizeof(v6);
  if (bind(socket.get(), name, size) != 0 || listen(socket.get(), kBacklog) != 0) {
    return failed(errno);
  }
  return std::make_unique<SocketListener>(std::move(socket), family);
}

}  // namespace memfuse::control

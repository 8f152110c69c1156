// The address of --metrics_listen.

#ifndef MEMFUSE_SRC_CLI_LISTEN_ADDRESS_H_
#define MEMFUSE_SRC_CLI_LISTEN_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace memfuse::cli {

struct ListenAddress {
  std::string address;  // IPv4, or IPv6 without brackets
  uint16_t port = 0;
  bool loopback = false;  // only programs of this machine can connect
};

// Parses "127.0.0.1:9410" or "[::1]:9410". Names are not resolved, and port 0 is none.
// InvalidArgument, with the sentence for the user.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_LISTEN_ADDRESS_H_

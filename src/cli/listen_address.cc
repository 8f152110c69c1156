#include "src/cli/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace memfuse::cli {

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  const absl::Status invalid = absl::InvalidArgumentError(
      absl::StrCat("--metrics_listen: '", text,
                   "' is no address with a port such as 127.0.0.1:9410 or [::1]:9410"));
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return invalid;
  absl::string_view address = text.substr(0, colon);
  const absl::string_view digits = text.substr(colon + 1);
  const bool only_digits = std::all_of(digits.begin(), digits.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  uint32_t port = 0;
  if (!only_digits || !absl::SimpleAtoi(digits, &port) || port == 0 || port > 65535) {
    return invalid;
  }
  ListenAddress result;
  result.port = static_cast<uint16_t>(port);
  in6_addr v6 = {};
  in_addr v4 = {};
  if (absl::ConsumePrefix(&address, "[") && absl::ConsumeSuffix(&address, "]")) {
    result.address = std::string(address);
    if (inet_pton(AF_INET6, result.address.c_str(), &v6) != 1) return invalid;
    result.loopback = IN6_IS_ADDR_LOOPBACK(&v6);
  } else {
    result.address = std::string(address);
    if (inet_pton(AF_INET, result.address.c_str(), &v4) != 1) return invalid;
    result.loopback = ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
  }
  return result;
}

}  // namespace memfuse::cli

#include "src/control/web_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace memfuse::control {
namespace {

// Whether the texts are the same address. A family has several ways to write one.
template <typename Address>
bool SameAddress(int family, const std::string& a, const std::string& b) {
  Address first = {};
  Address second = {};
  return inet_pton(family, a.c_str(), &first) == 1 && inet_pton(family, b.c_str(), &second) == 1 &&
         std::memcmp(&first, &second, sizeof(first)) == 0;
}

}  // namespace

bool IsHostOf(const std::string& address, const std::string& host) {
  if (host.empty()) return true;
  absl::string_view name = host;
  // The port.
  const size_t colon = name.rfind(':');
  if (colon != absl::string_view::npos && name.back() != ']') {
    for (const char c : name.substr(colon + 1)) {
      if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    }
    name = name.substr(0, colon);
  }
  if (absl::EqualsIgnoreCase(name, "localhost")) return true;
  if (absl::ConsumePrefix(&name, "[") && absl::ConsumeSuffix(&name, "]")) {
    return SameAddress<in6_addr>(AF_INET6, address, std::string(name));
  }
  return SameAddress<in_addr>(AF_INET, address, std::string(name));
}

control::Answer WebPort::Answer(const HttpRequest& request) {
  if (!any_host_ && !IsHostOf(address_, request.host)) {
    return HttpResponse{421,
                        "This port answers requests for localhost and for its own address only.\n",
                        "text/plain; charset=utf-8"};
  }
  if (request.path == "/metrics") return metrics_.Answer(request);
  return page_.Answer(request);
}

}  // namespace memfuse::control

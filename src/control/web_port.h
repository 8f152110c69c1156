// What the TCP port of --metrics_listen answers: the metrics (metrics.h) and the page (page.h).
//
// A browser lets the pages of a web server read what that server answers. An attacker whose name in
// the DNS changes to 127.0.0.1 after the browser has loaded his page ("DNS rebinding") could read
// the port with it. The field Host of such a request has the name of the attacker, so requests for
// other names than those of the port are refused.

#ifndef MEMFUSE_SRC_CONTROL_WEB_PORT_H_
#define MEMFUSE_SRC_CONTROL_WEB_PORT_H_

#include <string>
#include <utility>

#include "memfuse/memory_filesystem.h"
#include "src/control/api.h"
#include "src/control/http.h"
#include "src/control/metrics.h"
#include "src/control/page.h"
#include "src/control/usage_cache.h"
#include "src/control/usage_history.h"

namespace memfuse::control {

// Whether the field Host of a request names the server that listens on `address`, an IPv4 or IPv6
// address without brackets: by this address, or as "localhost". The port does not matter, since
// ssh(1) may forward another one. An empty field, which no browser sends, names it, too. May throw
// std::bad_alloc.
bool IsHostOf(const std::string& address, const std::string& host);

// Not synchronised; see Page.
class WebPort {
 public:
  // `address`: as for IsHostOf. `any_host`: answer requests for any host, for a port that other
  // machines reach by names that the daemon does not know.
  WebPort(std::string address, bool any_host, const ApiFacts& facts, MemoryFileSystem* fs,
          const StatisticsSource& statistics, const UsageHistory* history)
      : address_(std::move(address)),
        any_host_(any_host),
        usage_(fs),
        metrics_(facts, fs, &usage_, statistics),
        page_(facts, fs, &usage_, statistics, history) {}

  // Answers a request. Status 421 if it is for another host. Throws std::bad_alloc.
  control::Answer Answer(const HttpRequest& request);

 private:
  const std::string address_;
  const bool any_host_;
  UsageCache usage_;
  Metrics metrics_;
  Page page_;
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_WEB_PORT_H_

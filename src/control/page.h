// The web page of the metrics port: what is full, which users and directories fill it, how that
// developed, how fast the requests are, and what was refused.
//
//    GET /, /page.css, /page.js   the files of src/control/page, which are part of the program
//    GET /status.json             all numbers of the page; "from=N" in the query: of the history,
//                                 only the samples from number N on
//    GET /directories.json        the answer of /v1/usage?by=dir&path=PATH, for "path=PATH" in the
//                                 query; status 403 without ApiFacts::show_directories
//
// A client of a TCP port has no identity, so all clients see the same: also the process and the
// user of the last refusal of each limit. Paths are among it only with ApiFacts::show_directories;
// otherwise a tree with a quota has the inode number of its directory.

#ifndef MEMFUSE_SRC_CONTROL_PAGE_H_
#define MEMFUSE_SRC_CONTROL_PAGE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "memfuse/memory_filesystem.h"
#include "src/control/api.h"
#include "src/control/http.h"
#include "src/control/usage_answers.h"
#include "src/control/usage_cache.h"
#include "src/control/usage_history.h"

namespace memfuse::control {

// A file that the build embeds into the program (embed.cmake).
struct PageFile {
  std::string_view path;  // of the request: "/page.css"
  std::string_view content_type;
  std::string_view etag;  // a hash of the content, in quotation marks
  std::string_view content;
};

// Not synchronised: the server calls it from one thread. Long answers may be computed on one other
// thread of each kind; they must be destroyed before the object. The file system, `usage` and the
// history must outlive the object.
class Page {
 public:
  // How many users, and how many quotas, are shown: those that store most, and those that are
  // fullest.
  static constexpr size_t kMaxRows = 100;
  // How many directories of one directory are shown by themselves.
  static constexpr size_t kMaxDirectories = 40;

  // ApiFacts::is_administrator is not used.
  Page(ApiFacts facts, MemoryFileSystem* fs, UsageCache* usage, StatisticsSource statistics,
       const UsageHistory* history)
      : facts_(std::move(facts)),
        fs_(*fs),
        usage_(*usage),
        statistics_(std::move(statistics)),
        history_(*history),
        usage_answers_(fs) {}

  // Answers a request. Status 200, 304 (the client has the file), 400 (the query), 403 (paths are
  // not shown), 404 (no such path) or 405 (a method other than GET and HEAD). Throws
  // std::bad_alloc.
  control::Answer Answer(const HttpRequest& request);

 private:
  control::Answer Status(const std::string& query);
  control::Answer Directories(const std::string& query);

  const ApiFacts facts_;
  MemoryFileSystem& fs_;
  UsageCache& usage_;
  const StatisticsSource statistics_;
  const UsageHistory& history_;
  UsageAnswers usage_answers_;
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_PAGE_H_

#include "src/cli/logging.h"

#include <glog/logging.h>
#include <syslog.h>

#include <cstdio>

#include "src/cli/flags.h"
#include "src/cli/service_manager.h"

namespace memfuse::cli {
namespace {

int PriorityOf(google::LogSeverity severity) {
  switch (severity) {
    case google::GLOG_INFO:
      return LOG_INFO;
    case google::GLOG_WARNING:
      return LOG_WARNING;
    case google::GLOG_ERROR:
      return LOG_ERR;
    default:
      return LOG_CRIT;
  }
}

class SyslogSink : public google::LogSink {
 public:
  SyslogSink() { openlog("memfuse", LOG_PID, LOG_DAEMON); }

  void send(google::LogSeverity severity, const char* /*full_filename*/, const char* base_filename,
            int line, const google::LogMessageTime& /*time*/, const char* message,
            size_t message_size) override {
    syslog(PriorityOf(severity), "%.*s [%s:%d]", static_cast<int>(message_size), message,
           base_filename, line);
  }
  using google::LogSink::send;
};

// Writes to stderr in the format of sd-daemon(3): the priority first, and no time, which the
// journal adds.
class JournalSink : public google::LogSink {
 public:
  void send(google::LogSeverity severity, const char* /*full_filename*/, const char* base_filename,
            int line, const google::LogMessageTime& /*time*/, const char* message,
            size_t message_size) override {
    std::fprintf(stderr, "<%d>%.*s [%s:%d]\n", PriorityOf(severity), static_cast<int>(message_size),
                 message, base_filename, line);
  }
  using google::LogSink::send;
};

}  // namespace

void StartLogging(bool foreground, const std::string& log_dir) {
  // Sinks are never destroyed: glog may log until the process ends.
  FLAGS_colorlogtostderr = false;
  // The umask is 0 now, and no other user may write to the log.
  FLAGS_logfile_mode = 0644;
  const bool to_journal = foreground && StderrIsJournal();
  FLAGS_logtostderr = foreground && log_dir.empty() && !to_journal;
  // Lines are rare and must be visible at once; glog would buffer them for up to half a minute.
  FLAGS_logbuflevel = -1;
  if (!log_dir.empty()) {
    FLAGS_log_dir = log_dir;
    FLAGS_alsologtostderr = foreground && !to_journal;
  } else {
    // An empty name turns files off.
    for (int severity = 0; severity < google::NUM_SEVERITIES; ++severity) {
      google::SetLogDestination(severity, "");
    }
    if (!foreground) google::AddLogSink(new SyslogSink);
  }
  if (to_journal) {
    // Otherwise errors would also be logged twice.
    FLAGS_stderrthreshold = google::NUM_SEVERITIES;
    google::AddLogSink(new JournalSink);
  }
  google::InitGoogleLogging("memfuse");
}

}  // namespace memfuse::cli

#include "src/cli/logging.h"

#include <glog/logging.h>
#include <syslog.h>

#include "src/cli/flags.h"

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

}  // namespace

void StartLogging(bool foreground, const std::string& log_dir) {
  FLAGS_colorlogtostderr = false;
  // The umask is 0 by now, and the log is nobody else's to write.
  FLAGS_logfile_mode = 0644;
  FLAGS_logtostderr = foreground && log_dir.empty();
  // A line is rare and wanted at once; glog would keep it for up to half a minute.
  FLAGS_logbuflevel = -1;
  if (!log_dir.empty()) {
    FLAGS_log_dir = log_dir;
    FLAGS_alsologtostderr = foreground;
  } else {
    // An empty name turns files off.
    for (int severity = 0; severity < google::NUM_SEVERITIES; ++severity) {
      google::SetLogDestination(severity, "");
    }
    if (!foreground) {
      // glog may log until the last moment of the process, so the sink is never destroyed.
      google::AddLogSink(new SyslogSink);
    }
  }
  google::InitGoogleLogging("memfuse");
}

}  // namespace memfuse::cli

#include "src/cli/service_manager.h"

#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "src/cli/message.h"

namespace memfuse::cli {
namespace {

// A failure is ignored: the daemon also works without a service manager.
void Notify(const std::string& assignments) {
  (void)sd_notify(/*unset_environment=*/0, assignments.c_str());
}

}  // namespace

void ForgetServiceManager() {
  unsetenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): there are no other threads yet
}

void NotifyReady(absl::string_view status) {
  Notify(absl::StrCat("READY=1\nSTATUS=", OneLine(status)));
}

void NotifyStatus(absl::string_view status) { Notify(absl::StrCat("STATUS=", OneLine(status))); }

void NotifyStopping(absl::string_view status) {
  Notify(absl::StrCat("STOPPING=1\nSTATUS=", OneLine(status)));
}

void NotifyFailure(absl::string_view sentence, int error) {
  std::string assignments = absl::StrCat("STATUS=", OneLine(sentence));
  if (error != 0) absl::StrAppend(&assignments, "\nERRNO=", error);
  Notify(assignments);
}

bool StderrIsJournal() {
  // Device and inode of the journal stream. Processes whose stderr is redirected inherit the
  // variable as well.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread changes the environment
  const char* const stream = std::getenv("JOURNAL_STREAM");
  if (stream == nullptr) return false;
  const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(stream, ':');
  uint64_t device;
  uint64_t inode;
  struct stat attributes;
  return absl::SimpleAtoi(halves.first, &device) && absl::SimpleAtoi(halves.second, &inode) &&
         fstat(STDERR_FILENO, &attributes) == 0 && attributes.st_dev == device &&
         attributes.st_ino == inode;
}

}  // namespace memfuse::cli

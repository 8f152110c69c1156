// Messages of the program to a service manager, and its log format for the journal, as far as no
// mount is needed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/cli/notify_socket.h"
#include "tests/cli/run_program.h"

namespace memfuse::cli {
namespace {

using testing::IsEmpty;
using testing::StartsWith;

TEST(ServiceManagerTest, ReceivesTheErrorText) {
  NotifySocket manager;
  EXPECT_EQ(RunMemfuse({"--foreground", "/nonexistent"}).exit_status, 1);
  EXPECT_EQ(manager.Receive(), "STATUS=mount point /nonexistent does not exist\nERRNO=2");
  EXPECT_EQ(RunMemfuse({"-f", "/tmp", "--size=lots"}).exit_status, 1);
  EXPECT_THAT(manager.Receive(), StartsWith("STATUS=--size: 'lots' is no size"));
}

TEST(ServiceManagerTest, ReceivesOneLineForAnyQuotedText) {
  NotifySocket manager;
  RunMemfuse({"--foreground", "/no\nREADY=1"});
  EXPECT_EQ(manager.Receive(), "STATUS=mount point /no?READY=1 does not exist\nERRNO=2");
}

TEST(ServiceManagerTest, ReceivesNothingFromABackgroundProgram) {
  NotifySocket manager;
  EXPECT_EQ(RunMemfuse({"/nonexistent"}).exit_status, 1);
  EXPECT_THAT(manager.Receive(absl::ZeroDuration()), IsEmpty());
}

ProgramResult WithJournalStream(const std::string& stream) {
  return RunProgram(
      {"sh", "-c", "JOURNAL_STREAM=" + stream + " exec \"$0\" -f /nonexistent", MEMFUSE_PROGRAM});
}

TEST(JournalTest, TakesThePriorityInsteadOfTheName) {
  EXPECT_EQ(WithJournalStream("$(stat -L -c %d:%i /dev/stderr)").err,
            "<3>mount point /nonexistent does not exist\n");
}

TEST(JournalTest, IsNotTakenForStderrThatLeadsElsewhere) {
  for (const char* stream : {"$(stat -L -c %d:%i /dev/stdin)", "", "1", "a:b", "1:2:3"}) {
    EXPECT_EQ(WithJournalStream(stream).err, "memfuse: mount point /nonexistent does not exist\n")
        << stream;
  }
}

}  // namespace
}  // namespace memfuse::cli

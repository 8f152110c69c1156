// What memfusectl does with the answers of the daemon.

#include "src/cli/control_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "src/cli/control_text.h"
#include "src/control/listener.h"
#include "src/control/server.h"
#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// A daemon that asks to wait for `retry_after_seconds` before it answers.
class AskSocketTest : public ::testing::Test {
 protected:
  void Start(double retry_after_seconds) {
    auto listener = control::Listener::OnPath(path_);
    ASSERT_TRUE(listener.ok()) << listener.status();
    auto server = control::Server::Start(
        *std::move(listener), "server", geteuid(),
        [this, retry_after_seconds](const control::HttpRequest&) -> control::Answer {
          if (++asked_ > 2) return control::HttpResponse{200, "{\"answer\": 1}"};
          const json busy = {{"error", "busy"}, {"retry_after_seconds", retry_after_seconds}};
          return control::HttpResponse{503, busy.dump()};
        });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/run/socket";
  int asked_ = 0;  // the server's thread changes it while a question is asked
  std::unique_ptr<control::Server> server_;
};

TEST_F(AskSocketTest, AsksAgainAfterAShortTime) {
  Start(0.001);
  const auto answer = AskSocket(path_, {"GET", "/", "", {}});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->at("answer"), 1);
  EXPECT_EQ(asked_, 3);
  server_.reset();
}

TEST_F(AskSocketTest, DoesNotWaitForLong) {
  Start(1000);
  EXPECT_EQ(AskSocket(path_, {"GET", "/", "", {}}).status().message(), "busy");
  EXPECT_EQ(asked_, 1);
  server_.reset();
}

TEST(StatusTextTest, ARefusalWithoutPathAndProcess) {
  json refusal = {{"limit", "inodes"}, {"of", "path"}, {"id", 12},  {"count", 1},     {"asked", 1},
                  {"left", 0},         {"pid", 0},     {"uid", {}}, {"time", 1000000}};
  json status = {{"mount_point", "/mnt"},
                 {"version", "1"},
                 {"server_pid", 7},
                 {"uptime_seconds", 1},
                 {"size", {{"limit", 1}, {"used", 0}, {"data", 0}, {"metadata", 0}}},
                 {"inodes", {{"limit", 1}, {"used", 0}}},
                 {"store", "daemon"},
                 {"transport", "/dev/fuse"},
                 {"requests", {{"total", 0}, {"by_operation", json::object()}}},
                 {"refusals", json::array({refusal})}};
  EXPECT_THAT(
      StatusText(status),
      HasSubstr("1 inode to an unknown process: directory with inode 12 had 0 inodes left"));
  refusal["path"] = "/builds";
  refusal["pid"] = 77;
  status["refusals"] = json::array({refusal});
  EXPECT_THAT(StatusText(status), HasSubstr("1 inode to process 77: directory /builds had"));
  EXPECT_THAT(StatusText(status), Not(HasSubstr("takeovers")));
  status["takeovers"] = 1;
  EXPECT_THAT(StatusText(status), HasSubstr("\ntakeovers  1, after the death of a server\n"));
  status["read_only"] = true;
  EXPECT_THAT(StatusText(status), HasSubstr("\nread-only, because servers have crashed"));
}

}  // namespace
}  // namespace memfuse::cli

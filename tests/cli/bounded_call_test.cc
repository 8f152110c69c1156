// Calls in child processes that may hang.

#include "src/cli/bounded_call.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"
#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {
namespace {

using testing::SizeIs;

std::string Hang() {
  for (;;) pause();
}

TEST(BoundedCallTest, ResultsAreInTheOrderOfTheFunctions) {
  std::vector<std::function<std::string()>> functions;
  for (int i = 0; i < 40; ++i) functions.emplace_back([i] { return std::to_string(i); });
  const auto results = CallInChildren(functions, absl::Minutes(1));
  ASSERT_THAT(results, SizeIs(40));
  for (int i = 0; i < 40; ++i) EXPECT_EQ(results[static_cast<size_t>(i)], std::to_string(i));
}

TEST(BoundedCallTest, AFunctionThatHangsHasNoResultAndDelaysNoOther) {
  const auto results =
      CallInChildren({Hang, [] { return std::string("ended"); }}, absl::Milliseconds(500));
  EXPECT_EQ(results[0], std::nullopt);
  EXPECT_EQ(results[1], "ended");
}

// The first call waits for the last one, which begins only when others have ended.
TEST(BoundedCallTest, ASlowCallDoesNotHoldBackTheNextOnes) {
  const TemporaryDirectory directory;
  const std::string fifo = directory.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::vector<std::function<std::string()>> functions(40, [] { return std::string("quick"); });
  functions.front() = [&fifo] {
    const base::UniqueFd reader(open(fifo.c_str(), O_RDONLY));
    return std::string(reader.valid() ? "met" : "failed");
  };
  functions.back() = [&fifo] {
    const base::UniqueFd writer(open(fifo.c_str(), O_WRONLY));
    return std::string(writer.valid() ? "met" : "failed");
  };
  const auto results = CallInChildren(functions, absl::Seconds(30));
  EXPECT_EQ(results.front(), "met");
  EXPECT_EQ(results[20], "quick");
  EXPECT_EQ(results.back(), "met");
}

TEST(BoundedCallTest, AnExceptionIsAnEmptyResult) {
  const auto results =
      CallInChildren({[]() -> std::string { throw std::runtime_error("no"); }}, absl::Minutes(1));
  EXPECT_EQ(results[0], "");
}

TEST(BoundedCallTest, LongResultsAreCutOff) {
  const auto results = CallInChildren({[] { return std::string(3 << 20, 'x'); }}, absl::Minutes(1));
  ASSERT_TRUE(results[0].has_value());
  EXPECT_EQ(results[0]->size(), size_t{1} << 20);
}

// A child that hangs would otherwise keep the pipe of 'memfuse | cat' open.
TEST(BoundedCallTest, AChildHasNoDescriptorOfTheCaller) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const base::UniqueFd reader(pipes[0]);
  base::UniqueFd writer(pipes[1]);
  const int number = writer.get();
  const auto results = CallInChildren(
      {[number] { return std::string(fcntl(number, F_GETFD) < 0 ? "closed" : "open"); }},
      absl::Minutes(1));
  EXPECT_EQ(results[0], "closed");
  writer.reset();
  pollfd end = {reader.get(), POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, 60'000), 1);
}

}  // namespace
}  // namespace memfuse::cli

// Parts of a Host that record how they are used.

#ifndef MEMFUSE_TESTS_TESTING_FAKE_HOST_H_
#define MEMFUSE_TESTS_TESTING_FAKE_HOST_H_

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "memfuse/host.h"

namespace memfuse::test {

// Counts the reports of all threads, each of which another thread can replace.
class CountingObserver final : public BlockingObserver {
 public:
  bool CanReplaceCallingThread() const override { return true; }
  void BeginBlocking() override {
    ++begun_;
    if (on_begin) on_begin();
  }
  void EndBlocking() override { ++ended_; }

  // Returns the number of calls of BeginBlocking since the last call of this method. Each of them
  // must have its EndBlocking.
  int TakeCount() {
    EXPECT_EQ(begun_, ended_);
    ended_ = 0;
    return begun_.exchange(0);
  }

  std::function<void()> on_begin;  // called in BeginBlocking

 private:
  std::atomic<int> begun_{0};
  std::atomic<int> ended_{0};
};

// Records the inodes whose attributes are to be dropped. The other notifications are not sent by a
// file system that serves one kernel.
class RecordingNotifier final : public Notifier {
 public:
  Result<void> InvalidateAttributes(InodeNumber ino) override {
    const std::lock_guard<std::mutex> lock(mu_);
    attributes_.push_back(ino);
    return {};
  }
  Result<void> InvalidateData(InodeNumber, uint64_t, uint64_t) override { return Unexpected(); }
  Result<void> InvalidateEntry(InodeNumber, std::string_view) override { return Unexpected(); }
  Result<void> DeleteEntry(InodeNumber, InodeNumber, std::string_view) override {
    return Unexpected();
  }
  Result<void> Prune(absl::Span<const InodeNumber>) override { return Unexpected(); }

  // Returns the inodes since the last call of this method.
  std::vector<InodeNumber> TakeAttributes() {
    const std::lock_guard<std::mutex> lock(mu_);
    return std::exchange(attributes_, {});
  }

 private:
  static Result<void> Unexpected() {
    ADD_FAILURE() << "an unexpected notification";
    return Errno(ENOENT);
  }

  std::mutex mu_;
  std::vector<InodeNumber> attributes_;
};

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_FAKE_HOST_H_

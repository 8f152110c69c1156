// Workers serve one mount at the same time, and every caller gets its own answer.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "memfuse/filesystem.h"
#include "memfuse/memory_filesystem.h"
#include "memfuse/session.h"

namespace memfuse {
namespace {

using testing::Each;
using testing::Gt;
using testing::SizeIs;

// Holds everybody inside until so many are there.
class Meeting {
 public:
  // From here on `size` callers wait for each other; 0: nobody waits.
  void Call(size_t size) {
    const std::lock_guard<std::mutex> lock(mu_);
    size_ = size;
    present_.clear();
    complete_ = false;
  }

  // Waits for the others, but not for ever: a server that takes one request after the other must
  // fail the test, not hang it.
  void Attend() {
    std::unique_lock<std::mutex> lock(mu_);
    if (size_ == 0 || complete_) return;
    present_.insert(std::this_thread::get_id());
    complete_ = present_.size() == size_;
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(20), [this] { return complete_; });
  }

  // The threads that were inside at the same time; none if not enough of them were.
  std::set<std::thread::id> Attendance() {
    const std::lock_guard<std::mutex> lock(mu_);
    return complete_ ? present_ : std::set<std::thread::id>();
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  size_t size_ = 0;
  bool complete_ = false;
  std::set<std::thread::id> present_;
};

// Shows the files of another file system; stat(2) meets in it. Nothing may be cached, so that the
// kernel asks each time.
class MeetingFileSystem : public FileSystem {
 public:
  explicit MeetingFileSystem(FileSystem* files) : files_(files) {}

  Meeting lookups;
  Meeting getattrs;

  Result<Entry> Lookup(const RequestContext& context, const LookupRequest& request) override {
    Result<Entry> entry = files_->Lookup(context, request);
    if (!entry.ok()) return entry;
    lookups.Attend();
    entry->entry_valid = 0;
    entry->attributes_valid = 0;
    return entry;
  }
  void Forget(const ForgetRequest& request) override { files_->Forget(request); }
  Result<AttributesResult> Getattr(const RequestContext& context,
                                   const GetattrRequest& request) override {
    Result<AttributesResult> result = files_->Getattr(context, request);
    // The root is asked for on the way to every file.
    if (!result.ok() || request.ino == kRootInode) return result;
    getattrs.Attend();
    result->attributes_valid = 0;
    return result;
  }

 private:
  FileSystem* const files_;
};

// A file as it is made, and as stat(2) must show it.
struct KnownFile {
  std::string name;
  mode_t mode;
  uid_t uid;
  off_t size;
  timespec mtime;
  ino_t ino;
};

class ParallelTest : public testing::TestWithParam<int> {
 protected:
  ParallelTest() {
    std::string name = testing::TempDir() + "/memfuse_parallel.XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    mount_point_ = name;
  }
  ~ParallelTest() override {
    session_.reset();
    umount2(mount_point_.c_str(), MNT_DETACH);
    rmdir(mount_point_.c_str());
  }

  void SetUp() override {
    auto files = MemoryFileSystem::Make({});
    ASSERT_TRUE(files.ok()) << files.status();
    files_ = *std::move(files);
    for (int i = 0; i < workers(); ++i) MakeFile(i);
    fs_ = std::make_unique<MeetingFileSystem>(files_.get());
    MountOptions mount;
    mount.mount_point = mount_point_;
    SessionOptions options;
    options.threads = workers();
    auto session = Session::Mount(mount, options, fs_.get());
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
  }

  int workers() const { return GetParam(); }

  // Each file differs from the others in everything that can differ.
  void MakeFile(int i) {
    KnownFile file;
    file.name = "file" + std::to_string(i);
    file.mode = S_IFREG | static_cast<mode_t>(0600 + i);
    file.uid = static_cast<uid_t>(1000 + 7 * i);
    file.size = 4096 * 3 + 131 * i;
    file.mtime = {1'000'000'000 + i, 111'111'111 + i};
    const Result<Entry> made = files_->Mknod({}, {kRootInode, file.name, file.mode});
    ASSERT_TRUE(made.ok());
    file.ino = ToInt(made->ino);
    SetattrRequest change;
    change.ino = made->ino;
    change.uid = file.uid;
    change.size = static_cast<uint64_t>(file.size);
    change.mtime = {TimeChange::Kind::kSet,
                    {file.mtime.tv_sec, static_cast<uint32_t>(file.mtime.tv_nsec)}};
    ASSERT_TRUE(files_->Setattr({}, change).ok());
    known_.push_back(file);
  }

  static void ExpectToBe(const struct stat& got, const KnownFile& file) {
    EXPECT_EQ(got.st_ino, file.ino) << file.name;
    EXPECT_EQ(got.st_mode, file.mode) << file.name;
    EXPECT_EQ(got.st_uid, file.uid) << file.name;
    EXPECT_EQ(got.st_size, file.size) << file.name;
    EXPECT_EQ(got.st_mtim.tv_sec, file.mtime.tv_sec) << file.name;
    EXPECT_EQ(got.st_mtim.tv_nsec, file.mtime.tv_nsec) << file.name;
  }

  // A thread for each file calls stat(2) on it so many times, all threads at once, and compares.
  void StatAllAtOnce(int times) {
    std::vector<std::thread> clients;
    clients.reserve(known_.size());
    for (const KnownFile& file : known_) {
      clients.emplace_back([this, &file, times] {
        const std::string path = mount_point_ + "/" + file.name;
        for (int i = 0; i < times; ++i) {
          struct stat got;
          ASSERT_EQ(stat(path.c_str(), &got), 0) << path;
          ExpectToBe(got, file);
        }
      });
    }
    for (std::thread& client : clients) client.join();
  }

  std::string mount_point_;
  std::vector<KnownFile> known_;
  std::unique_ptr<MemoryFileSystem> files_;
  std::unique_ptr<MeetingFileSystem> fs_;
  std::unique_ptr<Session> session_;
};

TEST_P(ParallelTest, EveryWorkerIsInGetattrAtTheSameTime) {
  fs_->getattrs.Call(static_cast<size_t>(workers()));
  StatAllAtOnce(1);
  EXPECT_THAT(fs_->getattrs.Attendance(), SizeIs(workers()));
}

TEST_P(ParallelTest, EveryWorkerIsInLookupAtTheSameTime) {
  fs_->lookups.Call(static_cast<size_t>(workers()));
  StatAllAtOnce(1);
  EXPECT_THAT(fs_->lookups.Attendance(), SizeIs(workers()));
}

TEST_P(ParallelTest, AnswersAreNotMixedUp) {
  StatAllAtOnce(300);
  // It was no meeting this time, but with that many requests everybody had some.
  fs_->getattrs.Call(static_cast<size_t>(workers()));
  StatAllAtOnce(1);
  EXPECT_THAT(session_->WorkerRequestCounts(), Each(Gt(0)));
}

INSTANTIATE_TEST_SUITE_P(Workers, ParallelTest, testing::Values(2, 4, 8),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace memfuse

// Several workers serve one mount at the same time, and every caller gets its own answer.

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

// A barrier: blocks its callers until a given number has arrived.
class Meeting {
 public:
  // From now on `size` callers wait for each other. With 0 no caller waits.
  void Call(size_t size) {
    const std::lock_guard<std::mutex> lock(mu_);
    size_ = size;
    present_.clear();
    complete_ = false;
  }

  // Waits for the other callers with a timeout. A server that handles one request at a time must
  // fail the test, not hang it.
  void Attend() {
    std::unique_lock<std::mutex> lock(mu_);
    if (size_ == 0 || complete_) return;
    present_.insert(std::this_thread::get_id());
    complete_ = present_.size() == size_;
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(20), [this] { return complete_; });
  }

  // The threads that were inside at the same time; empty if not enough threads arrived.
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

// Passes the files of another file system through, with a barrier in GETATTR. The kernel may cache
// nothing, so that each stat(2) causes a request.
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
    // Each path walk looks up the root first.
    if (!result.ok() || request.ino == kRootInode) return result;
    getattrs.Attend();
    result->attributes_valid = 0;
    return result;
  }

 private:
  FileSystem* const files_;
};

// A file as created, and as stat(2) must show it.
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

  // The files differ from each other in every attribute that can differ.
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
    change.size = static_cast<uint64_t>(file.size);
    ASSERT_TRUE(files_->Setattr({}, change).ok());
    change.size.reset();
    change.uid = file.uid;
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

  // One thread per file calls stat(2) on it that many times, all threads at once, and compares the
  // results.
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
  // There was no barrier this time, but with so many requests every worker has served some.
  fs_->getattrs.Call(static_cast<size_t>(workers()));
  StatAllAtOnce(1);
  EXPECT_THAT(session_->WorkerRequestCounts(), Each(Gt(0)));
}

INSTANTIATE_TEST_SUITE_P(Workers, ParallelTest, testing::Values(2, 4, 8),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace memfuse

// Notifications (memfuse/host.h) on a real mount: what the kernel has cached, and what it asks for
// again.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "memfuse/session.h"
#include "src/base/unique_fd.h"
#include "tests/testing/kernel_version.h"
#include "tests/testing/result_matchers.h"
#include "tests/transport/mount_fixture.h"

namespace memfuse::transport {
namespace {

using test::Fails;
using test::Succeeds;

constexpr InodeNumber kFile{5};

// A directory with names of one file. The kernel may cache everything forever. The test changes the
// content and the names behind the kernel's back.
class CachedFileSystem final : public FileSystem {
 public:
  absl::Status Connected(const Host& host) override {
    notifier = host.notifier;
    return absl::OkStatus();
  }
  Result<Entry> Lookup(const RequestContext&, const LookupRequest& request) override {
    const std::lock_guard<std::mutex> lock(mu);
    ++lookups;
    const auto found = names.find(std::string(request.name));
    if (found == names.end()) return Errno(ENOENT);
    Entry entry;
    entry.ino = found->second;
    entry.attributes = AttributesOf(found->second);
    entry.entry_valid = entry.attributes_valid = kCacheForever;
    return entry;
  }
  void Forget(const ForgetRequest& request) override {
    const std::lock_guard<std::mutex> lock(mu);
    forgotten[request.ino] += request.count;
    forget.notify_all();
  }
  Result<AttributesResult> Getattr(const RequestContext&, const GetattrRequest& request) override {
    const std::lock_guard<std::mutex> lock(mu);
    ++getattrs;
    return AttributesResult{AttributesOf(request.ino), kCacheForever};
  }
  Result<OpenResult> Open(const RequestContext&, const OpenRequest&) override {
    OpenResult open;
    open.keep_cache = true;
    return open;
  }
  Result<size_t> Read(const RequestContext&, const ReadRequest& request, ReadSink* sink) override {
    const std::lock_guard<std::mutex> lock(mu);
    const std::string_view rest =
        std::string_view(content).substr(std::min<size_t>(request.offset, content.size()));
    const size_t size = std::min(rest.size(), sink->buffer().size());
    std::memcpy(sink->buffer().data(), rest.data(), size);
    return size;
  }
  Result<void> Release(const RequestContext&, const ReleaseRequest&) override { return {}; }

  Notifier* notifier = nullptr;  // constant once the session exists
  std::mutex mu;                 // guards all that follows
  std::condition_variable forget;
  std::map<std::string, InodeNumber> names = {{"file", kFile}};
  std::map<InodeNumber, uint64_t> forgotten;
  std::string content = "before";
  int lookups = 0;
  int getattrs = 0;

 private:
  Attributes AttributesOf(InodeNumber ino) const {
    Attributes attributes;
    attributes.ino = ino;
    attributes.mode = ino == kRootInode ? S_IFDIR | 0755 : S_IFREG | 0644;
    attributes.nlink = 1;
    attributes.size = ino == kRootInode ? 0 : content.size();
    attributes.blksize = 4096;
    return attributes;
  }
};

class NotifierTest : public MountFixture {
 protected:
  void SetUp() override {
    MountFixture::SetUp();
    MountOptions mount;
    mount.mount_point = directory();
    absl::StatusOr<std::unique_ptr<Session>> session =
        Session::Mount(mount, SessionOptions{}, &fs_);
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
    ASSERT_NE(fs_.notifier, nullptr);
  }
  void TearDown() override {
    session_.reset();
    MountFixture::TearDown();
  }

  std::string Path(const std::string& name) const { return directory() + "/" + name; }
  // The size of a file, or -errno.
  int64_t Size(const std::string& name) const {
    struct stat stat;
    return ::stat(Path(name).c_str(), &stat) == 0 ? stat.st_size : -errno;
  }
  std::string Content(const std::string& name) const {
    const base::UniqueFd fd(open(Path(name).c_str(), O_RDONLY | O_CLOEXEC));
    std::string content(100, '\0');
    const ssize_t size = read(fd.get(), content.data(), content.size());
    content.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return content;
  }
  void SetContent(const std::string& content) {
    const std::lock_guard<std::mutex> lock(fs_.mu);
    fs_.content = content;
  }
  void SetName(const std::string& name, bool exists) {
    const std::lock_guard<std::mutex> lock(fs_.mu);
    if (exists) {
      fs_.names[name] = kFile;
    } else {
      fs_.names.erase(name);
    }
  }

  CachedFileSystem fs_;
  std::unique_ptr<Session> session_;
};

TEST_F(NotifierTest, InvalidatedAttributesAreAskedForAgain) {
  EXPECT_EQ(Size("file"), 6);
  SetContent("longer than before");
  EXPECT_EQ(Size("file"), 6) << "the kernel asks although it may cache";
  EXPECT_THAT(fs_.notifier->InvalidateAttributes(kFile), Succeeds());
  EXPECT_EQ(Size("file"), 18);
  EXPECT_THAT(fs_.notifier->InvalidateAttributes(InodeNumber{99}), Fails(ENOENT));
}

TEST_F(NotifierTest, InvalidatedDataIsReadAgain) {
  EXPECT_EQ(Content("file"), "before");
  SetContent("behind");
  EXPECT_EQ(Content("file"), "before") << "the kernel asks although it may cache";
  EXPECT_THAT(fs_.notifier->InvalidateAttributes(kFile), Succeeds());
  EXPECT_EQ(Content("file"), "before") << "the data is dropped with the attributes";
  EXPECT_THAT(fs_.notifier->InvalidateData(kFile, 4096, 0), Succeeds());
  EXPECT_EQ(Content("file"), "before") << "the range does not contain the data";
  EXPECT_THAT(fs_.notifier->InvalidateData(kFile, 0, 0), Succeeds());
  EXPECT_EQ(Content("file"), "behind");
  EXPECT_THAT(fs_.notifier->InvalidateData(kFile, uint64_t{1} << 63, 0), Fails(EINVAL));
  EXPECT_THAT(fs_.notifier->InvalidateData(kFile, 1, uint64_t{1} << 63), Fails(EINVAL));
}

TEST_F(NotifierTest, InvalidatedNamesAreLookedUpAgain) {
  EXPECT_EQ(Size("file"), 6);
  EXPECT_EQ(Size("other"), -ENOENT);
  SetName("file", false);
  SetName("other", true);
  EXPECT_EQ(Size("file"), 6) << "the kernel asks although it may cache";
  EXPECT_EQ(Size("other"), -ENOENT) << "the kernel asks although it may cache";
  EXPECT_THAT(fs_.notifier->InvalidateEntry(kRootInode, "file"), Succeeds());
  EXPECT_THAT(fs_.notifier->InvalidateEntry(kRootInode, "other"), Succeeds());
  EXPECT_EQ(Size("file"), -ENOENT);
  EXPECT_EQ(Size("other"), 6);
}

TEST_F(NotifierTest, ADeletedNameIsGoneAndItsInodeHasNoLinks) {
  EXPECT_EQ(Size("file"), 6);
  EXPECT_THAT(fs_.notifier->DeleteEntry(kRootInode, InodeNumber{99}, "file"), Fails(ENOENT))
      << "the name has another inode";
  const base::UniqueFd fd(open(Path("file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(fd.valid()) << std::strerror(errno);
  SetName("file", false);
  EXPECT_THAT(fs_.notifier->DeleteEntry(kRootInode, kFile, "file"), Succeeds());
  EXPECT_EQ(Size("file"), -ENOENT);
  struct stat stat;
  ASSERT_EQ(fstat(fd.get(), &stat), 0);
  EXPECT_EQ(stat.st_nlink, 0u);
}

TEST_F(NotifierTest, NamesAreChecked) {
  const std::string longest(255, 'n');
  const std::string too_long(256, 'n');
  EXPECT_THAT(fs_.notifier->InvalidateEntry(kRootInode, longest), Fails(ENOENT));
  EXPECT_THAT(fs_.notifier->InvalidateEntry(kRootInode, too_long), Fails(ENAMETOOLONG));
  EXPECT_THAT(fs_.notifier->InvalidateEntry(kRootInode, ""), Fails(EINVAL));
  EXPECT_THAT(fs_.notifier->DeleteEntry(kRootInode, kFile, too_long), Fails(ENAMETOOLONG));
  EXPECT_THAT(fs_.notifier->DeleteEntry(kRootInode, kFile, ""), Fails(EINVAL));
  EXPECT_THAT(fs_.notifier->InvalidateEntry(InodeNumber{99}, "file"), Fails(ENOENT));
}

TEST_F(NotifierTest, PrunedInodesAreForgotten) {
  EXPECT_EQ(Size("file"), 6);
  const std::vector<InodeNumber> too_many(Notifier::kMaxPrune + 1, kFile);
  EXPECT_THAT(fs_.notifier->Prune(too_many), Fails(EINVAL));
  const InodeNumber inodes[] = {InodeNumber{99}, kFile};
  const Result<void> pruned = fs_.notifier->Prune(inodes);
  if (!pruned.ok() && !test::KernelAtLeast(6, 19)) {
    EXPECT_THAT(pruned, Fails(EINVAL));
    return;
  }
  EXPECT_THAT(pruned, Succeeds());
  std::unique_lock<std::mutex> lock(fs_.mu);
  fs_.forget.wait(lock, [this] { return fs_.forgotten[kFile] == 1; });
}

TEST_F(NotifierTest, NotificationsFailOnceTheMountIsGone) {
  EXPECT_EQ(Size("file"), 6);
  ASSERT_EQ(umount2(directory().c_str(), 0), 0) << std::strerror(errno);
  ASSERT_TRUE(session_->WaitFor(absl::Seconds(20)));
  EXPECT_THAT(fs_.notifier->InvalidateAttributes(kFile), Fails(ENOENT));
  EXPECT_THAT(fs_.notifier->InvalidateEntry(kRootInode, "file"), Fails(ENOENT));
}

}  // namespace
}  // namespace memfuse::transport

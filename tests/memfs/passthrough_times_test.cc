// The times of passthrough files under the kernel's reads and writes and under calls that set
// times.

#include <fcntl.h>
#include <linux/fs.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "src/base/clock.h"
#include "tests/memfs/passthrough_test_base.h"

namespace memfuse::memfs {
namespace {

using base::UniqueFd;

class PassthroughTimesTest : public PassthroughTest {
 protected:
  struct Change {
    const char* name;
    std::function<Result<void>()> call;
  };
  // Each operation that moves the ctime of a file without its data, in turn. The first name is
  // "file".
  std::vector<Change> Changes(InodeNumber file) {
    for (const char* other : {"target", "partner", "source"})
      me_.Forget(Ino(me_.Mknod(kRootInode, other)));
    const auto rename = [this](const char* from, const char* to, uint32_t flags = 0) {
      return [=] { return me_.Rename(kRootInode, from, kRootInode, to, flags); };
    };
    const auto set_flags = [=]() -> Result<void> {
      const uint32_t flags = FS_NODUMP_FL;
      IoctlRequest request{};
      request.ino = file;
      request.command = FS_IOC_SETFLAGS;
      request.input = {reinterpret_cast<const char*>(&flags), sizeof(flags)};
      MEMFUSE_RETURN_IF_ERROR(fs_->Ioctl(me_.context(), request));
      return {};
    };
    const auto link = [=]() -> Result<void> {
      MEMFUSE_RETURN_IF_ERROR(me_.Link(file, kRootInode, "second"));
      return {};
    };
    return {{"a new xattr", [=] { return me_.Setxattr(file, "user.a", "v"); }},
            {"an xattr less", [=] { return me_.Removexattr(file, "user.a"); }},
            {"flags", set_flags},
            {"a name more", link},
            {"a name less", [=] { return me_.Unlink(kRootInode, "second"); }},
            {"another name", rename("file", "other")},
            {"the name of another file", rename("other", "target")},
            {"names exchanged", rename("target", "partner", RENAME_EXCHANGE)},
            {"names exchanged back", rename("target", "partner", RENAME_EXCHANGE)},
            {"a whiteout left", rename("target", "file", RENAME_WHITEOUT)},
            {"a name more again", link},
            {"a name taken by another file", rename("source", "second")}};
  }
};

TEST_F(PassthroughTimesTest, ExplicitTimesStayUntilTheNextWrite) {
  const CreateResult made = Create("file", O_RDWR);
  const UniqueFd served = Serve(made.open, O_RDWR);
  Write(served, 0, "data");
  AgeTimes(made.entry.ino);
  EXPECT_EQ(MovedTimes(made.entry.ino), "");
  char byte;
  ASSERT_EQ(pread(served.get(), &byte, 1, 0), 1);
  EXPECT_EQ(MovedTimes(made.entry.ino), "a");
  Write(served, 0, "more");
  EXPECT_EQ(MovedTimes(made.entry.ino), "amc");
}

// A file without data, made by mknod(2), is opened for the first time.
TEST_F(PassthroughTimesTest, TheFirstOpenMovesNoTime) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  const Timestamp later{base::Now().seconds + 3600, 5};
  SetattrRequest request{};
  request.ino = file;
  request.atime = {TimeChange::Kind::kSet, later};
  request.mtime = {TimeChange::Kind::kSet, kOld};
  request.ctime = kOld;
  Must(me_.Setattr(request));
  const OpenResult open = Must(me_.Open(file, O_RDONLY));
  PassATick();
  char byte;
  ASSERT_EQ(pread(Serve(open, O_RDONLY).get(), &byte, 1, 0), 0);
  EXPECT_EQ(Stat(file).atime, later);
  EXPECT_EQ(Stat(file).mtime, kOld);
}

// utimensat(2) on the backing file could wait for a write(2) by the other open.
TEST_F(PassthroughTimesTest, AnOpenForReadingLeavesTheBackingTimesAloneBesideAnOpenForWriting) {
  const CreateResult made = Create("file", O_WRONLY);
  const InodeNumber file = made.entry.ino;
  Write(Serve(made.open, O_WRONLY), 0, "data");
  const auto read = [&] {
    const OpenResult open = Must(me_.Open(file, O_RDONLY));
    PassATick();
    char byte;
    EXPECT_EQ(pread(Serve(open, O_RDONLY).get(), &byte, 1, 0), 1);
    EXPECT_THAT(fs_->Release(me_.context(), {file, {}, O_RDONLY}), Succeeds());
    return Stat(file).atime;
  };
  const Timestamp first = read();
  PassATick();
  ASSERT_THAT(me_.Rename(kRootInode, "file", kRootInode, "other"), Succeeds());
  EXPECT_EQ(read(), first);
  ASSERT_THAT(fs_->Release(me_.context(), {file, {}, O_WRONLY}), Succeeds());
  EXPECT_LT(first, read());
}

// The kernel sends the same request for open(2) with O_TRUNC as for truncate(2).
TEST_F(PassthroughTimesTest, SizeZeroMovesTheTimesOfAnEmptyFile) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  AgeTimes(file);
  ASSERT_THAT(me_.Truncate(file, 0), Succeeds());
  EXPECT_EQ(MovedTimes(file), "mc");
}

// An operation that moves ctime without the data keeps its ctime when the store calls fstat.
TEST_F(PassthroughTimesTest, CtimeNeverGoesBack) {
  const CreateResult made = Create("file", O_RDWR);
  const InodeNumber file = made.entry.ino;
  const UniqueFd served = Serve(made.open, O_RDWR);
  const std::function<Result<void>()> changes[] = {
      [&] { return me_.Setxattr(file, "user.a", "v"); },
      [&] { return me_.Rename(kRootInode, "file", kRootInode, "other"); },
      [&]() -> Result<void> {
        MEMFUSE_RETURN_IF_ERROR(me_.Link(file, kRootInode, "third"));
        return {};
      },
      [&] { return me_.Unlink(kRootInode, "third"); },
  };
  for (const auto& change : changes) {
    Write(served, 0, "data");
    PassATick();
    const Timestamp before = base::Now();
    ASSERT_THAT(change(), Succeeds());
    EXPECT_LE(before, Stat(file).ctime);
    EXPECT_LT(Stat(file).mtime, before);
  }
}

// A write that the store has not seen came before the change, and has its own time.
TEST_F(PassthroughTimesTest, AWriteIsNotLaterThanTheChangeThatFollowsIt) {
  for (const uint32_t flags : {O_WRONLY, O_RDWR}) {
    for (const bool closed : {false, true}) {
      const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
      for (const Change& change : Changes(file)) {
        SCOPED_TRACE(testing::Message() << change.name << (closed ? ", closed" : ""));
        UniqueFd served = Serve(Must(me_.Open(file, flags)), O_WRONLY);
        const Timestamp opened = base::Now();
        Write(served, 0, "data");
        const Timestamp written = base::Now();
        served.reset();
        if (closed) {
          ASSERT_THAT(me_.Release(file, flags), Succeeds());
        }
        ASSERT_THAT(change.call(), Succeeds());
        const Attributes now = Stat(file);
        EXPECT_LE(now.mtime, written);
        EXPECT_LT(opened.seconds - 1, now.mtime.seconds);
        EXPECT_LE(written, now.ctime);
        if (!closed) {
          ASSERT_THAT(me_.Release(file, flags), Succeeds());
        }
      }
      for (const char* name : {"file", "partner", "second", "target"}) {
        ASSERT_THAT(me_.Unlink(kRootInode, name), Succeeds());
      }
      me_.Forget(file, 3);
      ExpectNothingLeft();
    }
  }
}

TEST_F(PassthroughTimesTest, AWriteIsNotLaterThanAnOpenAfterTheChangeThatFollowsIt) {
  for (const bool writes_again : {false, true}) {
    const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
    for (const Change& change : Changes(file)) {
      SCOPED_TRACE(change.name);
      Write(Serve(Must(me_.Open(file, O_WRONLY)), O_WRONLY), 0, "data");
      const Timestamp written = base::Now();
      ASSERT_THAT(me_.Release(file, O_WRONLY), Succeeds());
      ASSERT_THAT(change.call(), Succeeds());
      const Timestamp changed = base::Now();
      const OpenResult open = Must(me_.Open(file, O_WRONLY));
      if (writes_again) Write(Serve(open, O_WRONLY), 0, "more");
      const Attributes now = Stat(file);
      if (writes_again) {
        EXPECT_LE(changed, now.mtime);
        EXPECT_LE(changed, now.ctime);
      } else {
        EXPECT_LE(now.mtime, written);
        EXPECT_LE(now.ctime, changed);
      }
      ASSERT_THAT(me_.Release(file, O_WRONLY), Succeeds());
    }
    for (const char* name : {"file", "partner", "second", "target"}) {
      ASSERT_THAT(me_.Unlink(kRootInode, name), Succeeds());
    }
  }
}

}  // namespace
}  // namespace memfuse::memfs

// GETATTR, SETATTR, STATX, ACCESS.

#include <linux/capability.h>
#include <unistd.h>

#include <string>

#include "src/base/clock.h"
#include "tests/memfs/memfs_test_base.h"
#include "tests/testing/child_process.h"

namespace memfuse::memfs {
namespace {

using test::BecomeUser;
using test::ForkIntoUserNamespace;
using test::SetCapabilities;
using test::WithChild;

class AttributesTest : public MemFsTest {
 protected:
  uint32_t Permissions(InodeNumber ino) const { return Stat(ino).mode & 07777; }
  // Makes a file of mode `mode` with data and a file capability.
  InodeNumber Privileged(const std::string& name, uint32_t mode) {
    const InodeNumber file = Ino(me_.Mknod(kRootInode, name, mode));
    EXPECT_THAT(me_.Write(file, 0, "data"), Succeeds());
    EXPECT_THAT(me_.Setxattr(file, kCapabilityName, "cap"), Succeeds());
    return file;
  }
};

TEST_F(AttributesTest, ASizeAndAnOwnerDoNotGoTogether) {
  const InodeNumber file = Ino(me_.Create(kRootInode, "file"));
  SetattrRequest request{};
  request.ino = file;
  request.size = 10;
  request.uid = 1;
  EXPECT_THAT(me_.Setattr(request), Fails(EINVAL));
  EXPECT_EQ(Stat(file).size, 0u);
  EXPECT_EQ(Stat(file).uid, 0u);
}

TEST_F(AttributesTest, ErrorsOfASize) {
  EXPECT_THAT(me_.Truncate(GoneInode(), 1), Fails(ESTALE));
  EXPECT_THAT(me_.Truncate(kRootInode, ~uint64_t{0}), Fails(EISDIR));
  EXPECT_THAT(me_.Truncate(Ino(me_.Symlink(kRootInode, "link", "to")), ~uint64_t{0}),
              Fails(EINVAL));
  EXPECT_THAT(me_.Truncate(Ino(me_.Mknod(kRootInode, "fifo", S_IFIFO)), 0), Fails(EINVAL));
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  EXPECT_THAT(me_.Truncate(file, uint64_t{1} << 63), Fails(EFBIG));
  EXPECT_THAT(me_.Truncate(file, (uint64_t{1} << 63) - 1), Succeeds());
  EXPECT_EQ(Stat(file).size, (uint64_t{1} << 63) - 1);
  EXPECT_EQ(Stat(file).blocks, 0u);
}

TEST_F(AttributesTest, AFailedRequestChangesNothing) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file", 0644));
  AgeTimes(file);
  SetattrRequest request{};
  request.ino = file;
  request.mode = 0600;
  request.size = uint64_t{1} << 63;
  EXPECT_THAT(me_.Setattr(request), Fails(EFBIG));
  EXPECT_EQ(Permissions(file), 0644u);
  EXPECT_EQ(MovedTimes(file), "");
  request.size = 10;
  request.mtime = {TimeChange::Kind::kSet, {-5, 7}};
  const Attributes after = Must(me_.Setattr(request)).attributes;
  EXPECT_EQ(after.mode, static_cast<uint32_t>(S_IFREG | 0600));
  EXPECT_EQ(after.size, 10u);
  EXPECT_EQ(after.mtime, (Timestamp{-5, 7}));
  EXPECT_EQ(after.atime, kOld);
  EXPECT_NE(after.ctime, kOld);
}

TEST_F(AttributesTest, TypeBitsOfAModeAreIgnored) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  ASSERT_THAT(me_.Chmod(dir, S_IFREG | 01751), Succeeds());
  EXPECT_EQ(Stat(dir).mode, static_cast<uint32_t>(S_IFDIR | 01751));
}

TEST_F(AttributesTest, TimesAreKeptOrSetOrTakenFromTheClock) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  AgeTimes(file);
  const Timestamp before = base::Now();
  SetattrRequest request{};
  request.ino = file;
  request.atime.kind = TimeChange::Kind::kNow;
  Must(me_.Setattr(request));
  EXPECT_EQ(MovedTimes(file), "ac");
  EXPECT_LE(before, Stat(file).atime);
  EXPECT_LE(Stat(file).atime, base::Now());
  EXPECT_EQ(Stat(file).atime, Stat(file).ctime);

  AgeTimes(file);
  request.atime.kind = TimeChange::Kind::kKeep;
  request.ctime = Timestamp{42, 43};
  Must(me_.Setattr(request));
  EXPECT_EQ(Stat(file).ctime, (Timestamp{42, 43}));
  EXPECT_EQ(Stat(file).mtime, kOld);
}

TEST_F(AttributesTest, EachChangeMovesItsTimes) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  AgeTimes(file);
  ASSERT_THAT(me_.Chmod(file, 0600), Succeeds());
  EXPECT_EQ(MovedTimes(file), "c");
  AgeTimes(file);
  ASSERT_THAT(me_.Chown(file, 1, 1), Succeeds());
  EXPECT_EQ(MovedTimes(file), "c");
  AgeTimes(file);
  ASSERT_THAT(me_.Truncate(file, 100), Succeeds());
  EXPECT_EQ(MovedTimes(file), "mc");
  AgeTimes(file);
  ASSERT_THAT(me_.Truncate(file, 10), Succeeds());
  EXPECT_EQ(MovedTimes(file), "mc");
  AgeTimes(file);
  ASSERT_THAT(me_.Getattr(file), Succeeds());
  EXPECT_EQ(MovedTimes(file), "");
}

TEST_F(AttributesTest, AChangeOfOwnerClearsSetIdBitsAndCapabilities) {
  const InodeNumber file = Privileged("file", 06755);
  ASSERT_THAT(me_.Chown(file, 1, 2), Succeeds());
  EXPECT_EQ(Permissions(file), 0755u);
  EXPECT_THAT(me_.Getxattr(file, kCapabilityName), Fails(ENODATA));
  // A setgid bit without execute permission for the group gives a group member no privilege.
  const InodeNumber locking = Privileged("locking", 06745);
  ASSERT_THAT(me_.Chown(locking, 1, 2), Succeeds());
  EXPECT_EQ(Permissions(locking), 02745u);
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir", 06755));
  ASSERT_THAT(me_.Chown(dir, 1, 2), Succeeds());
  EXPECT_EQ(Permissions(dir), 06755u);
}

// S_ISGID without group execute permission, changed by callers outside the file's group. Linux 6.12
// and newer send the thread's PID without ids. For a thread in another PID namespace they do not
// send the PID either.
TEST_F(AttributesTest, AChangeOfOwnerByAPrivilegedCallerKeepsAnEmptySetGroupBit) {
  const InodeNumber file = Privileged("file", 0644);
  const auto mode_after = [&](const Caller& caller, SetattrRequest request) {
    Must(me_.Chown(file, 500, 600));
    Must(me_.Chmod(file, 02764));
    request.ino = file;
    request.kill_suidgid = true;  // the kernel sets it in each of these requests
    Must(caller.Setattr(request));
    return Permissions(file);
  };
  SetattrRequest give{}, keep{}, cut{};
  give.uid = 501;
  keep.uid = 500;
  cut.size = 1;
  Caller thread(fs_.get());
  thread.set_thread(0);
  EXPECT_EQ(mode_after(thread, give), 02764u);
  EXPECT_EQ(mode_after(thread, keep), 02764u);
  EXPECT_EQ(mode_after(thread, cut), 0764u) << "the kernel found no capability";
  EXPECT_EQ(mode_after(Caller(fs_.get(), 0, 0), give), 02764u) << "user 0, by an older kernel";
  EXPECT_EQ(mode_after(Caller(fs_.get(), 500, 600), keep), 02764u) << "of the group";
  EXPECT_EQ(mode_after(Caller(fs_.get(), 500, 500), keep), 0764u) << "an owner outside the group";
  // The root of a container owns the file as an idmapped mount shows it.
  WithChild([] { return true; },
            [&](uint32_t pid) {
              thread.set_thread(pid);
              EXPECT_EQ(mode_after(thread, give), 02764u);
              EXPECT_EQ(mode_after(thread, cut), 0764u);
            },
            ForkIntoUserNamespace);
  WithChild([] { return SetCapabilities(0); },
            [&](uint32_t pid) {
              thread.set_thread(pid);
              EXPECT_EQ(mode_after(thread, give), 0764u);
            });
  if (geteuid() != 0) return;  // only root has the capability
  WithChild([] { return BecomeUser(77, uint32_t{1} << CAP_FSETID); },
            [&](uint32_t pid) {
              thread.set_thread(pid);
              EXPECT_EQ(mode_after(thread, give), 02764u);
            });
}

TEST_F(AttributesTest, AChangeOfSizeClearsSetIdBitsOnRequest) {
  const InodeNumber file = Privileged("file", 06755);
  SetattrRequest request{};
  request.ino = file;
  request.size = 2;
  Must(me_.Setattr(request));
  EXPECT_EQ(Permissions(file), 06755u);
  EXPECT_THAT(me_.Getxattr(file, kCapabilityName), Fails(ENODATA));
  request.size = 1;
  request.kill_suidgid = true;
  Must(me_.Setattr(request));
  EXPECT_EQ(Permissions(file), 0755u);
}

TEST_F(AttributesTest, ARequestToKillSetIdBitsAloneClearsThem) {
  const InodeNumber file = Privileged("file", 06755);
  AgeTimes(file);
  SetattrRequest request{};
  request.ino = file;
  request.kill_suidgid = true;
  Must(me_.Setattr(request));
  EXPECT_EQ(Permissions(file), 0755u);
  EXPECT_THAT(me_.Getxattr(file, kCapabilityName), Fails(ENODATA));
  EXPECT_EQ(MovedTimes(file), "c");
}

TEST_F(AttributesTest, ChmodMaySetBitsThatAChownCleared) {
  const InodeNumber file = Privileged("file", 04755);
  SetattrRequest request{};
  request.ino = file;
  request.uid = 7;
  request.mode = 04711;
  Must(me_.Setattr(request));
  EXPECT_EQ(Permissions(file), 04711u);
}

TEST_F(AttributesTest, StatxAgreesWithGetattrAndHasTheBirthTime) {
  const Timestamp before = base::Now();
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  ASSERT_THAT(me_.Write(file, 5000, "x"), Succeeds());
  StatxRequest request{};
  request.ino = file;
  const Attributes a = Must(fs_->Statx(me_.context(), request)).attributes;
  EXPECT_LE(before, a.btime);
  EXPECT_LE(a.btime, base::Now());
  EXPECT_EQ(a.size, 5001u);
  EXPECT_EQ(a.blocks, 8u);
  EXPECT_EQ(a.blksize, 4096u);
  AgeTimes(file);
  EXPECT_EQ(Stat(file).btime, a.btime);
  request.ino = GoneInode();
  EXPECT_THAT(fs_->Statx(me_.context(), request), Fails(ESTALE));
}

TEST_F(AttributesTest, AccessFollowsOwnerGroupAndOther) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file", 0741));
  ASSERT_THAT(me_.Chown(file, 10, 20), Succeeds());
  const auto allowed = [&](uint32_t uid, uint32_t gid) {
    const Caller caller(fs_.get(), uid, gid);
    uint32_t mask = 0;
    for (const uint32_t bit : {R_OK, W_OK, X_OK}) {
      if (fs_->Access(caller.context(), {file, bit}).ok()) mask |= bit;
    }
    EXPECT_THAT(fs_->Access(caller.context(), {file, F_OK}), Succeeds());
    return mask;
  };
  EXPECT_EQ(allowed(10, 99), 7u);
  EXPECT_EQ(allowed(11, 20), 4u);
  EXPECT_EQ(allowed(11, 21), 1u);
  EXPECT_EQ(allowed(0, 0), 7u);
  ASSERT_THAT(me_.Chmod(file, 0), Succeeds());
  EXPECT_EQ(allowed(0, 0), 6u);
  EXPECT_EQ(allowed(10, 20), 0u);
  EXPECT_THAT(fs_->Access(Caller(fs_.get(), 10).context(), {file, R_OK}), Fails(EACCES));
  EXPECT_THAT(fs_->Access(me_.context(), {GoneInode(), F_OK}), Fails(ESTALE));
}

}  // namespace
}  // namespace memfuse::memfs

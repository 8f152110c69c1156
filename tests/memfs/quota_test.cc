// Quotas of users and groups, through the operations of the file system.

#include <fcntl.h>

#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "src/memfs/data/arena.h"
#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

constexpr uint32_t kAliceUid = 1000;
constexpr uint32_t kBobUid = 2000;
constexpr uint32_t kUsersGid = 100;

class QuotaTest : public MemFsTest {
 protected:
  QuotaTest() : MemFsTest(SmallOptions(64 << 20)) {
    EXPECT_THAT(me_.Chmod(kRootInode, 0777), Succeeds());
  }

  void LimitUser(uint32_t uid, uint64_t bytes, uint64_t inodes = kNoQuota) {
    EXPECT_THAT(fs_->SetQuota({QuotaKind::kUser, uid, bytes, inodes}), Succeeds());
  }
  QuotaUsage UsageOf(QuotaKind kind, uint32_t id) const {
    for (const QuotaUsage& usage : fs_->UsageByOwner()) {
      if (usage.kind == kind && usage.id == id) return usage;
    }
    return QuotaUsage();
  }
  uint64_t BytesOf(uint32_t uid) const { return UsageOf(QuotaKind::kUser, uid).bytes; }

  const Caller alice_{fs_.get(), kAliceUid, kUsersGid};
  const Caller bob_{fs_.get(), kBobUid, kUsersGid};
};

TEST_F(QuotaTest, AFileIsWrittenUpToTheLastPageOfTheQuota) {
  const InodeNumber file = Ino(alice_.Create(kRootInode, "file"));
  LimitUser(kAliceUid, BytesOf(kAliceUid) + (1 << 20));
  const std::string data(256 << 10, 'x');
  uint64_t written = 0;
  for (;;) {
    const Result<size_t> count = alice_.Write(file, written, data);
    if (!count.ok()) {
      EXPECT_THAT(count, Fails(EDQUOT));
      break;
    }
    written += *count;
  }
  // The page table takes a part.
  EXPECT_GE(written, (1u << 20) - 3 * kPageSize);
  EXPECT_LE(written, 1u << 20);
  EXPECT_LT(UsageOf(QuotaKind::kUser, kAliceUid).byte_limit - BytesOf(kAliceUid), kPageSize);
  // What exists can be changed, and others are not concerned.
  EXPECT_THAT(alice_.Write(file, 0, data), Succeeds());
  const InodeNumber other = Ino(bob_.Create(kRootInode, "other"));
  EXPECT_THAT(bob_.Write(other, 0, data), Succeeds());
  // Space that is given back can be used again.
  EXPECT_THAT(alice_.Truncate(file, written - data.size()), Succeeds());
  EXPECT_THAT(alice_.Write(file, written - data.size(), data), Succeeds());
  ExpectSumsAgree();
}

TEST_F(QuotaTest, TheOwnerOfTheFileIsChargedAndNotTheWriter) {
  const InodeNumber file = Ino(alice_.Create(kRootInode, "file", 0666));
  LimitUser(kAliceUid, BytesOf(kAliceUid) + 4096);
  EXPECT_THAT(me_.Write(file, 0, std::string(64 << 10, 'x')), Fails(EDQUOT));
  ExpectSumsAgree();
}

TEST_F(QuotaTest, InodesAreLimited) {
  LimitUser(kAliceUid, kNoQuota, 2);
  EXPECT_THAT(alice_.Create(kRootInode, "1"), Succeeds());
  EXPECT_THAT(alice_.Mkdir(kRootInode, "2"), Succeeds());
  EXPECT_THAT(alice_.Symlink(kRootInode, "3", "x"), Fails(EDQUOT));
  EXPECT_THAT(alice_.Mkdir(kRootInode, "3"), Fails(EDQUOT));
  EXPECT_THAT(bob_.Create(kRootInode, "3"), Succeeds());
  EXPECT_THAT(me_.Chown(Ino(me_.Lookup(kRootInode, "3")), kAliceUid, kUsersGid), Fails(EDQUOT));
  EXPECT_EQ(Stat(Ino(me_.Lookup(kRootInode, "3"))).uid, kBobUid);
  ExpectSumsAgree();
}

TEST_F(QuotaTest, NamesAndXattrsCount) {
  const InodeNumber dir = Ino(alice_.Mkdir(kRootInode, "dir", 0777));
  const uint64_t before = BytesOf(kAliceUid);
  const InodeNumber file = Ino(bob_.Create(dir, std::string(200, 'n')));
  EXPECT_GE(BytesOf(kAliceUid), before + 200);  // the name belongs to the directory
  LimitUser(kAliceUid, BytesOf(kAliceUid) + 100);
  EXPECT_THAT(bob_.Create(dir, std::string(201, 'n')), Fails(EDQUOT));
  EXPECT_THAT(bob_.Link(file, dir, std::string(201, 'n')), Fails(EDQUOT));
  EXPECT_THAT(alice_.Setxattr(dir, "user.a", std::string(300, 'v')), Fails(EDQUOT));
  ExpectSumsAgree();
}

TEST_F(QuotaTest, ChownMovesEverythingThatAFileTakes) {
  const InodeNumber file = Ino(alice_.Create(kRootInode, "file"));
  EXPECT_THAT(alice_.Write(file, 0, std::string(300 << 10, 'x')), Succeeds());
  EXPECT_THAT(alice_.Setxattr(file, "user.a", "value"), Succeeds());
  const InodeNumber small = Ino(alice_.Create(kRootInode, "small"));
  EXPECT_THAT(alice_.Write(small, 0, "inline"), Succeeds());
  const InodeNumber dir = Ino(alice_.Mkdir(kRootInode, "dir"));
  EXPECT_THAT(alice_.Create(dir, "name"), Succeeds());
  const uint64_t before = BytesOf(kAliceUid);
  LimitUser(kBobUid, 200 << 10);
  EXPECT_THAT(me_.Chown(file, kBobUid, kUsersGid), Fails(EDQUOT));
  EXPECT_EQ(BytesOf(kAliceUid), before);
  EXPECT_EQ(Stat(file).uid, kAliceUid);
  LimitUser(kBobUid, 400 << 10);
  for (const InodeNumber ino : {file, small, dir}) {
    EXPECT_THAT(me_.Chown(ino, kBobUid, kUsersGid), Succeeds());
  }
  EXPECT_THAT(me_.Chown(Ino(me_.Lookup(dir, "name")), kBobUid, kUsersGid), Succeeds());
  EXPECT_EQ(BytesOf(kAliceUid), 0u);
  EXPECT_EQ(BytesOf(kBobUid), before);
  ExpectSumsAgree();
  // The charges are given back to the new owner.
  EXPECT_THAT(me_.Unlink(dir, "name"), Succeeds());
  EXPECT_THAT(me_.Truncate(file, 0), Succeeds());
  EXPECT_THAT(me_.Truncate(small, 0), Succeeds());
  EXPECT_THAT(me_.Removexattr(file, "user.a"), Succeeds());
  EXPECT_LT(BytesOf(kBobUid), 5000u);
  ExpectSumsAgree();
}

// Also S_ISGID without group execute permission, which a caller outside of the group removes.
TEST_F(QuotaTest, ARefusedChownKeepsSetIdBits) {
  const Caller outsider(fs_.get(), kAliceUid, 4321);
  for (const uint32_t mode : {04755u, 02644u}) {
    const InodeNumber file = Ino(alice_.Create(kRootInode, std::to_string(mode)));
    EXPECT_THAT(me_.Chmod(file, mode), Succeeds());
    LimitUser(kBobUid, 10);
    EXPECT_THAT(outsider.Chown(file, kBobUid, kUsersGid), Fails(EDQUOT));
    EXPECT_EQ(Stat(file).mode & 07777, mode);
    LimitUser(kBobUid, kNoQuota);
    EXPECT_THAT(outsider.Chown(file, kBobUid, kUsersGid), Succeeds());
    EXPECT_EQ(Stat(file).mode & 07000, 0u);
  }
}

TEST_F(QuotaTest, TheGroupOfASetgidDirectoryIsCharged) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir", 0777));
  EXPECT_THAT(me_.Chown(dir, 0, 77), Succeeds());
  EXPECT_THAT(me_.Chmod(dir, 02777), Succeeds());
  EXPECT_THAT(fs_->SetQuota({QuotaKind::kGroup, 77, 1 << 20, kNoQuota}), Succeeds());
  const InodeNumber file = Ino(alice_.Create(dir, "file"));
  EXPECT_THAT(alice_.Fallocate(file, 0, 0, 2 << 20), Fails(EDQUOT));
  EXPECT_THAT(alice_.Fallocate(file, 0, 0, 512 << 10), Succeeds());
  EXPECT_GE(UsageOf(QuotaKind::kGroup, 77).bytes, 512u << 10);
  ExpectSumsAgree();
}

TEST_F(QuotaTest, ACopyEndsAtTheQuota) {
  const InodeNumber source = Ino(bob_.Create(kRootInode, "source", 0666));
  EXPECT_THAT(bob_.Fallocate(source, 0, 0, 1 << 20), Succeeds());
  EXPECT_THAT(bob_.Write(source, 0, std::string(1 << 20, 'x')), Succeeds());
  const InodeNumber copy = Ino(alice_.Create(kRootInode, "copy"));
  LimitUser(kAliceUid, BytesOf(kAliceUid) + (256 << 10));
  const Result<uint64_t> done = alice_.Copy(source, 0, copy, 0, 1 << 20);
  ASSERT_THAT(done, Succeeds());
  EXPECT_LE(*done, 256u << 10);
  EXPECT_GE(*done, (256u << 10) - 3 * kPageSize);
  EXPECT_THAT(alice_.Copy(source, *done, copy, *done, 1 << 20), Fails(EDQUOT));
  ExpectSumsAgree();
}

// Eight writers of three users at their limits, while a thread moves files between the users. No
// quota is exceeded at any moment, and the sums agree in the end.
TEST_F(QuotaTest, EightWritersOfThreeUsers) {
  constexpr uint64_t kUserLimit = 2 << 20;
  for (const uint32_t uid : {1u, 2u, 3u}) LimitUser(uid, kUserLimit);
  std::atomic<bool> stop{false};
  std::atomic<int> exceeded{0};
  std::atomic<int> refused{0};
  std::vector<InodeNumber> files;
  for (uint32_t i = 0; i < 8; ++i) {
    const Caller user(fs_.get(), 1 + i % 3, kUsersGid);
    files.push_back(Ino(user.Create(kRootInode, std::to_string(i), 0666)));
  }
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const Caller writer(fs_.get());
      const std::string data(100'000 + 1000 * i, 'w');
      for (int round = 0; round < 60; ++round) {
        for (uint64_t at = 0; at < 12 * data.size(); at += data.size()) {
          const Result<size_t> count = writer.Write(files[i], at, data);
          if (!count.ok()) {
            EXPECT_THAT(count, Fails(EDQUOT));
            ++refused;
            break;
          }
        }
        EXPECT_THAT(writer.Truncate(files[i], 50'000 * (round % 3)), Succeeds());
      }
    });
  }
  threads.emplace_back([&] {
    for (uint32_t i = 0; !stop; ++i) {
      (void)me_.Chown(files[i % 8], 1 + i % 3, kUsersGid);
      for (const QuotaUsage& usage : fs_->UsageByOwner()) {
        if (usage.bytes > usage.byte_limit) ++exceeded;
      }
    }
  });
  for (size_t i = 0; i < 8; ++i) threads[i].join();
  stop = true;
  threads.back().join();
  EXPECT_EQ(exceeded, 0);
  EXPECT_GT(refused, 0);
  ExpectSumsAgree();
}

// Every refusal names its limit. Those that a retry avoids are not counted.
TEST_F(QuotaTest, RefusalsNameTheLimit) {
  EXPECT_TRUE(fs_->Refusals().empty());
  const InodeNumber file = Ino(alice_.Create(kRootInode, "file"));
  LimitUser(kAliceUid, BytesOf(kAliceUid) + 5000, 1);
  EXPECT_THAT(alice_.Write(file, 0, std::string(100'000, 'x')), Succeeds());
  EXPECT_THAT(alice_.Write(file, 100'000, std::string(100'000, 'x')), Fails(EDQUOT));
  EXPECT_THAT(alice_.Mkdir(kRootInode, "dir"), Fails(EDQUOT));
  EXPECT_THAT(bob_.Fallocate(Ino(bob_.Create(kRootInode, "b")), 0, 0, 65 << 20), Fails(ENOSPC));
  const std::vector<Refusal> refusals = fs_->Refusals();
  ASSERT_EQ(refusals.size(), 3u);
  EXPECT_EQ(refusals[0].owner, Refusal::Owner::kFileSystem);
  EXPECT_EQ(refusals[0].asked, 65u << 20);
  EXPECT_EQ(refusals[0].uid, kBobUid);
  EXPECT_EQ(refusals[1].limit, Refusal::Limit::kInodes);
  EXPECT_EQ(refusals[1].owner, Refusal::Owner::kUser);
  EXPECT_EQ(refusals[1].id, kAliceUid);
  EXPECT_EQ(refusals[1].asked, 1u);
  EXPECT_EQ(refusals[1].left, 0u);
  EXPECT_EQ(refusals[2].limit, Refusal::Limit::kBytes);
  EXPECT_LT(refusals[2].left, kPageSize);
  EXPECT_EQ(refusals[2].count, 1u);
}

TEST_F(QuotaTest, NothingRemainsOfAnOwnerWithoutFiles) {
  const size_t before = fs_->UsageByOwner().size();
  const InodeNumber file = Ino(alice_.Create(kRootInode, "file"));
  EXPECT_EQ(fs_->UsageByOwner().size(), before + 2);
  EXPECT_THAT(alice_.Unlink(kRootInode, "file"), Succeeds());
  EXPECT_THAT(alice_.Release(file, O_RDWR), Succeeds());
  alice_.Forget(file);
  EXPECT_EQ(fs_->UsageByOwner().size(), before);
}

}  // namespace
}  // namespace memfuse::memfs

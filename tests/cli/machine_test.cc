// Memory limits, read from a made-up /proc and /sys.

#include "src/cli/machine.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <optional>
#include <string>

#include "src/cli/memory_cgroup.h"
#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {
namespace {

constexpr char kV2Mount[] = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
constexpr char kV1Mount[] =
    "36 25 0:31 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n"
    "37 25 0:32 / /sys/fs/cgroup/cpu rw shared:11 - cgroup cgroup rw,cpu\n";

class CgroupTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) { root_.WriteFile(path, text); }
  void WriteProc(const std::string& cgroup, const std::string& mountinfo) {
    Write("proc/self/cgroup", cgroup);
    Write("proc/self/mountinfo", "24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n" + mountinfo);
  }
  std::optional<uint64_t> Limit() { return MemoryCgroup(root_.path()).ReadLimit(); }

  TemporaryDirectory root_;
};

// The share that is kept for programs is an eighth of the limit.
TEST_F(CgroupTest, V2RoomIsWhatCannotBeReclaimed) {
  WriteProc("0::/a\n", kV2Mount);
  EXPECT_FALSE(MemoryCgroup(root_.path()).ReadRoom().has_value());
  Write("sys/fs/cgroup/a/memory.max", "8000000\n");
  EXPECT_FALSE(MemoryCgroup(root_.path()).ReadRoom().has_value()) << "the use is not known";
  Write("sys/fs/cgroup/a/memory.current", "5000000\n");
  Write("sys/fs/cgroup/a/memory.stat",
        "anon 3000000\nshmem 1000000\nactive_file 300000\ninactive_file 200000\n"
        "slab_reclaimable 100000\nslab_unreclaimable 400000\n");
  const MemoryCgroup cgroup(root_.path());
  std::optional<MemoryCgroup::Room> room = cgroup.ReadRoom();
  ASSERT_TRUE(room.has_value());
  EXPECT_EQ(room->limit, 8'000'000u);
  EXPECT_EQ(room->available, 3'600'000u);
  EXPECT_EQ(room->for_files(), 2'600'000u);
  // memory.high throttles before memory.max kills.
  Write("sys/fs/cgroup/a/memory.high", "4800000\n");
  room = cgroup.ReadRoom();
  EXPECT_EQ(room->available, 400'000u);
  EXPECT_EQ(room->for_files(), 0u);
}

TEST_F(CgroupTest, V2RoomOfTheTightestLevel) {
  WriteProc("0::/a/b\n", kV2Mount);
  Write("sys/fs/cgroup/a/b/memory.max", "8000000\n");
  Write("sys/fs/cgroup/a/b/memory.current", "1000000\n");
  Write("sys/fs/cgroup/a/memory.max", "16000000\n");
  Write("sys/fs/cgroup/a/memory.current", "13000000\n");
  EXPECT_EQ(MemoryCgroup(root_.path()).ReadRoom()->limit, 16'000'000u);
  EXPECT_EQ(MemoryCgroup(root_.path()).ReadRoom()->for_files(), 1'000'000u);
}

TEST_F(CgroupTest, V1RoomCountsTheGroupsBelow) {
  WriteProc("4:memory:/a\n", kV1Mount);
  Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8000000\n");
  Write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "9000000\n");
  Write("sys/fs/cgroup/memory/a/memory.stat",
        "active_file 1\ntotal_active_file 3000000\ntotal_inactive_file 1000000\n");
  EXPECT_EQ(MemoryCgroup(root_.path()).ReadRoom()->available, 3'000'000u);
  EXPECT_EQ(MemoryCgroup(root_.path()).ReadRoom()->for_files(), 2'000'000u);
}

TEST_F(CgroupTest, MissingFilesAreNoLimit) { EXPECT_EQ(Limit(), std::nullopt); }

TEST_F(CgroupTest, V2OwnLimit) {
  WriteProc("0::/system.slice/x.service\n", kV2Mount);
  Write("sys/fs/cgroup/system.slice/x.service/memory.max", "1073741824\n");
  EXPECT_EQ(Limit(), uint64_t{1} << 30);
}

TEST_F(CgroupTest, V2MaxIsNoLimit) {
  WriteProc("0::/system.slice/x.service\n", kV2Mount);
  Write("sys/fs/cgroup/system.slice/x.service/memory.max", "max\n");
  Write("sys/fs/cgroup/system.slice/memory.max", "max\n");
  EXPECT_EQ(Limit(), std::nullopt);
}

TEST_F(CgroupTest, V2SmallestOfTheAncestorsCounts) {
  WriteProc("0::/a/b/c\n", kV2Mount);
  Write("sys/fs/cgroup/a/b/c/memory.max", "max\n");
  Write("sys/fs/cgroup/a/b/memory.max", "1000\n");
  Write("sys/fs/cgroup/a/memory.max", "2000\n");
  EXPECT_EQ(Limit(), 1000u);
}

TEST_F(CgroupTest, V2RootOfANamespaceInAContainer) {
  WriteProc("0::/\n", kV2Mount);
  Write("sys/fs/cgroup/memory.max", "5000\n");
  EXPECT_EQ(Limit(), 5000u);
}

TEST_F(CgroupTest, V2OutsideTheNamespaceReadsWhatIsMounted) {
  WriteProc("0::/../other\n", kV2Mount);
  Write("sys/fs/cgroup/memory.max", "6000\n");
  EXPECT_EQ(Limit(), 6000u);
}

TEST_F(CgroupTest, V1OwnLimit) {
  WriteProc("5:cpu:/\n4:memory:/docker/abc\n0::/\n", kV1Mount);
  Write("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "2147483648\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Limit(), uint64_t{2} << 30);
}

TEST_F(CgroupTest, V1HugeNumberIsNoLimit) {
  WriteProc("4:memory:/\n", kV1Mount);
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Limit(), std::nullopt);
}

TEST_F(CgroupTest, V1AmongOtherControllers) {
  WriteProc("4:cpuset,memory:/a\n",
            "36 25 0:31 / /sys/fs/cgroup/all rw - cgroup cgroup rw,cpuset,memory\n");
  Write("sys/fs/cgroup/all/a/memory.limit_in_bytes", "7000\n");
  EXPECT_EQ(Limit(), 7000u);
}

TEST_F(CgroupTest, V1OwnCgroupMountedAsRoot) {
  WriteProc("4:memory:/docker/abc/inner\n",
            "36 25 0:31 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  Write("sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "9000\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "8000\n");
  EXPECT_EQ(Limit(), 8000u);
}

TEST_F(CgroupTest, V1MountOfAnotherCgroupIsReadAtItsRoot) {
  WriteProc("4:memory:/docker/abcdef\n",
            "36 25 0:31 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "8000\n");
  EXPECT_EQ(Limit(), 8000u);
}

TEST_F(CgroupTest, HybridTakesTheSmallerOfBoth) {
  WriteProc("4:memory:/a\n0::/b\n",
            std::string(kV1Mount) + "35 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 x rw\n");
  Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4000\n");
  Write("sys/fs/cgroup/unified/b/memory.max", "3000\n");
  EXPECT_EQ(Limit(), 3000u);
}

TEST_F(CgroupTest, V2MemoryHighIsALimit) {
  WriteProc("0::/a/b\n", kV2Mount);
  Write("sys/fs/cgroup/a/b/memory.max", "3000\n");
  Write("sys/fs/cgroup/a/b/memory.high", "2000\n");
  Write("sys/fs/cgroup/a/memory.high", "max\n");
  EXPECT_EQ(Limit(), 2000u);
}

TEST_F(CgroupTest, LimitsAndTheCgroupAreReadEachTime) {
  WriteProc("4:memory:/a\n", kV1Mount);
  Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4000\n");
  Write("sys/fs/cgroup/memory/b/memory.limit_in_bytes", "6000\n");
  const MemoryCgroup cgroup(root_.path());
  EXPECT_EQ(cgroup.ReadLimit(), 4000u);
  Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "3000\n");
  EXPECT_EQ(cgroup.ReadLimit(), 3000u);
  Write("proc/self/cgroup", "4:memory:/b\n");
  EXPECT_EQ(cgroup.ReadLimit(), 6000u);
}

TEST_F(CgroupTest, UnreadableFilesAreNotTakenForTheLackOfALimit) {
  WriteProc("4:memory:/a\n", kV1Mount);
  Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4000\n");
  const MemoryCgroup cgroup(root_.path());
  bool complete = false;
  EXPECT_EQ(cgroup.ReadLimit(&complete), 4000u);
  EXPECT_TRUE(complete);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_EQ(cgroup.ReadLimit(&complete), std::nullopt);
  EXPECT_FALSE(complete);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(CgroupTest, GarbageIsNoLimit) {
  WriteProc("nonsense\n0::\n::\n", "short - line\n35 24 0:30 / /c rw - cgroup2 x rw\n");
  Write("c/memory.max", "-17 elephants\n");
  EXPECT_EQ(Limit(), std::nullopt);
}

TEST(ReadRam, ReadsMemTotal) {
  TemporaryDirectory root;
  root.WriteFile("proc/meminfo", "MemTotal:       16384 kB\nMemFree:   100 kB\n");
  EXPECT_EQ(ReadRam(root.path()), 16384u * 1024);
}

TEST(ReadRam, ZeroWithoutProc) {
  TemporaryDirectory root;
  EXPECT_EQ(ReadRam(root.path()), 0u);
}

TEST(ThisMachine, IsPlausible) {
  const Machine machine = ThisMachine();
  EXPECT_GT(machine.memory, 0u);
  EXPECT_LE(machine.memory, machine.ram);
  if (machine.cgroup_limit.has_value()) {
    EXPECT_LT(machine.memory, *machine.cgroup_limit) << "programs need some";
  }
  EXPECT_GE(machine.cpus, 1);
}

}  // namespace
}  // namespace memfuse::cli

// Every mount option that tmpfs(5), mount(8) and systemd use, one by one.

#include <gflags/gflags.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/cli/command_line.h"
#include "src/cli/flag_table.h"
#include "src/cli/mount_option_list.h"
#include "src/cli/options.h"
#include "src/cli/size.h"
#include "src/cli/unsupported_options.h"

namespace memfuse::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kMiB = uint64_t{1} << 20;

absl::StatusOr<Options> Resolve(const std::string& list) {
  gflags::FlagSaver saver;
  Machine machine;
  machine.ram = machine.memory = 1000 * kMiB;
  const auto operands = ParseCommandLine({"/mnt", "-o", list});
  if (!operands.ok()) return operands.status();
  return ResolveOptions(*operands, machine);
}
Options Good(const std::string& list) {
  auto options = Resolve(list);
  EXPECT_TRUE(options.ok()) << list << ": " << options.status();
  return options.ok() ? *options : Options();
}
std::string Error(const std::string& list) {
  auto options = Resolve(list);
  EXPECT_FALSE(options.ok()) << "accepted: " << list;
  return std::string(options.status().message());
}
uint64_t SizeOf(const std::string& list) { return Good(list).filesystem.size_limit; }
uint64_t InodesOf(const std::string& list) { return Good(list).filesystem.inode_limit; }

TEST(TmpfsOptions, Size) {
  EXPECT_EQ(SizeOf("size=4m"), 4 * kMiB);
  EXPECT_EQ(SizeOf("size=4M"), 4 * kMiB);
  EXPECT_EQ(SizeOf("size=65537"), 17u * 4096);
  EXPECT_EQ(SizeOf("size=2g"), 2048 * kMiB);
  EXPECT_EQ(SizeOf("size=1T"), uint64_t{1} << 40);
  EXPECT_EQ(SizeOf("size=20%"), 200 * kMiB);
  EXPECT_EQ(SizeOf("size=150%"), 1500 * kMiB);
  EXPECT_EQ(SizeOf("size=0x100000"), kMiB);
  EXPECT_EQ(SizeOf("size=010m"), 8 * kMiB) << "octal";
  EXPECT_EQ(SizeOf("size=0"), 1000 * kMiB);
  EXPECT_THAT(Error("size=1p"), HasSubstr("can address"));
  for (const char* size : {"1.5g", "-1", "", "4kb", "5%%", "k", "0x", "08", "1 m", "+1"}) {
    EXPECT_THAT(Error(std::string("size=") + size), HasSubstr("is no size")) << size;
  }
}

TEST(TmpfsOptions, NrBlocksIsSizeInPagesAndTheLaterWins) {
  EXPECT_EQ(SizeOf("nr_blocks=256"), kMiB);
  EXPECT_EQ(SizeOf("nr_blocks=2k"), 8 * kMiB);
  EXPECT_EQ(SizeOf("nr_blocks=0"), 1000 * kMiB) << "as size=0";
  EXPECT_EQ(SizeOf("size=4m,nr_blocks=2k"), 8 * kMiB);
  EXPECT_EQ(SizeOf("nr_blocks=2k,size=4m"), 4 * kMiB);
  for (const char* count : {"10%", "-1", "", "many", "1t", "17179869184g"}) {
    EXPECT_THAT(Error(std::string("nr_blocks=") + count), HasSubstr("--nr_blocks: ")) << count;
  }
  EXPECT_THAT(Error("nr_blocks"), HasSubstr("--nr_blocks needs a value"));
}

TEST(TmpfsOptions, NrInodes) {
  EXPECT_EQ(InodesOf("nr_inodes=10k"), 10240u);
  EXPECT_EQ(InodesOf("nr_inodes=1m"), 1u << 20);
  EXPECT_EQ(InodesOf("nr_inodes=0x10"), 16u);
  EXPECT_EQ(InodesOf("nr_inodes=0"), kUnlimitedInodes);
  EXPECT_THAT(Error("nr_inodes=5%"), HasSubstr("no count of inodes"));
}

TEST(TmpfsOptions, ModeAndOwner) {
  EXPECT_EQ(Good("mode=1777").filesystem.root_mode, 01777u);
  EXPECT_EQ(Good("mode=01777").filesystem.root_mode, 01777u);
  EXPECT_EQ(Good("mode=755").filesystem.root_mode, 0755u);
  EXPECT_EQ(Good("mode=0").filesystem.root_mode, 0u);
  EXPECT_THAT(Error("mode=0o755"), HasSubstr("octal"));
  EXPECT_EQ(Good("uid=65534").filesystem.root_uid, 65534u);
  EXPECT_EQ(Good("uid=0x10,gid=010").filesystem.root_uid, 16u);
  EXPECT_EQ(Good("uid=0x10,gid=010").filesystem.root_gid, 8u);
  EXPECT_THAT(Error("uid=-1"), HasSubstr("--uid"));
}

TEST(TmpfsOptions, Huge) {
  for (const char* huge : {"never", "always", "within_size", "advise"}) {
    EXPECT_EQ(Good(std::string("huge=") + huge).filesystem.huge, huge);
  }
  // This applies to the whole system, and is no mount option of tmpfs either.
  EXPECT_THAT(Error("huge=deny"), HasSubstr("'deny' is none of"));
  EXPECT_THAT(Error("huge=force"), HasSubstr("'force' is none of"));
  EXPECT_THAT(Error("huge"), HasSubstr("needs a value"));
  EXPECT_TRUE(Good("noswap").filesystem.noswap);
}

TEST(TmpfsOptions, OptionsWithoutEffectAreNoError) { Good("inode64,mpol=default,relatime,rw"); }

TEST(TmpfsOptions, QuotasOfUsersAndGroups) {
  const Options options = Good(
      "quota,usrquota,grpquota,usrquota_block_hardlimit=1m,usrquota_inode_hardlimit=1k,"
      "grpquota_block_hardlimit=2g,grpquota_inode_hardlimit=5,quota=\"uid:7=3m,gid:8=4m\"");
  const std::vector<QuotaRule>& rules = options.filesystem.quotas;
  ASSERT_EQ(rules.size(), 4u);
  EXPECT_FALSE(rules[0].id.has_value());
  EXPECT_EQ(rules[0].kind, QuotaKind::kUser);
  EXPECT_EQ(rules[0].bytes, 1u << 20);
  EXPECT_EQ(rules[0].inodes, 1u << 10);
  EXPECT_EQ(rules[1].kind, QuotaKind::kGroup);
  EXPECT_EQ(rules[1].bytes, uint64_t{2} << 30);
  EXPECT_EQ(rules[1].inodes, 5u);
  EXPECT_EQ(rules[2].id, 7u);
  EXPECT_EQ(rules[3].id, 8u);
  EXPECT_THAT(Error("usrquota_block_hardlimit=lots"), HasSubstr("'uid:*=lots' has no size"));
  EXPECT_THAT(Error("quota=" + std::string(2100, 'x')), HasSubstr("more than 2048 bytes"));
}

TEST(TmpfsOptions, UnsupportedOptionsAreRefusedWithAReason) {
  const struct {
    std::string option, reason;
  } kRefused[] = {
      {"inode32", "64 bits"},           {"mpol=bind:0", "memory"},
      {"mpol=prefer:1", "memory"},      {"mpol=interleave", "memory"},
      {"mpol=local", "memory"},         {"casefold", "case"},
      {"casefold=utf8-12.1.0", "case"}, {"strict_encoding", "names are bytes"},
  };
  for (const auto& refused : kRefused) {
    EXPECT_EQ(Resolve(refused.option).status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(Error("size=1m," + refused.option),
                HasSubstr("'" + refused.option + "' is not supported: "));
    EXPECT_THAT(Error(refused.option), HasSubstr(refused.reason));
  }
}

TEST(VfsOptions, OfTheMount) {
  const Options all = Good("ro,nosuid,nodev,noexec,nosymfollow");
  EXPECT_TRUE(all.mount.read_only && all.mount.nosuid && all.mount.nodev && all.mount.noexec);
  EXPECT_TRUE(all.mount.nosymfollow);
  const Options none = Good("ro,nosuid,nodev,noexec,nosymfollow,rw,suid,dev,exec,symfollow");
  EXPECT_FALSE(none.mount.read_only || none.mount.nosuid || none.mount.nodev || none.mount.noexec);
  EXPECT_FALSE(none.mount.nosymfollow);
}

// mount(2) accepts combinations of these flags.
TEST(VfsOptions, AccessTimes) {
  const auto mode = [](const std::string& list) {
    const Options options = Good(list);
    EXPECT_EQ(options.mount.noatime, options.filesystem.noatime);
    EXPECT_EQ(options.mount.nodiratime, options.filesystem.nodiratime);
    EXPECT_EQ(options.mount.strictatime, options.filesystem.strictatime);
    return std::string(options.mount.noatime ? "noatime " : "") +
           (options.mount.strictatime ? "strictatime " : "") +
           (options.mount.nodiratime ? "nodiratime" : "");
  };
  EXPECT_EQ(mode("rw"), "");
  EXPECT_EQ(mode("relatime"), "");
  EXPECT_EQ(mode("noatime"), "noatime ");
  EXPECT_EQ(mode("noatime,relatime"), "noatime ");
  EXPECT_EQ(mode("noatime,atime"), "");
  EXPECT_EQ(mode("strictatime"), "strictatime ");
  EXPECT_EQ(mode("noatime,strictatime"), "strictatime ");
  EXPECT_EQ(mode("strictatime,relatime"), "strictatime ");
  EXPECT_EQ(mode("strictatime,nostrictatime"), "");
  EXPECT_EQ(mode("nodiratime"), "nodiratime");
  EXPECT_EQ(mode("nodiratime,diratime"), "");
}

TEST(UnsupportedOptions, AreNoFlagsAndAreDroppedOrRefused) {
  for (const UnsupportedOption& option : UnsupportedOptions()) {
    const std::string name(option.name);
    EXPECT_EQ(FindFlag(name), nullptr) << name << " could never be dropped";
    EXPECT_EQ(Resolve(name).ok(), option.refusal.empty()) << name;
    EXPECT_EQ(Resolve(name + "=1").ok(), option.refusal.empty()) << name;
  }
  Good("x-systemd.automount,x-systemd.idle-timeout=60,X-mount.mkdir=0755,comment=a b");
}

TEST(RealLines, OfFstabAndSystemd) {
  const Options debian = Good("defaults,noatime,nosuid,nodev,mode=1777,size=20%");
  EXPECT_EQ(debian.filesystem.size_limit, 200 * kMiB);
  EXPECT_TRUE(debian.mount.noatime && debian.mount.nosuid && debian.mount.nodev);
  const Options systemd = Good("mode=1777,strictatime,nosuid,nodev,size=50%,nr_inodes=1m");
  EXPECT_EQ(systemd.filesystem.inode_limit, 1u << 20);
  EXPECT_TRUE(systemd.mount.strictatime);
  const Options docker = Good("rw,noexec,nosuid,size=65536k");
  EXPECT_EQ(docker.filesystem.size_limit, 64 * kMiB);
  // From /proc/mounts of a desktop system.
  const Options run = Good(
      "rw,nosuid,nodev,relatime,size=812404k,nr_inodes=203101,mode=700,"
      "uid=1000,gid=1000,inode64");
  EXPECT_EQ(run.filesystem.root_uid, 1000u);
  EXPECT_EQ(run.filesystem.root_mode, 0700u);
  Good("nodev,nosuid,noexec,nodiratime,size=6144M,nofail,x-gvfs-hide");
}

std::vector<std::string> Split(const std::string& list) {
  auto options = SplitMountOptions(list);
  EXPECT_TRUE(options.ok()) << options.status();
  return options.ok() ? *options : std::vector<std::string>();
}

TEST(SplitMountOptions, AtCommasThatAreNotQuoted) {
  EXPECT_THAT(Split(""), IsEmpty());
  EXPECT_THAT(Split(",a,,b=c,"), ElementsAre("a", "b=c"));
  EXPECT_THAT(Split("log_dir=\"/a,b\",ro"), ElementsAre("log_dir=/a,b", "ro"));
  EXPECT_THAT(Split("\"log_dir=/a,b\",ro"), ElementsAre("log_dir=/a,b", "ro"));
  EXPECT_THAT(Split("log_dir=/a\\,b,ro"), ElementsAre("log_dir=/a,b", "ro"));
  EXPECT_THAT(Split("log_dir=/a\\\"b,ro"), ElementsAre("log_dir=/a\"b", "ro"));
  EXPECT_THAT(Split("log_dir=/a\\b\\"), ElementsAre("log_dir=/a\\b\\"));
  EXPECT_THAT(std::string(SplitMountOptions("a=\"b,c").status().message()),
              HasSubstr("quote is not closed"));
}

}  // namespace
}  // namespace memfuse::cli

#include "src/cli/options.h"

#include <gflags/gflags.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/cli/command_line.h"
#include "src/cli/help.h"
#include "src/cli/message.h"
#include "src/cli/size.h"

namespace memfuse::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class OptionsTest : public testing::Test {
 protected:
  OptionsTest() {
    machine_.ram = uint64_t{16} << 30;
    machine_.memory = uint64_t{4} << 30;
    machine_.cpus = 4;
    machine_.uid = 1000;
    machine_.gid = 100;
  }

  absl::StatusOr<Options> Resolve(const std::vector<std::string>& arguments) {
    gflags::FlagSaver saver;
    const auto operands = ParseCommandLine(arguments);
    if (!operands.ok()) return operands.status();
    return ResolveOptions(*operands, machine_);
  }
  Options Good(const std::vector<std::string>& arguments) {
    auto options = Resolve(arguments);
    EXPECT_TRUE(options.ok()) << options.status();
    return options.ok() ? *options : Options();
  }
  std::string Error(const std::vector<std::string>& arguments) {
    auto options = Resolve(arguments);
    EXPECT_FALSE(options.ok()) << "accepted: " << testing::PrintToString(arguments);
    return std::string(options.status().message());
  }

  Machine machine_;
};

TEST_F(OptionsTest, Defaults) {
  const Options options = Good({"/mnt"});
  EXPECT_EQ(options.mount.mount_point, "/mnt");
  EXPECT_EQ(options.mount.fsname, "memfuse");
  EXPECT_FALSE(options.mount.allow_other);
  EXPECT_FALSE(options.mount.read_only);
  EXPECT_FALSE(options.mount.nosuid || options.mount.nodev || options.mount.noexec);
  EXPECT_FALSE(options.mount.noatime);
  EXPECT_EQ(options.filesystem.size_limit, uint64_t{2} << 30) << "half of what the cgroup allows";
  EXPECT_EQ(options.filesystem.inode_limit, (uint64_t{16} << 30) / 4096 / 2) << "as tmpfs";
  EXPECT_EQ(options.filesystem.root_mode, 01777u);
  EXPECT_EQ(options.filesystem.root_uid, 1000u);
  EXPECT_EQ(options.filesystem.root_gid, 100u);
  EXPECT_EQ(options.session.threads, 4);
  EXPECT_FALSE(options.session.writeback_cache);
  EXPECT_FALSE(options.foreground);
  EXPECT_EQ(options.fuse_fd, -1);
}

TEST_F(OptionsTest, EveryOptionGiven) {
  const Options options =
      Good({"--size=1g", "--nr_inodes=10k", "--mode=0750", "--uid=7", "--gid=8", "--threads=2",
            "--writeback", "--fsname=scratch", "-f", "--allow_other", "--log_dir=/var/log/m",
            "--data=daemon", "--transport=dev", "-o", "ro,nosuid,nodev,noexec,noatime", "/mnt"});
  EXPECT_EQ(options.filesystem.size_limit, uint64_t{1} << 30);
  EXPECT_EQ(options.filesystem.inode_limit, 10240u);
  EXPECT_EQ(options.filesystem.root_mode, 0750u);
  EXPECT_EQ(options.filesystem.root_uid, 7u);
  EXPECT_EQ(options.filesystem.root_gid, 8u);
  EXPECT_EQ(options.session.threads, 2);
  EXPECT_TRUE(options.session.writeback_cache);
  EXPECT_EQ(options.mount.fsname, "scratch");
  EXPECT_TRUE(options.foreground);
  EXPECT_TRUE(options.mount.allow_other);
  EXPECT_TRUE(options.mount.read_only);
  EXPECT_TRUE(options.mount.nosuid);
  EXPECT_TRUE(options.mount.nodev);
  EXPECT_TRUE(options.mount.noexec);
  EXPECT_TRUE(options.mount.noatime);
  EXPECT_EQ(options.log_dir, "/var/log/m");
}

TEST_F(OptionsTest, RootAllowsOthersByDefault) {
  machine_.uid = 0;
  EXPECT_TRUE(Good({"/mnt"}).mount.allow_other);
  EXPECT_TRUE(Good({"/mnt"}).session.kernel_permissions);
  EXPECT_FALSE(Good({"/mnt", "--noallow_other"}).mount.allow_other);
  EXPECT_FALSE(Good({"/mnt", "-o", "noallow_other"}).session.kernel_permissions);
  EXPECT_TRUE(Good({"--fuse_fd=5", "--noallow_other"}).session.kernel_permissions);
}

TEST_F(OptionsTest, AUserAllowsOthersOnlyOnRequest) {
  EXPECT_FALSE(Good({"/mnt", "--noallow_other"}).mount.allow_other);
  EXPECT_TRUE(Good({"/mnt", "-o", "allow_other"}).mount.allow_other);
}

TEST_F(OptionsTest, ThreadsByDefaultOnePerCpuUpToEight) {
  machine_.cpus = 1;
  EXPECT_EQ(Good({"/mnt"}).session.threads, 1);
  machine_.cpus = 64;
  EXPECT_EQ(Good({"/mnt"}).session.threads, 8);
  EXPECT_EQ(Good({"/mnt", "--threads=0"}).session.threads, 8);
  EXPECT_EQ(Good({"/mnt", "--threads=512"}).session.threads, 512);
  EXPECT_THAT(Error({"/mnt", "--threads=513"}), HasSubstr("--threads: '513'"));
  EXPECT_THAT(Error({"/mnt", "--threads=-1"}), HasSubstr("--threads: '-1'"));
}

TEST_F(OptionsTest, Limits) {
  EXPECT_EQ(Good({"/mnt", "--size=25%"}).filesystem.size_limit, uint64_t{1} << 30);
  EXPECT_EQ(Good({"/mnt", "--size=0"}).filesystem.size_limit, machine_.memory);
  EXPECT_EQ(Good({"/mnt", "--nr_inodes=0"}).filesystem.inode_limit, kUnlimitedInodes);
  EXPECT_THAT(Error({"/mnt", "--size=huge"}), HasSubstr("--size: 'huge'"));
  EXPECT_THAT(Error({"/mnt", "--size="}), HasSubstr("--size: ''"));
  EXPECT_THAT(Error({"/mnt", "--nr_inodes=-4"}), HasSubstr("--nr_inodes: '-4'"));
  EXPECT_THAT(Error({"/mnt", "--nr_inodes="}), HasSubstr("--nr_inodes: ''"));
}

TEST_F(OptionsTest, SizesAboveTheCgroupLimitAreAcceptedWithAWarning) {
  EXPECT_THAT(Good({"/mnt", "--size=100g"}).warnings, IsEmpty());
  machine_.cgroup_limit = 8 << 20;
  machine_.memory = 7 << 20;
  for (const char* size : {"--size=0", "--size=100%", "--size=7m", "--size=4k"}) {
    EXPECT_THAT(Good({"/mnt", size}).warnings, IsEmpty()) << size;
  }
  for (const char* size : {"--size=7169k", "--size=8m", "--size=1t", "--nr_blocks=1g"}) {
    const Options options = Good({"/mnt", size});
    ASSERT_EQ(options.warnings.size(), 1u) << size;
    EXPECT_THAT(options.warnings[0], HasSubstr("7340032 of its limit of 8388608 bytes")) << size;
  }
  EXPECT_THAT(Good({"/mnt"}).warnings, IsEmpty());
}

TEST_F(OptionsTest, Mode) {
  EXPECT_EQ(Good({"/mnt", "--mode=0"}).filesystem.root_mode, 0u);
  EXPECT_EQ(Good({"/mnt", "--mode=07777"}).filesystem.root_mode, 07777u);
  EXPECT_EQ(Good({"/mnt", "--mode=000000755"}).filesystem.root_mode, 0755u) << "as tmpfs";
  for (const char* mode : {"", "8", "rwx", "10000", "-1", "0x1ff", "40000000001777"}) {
    EXPECT_THAT(Error({"/mnt", std::string("--mode=") + mode}), HasSubstr("octal")) << mode;
  }
}

TEST_F(OptionsTest, Owners) {
  EXPECT_EQ(Good({"/mnt", "--uid=root", "--gid=root"}).filesystem.root_uid, 0u);
  EXPECT_EQ(Good({"/mnt", "--uid=4294967294"}).filesystem.root_uid, 4294967294u);
  for (const char* id : {"", "-1", "4294967295", "4294967296", "no such user", "1x"}) {
    EXPECT_THAT(Error({"/mnt", std::string("--uid=") + id}), HasSubstr("--uid")) << id;
    EXPECT_THAT(Error({"/mnt", std::string("--gid=") + id}), HasSubstr("--gid")) << id;
  }
}

TEST_F(OptionsTest, FsnameIsNoDevice) {
  EXPECT_THAT(Error({"/mnt", "--fsname="}), HasSubstr("--fsname"));
  EXPECT_THAT(Error({"/mnt", "--fsname=/dev/sda1"}), HasSubstr("--fsname"));
  EXPECT_THAT(Error({"/mnt", "--fsname=/sys/block"}), HasSubstr("path of a device"));
  EXPECT_EQ(Good({"/mnt", "--fsname=/srv/cache"}).mount.fsname, "/srv/cache");
  EXPECT_THAT(Error({"/mnt", "--fsname=a,allow_other"}), HasSubstr("--fsname"));
  EXPECT_THAT(Error({"/mnt", "--fsname=a\nb"}), HasSubstr("--fsname"));
}

TEST_F(OptionsTest, Backends) {
  EXPECT_EQ(Good({"/mnt"}).filesystem.data, DataKind::kAuto);
  EXPECT_EQ(Good({"/mnt", "--data=passthrough"}).filesystem.data, DataKind::kPassthrough);
  EXPECT_EQ(Good({"/mnt", "--data=daemon"}).filesystem.data, DataKind::kDaemon);
  EXPECT_EQ(Good({"/mnt", "--data=null"}).filesystem.data, DataKind::kNull);
  EXPECT_THAT(Error({"/mnt", "--data=disk"}), HasSubstr("'disk' is none of"));
  EXPECT_TRUE(Good({"/mnt"}).session.io_uring);
  EXPECT_FALSE(Good({"/mnt"}).require_io_uring);
  EXPECT_TRUE(Good({"/mnt", "--transport=uring"}).require_io_uring);
  EXPECT_FALSE(Good({"/mnt", "--transport=dev"}).session.io_uring);
  EXPECT_THAT(Error({"/mnt", "--transport=tcp"}), HasSubstr("'tcp' is none of"));
  Good({"/mnt", "--data=auto", "--transport=auto"});
}

// Every data store supports these options, except the null store.
TEST_F(OptionsTest, HugeAndNoswap) {
  const Options huge = Good({"/mnt", "--huge=within_size"});
  EXPECT_EQ(huge.filesystem.huge, "within_size");
  EXPECT_EQ(huge.filesystem.data, DataKind::kAuto);
  const Options noswap = Good({"/mnt", "--noswap"});
  EXPECT_TRUE(noswap.filesystem.noswap);
  EXPECT_EQ(noswap.filesystem.huge, "auto");
  EXPECT_EQ(Good({"/mnt", "--huge=always", "--data=daemon"}).filesystem.data, DataKind::kDaemon);
  EXPECT_THAT(Error({"/mnt", "--huge=2M"}), HasSubstr("--huge: '2M' is none of"));
  EXPECT_THAT(Error({"/mnt", "--huge=never", "--data=null"}),
              HasSubstr("--huge does not go with --data=null"));
  EXPECT_THAT(Error({"/mnt", "--noswap", "--data=null"}),
              HasSubstr("--noswap does not go with --data=null"));
}

TEST_F(OptionsTest, ExtendedAttributes) {
  EXPECT_TRUE(Good({"/mnt"}).filesystem.xattr);
  EXPECT_FALSE(Good({"/mnt", "--noxattr"}).filesystem.xattr);
  EXPECT_FALSE(Good({"/mnt", "-o", "noxattr"}).filesystem.xattr);
}

TEST_F(OptionsTest, WritebackNeedsTheDaemonStore) {
  EXPECT_EQ(Good({"/mnt", "--writeback"}).filesystem.data, DataKind::kDaemon);
  EXPECT_THAT(Error({"/mnt", "--writeback", "--data=passthrough"}), HasSubstr("--writeback"));
  EXPECT_EQ(Good({"/mnt", "--writeback", "--huge=always"}).filesystem.huge, "always");
}

TEST_F(OptionsTest, OptimizationsAreDisabledByName) {
  const auto enabled = [this](const std::string& names) {
    const Options options = Good({"/mnt", "--disable_optimizations=" + names});
    return std::vector<bool>{options.session.spare_workers, options.session.idle_scheduling,
                             options.session.request_statistics};
  };
  EXPECT_THAT(enabled(""), ElementsAre(true, true, true));
  EXPECT_THAT(enabled("spare_workers"), ElementsAre(false, true, true));
  EXPECT_THAT(enabled("idle_scheduling,spare_workers"), ElementsAre(false, false, true));
  EXPECT_THAT(enabled("request_statistics"), ElementsAre(true, true, false));
  EXPECT_EQ(Error({"/mnt", "--disable_optimizations=spare_workers,shards"}),
            "--disable_optimizations: 'shards' is no optimisation that has a switch");
}

TEST_F(OptionsTest, MetricsListenOnLoopbackUnlessRemoteIsAllowed) {
  EXPECT_FALSE(Good({"/mnt"}).metrics.has_value());
  EXPECT_FALSE(Good({"/mnt", "--metrics_listen="}).metrics.has_value());
  const Options v4 = Good({"/mnt", "--metrics_listen=127.0.0.1:9410"});
  ASSERT_TRUE(v4.metrics.has_value());
  EXPECT_EQ(v4.metrics->address, "127.0.0.1");
  EXPECT_EQ(v4.metrics->port, 9410);
  EXPECT_EQ(Good({"/mnt", "--metrics_listen=[::1]:9410"}).metrics->address, "::1");
  EXPECT_TRUE(Good({"/mnt", "--metrics_listen=127.9.9.9:65535"}).metrics->loopback);
  for (const char* const text : {"0.0.0.0:9410", "192.0.2.7:1", "[::]:9410", "[2001:db8::1]:80"}) {
    EXPECT_EQ(
        Error({"/mnt", std::string("--metrics_listen=") + text}),
        std::string("--metrics_listen: '") + text +
            "' can be reached from other machines, which only --metrics_allow_remote permits");
    EXPECT_FALSE(Good({"/mnt", std::string("--metrics_listen=") + text, "--metrics_allow_remote"})
                     .metrics->loopback);
  }
  for (const char* const text :
       {"9410", ":9410", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1: 80", "127.0.0.1:+80", "localhost:9410", "::1:9410", "[::1]9410",
        "[127.0.0.1]:80", "[::1:80", "1.2.3:80"}) {
    EXPECT_EQ(Error({"/mnt", std::string("--metrics_listen=") + text, "--metrics_allow_remote"}),
              std::string("--metrics_listen: '") + text +
                  "' is no address with a port such as 127.0.0.1:9410 or [::1]:9410");
  }
}

TEST_F(OptionsTest, OneMountPoint) {
  EXPECT_THAT(Error({}), HasSubstr("no mount point"));
  EXPECT_THAT(Error({""}), HasSubstr("empty"));
  EXPECT_THAT(Error({"/a", "/b"}), HasSubstr("'/b'"));
}

TEST_F(OptionsTest, AHandedOverDescriptorNeedsNoMountPoint) {
  EXPECT_EQ(Good({"--fuse_fd=5"}).fuse_fd, 5);
  EXPECT_EQ(Good({"--fuse_fd=5"}).mount.mount_point, "");
  EXPECT_EQ(Good({"--fuse_fd=5", "/mnt"}).mount.mount_point, "/mnt");
  EXPECT_THAT(Error({"--fuse_fd=-2"}), HasSubstr("--fuse_fd"));
}

TEST(ExitStatus, OfTheHelperIsThatOfMount) {
  EXPECT_EQ(ExitStatus(absl::StatusCode::kNotFound), 1);
  EXPECT_EQ(ExitStatus(absl::StatusCode::kInvalidArgument), 1);
  SetProgramName(ProgramKind::kMountHelper);
  EXPECT_EQ(ExitStatus(absl::StatusCode::kInvalidArgument), 1);
  EXPECT_EQ(ExitStatus(absl::StatusCode::kUnimplemented), 1);
  EXPECT_EQ(ExitStatus(absl::StatusCode::kPermissionDenied), 1);
  EXPECT_EQ(ExitStatus(absl::StatusCode::kResourceExhausted), 2);
  EXPECT_EQ(ExitStatus(absl::StatusCode::kNotFound), 32);
  EXPECT_EQ(ExitStatus(absl::StatusCode::kFailedPrecondition), 32);
  EXPECT_EQ(ErrorLine("no"), "mount.memfuse: no\n");
  SetProgramName(ProgramKind::kMemfuse);
}

TEST(ErrorLine, IsOneLineForAnyQuotedText) {
  EXPECT_EQ(ErrorLine("no 'a\nb\tc\x1b'"), "memfuse: no 'a?b?c?'\n");
  EXPECT_EQ(ErrorLine("Größe"), "memfuse: Größe\n");
}

TEST(VersionText, NamesProgramAndVersion) { EXPECT_EQ(VersionText(), "memfuse 0.1.0\n"); }

}  // namespace
}  // namespace memfuse::cli

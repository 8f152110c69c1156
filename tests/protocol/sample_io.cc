#include "tests/protocol/sample.h"

namespace memfuse::protocol {
namespace {

constexpr uint64_t kOffset = 0x2122232425262728;
constexpr uint32_t kFlags = 0x01020304;
constexpr uint32_t kExecutes = 0x20;  // FMODE_EXEC of the kernel

void AddOpens(std::vector<Sample>* samples) {
  for (const bool kill : {false, true}) {
    fuse_open_in open{};
    open.flags = kFlags | (kill ? kExecutes : 0);
    open.open_flags =
        kill ? FUSE_OPEN_KILL_SUIDGID : ~static_cast<uint32_t>(FUSE_OPEN_KILL_SUIDGID);
    const auto check = [kill](const OpenRequest& request) {
      EXPECT_EQ(ToInt(request.ino), kNode);
      EXPECT_EQ(request.flags, kFlags);
      EXPECT_EQ(request.kill_suidgid, kill);
      EXPECT_EQ(request.executes, kill);
    };
    samples->push_back(MakeSample<OpenRequest>(kill ? "OpenKillingPrivileges" : "Open", FUSE_OPEN,
                                               BytesOf(open), "", check));
    samples->push_back(MakeSample<OpendirRequest>(
        kill ? "OpendirKillingPrivileges" : "Opendir", FUSE_OPENDIR, BytesOf(open), "",
        [check](const OpendirRequest& request) { check(request.open); }));
  }

  fuse_release_in release{};
  release.fh = kHandle;
  release.flags = kFlags | kExecutes;
  release.release_flags = 0xffffffff;
  release.lock_owner = 0x7172737475767778;
  const auto check_release = [](const ReleaseRequest& request) {
    EXPECT_EQ(ToInt(request.ino), kNode);
    EXPECT_EQ(ToInt(request.handle), kHandle);
    EXPECT_EQ(request.flags, kFlags);
    EXPECT_TRUE(request.executes);
  };
  samples->push_back(
      MakeSample<ReleaseRequest>("Release", FUSE_RELEASE, BytesOf(release), "", check_release));
  samples->push_back(MakeSample<ReleasedirRequest>(
      "Releasedir", FUSE_RELEASEDIR, BytesOf(release), "",
      [check_release](const ReleasedirRequest& request) { check_release(request.release); }));

  for (const bool data_only : {false, true}) {
    fuse_fsync_in fsync{};
    fsync.fh = kHandle;
    fsync.fsync_flags =
        data_only ? FUSE_FSYNC_FDATASYNC : ~static_cast<uint32_t>(FUSE_FSYNC_FDATASYNC);
    fsync.padding = 0xffffffff;
    const auto check_fsync = [data_only](const FsyncRequest& request) {
      EXPECT_EQ(ToInt(request.ino), kNode);
      EXPECT_EQ(ToInt(request.handle), kHandle);
      EXPECT_EQ(request.data_only, data_only);
    };
    const std::string suffix = data_only ? "DataOnly" : "";
    samples->push_back(
        MakeSample<FsyncRequest>("Fsync" + suffix, FUSE_FSYNC, BytesOf(fsync), "", check_fsync));
    samples->push_back(MakeSample<FsyncdirRequest>(
        "Fsyncdir" + suffix, FUSE_FSYNCDIR, BytesOf(fsync), "",
        [check_fsync](const FsyncdirRequest& request) { check_fsync(request.fsync); }));
  }

  fuse_flush_in flush{};
  flush.fh = kHandle;
  flush.unused = 0xffffffff;
  flush.lock_owner = 0x7172737475767778;
  samples->push_back(MakeSample<FlushRequest>("Flush", FUSE_FLUSH, BytesOf(flush), "",
                                              [](const FlushRequest& request) {
                                                EXPECT_EQ(ToInt(request.ino), kNode);
                                                EXPECT_EQ(ToInt(request.handle), kHandle);
                                              }));
}

void AddReads(std::vector<Sample>* samples) {
  fuse_read_in read{};
  read.fh = kHandle;
  read.offset = kOffset;
  read.size = 0x00020000;
  read.read_flags = 0xffffffff;
  read.lock_owner = 0x7172737475767778;
  read.flags = kFlags;
  read.padding = 0xffffffff;
  samples->push_back(MakeSample<SizedReadRequest>("Read", FUSE_READ, BytesOf(read), "",
                                                  [](const SizedReadRequest& request) {
                                                    EXPECT_EQ(ToInt(request.read.ino), kNode);
                                                    EXPECT_EQ(ToInt(request.read.handle), kHandle);
                                                    EXPECT_EQ(request.read.offset, kOffset);
                                                    EXPECT_EQ(request.read.flags, kFlags);
                                                    EXPECT_FALSE(request.read.to_page_cache);
                                                    EXPECT_EQ(request.size, 0x00020000u);
                                                  }));
  fuse_read_in fill = read;
  fill.read_flags = ~uint32_t{FUSE_READ_LOCKOWNER};
  samples->push_back(MakeSample<SizedReadRequest>(
      "ReadToPageCache", FUSE_READ, BytesOf(fill), "",
      [](const SizedReadRequest& request) { EXPECT_TRUE(request.read.to_page_cache); }));
  for (const bool plus : {false, true}) {
    samples->push_back(MakeSample<SizedReaddirRequest>(
        plus ? "Readdirplus" : "Readdir", plus ? FUSE_READDIRPLUS : FUSE_READDIR, BytesOf(read), "",
        [plus](const SizedReaddirRequest& request) {
          EXPECT_EQ(ToInt(request.readdir.ino), kNode);
          EXPECT_EQ(ToInt(request.readdir.handle), kHandle);
          EXPECT_EQ(request.readdir.offset, kOffset);
          EXPECT_EQ(request.readdir.plus, plus);
          EXPECT_EQ(request.size, 0x00020000u);
        }));
  }
}

Sample WriteSample(std::string name, uint32_t write_flags, const std::string& data,
                   bool from_page_cache, bool kill_suidgid) {
  fuse_write_in write{};
  write.fh = kHandle;
  write.offset = kOffset;
  write.size = static_cast<uint32_t>(data.size());
  write.write_flags = write_flags;
  write.lock_owner = 0x7172737475767778;
  write.flags = kFlags;
  write.padding = 0xffffffff;
  return MakeSample<WriteRequest>(
      "Write" + name, FUSE_WRITE, BytesOf(write), data,
      [data, from_page_cache, kill_suidgid](const WriteRequest& request) {
        EXPECT_EQ(ToInt(request.ino), kNode);
        EXPECT_EQ(ToInt(request.handle), kHandle);
        EXPECT_EQ(request.offset, kOffset);
        EXPECT_EQ(std::string(request.data.begin(), request.data.end()), data);
        EXPECT_EQ(request.flags, kFlags);
        EXPECT_EQ(request.from_page_cache, from_page_cache);
        EXPECT_EQ(request.kill_suidgid, kill_suidgid);
      });
}

void AddRanges(std::vector<Sample>* samples) {
  fuse_fallocate_in fallocate{};
  fallocate.fh = kHandle;
  fallocate.offset = kOffset;
  fallocate.length = 0x3132333435363738;
  fallocate.mode = 3;
  fallocate.padding = 0xffffffff;
  samples->push_back(MakeSample<FallocateRequest>("Fallocate", FUSE_FALLOCATE, BytesOf(fallocate),
                                                  "", [](const FallocateRequest& request) {
                                                    EXPECT_EQ(ToInt(request.ino), kNode);
                                                    EXPECT_EQ(ToInt(request.handle), kHandle);
                                                    EXPECT_EQ(request.offset, kOffset);
                                                    EXPECT_EQ(request.length, 0x3132333435363738u);
                                                    EXPECT_EQ(request.mode, 3u);
                                                  }));

  fuse_lseek_in lseek{};
  lseek.fh = kHandle;
  lseek.offset = kOffset;
  lseek.whence = 4;
  lseek.padding = 0xffffffff;
  samples->push_back(MakeSample<LseekRequest>("Lseek", FUSE_LSEEK, BytesOf(lseek), "",
                                              [](const LseekRequest& request) {
                                                EXPECT_EQ(ToInt(request.ino), kNode);
                                                EXPECT_EQ(ToInt(request.handle), kHandle);
                                                EXPECT_EQ(request.offset, kOffset);
                                                EXPECT_EQ(request.whence, 4u);
                                              }));

  fuse_copy_file_range_in copy{};
  copy.fh_in = kHandle;
  copy.off_in = kOffset;
  copy.nodeid_out = 0x5152535455565758;
  copy.fh_out = 0x3132333435363738;
  copy.off_out = 0x4142434445464748;
  copy.len = 0x7172737475767778;
  copy.flags = 0xfedcba98;
  for (const bool wide : {false, true}) {
    samples->push_back(MakeSample<SizedCopyFileRangeRequest>(
        wide ? "CopyFileRange64" : "CopyFileRange", wide ? 53 : FUSE_COPY_FILE_RANGE, BytesOf(copy),
        "", [wide](const SizedCopyFileRangeRequest& request) {
          EXPECT_EQ(ToInt(request.copy.ino_in), kNode);
          EXPECT_EQ(ToInt(request.copy.handle_in), kHandle);
          EXPECT_EQ(request.copy.offset_in, kOffset);
          EXPECT_EQ(ToInt(request.copy.ino_out), 0x5152535455565758u);
          EXPECT_EQ(ToInt(request.copy.handle_out), 0x3132333435363738u);
          EXPECT_EQ(request.copy.offset_out, 0x4142434445464748u);
          EXPECT_EQ(request.copy.length, 0x7172737475767778u);
          EXPECT_EQ(request.copy.flags, 0xfedcba98u);
          EXPECT_EQ(request.wide_result, wide);
        }));
  }
}

void AddIoctls(std::vector<Sample>* samples) {
  for (const bool directory : {false, true}) {
    fuse_ioctl_in ioctl{};
    ioctl.fh = kHandle;
    ioctl.flags = directory ? FUSE_IOCTL_DIR : ~static_cast<uint32_t>(FUSE_IOCTL_DIR);
    ioctl.cmd = 0x40086602;
    ioctl.arg = 0x7172737475767778;
    ioctl.in_size = 8;
    ioctl.out_size = 0x00010203;
    samples->push_back(MakeSample<IoctlRequest>(
        directory ? "IoctlDirectory" : "Ioctl", FUSE_IOCTL, BytesOf(ioctl),
        std::string_view("inp\0ut!!", 8), [directory](const IoctlRequest& request) {
          EXPECT_EQ(ToInt(request.ino), kNode);
          EXPECT_EQ(ToInt(request.handle), kHandle);
          EXPECT_EQ(request.command, 0x40086602u);
          EXPECT_EQ(request.argument, 0x7172737475767778u);
          EXPECT_EQ(std::string_view(request.input.data(), request.input.size()),
                    std::string_view("inp\0ut!!", 8));
          EXPECT_EQ(request.output_size, 0x00010203u);
          EXPECT_EQ(request.directory, directory);
        }));
  }
}

}  // namespace

std::vector<Sample> IoSamples() {
  std::vector<Sample> samples;
  AddOpens(&samples);
  AddReads(&samples);
  samples.push_back(WriteSample("", FUSE_WRITE_LOCKOWNER, std::string("da\0ta", 5), false, false));
  samples.push_back(WriteSample("Nothing", 0, "", false, false));
  samples.push_back(
      WriteSample("FromPageCache", FUSE_WRITE_CACHE, std::string(4096, 'p'), true, false));
  samples.push_back(WriteSample("KillingPrivileges", FUSE_WRITE_KILL_SUIDGID, "x", false, true));
  AddRanges(&samples);
  AddIoctls(&samples);
  return samples;
}

}  // namespace memfuse::protocol

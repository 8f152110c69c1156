#include <linux/fs.h>

#include "tests/protocol/sample.h"

namespace memfuse::protocol {
namespace {

constexpr uint64_t kOther = 0x5152535455565758;

template <typename T>
Sample NameSample(std::string name, uint32_t opcode) {
  return MakeSample<T>(std::move(name), opcode, "", Terminated("file.txt"), [](const T& request) {
    EXPECT_EQ(ToInt(request.parent), kNode);
    EXPECT_EQ(request.name, "file.txt");
  });
}

fuse_create_in CreateArguments() {
  fuse_create_in in{};
  in.flags = 0x01020304;
  in.mode = 0100644;
  in.umask = 027;
  in.open_flags = FUSE_OPEN_KILL_SUIDGID;
  return in;
}

void ExpectCreate(const CreateRequest& request) {
  EXPECT_EQ(ToInt(request.parent), kNode);
  EXPECT_EQ(request.mode, 0100644u);
  EXPECT_EQ(request.umask, 027u);
  EXPECT_EQ(request.flags, 0x01020304u);
}

Sample TmpfileSample(std::string name, std::string_view rest) {
  Sample sample =
      MakeSample<TmpfileRequest>(std::move(name), FUSE_TMPFILE, BytesOf(CreateArguments()), rest,
                                 [](const TmpfileRequest& request) {
                                   ExpectCreate(request.create);
                                   EXPECT_TRUE(request.create.kill_suidgid);
                                   EXPECT_EQ(request.create.name, "");
                                 });
  sample.shortest_valid = sizeof(fuse_in_header) + sizeof(fuse_create_in);
  return sample;
}

}  // namespace

std::vector<Sample> NamespaceSamples() {
  std::vector<Sample> samples;
  samples.push_back(NameSample<LookupRequest>("Lookup", FUSE_LOOKUP));
  samples.push_back(NameSample<UnlinkRequest>("Unlink", FUSE_UNLINK));
  samples.push_back(NameSample<RmdirRequest>("Rmdir", FUSE_RMDIR));
  samples.push_back(
      MakeSample<LookupRequest>("LookupEmptyName", FUSE_LOOKUP, "", Terminated(""),
                                [](const LookupRequest& request) { EXPECT_EQ(request.name, ""); }));
  samples.push_back(MakeSample<LookupRequest>(
      "LookupLongName", FUSE_LOOKUP, "", Terminated(std::string(300, 'n')),
      [](const LookupRequest& request) { EXPECT_EQ(request.name, std::string(300, 'n')); }));
  samples.push_back(MakeSample<ReadlinkRequest>(
      "Readlink", FUSE_READLINK, "", "",
      [](const ReadlinkRequest& request) { EXPECT_EQ(ToInt(request.ino), kNode); }));

  samples.push_back(MakeSample<SymlinkRequest>("Symlink", FUSE_SYMLINK, "",
                                               Terminated("link") + Terminated("../some/target"),
                                               [](const SymlinkRequest& request) {
                                                 EXPECT_EQ(ToInt(request.parent), kNode);
                                                 EXPECT_EQ(request.name, "link");
                                                 EXPECT_EQ(request.target, "../some/target");
                                               }));

  fuse_mknod_in mknod{};
  mknod.mode = 020640;
  mknod.rdev = 0x10072c;
  mknod.umask = 022;
  mknod.padding = 0xffffffff;
  samples.push_back(MakeSample<MknodRequest>("Mknod", FUSE_MKNOD, BytesOf(mknod), Terminated("dev"),
                                             [](const MknodRequest& request) {
                                               EXPECT_EQ(ToInt(request.parent), kNode);
                                               EXPECT_EQ(request.name, "dev");
                                               EXPECT_EQ(request.mode, 020640u);
                                               EXPECT_EQ(request.rdev, 0x10072cu);
                                               EXPECT_EQ(request.umask, 022u);
                                             }));

  fuse_mkdir_in mkdir{};
  mkdir.mode = 01755;
  mkdir.umask = 077;
  samples.push_back(MakeSample<MkdirRequest>("Mkdir", FUSE_MKDIR, BytesOf(mkdir), Terminated("d"),
                                             [](const MkdirRequest& request) {
                                               EXPECT_EQ(ToInt(request.parent), kNode);
                                               EXPECT_EQ(request.name, "d");
                                               EXPECT_EQ(request.mode, 01755u);
                                               EXPECT_EQ(request.umask, 077u);
                                             }));

  fuse_rename_in rename{};
  rename.newdir = kOther;
  samples.push_back(MakeSample<RenameRequest>("Rename", FUSE_RENAME, BytesOf(rename),
                                              Terminated("old") + Terminated("new name"),
                                              [](const RenameRequest& request) {
                                                EXPECT_EQ(ToInt(request.parent), kNode);
                                                EXPECT_EQ(request.name, "old");
                                                EXPECT_EQ(ToInt(request.new_parent), kOther);
                                                EXPECT_EQ(request.new_name, "new name");
                                                EXPECT_EQ(request.flags, 0u);
                                              }));

  fuse_rename2_in rename2{};
  rename2.newdir = kOther;
  rename2.flags = RENAME_NOREPLACE | RENAME_WHITEOUT;
  rename2.padding = 0xffffffff;
  samples.push_back(MakeSample<RenameRequest>(
      "Rename2", FUSE_RENAME2, BytesOf(rename2), Terminated("old") + Terminated("new name"),
      [](const RenameRequest& request) {
        EXPECT_EQ(ToInt(request.parent), kNode);
        EXPECT_EQ(request.name, "old");
        EXPECT_EQ(ToInt(request.new_parent), kOther);
        EXPECT_EQ(request.new_name, "new name");
        EXPECT_EQ(request.flags, static_cast<uint32_t>(RENAME_NOREPLACE | RENAME_WHITEOUT));
      }));

  fuse_link_in link{};
  link.oldnodeid = kOther;
  samples.push_back(MakeSample<LinkRequest>("Link", FUSE_LINK, BytesOf(link), Terminated("more"),
                                            [](const LinkRequest& request) {
                                              EXPECT_EQ(ToInt(request.ino), kOther);
                                              EXPECT_EQ(ToInt(request.new_parent), kNode);
                                              EXPECT_EQ(request.new_name, "more");
                                            }));

  fuse_create_in create = CreateArguments();
  samples.push_back(MakeSample<CreateRequest>("CreateKillingPrivileges", FUSE_CREATE,
                                              BytesOf(create), Terminated("c"),
                                              [](const CreateRequest& request) {
                                                ExpectCreate(request);
                                                EXPECT_EQ(request.name, "c");
                                                EXPECT_TRUE(request.kill_suidgid);
                                              }));
  create.open_flags = ~static_cast<uint32_t>(FUSE_OPEN_KILL_SUIDGID);
  samples.push_back(MakeSample<CreateRequest>("Create", FUSE_CREATE, BytesOf(create),
                                              Terminated("c"), [](const CreateRequest& request) {
                                                ExpectCreate(request);
                                                EXPECT_EQ(request.name, "c");
                                                EXPECT_FALSE(request.kill_suidgid);
                                              }));
  samples.push_back(TmpfileSample("TmpfileNamed", Terminated("/")));
  samples.push_back(TmpfileSample("TmpfileUnterminated", "#12"));
  samples.push_back(TmpfileSample("TmpfileBare", ""));
  return samples;
}

}  // namespace memfuse::protocol

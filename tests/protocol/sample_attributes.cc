#include "tests/protocol/sample.h"

namespace memfuse::protocol {
namespace {

// Every field is filled. A field that `valid` does not name must not be decoded.
fuse_setattr_in SetattrArguments(uint32_t valid) {
  fuse_setattr_in in{};
  in.valid = valid;
  in.padding = 0xffffffff;
  in.fh = kHandle;
  in.size = 0x0a0b0c0d0e0f1011;
  in.lock_owner = 0x7172737475767778;
  in.atime = 1'000'000'001;
  in.mtime = static_cast<uint64_t>(int64_t{-86'400});
  in.ctime = 3'000'000'003;
  in.atimensec = 999'999'999;
  in.mtimensec = 222;
  in.ctimensec = 333;
  in.mode = 0104755;
  in.unused4 = 0xffffffff;
  in.uid = 1001;
  in.gid = 1002;
  in.unused5 = 0xffffffff;
  return in;
}

Sample SetattrSample(std::string name, uint32_t valid,
                     std::function<void(const SetattrRequest&)> check) {
  return MakeSample<SetattrRequest>("Setattr" + name, FUSE_SETATTR,
                                    BytesOf(SetattrArguments(valid)), "", std::move(check));
}

void ExpectNoChange(const SetattrRequest& request) {
  EXPECT_FALSE(request.mode.has_value());
  EXPECT_FALSE(request.uid.has_value());
  EXPECT_FALSE(request.gid.has_value());
  EXPECT_FALSE(request.size.has_value());
  EXPECT_EQ(request.atime.kind, TimeChange::Kind::kKeep);
  EXPECT_EQ(request.mtime.kind, TimeChange::Kind::kKeep);
  EXPECT_FALSE(request.ctime.has_value());
}

void AddSetattr(std::vector<Sample>* samples) {
  samples->push_back(
      SetattrSample("Everything",
                    FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME |
                        FATTR_CTIME | FATTR_FH | FATTR_LOCKOWNER,
                    [](const SetattrRequest& request) {
                      EXPECT_EQ(ToInt(request.ino), kNode);
                      ASSERT_TRUE(request.handle.has_value());
                      EXPECT_EQ(ToInt(*request.handle), kHandle);
                      EXPECT_EQ(request.mode, 0104755u);
                      EXPECT_EQ(request.uid, 1001u);
                      EXPECT_EQ(request.gid, 1002u);
                      EXPECT_EQ(request.size, 0x0a0b0c0d0e0f1011u);
                      EXPECT_EQ(request.atime.kind, TimeChange::Kind::kSet);
                      EXPECT_EQ(request.atime.value, (Timestamp{1'000'000'001, 999'999'999}));
                      EXPECT_EQ(request.mtime.kind, TimeChange::Kind::kSet);
                      EXPECT_EQ(request.mtime.value, (Timestamp{-86'400, 222}));
                      ASSERT_TRUE(request.ctime.has_value());
                      EXPECT_EQ(*request.ctime, (Timestamp{3'000'000'003, 333}));
                      EXPECT_FALSE(request.kill_suidgid);
                    }));
  samples->push_back(SetattrSample("Now",
                                   FATTR_ATIME | FATTR_ATIME_NOW | FATTR_MTIME | FATTR_MTIME_NOW,
                                   [](const SetattrRequest& request) {
                                     EXPECT_EQ(request.atime.kind, TimeChange::Kind::kNow);
                                     EXPECT_EQ(request.mtime.kind, TimeChange::Kind::kNow);
                                     EXPECT_FALSE(request.handle.has_value());
                                     EXPECT_FALSE(request.mode.has_value());
                                     EXPECT_FALSE(request.kill_suidgid);
                                   }));
  samples->push_back(SetattrSample("AtimeNowMtimeSet", FATTR_ATIME | FATTR_ATIME_NOW | FATTR_MTIME,
                                   [](const SetattrRequest& request) {
                                     EXPECT_EQ(request.atime.kind, TimeChange::Kind::kNow);
                                     EXPECT_EQ(request.mtime.kind, TimeChange::Kind::kSet);
                                     EXPECT_FALSE(request.ctime.has_value());
                                   }));
  samples->push_back(SetattrSample("Nothing", 0, [](const SetattrRequest& request) {
    ExpectNoChange(request);
    EXPECT_FALSE(request.handle.has_value());
    EXPECT_TRUE(request.kill_suidgid);
  }));
  samples->push_back(
      SetattrSample("HandleOnly", FATTR_FH | FATTR_LOCKOWNER, [](const SetattrRequest& request) {
        ExpectNoChange(request);
        EXPECT_TRUE(request.handle.has_value());
        EXPECT_TRUE(request.kill_suidgid);
      }));
  samples->push_back(SetattrSample("CtimeOnly", FATTR_CTIME, [](const SetattrRequest& request) {
    EXPECT_TRUE(request.ctime.has_value());
    EXPECT_TRUE(request.kill_suidgid);
  }));
  samples->push_back(
      SetattrSample("FlushedTimes", FATTR_MTIME | FATTR_CTIME, [](const SetattrRequest& request) {
        EXPECT_EQ(request.mtime.kind, TimeChange::Kind::kSet);
        EXPECT_TRUE(request.ctime.has_value());
        EXPECT_FALSE(request.kill_suidgid);
      }));
  samples->push_back(
      SetattrSample("Truncate", FATTR_SIZE | FATTR_LOCKOWNER, [](const SetattrRequest& request) {
        EXPECT_EQ(request.size, 0x0a0b0c0d0e0f1011u);
        EXPECT_FALSE(request.kill_suidgid);
      }));
  samples->push_back(SetattrSample("TruncateKillingPrivileges", FATTR_SIZE | FATTR_KILL_SUIDGID,
                                   [](const SetattrRequest& request) {
                                     EXPECT_EQ(request.size, 0x0a0b0c0d0e0f1011u);
                                     EXPECT_TRUE(request.kill_suidgid);
                                   }));
}

// STATX is newer than the system's header, so its 24 bytes are written by hand.
std::string StatxArguments(uint32_t getattr_flags) {
  return BytesOf(getattr_flags) + BytesOf(uint32_t{0xffffffff}) + BytesOf(kHandle) +
         BytesOf(uint32_t{0x2000}) + BytesOf(uint32_t{0xfff});
}

void AddXattr(std::vector<Sample>* samples) {
  fuse_setxattr_in set{};
  set.size = 5;
  set.flags = 2;
  set.setxattr_flags = FUSE_SETXATTR_ACL_KILL_SGID;
  set.padding = 0xffffffff;
  const std::string value("v\0lue", 5);
  const auto check = [value](bool kill_sgid) {
    return [value, kill_sgid](const SetxattrRequest& request) {
      EXPECT_EQ(ToInt(request.ino), kNode);
      EXPECT_EQ(request.name, "user.a/b");
      EXPECT_EQ(std::string(request.value.begin(), request.value.end()), value);
      EXPECT_EQ(request.flags, 2u);
      EXPECT_EQ(request.kill_sgid, kill_sgid);
    };
  };
  samples->push_back(MakeSample<SetxattrRequest>(
      "SetxattrShort", FUSE_SETXATTR, BytesOf(set).substr(0, FUSE_COMPAT_SETXATTR_IN_SIZE),
      Terminated("user.a/b") + value, check(false)));
  for (const bool kill : {false, true}) {
    set.setxattr_flags = kill ? FUSE_SETXATTR_ACL_KILL_SGID : ~FUSE_SETXATTR_ACL_KILL_SGID;
    samples->push_back(MakeSample<SetxattrRequest>(kill ? "SetxattrKillingSgid" : "SetxattrLong",
                                                   FUSE_SETXATTR, BytesOf(set),
                                                   Terminated("user.a/b") + value, check(kill)));
    samples->back().parameters.flags = FUSE_SETXATTR_EXT;
  }
  fuse_setxattr_in empty{};
  samples->push_back(MakeSample<SetxattrRequest>("SetxattrEmptyValue", FUSE_SETXATTR,
                                                 BytesOf(empty), Terminated("user.e"),
                                                 [](const SetxattrRequest& request) {
                                                   EXPECT_EQ(request.name, "user.e");
                                                   EXPECT_TRUE(request.value.empty());
                                                 }));
  samples->back().parameters.flags = FUSE_SETXATTR_EXT;

  fuse_getxattr_in get{};
  get.size = 0x01020304;
  get.padding = 0xffffffff;
  samples->push_back(MakeSample<GetxattrRequest>("Getxattr", FUSE_GETXATTR, BytesOf(get),
                                                 Terminated("user.x"),
                                                 [](const GetxattrRequest& request) {
                                                   EXPECT_EQ(ToInt(request.ino), kNode);
                                                   EXPECT_EQ(request.name, "user.x");
                                                   EXPECT_EQ(request.size, 0x01020304u);
                                                 }));
  samples->push_back(MakeSample<ListxattrRequest>("Listxattr", FUSE_LISTXATTR, BytesOf(get), "",
                                                  [](const ListxattrRequest& request) {
                                                    EXPECT_EQ(ToInt(request.ino), kNode);
                                                    EXPECT_EQ(request.size, 0x01020304u);
                                                  }));
  samples->push_back(MakeSample<RemovexattrRequest>("Removexattr", FUSE_REMOVEXATTR, "",
                                                    Terminated("user.x"),
                                                    [](const RemovexattrRequest& request) {
                                                      EXPECT_EQ(ToInt(request.ino), kNode);
                                                      EXPECT_EQ(request.name, "user.x");
                                                    }));
}

}  // namespace

std::vector<Sample> AttributeSamples() {
  std::vector<Sample> samples;
  fuse_getattr_in getattr{};
  getattr.getattr_flags = FUSE_GETATTR_FH;
  getattr.dummy = 0xffffffff;
  getattr.fh = kHandle;
  samples.push_back(MakeSample<GetattrRequest>("GetattrHandle", FUSE_GETATTR, BytesOf(getattr), "",
                                               [](const GetattrRequest& request) {
                                                 EXPECT_EQ(ToInt(request.ino), kNode);
                                                 ASSERT_TRUE(request.handle.has_value());
                                                 EXPECT_EQ(ToInt(*request.handle), kHandle);
                                               }));
  getattr.getattr_flags = ~static_cast<uint32_t>(FUSE_GETATTR_FH);
  samples.push_back(MakeSample<GetattrRequest>(
      "Getattr", FUSE_GETATTR, BytesOf(getattr), "",
      [](const GetattrRequest& request) { EXPECT_FALSE(request.handle.has_value()); }));

  samples.push_back(MakeSample<StatxRequest>("StatxHandle", 52, StatxArguments(FUSE_GETATTR_FH), "",
                                             [](const StatxRequest& request) {
                                               EXPECT_EQ(ToInt(request.ino), kNode);
                                               ASSERT_TRUE(request.handle.has_value());
                                               EXPECT_EQ(ToInt(*request.handle), kHandle);
                                             }));
  samples.push_back(MakeSample<StatxRequest>(
      "Statx", 52, StatxArguments(0), "",
      [](const StatxRequest& request) { EXPECT_FALSE(request.handle.has_value()); }));

  fuse_access_in access{};
  access.mask = 5;
  access.padding = 0xffffffff;
  samples.push_back(MakeSample<AccessRequest>("Access", FUSE_ACCESS, BytesOf(access), "",
                                              [](const AccessRequest& request) {
                                                EXPECT_EQ(ToInt(request.ino), kNode);
                                                EXPECT_EQ(request.mask, 5u);
                                              }));
  samples.push_back(MakeSample<StatfsRequest>(
      "Statfs", FUSE_STATFS, "", "",
      [](const StatfsRequest& request) { EXPECT_EQ(ToInt(request.ino), kNode); }));
  AddSetattr(&samples);
  AddXattr(&samples);
  return samples;
}

}  // namespace memfuse::protocol

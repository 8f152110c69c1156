// overlayfs with upper and work directories on the file system under test, as containers use it.

#include "tests/conformance/overlay.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/conformance/acl.h"
#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

ROOT_CONFORMANCE_SUITE(OverlayUpper);

std::string XattrOf(const std::string& path, const char* name) {
  char value[300];
  const ssize_t size = lgetxattr(path.c_str(), name, value, sizeof(value));
  return size < 0 ? strerror(errno) : std::string(value, static_cast<size_t>(size));
}

bool IsWhiteout(const std::string& path) {
  const struct stat s = LStat(path);
  return S_ISCHR(s.st_mode) && s.st_rdev == makedev(0, 0);
}

TEST_P(OverlayUpper, SupportsAllFeaturesOfOverlayfs) {
  Overlay overlay;
  ASSERT_EQ(overlay.Mount(",redirect_dir=on,index=on,metacopy=on"), 0) << strerror(errno);
  const std::string options = Overlay::Options();
  EXPECT_EQ(options.find(",ro"), std::string::npos) << options;
  for (const char* option : {"redirect_dir=on", "index=on", "metacopy=on"}) {
    EXPECT_NE(options.find(option), std::string::npos) << options;
  }
  ASSERT_EQ(overlay.Unmount(), 0);
  ASSERT_EQ(overlay.Mount(",index=on,nfs_export=on"), 0);
  EXPECT_NE(Overlay::Options().find("nfs_export=on"), std::string::npos) << Overlay::Options();
  ASSERT_EQ(overlay.Unmount(), 0);
  ASSERT_EQ(overlay.Mount(",userxattr"), 0);
  ASSERT_EQ(overlay.Unmount(), 0);
  ASSERT_EQ(overlay.Mount(",volatile"), 0);
}

TEST_P(OverlayUpper, MergesTheLayers) {
  Overlay overlay;
  ASSERT_EQ(mkdir("lower/d", 0755), 0);
  ASSERT_EQ(mkdir("upper/d", 0755), 0);
  MakeFile("lower/d/low", "low");
  MakeFile("lower/d/both", "low");
  MakeFile("upper/d/both", "up");
  MakeFile("upper/d/up", "up");
  ASSERT_EQ(overlay.Mount(), 0);
  EXPECT_THAT(List("merged/d"), testing::ElementsAre("both", "low", "up"));
  EXPECT_EQ(ReadFile("merged/d/low"), "low");
  EXPECT_EQ(ReadFile("merged/d/both"), "up");
}

TEST_P(OverlayUpper, ChangesCopyUp) {
  Overlay overlay;
  const std::string content(100000, 'x');
  const timespec times[2] = {{1000, 1}, {2000, 2}};
  const bool lower_has_user_attributes = KernelAtLeast(6, 6);  // it is a tmpfs
  for (const char* name : {"write", "append", "chmod", "chown", "utimes", "setxattr", "truncate"}) {
    const std::string path = std::string("lower/") + name;
    MakeFile(path, content, 0640);
    ASSERT_EQ(chown(path.c_str(), kAlice.uid, kShared), 0);
    if (lower_has_user_attributes) {
      ASSERT_EQ(setxattr(path.c_str(), "user.a", "1", 1, 0), 0);
    }
    ASSERT_EQ(setxattr(path.c_str(), "trusted.a", "2", 1, 0), 0);
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  ASSERT_EQ(overlay.Mount(), 0);
  ASSERT_EQ(pwrite(Open("merged/write", O_WRONLY).get(), "y", 1, 0), 1);
  ASSERT_EQ(write(Open("merged/append", O_WRONLY | O_APPEND).get(), "y", 1), 1);
  ASSERT_EQ(chmod("merged/chmod", 0600), 0);
  ASSERT_EQ(chown("merged/chown", kBob.uid, -1), 0);
  const timespec others[2] = {{3000, 3}, {4000, 4}};
  ASSERT_EQ(utimensat(AT_FDCWD, "merged/utimes", others, 0), 0);
  ASSERT_EQ(setxattr("merged/setxattr", "trusted.b", "3", 1, 0), 0);
  ASSERT_EQ(truncate("merged/truncate", 10), 0);
  EXPECT_EQ(ReadFile("upper/write"), "y" + content.substr(1));
  EXPECT_EQ(ReadFile("upper/append"), content + "y");
  EXPECT_EQ(ReadFile("upper/truncate"), content.substr(0, 10));
  EXPECT_EQ(Permissions("upper/chmod"), 0600u);
  EXPECT_EQ(Stat("upper/chown").st_uid, kBob.uid);
  EXPECT_EQ(Stat("upper/utimes").st_mtim.tv_nsec, 4);
  EXPECT_EQ(XattrOf("upper/setxattr", "trusted.b"), "3");
  for (const std::string& name : List("lower")) {
    SCOPED_TRACE(name);
    EXPECT_EQ(ReadFile("lower/" + name), content);
    if (lower_has_user_attributes) {
      EXPECT_EQ(XattrOf("upper/" + name, "user.a"), "1");
    }
    EXPECT_EQ(XattrOf("upper/" + name, "trusted.a"), "2");
    EXPECT_EQ(Stat("upper/" + name).st_gid, kShared);
  }
  EXPECT_EQ(Stat("upper/chmod").st_mtim.tv_sec, 2000);
  EXPECT_EQ(Stat("upper/chmod").st_mtim.tv_nsec, 2);
  EXPECT_EQ(Permissions("upper/write"), 0640u);
}

// overlayfs copies with the capabilities of the mounting process. The kernel sends a FUSE server
// the PID of the calling thread only, and trusted.* names are not listed for that thread.
TEST_P(OverlayUpper, AChangeByAnOrdinaryUserCopiesUp) {
  Overlay overlay;
  ASSERT_EQ(umount("lower"), 0);  // the directory below, on the file system under test
  MakeFile("lower/f", "content", 0600);
  Give("lower/f", kAlice);
  ASSERT_EQ(setxattr("lower/f", "user.a", "1", 1, 0), 0);
  ASSERT_EQ(setxattr("lower/f", "trusted.a", "2", 1, 0), 0);
  ASSERT_EQ(overlay.Mount(), 0);
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(chmod("merged/f", 0640)); }), 0);
  EXPECT_EQ(ReadFile("upper/f"), "content");
  EXPECT_EQ(Permissions("upper/f"), 0640u);
  EXPECT_EQ(Stat("upper/f").st_uid, kAlice.uid);
  EXPECT_EQ(XattrOf("upper/f", "user.a"), "1");
  EXPECT_EQ(XattrOf("upper/f", "trusted.a"), on_memfuse() ? strerror(ENODATA) : "2");
}

TEST_P(OverlayUpper, EveryTypeCopiesUp) {
  Overlay overlay;
  for (const Type type : AllTypes()) MakeObject(type, "lower/" + ToString(type));
  ASSERT_EQ(
      SetAcl("lower/file", kAccess,
             {{kUserObj, 6}, {kNamedUser, 6, 1001}, {kGroupObj, 4}, {kMaskTag, 6}, {kOther, 0}}),
      0);
  ASSERT_EQ(overlay.Mount(), 0);
  for (const Type type : AllTypes()) {
    SCOPED_TRACE(ToString(type));
    const std::string name = ToString(type);
    ASSERT_EQ(lchown(("merged/" + name).c_str(), 7, 8), 0);
    const struct stat low = LStat("lower/" + name), up = LStat("upper/" + name);
    EXPECT_EQ(up.st_mode, low.st_mode);
    EXPECT_EQ(up.st_rdev, low.st_rdev);
    EXPECT_EQ(up.st_uid, 7u);
    EXPECT_EQ(low.st_uid, 0u);
  }
  EXPECT_EQ(GetAcl("upper/file", kAccess).size(), 5u);
  char target[10];
  EXPECT_EQ(readlink("upper/symlink", target, sizeof(target)), 6);
}

TEST_P(OverlayUpper, HolesStayHoles) {
  Overlay overlay;
  MakeFile("lower/f");
  {
    const UniqueFd fd = Open("lower/f", O_WRONLY);
    ASSERT_EQ(pwrite(fd.get(), "x", 1, 0), 1);
    ASSERT_EQ(pwrite(fd.get(), "y", 1, 64 << 20), 1);
  }
  ASSERT_EQ(overlay.Mount(), 0);
  ASSERT_EQ(chmod("merged/f", 0600), 0);
  EXPECT_EQ(Stat("upper/f").st_size, (64 << 20) + 1);
  EXPECT_LT(Stat("upper/f").st_blocks, 8192);
}

TEST_P(OverlayUpper, RemovalsLeaveWhiteouts) {
  Overlay overlay;
  MakeFile("lower/f", "low");
  MakeFile("lower/g", "low");
  ASSERT_EQ(mkdir("lower/d", 0755), 0);
  MakeFile("lower/d/x");
  ASSERT_EQ(overlay.Mount(), 0);
  ASSERT_EQ(unlink("merged/f"), 0);
  EXPECT_TRUE(IsWhiteout("upper/f"));
  EXPECT_FALSE(Exists("merged/f"));
  EXPECT_EQ(ErrnoOf(rmdir("merged/d")), ENOTEMPTY);
  ASSERT_EQ(unlink("merged/d/x"), 0);
  ASSERT_EQ(rmdir("merged/d"), 0);
  EXPECT_TRUE(IsWhiteout("upper/d"));
  ASSERT_EQ(rename("merged/g", "merged/h"), 0);
  EXPECT_TRUE(IsWhiteout("upper/g"));
  EXPECT_EQ(ReadFile("merged/h"), "low");
  EXPECT_THAT(List("merged"), testing::ElementsAre("h"));
  MakeFile("merged/f", "new");
  EXPECT_EQ(ReadFile("upper/f"), "new");
  ASSERT_EQ(overlay.Unmount(), 0);
  ASSERT_EQ(overlay.Mount(), 0);
  EXPECT_THAT(List("merged"), testing::ElementsAre("f", "h"));
  EXPECT_TRUE(List("work/work").empty()) << "nothing is left behind";
}

TEST_P(OverlayUpper, ARecreatedDirectoryIsOpaque) {
  Overlay overlay;
  ASSERT_EQ(mkdir("lower/d", 0755), 0);
  MakeFile("lower/d/x");
  ASSERT_EQ(overlay.Mount(), 0);
  ASSERT_EQ(unlink("merged/d/x"), 0);
  ASSERT_EQ(rmdir("merged/d"), 0);
  ASSERT_EQ(mkdir("merged/d", 0755), 0);
  EXPECT_EQ(XattrOf("upper/d", "trusted.overlay.opaque"), "y");
  EXPECT_TRUE(List("merged/d").empty());
  // Overlays with nested whiteouts, since Linux 6.7, have another errno for hidden names.
  EXPECT_EQ(XattrOf("merged/d", "trusted.overlay.opaque"),
            strerror(KernelAtLeast(6, 7) ? ENODATA : EOPNOTSUPP))
      << "not shown";
  ASSERT_EQ(overlay.Unmount(), 0);
  ASSERT_EQ(overlay.Mount(), 0);
  EXPECT_TRUE(List("merged/d").empty());
}

TEST_P(OverlayUpper, DirectoriesMoveByRedirection) {
  Overlay overlay;
  ASSERT_EQ(mkdir("lower/d", 0755), 0);
  MakeFile("lower/d/x", "low");
  ASSERT_EQ(overlay.Mount(",redirect_dir=off"), 0);
  EXPECT_EQ(ErrnoOf(rename("merged/d", "merged/e")), EXDEV);
  ASSERT_EQ(overlay.Unmount(), 0);
  ASSERT_EQ(overlay.Mount(",redirect_dir=on"), 0);
  ASSERT_EQ(rename("merged/d", "merged/e"), 0);
  EXPECT_EQ(XattrOf("upper/e", "trusted.overlay.redirect"), "d");
  EXPECT_TRUE(IsWhiteout("upper/d"));
  ASSERT_EQ(mkdir("merged/other", 0755), 0);
  ASSERT_EQ(rename("merged/e", "merged/other/e"), 0);
  EXPECT_EQ(XattrOf("upper/other/e", "trusted.overlay.redirect"), "/d");
  ASSERT_EQ(overlay.Unmount(), 0);
  ASSERT_EQ(overlay.Mount(",redirect_dir=on"), 0);
  EXPECT_EQ(ReadFile("merged/other/e/x"), "low");
}

TEST_P(OverlayUpper, HardLinksSurviveCopyUpWithAnIndex) {
  Overlay overlay;
  MakeFile("lower/a", "low");
  ASSERT_EQ(link("lower/a", "lower/b"), 0);
  ASSERT_EQ(overlay.Mount(",index=on"), 0);
  ASSERT_EQ(write(Open("merged/a", O_WRONLY | O_APPEND).get(), "!", 1), 1);
  EXPECT_EQ(ReadFile("merged/b"), "low!");
  EXPECT_EQ(Stat("merged/a").st_ino, Stat("merged/b").st_ino);
  EXPECT_EQ(Stat("merged/a").st_nlink, 2u);
  ASSERT_EQ(link("merged/a", "merged/c"), 0);
  EXPECT_EQ(Stat("merged/b").st_nlink, 3u);
  ASSERT_EQ(unlink("merged/b"), 0);
  EXPECT_EQ(Stat("merged/c").st_nlink, 2u);
}

TEST_P(OverlayUpper, AHardLinkOutlivesTheNameThatWasCopiedUp) {
  Overlay overlay;
  MakeFile("lower/a", "content");
  ASSERT_EQ(overlay.Mount(), 0);
  ASSERT_EQ(link("merged/a", "merged/b"), 0);
  EXPECT_EQ(ErrnoOf(mkfifo("merged/b", 0644)), EEXIST);
  ASSERT_EQ(unlink("merged/a"), 0);
  // For all names of an inode overlayfs revalidates the one that was copied up. FUSE looks that
  // name up again and does not find it, and overlayfs fails until its caches are dropped.
  EXPECT_EQ(ErrnoOf(UniqueFd(open("merged/b", O_RDONLY | O_CLOEXEC)).get()),
            on_memfuse() ? ESTALE : 0);
  EXPECT_EQ(ErrnoOf(umount2("merged", MNT_DETACH)), 0);
  ASSERT_EQ(overlay.Mount(), 0);
  EXPECT_EQ(ReadFile("merged/b"), "content");
  EXPECT_THAT(List("merged"), testing::ElementsAre("b"));
}

TEST_P(OverlayUpper, MetacopyLeavesTheDataBelow) {
  Overlay overlay;
  MakeFile("lower/f", std::string(1 << 20, 'x'));
  ASSERT_EQ(overlay.Mount(",metacopy=on,redirect_dir=on"), 0);
  ASSERT_EQ(chmod("merged/f", 0600), 0);
  EXPECT_EQ(Stat("upper/f").st_blocks, 0);
  EXPECT_EQ(Stat("upper/f").st_size, 1 << 20);
  EXPECT_NE(XattrOf("upper/f", "trusted.overlay.metacopy"), strerror(ENODATA));
  ASSERT_EQ(rename("merged/f", "merged/g"), 0);
  EXPECT_EQ(ReadFile("merged/g"), std::string(1 << 20, 'x'));
  ASSERT_EQ(write(Open("merged/g", O_WRONLY | O_APPEND).get(), "y", 1), 1);
  EXPECT_EQ(XattrOf("upper/g", "trusted.overlay.metacopy"), strerror(ENODATA));
  EXPECT_EQ(ReadFile("upper/g"), std::string(1 << 20, 'x') + "y");
}

TEST_P(OverlayUpper, FilesWithoutAName) {
  if (!KernelAtLeast(6, 10)) GTEST_SKIP() << "overlayfs has no O_TMPFILE before Linux 6.10";
  Overlay overlay;
  ASSERT_EQ(overlay.Mount(), 0);
  const UniqueFd fd = Open("merged", O_TMPFILE | O_RDWR, 0600);
  ASSERT_EQ(write(fd.get(), "content", 7), 7);
  ASSERT_EQ(linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd.get())).c_str(), AT_FDCWD,
                   "merged/f", AT_SYMLINK_FOLLOW),
            0);
  EXPECT_EQ(ReadFile("upper/f"), "content");
}

TEST_P(OverlayUpper, LargeMergedListings) {
  Overlay overlay;
  ASSERT_EQ(mkdir("lower/d", 0755), 0);
  for (int i = 0; i < 500; ++i) MakeFile("lower/d/" + std::to_string(i));
  ASSERT_EQ(overlay.Mount(), 0);
  for (int i = 500; i < 1000; ++i) MakeFile("merged/d/" + std::to_string(i));
  EXPECT_EQ(List("merged/d").size(), 1000u);
  for (int i = 0; i < 1000; i += 2) ASSERT_EQ(unlink(("merged/d/" + std::to_string(i)).c_str()), 0);
  EXPECT_EQ(List("merged/d").size(), 500u);
  ASSERT_EQ(overlay.Unmount(), 0);
  ASSERT_EQ(overlay.Mount(), 0);
  EXPECT_EQ(List("merged/d").size(), 500u);
}

TEST_P(OverlayUpper, ProgramsRun) {
  Overlay overlay;
  MakeFile("lower/true", ReadFile("/bin/true"), 0755);
  ASSERT_EQ(overlay.Mount(), 0);
  EXPECT_EQ(Spawn({"merged/true"}), 0);
  ASSERT_EQ(chmod("merged/true", 0700), 0);
  EXPECT_EQ(Spawn({"merged/true"}), 0);
  MakeFile("merged/script", "#!/bin/sh\nexit 3\n", 0755);
  EXPECT_EQ(Spawn({"merged/script"}), 3);
}

}  // namespace
}  // namespace memfuse::conformance

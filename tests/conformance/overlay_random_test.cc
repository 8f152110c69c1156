// The same random changes in an overlay whose upper layer is on the file system under test, and in
// an overlay on a separate tmpfs. Each call must have the same result, and the merged trees must be
// equal.

#include <dirent.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <map>
#include <random>

#include "tests/conformance/conformance.h"
#include "tests/conformance/mounts.h"
#include "tests/conformance/overlay.h"

namespace memfuse::conformance {
namespace {

ROOT_CONFORMANCE_SUITE(OverlayRandom);

// tmpfs has no user.* attributes before Linux 6.6.
constexpr char kAttribute[] = "trusted.a";

void FillLower(const std::string& lower) {
  for (const char* dir : {"", "a/", "b/", "a/a/", "a/b/"}) {
    const std::string base = lower + "/" + dir;
    if (*dir != '\0') {
      ASSERT_EQ(mkdir(base.c_str(), 0755), 0);
    }
    MakeFile(base + "x", "low " + std::string(dir));
    MakeFile(base + "y", std::string(5000, 'y'));
    ASSERT_EQ(symlink("x", (base + "l").c_str()), 0);
    ASSERT_EQ(setxattr((base + "x").c_str(), kAttribute, "1", 1, 0), 0);
  }
}

// Path -> description: type, mode, link count of a file, size, content.
void Snapshot(const std::string& dir, const std::string& prefix,
              std::map<std::string, std::string>* tree) {
  for (const std::string& name : List(dir)) {
    const std::string path = dir + "/" + name;
    const struct stat s = LStat(path);
    std::string text = std::to_string(s.st_mode);
    if (S_ISREG(s.st_mode)) {
      char value[100];
      const ssize_t size = getxattr(path.c_str(), kAttribute, value, sizeof(value));
      text += " links " + std::to_string(s.st_nlink) + " xattr " + std::to_string(size) + " " +
              ReadFile(path);
    }
    (*tree)[prefix + name] = text;
    if (S_ISDIR(s.st_mode)) Snapshot(path, prefix + name + "/", tree);
  }
}

constexpr unsigned kLink = 5, kSymlink = 6;

// A change with all its arguments drawn in advance, so that it can be made twice.
struct Change {
  unsigned kind, number;
  std::string one, other;

  int Apply(const std::string& root) const {
    const std::string a = root + "/" + one, b = root + "/" + other;
    switch (kind) {
      case 0: {
        // Opening a fifo must not wait for a reader.
        const UniqueFd fd(
            open(a.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0644));
        if (!fd.valid()) return errno;
        const std::string text = std::to_string(number);
        return ErrnoOf(write(fd.get(), text.data(), text.size()));
      }
      case 1:
        return ErrnoOf(unlink(a.c_str()));
      case 2:
        return ErrnoOf(mkdir(a.c_str(), 0755));
      case 3:
        return ErrnoOf(rmdir(a.c_str()));
      case 4:
        return ErrnoOf(rename(a.c_str(), b.c_str()));
      case kLink:
        return ErrnoOf(link(a.c_str(), b.c_str()));
      case kSymlink:
        return ErrnoOf(symlink("x", a.c_str()));
      case 7:
        return ErrnoOf(chmod(a.c_str(), number % 2 == 0 ? 0755 : 0711));
      case 8:
        return ErrnoOf(truncate(a.c_str(), number % 9000));
      case 9:
        return ErrnoOf(setxattr(a.c_str(), kAttribute, "22", number % 3, 0));
      case 10:
        return ErrnoOf(syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(),
                               number % 2 == 0 ? RENAME_EXCHANGE : RENAME_NOREPLACE));
      default:
        return ErrnoOf(mkfifo(a.c_str(), 0644));
    }
  }
};

TEST_P(OverlayRandom, IsLikeAnOverlayOnTmpfs) {
  for (const std::string options : {"", ",redirect_dir=on,index=on,metacopy=on"}) {
    for (unsigned seed = 1; seed <= 4; ++seed) {
      SCOPED_TRACE(options + " seed " + std::to_string(seed));
      const std::string place = "round" + std::to_string(seed) + (options.empty() ? "" : "o");
      ASSERT_EQ(mkdir(place.c_str(), 0755), 0);
      ASSERT_EQ(chdir(place.c_str()), 0);
      ASSERT_EQ(mkdir("reference", 0755), 0);
      {
        Overlay overlay;
        FillLower("lower");
        ASSERT_EQ(overlay.Mount(options), 0);
        ASSERT_EQ(mount("tmpfs", "reference", "tmpfs", 0, nullptr), 0);
        for (const char* name : {"lower", "upper", "work", "merged"}) {
          ASSERT_EQ(mkdir((std::string("reference/") + name).c_str(), 0755), 0);
        }
        FillLower("reference/lower");
        ASSERT_EQ(mount("overlay", "reference/merged", "overlay", 0,
                        ("lowerdir=reference/lower,upperdir=reference/upper,"
                         "workdir=reference/work" +
                         options)
                            .c_str()),
                  0);
        std::mt19937 random(seed);
        const auto path = [&random] {
          std::string text;
          for (unsigned depth = random() % 3; depth > 0; --depth)
            text += random() % 2 ? "a/" : "b/";
          return text + "abxylmn"[random() % 7];
        };
        for (int i = 0; i < 400; ++i) {
          Change change = {static_cast<unsigned>(random() % 12), static_cast<unsigned>(random()),
                           path(), path()};
          // See OverlayUpper.AHardLinkOutlivesTheNameThatWasCopiedUp.
          if (on_memfuse() && change.kind == kLink) change.kind = kSymlink;
          ASSERT_EQ(change.Apply("merged"), change.Apply("reference/merged"))
              << "change " << i << ": kind " << change.kind << " of " << change.one << " and "
              << change.other;
        }
        std::map<std::string, std::string> tree, reference;
        Snapshot("merged", "", &tree);
        Snapshot("reference/merged", "", &reference);
        EXPECT_EQ(tree, reference);
        // And as seen by the next mount.
        ASSERT_EQ(overlay.Unmount(), 0);
        ASSERT_EQ(overlay.Mount(options), 0);
        tree.clear();
        Snapshot("merged", "", &tree);
        EXPECT_EQ(tree, reference);
      }
      ASSERT_EQ(chdir(".."), 0);
    }
  }
}

}  // namespace
}  // namespace memfuse::conformance

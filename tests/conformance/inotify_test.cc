// inotify(7): every event, on watches of the object and of its directory.

#include <sys/inotify.h>
#include <sys/xattr.h>

#include <map>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Inotify);

const std::pair<uint32_t, const char*> kNames[] = {
    {IN_ACCESS, "access"},
    {IN_MODIFY, "modify"},
    {IN_ATTRIB, "attrib"},
    {IN_CLOSE_WRITE, "close_write"},
    {IN_CLOSE_NOWRITE, "close_nowrite"},
    {IN_OPEN, "open"},
    {IN_MOVED_FROM, "moved_from"},
    {IN_MOVED_TO, "moved_to"},
    {IN_CREATE, "create"},
    {IN_DELETE, "delete"},
    {IN_DELETE_SELF, "delete_self"},
    {IN_MOVE_SELF, "move_self"},
    {IN_IGNORED, "ignored"},
    {IN_ISDIR, "isdir"},
};

class Watcher {
 public:
  Watcher() : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

  int Add(const std::string& path, const std::string& label, uint32_t mask = IN_ALL_EVENTS) {
    const int watch = inotify_add_watch(fd_.get(), path.c_str(), mask);
    if (watch >= 0) labels_[watch] = label;
    return watch < 0 ? errno : 0;
  }

  // The events since the last call: "label: event[|isdir] [name]". It checks that cookies pair.
  std::vector<std::string> Events() {
    std::vector<std::string> events;
    alignas(inotify_event) char buffer[65536];
    ssize_t n;
    uint32_t cookie = 0;
    while ((n = read(fd_.get(), buffer, sizeof(buffer))) > 0) {
      for (ssize_t at = 0; at < n;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        at += static_cast<ssize_t>(sizeof(*event) + event->len);
        std::string text = labels_[event->wd] + ":";
        char separator = ' ';
        for (const auto& [bit, name] : kNames) {
          if ((event->mask & bit) == 0) continue;
          text += separator;
          text += name;
          separator = '|';
        }
        if (event->len > 0) text += std::string(" ") + event->name;
        if ((event->mask & IN_MOVED_FROM) != 0) cookie = event->cookie;
        if ((event->mask & IN_MOVED_TO) != 0) {
          EXPECT_EQ(event->cookie, cookie);
          EXPECT_NE(event->cookie, 0u);
        }
        events.push_back(std::move(text));
      }
    }
    return events;
  }

 private:
  UniqueFd fd_;
  std::map<int, std::string> labels_;
};

TEST_P(Inotify, MakingAndRemovingNames) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  Watcher watcher;
  ASSERT_EQ(watcher.Add("d", "d", IN_CREATE | IN_DELETE | IN_OPEN | IN_CLOSE), 0);
  Open("d/f", O_CREAT | O_WRONLY);
  EXPECT_THAT(watcher.Events(),
              testing::ElementsAre("d: create f", "d: open f", "d: close_write f"));
  Open("d/f", O_CREAT | O_WRONLY);
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("d: open f", "d: close_write f"));
  ASSERT_EQ(mkdir("d/e", 0755), 0);
  ASSERT_EQ(symlink("x", "d/l"), 0);
  ASSERT_EQ(mkfifo("d/p", 0644), 0);
  ASSERT_EQ(link("d/f", "d/g"), 0);
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("d: create|isdir e", "d: create l",
                                                     "d: create p", "d: create g"));
  ASSERT_EQ(unlink("d/f"), 0);
  ASSERT_EQ(unlink("d/l"), 0);
  ASSERT_EQ(rmdir("d/e"), 0);
  EXPECT_THAT(watcher.Events(),
              testing::ElementsAre("d: delete f", "d: delete l", "d: delete|isdir e"));
}

TEST_P(Inotify, FailuresAreSilent) {
  MakeFile("f");
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/f");
  Watcher watcher;
  ASSERT_EQ(watcher.Add(".", "."), 0);
  EXPECT_EQ(ErrnoOf(mkdir("d", 0755)), EEXIST);
  EXPECT_EQ(ErrnoOf(rmdir("d")), ENOTEMPTY);
  EXPECT_EQ(ErrnoOf(unlink("missing")), ENOENT);
  EXPECT_EQ(ErrnoOf(link("f", "d")), EEXIST);
  EXPECT_EQ(ErrnoOf(rename("f", "d")), EISDIR);
  EXPECT_EQ(ErrnoOf(open("f", O_CREAT | O_EXCL, 0644)), EEXIST);
  EXPECT_TRUE(watcher.Events().empty());
}

TEST_P(Inotify, DataOfAFileOnItsOwnWatch) {
  MakeFile("f", "content");
  Watcher watcher;
  ASSERT_EQ(watcher.Add("f", "f"), 0);
  {
    const UniqueFd fd = Open("f", O_RDWR);
    EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: open"));
    char byte;
    ASSERT_EQ(pread(fd.get(), &byte, 1, 0), 1);
    EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: access"));
    ASSERT_EQ(pwrite(fd.get(), "x", 1, 0), 1);
    EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: modify"));
    ASSERT_EQ(ftruncate(fd.get(), 3), 0);
    EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: modify"));
    ASSERT_EQ(fallocate(fd.get(), 0, 0, 100), 0);
    EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: modify"));
  }
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: close_write"));
  Open("f", O_RDONLY);
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: open", "f: close_nowrite"));
  ASSERT_EQ(truncate("f", 1), 0);
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: modify"));
  Open("f", O_WRONLY | O_TRUNC);
  EXPECT_THAT(watcher.Events(),
              testing::UnorderedElementsAre("f: open", "f: modify", "f: close_write"));
}

TEST_P(Inotify, DataOfAFileOnTheDirectorysWatch) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/f");
  Watcher watcher;
  ASSERT_EQ(watcher.Add("d", "d"), 0);
  {
    const UniqueFd fd = Open("d/f", O_WRONLY);
    ASSERT_EQ(write(fd.get(), "x", 1), 1);
  }
  EXPECT_THAT(watcher.Events(),
              testing::ElementsAre("d: open f", "d: modify f", "d: close_write f"));
  List("d");
  EXPECT_THAT(watcher.Events(), testing::IsSupersetOf({"d: open|isdir", "d: access|isdir",
                                                       "d: close_nowrite|isdir"}));
}

TEST_P(Inotify, Attributes) {
  NEEDS_USER_ATTRIBUTES();
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/f");
  ASSERT_EQ(mkdir("d/e", 0755), 0);
  Watcher watcher;
  ASSERT_EQ(watcher.Add("d", "d", IN_ATTRIB), 0);
  ASSERT_EQ(watcher.Add("d/f", "f", IN_ATTRIB), 0);
  const auto both = testing::UnorderedElementsAre("d: attrib f", "f: attrib");
  ASSERT_EQ(chmod("d/f", 0600), 0);
  EXPECT_THAT(watcher.Events(), both);
  ASSERT_EQ(chown("d/f", geteuid(), getegid()), 0);
  EXPECT_THAT(watcher.Events(), both);
  const timespec times[2] = {{1, 1}, {1, 1}};
  ASSERT_EQ(utimensat(AT_FDCWD, "d/f", times, 0), 0);
  EXPECT_THAT(watcher.Events(), both);
  ASSERT_EQ(setxattr("d/f", "user.a", "", 0, 0), 0);
  EXPECT_THAT(watcher.Events(), both);
  ASSERT_EQ(removexattr("d/f", "user.a"), 0);
  EXPECT_THAT(watcher.Events(), both);
  // A change of the link count is an attribute change, too.
  ASSERT_EQ(link("d/f", "g"), 0);
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: attrib"));
  ASSERT_EQ(unlink("g"), 0);
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: attrib"));
  ASSERT_EQ(chmod("d/e", 0700), 0);
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("d: attrib|isdir e"));
  ASSERT_EQ(chmod("d", 0700), 0);
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("d: attrib|isdir"));
}

TEST_P(Inotify, MovesPairByCookie) {
  ASSERT_EQ(mkdir("a", 0755), 0);
  ASSERT_EQ(mkdir("b", 0755), 0);
  ASSERT_EQ(mkdir("a/d", 0755), 0);
  MakeFile("a/f");
  Watcher watcher;
  ASSERT_EQ(watcher.Add("a", "a"), 0);
  ASSERT_EQ(watcher.Add("b", "b"), 0);
  ASSERT_EQ(watcher.Add("a/f", "f"), 0);
  ASSERT_EQ(rename("a/f", "a/g"), 0);
  EXPECT_THAT(watcher.Events(),
              testing::ElementsAre("a: moved_from f", "a: moved_to g", "f: move_self"));
  ASSERT_EQ(rename("a/g", "b/h"), 0);
  EXPECT_THAT(watcher.Events(),
              testing::ElementsAre("a: moved_from g", "b: moved_to h", "f: move_self"));
  ASSERT_EQ(rename("a/d", "b/d"), 0);
  EXPECT_THAT(watcher.Events(),
              testing::ElementsAre("a: moved_from|isdir d", "b: moved_to|isdir d"));
}

TEST_P(Inotify, ARenameOverAFileDeletesIt) {
  MakeFile("f");
  MakeFile("g");
  Watcher watcher;
  ASSERT_EQ(watcher.Add("g", "g"), 0);
  ASSERT_EQ(rename("f", "g"), 0);
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("g: attrib", "g: delete_self", "g: ignored"));
}

TEST_P(Inotify, TheLastUnlinkAndCloseRemoveTheWatch) {
  MakeFile("f");
  ASSERT_EQ(link("f", "g"), 0);
  Watcher watcher;
  ASSERT_EQ(watcher.Add("f", "f", IN_ATTRIB | IN_DELETE_SELF | IN_CLOSE), 0);
  {
    const UniqueFd fd = Open("g", O_RDONLY);
    ASSERT_EQ(unlink("f"), 0);
    EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: attrib"));
    ASSERT_EQ(unlink("g"), 0);
    EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: attrib"));
  }
  EXPECT_THAT(watcher.Events(),
              testing::ElementsAre("f: close_nowrite", "f: delete_self", "f: ignored"));
}

TEST_P(Inotify, RemovingAWatchedDirectory) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  Watcher watcher;
  ASSERT_EQ(watcher.Add("d", "d"), 0);
  ASSERT_EQ(watcher.Add(".", "."), 0);
  ASSERT_EQ(rmdir("d"), 0);
  EXPECT_THAT(watcher.Events(),
              testing::UnorderedElementsAre("d: delete_self", "d: ignored", ".: delete|isdir d"));
}

TEST_P(Inotify, FlagsOfWatches) {
  MakeFile("f");
  ASSERT_EQ(symlink("f", "l"), 0);
  Watcher watcher;
  EXPECT_EQ(watcher.Add("f", "f", IN_OPEN | IN_ONLYDIR), ENOTDIR);
  EXPECT_EQ(watcher.Add("missing", "m"), ENOENT);
  EXPECT_EQ(watcher.Add("f", "f", 0), EINVAL);
  EXPECT_EQ(watcher.Add("l", "l", IN_OPEN | IN_DONT_FOLLOW), 0);
  EXPECT_EQ(watcher.Add("f", "f", IN_OPEN | IN_ONESHOT), 0);
  EXPECT_EQ(watcher.Add("f", "f", IN_OPEN | IN_MASK_CREATE), EEXIST);
  Open("f", O_RDONLY);
  Open("f", O_RDONLY);
  EXPECT_THAT(watcher.Events(), testing::ElementsAre("f: open", "f: ignored"));
}

}  // namespace
}  // namespace memfuse::conformance

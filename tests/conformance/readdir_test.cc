// getdents64(2), readdir(3), telldir(3), seekdir(3), rewinddir(3).

#include <dirent.h>
#include <sys/syscall.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Readdir);
ROOT_CONFORMANCE_SUITE(ReaddirAsRoot);

struct Listing {
  std::vector<dirent64> entries;
  int error = 0;
};

// One getdents64 with a buffer of this size.
Listing Getdents(int fd, size_t size) {
  std::vector<char> buffer(size);
  Listing listing;
  const long n = syscall(SYS_getdents64, fd, buffer.data(), size);
  if (n < 0) listing.error = errno;
  for (long at = 0; at < n;) {
    const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
    dirent64 copy = {};
    memcpy(&copy, entry, std::min<size_t>(entry->d_reclen, sizeof(copy)));
    listing.entries.push_back(copy);
    at += entry->d_reclen;
  }
  return listing;
}

// All names with "." and "..", in the order of the listing.
std::vector<std::string> Names(int fd, size_t size = 32768) {
  std::vector<std::string> names;
  for (;;) {
    const Listing listing = Getdents(fd, size);
    EXPECT_EQ(listing.error, 0);
    if (listing.entries.empty()) return names;
    for (const dirent64& entry : listing.entries) names.emplace_back(entry.d_name);
  }
}

UniqueFd OpenDirectory(const std::string& path) { return Open(path, O_RDONLY | O_DIRECTORY); }

std::string Name(int i) { return "entry-" + std::to_string(i); }

void MakeNames(const std::string& dir, int count) {
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(mknod((dir + "/" + Name(i)).c_str(), S_IFREG | 0644, 0), 0);
  }
}

TEST_P(Readdir, AnEmptyDirectoryHasDotAndDotDot) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  EXPECT_THAT(Names(OpenDirectory("d").get()), testing::UnorderedElementsAre(".", ".."));
}

TEST_P(Readdir, TypesAndInodeNumbersAreThoseOfStat) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  const std::map<Type, int> types = {{Type::kFile, DT_REG},
                                     {Type::kDirectory, DT_DIR},
                                     {Type::kSymlink, DT_LNK},
                                     {Type::kFifo, DT_FIFO},
                                     {Type::kSocket, DT_SOCK}};
  for (const auto& [type, expected] : types) MakeObject(type, "d/" + ToString(type));
  for (int round = 0; round < 3; ++round) {
    const Listing listing = Getdents(OpenDirectory("d").get(), 32768);
    ASSERT_EQ(listing.entries.size(), types.size() + 2);
    for (const dirent64& entry : listing.entries) {
      SCOPED_TRACE(entry.d_name);
      EXPECT_EQ(entry.d_ino, LStat(std::string("d/") + entry.d_name).st_ino);
      EXPECT_EQ(entry.d_type, IFTODT(LStat(std::string("d/") + entry.d_name).st_mode));
    }
  }
}

TEST_P(Readdir, DotDotFollowsAMove) {
  ASSERT_EQ(mkdir("a", 0755), 0);
  ASSERT_EQ(mkdir("b", 0755), 0);
  ASSERT_EQ(mkdir("a/d", 0755), 0);
  const auto parent = [](const char* path) -> ino_t {
    for (const dirent64& entry : Getdents(OpenDirectory(path).get(), 4096).entries) {
      if (strcmp(entry.d_name, "..") == 0) return entry.d_ino;
    }
    return 0;
  };
  EXPECT_EQ(parent("a/d"), Stat("a").st_ino);
  ASSERT_EQ(rename("a/d", "b/d"), 0);
  EXPECT_EQ(parent("b/d"), Stat("b").st_ino);
  EXPECT_EQ(Stat("b/d/..").st_ino, Stat("b").st_ino);
}

TEST_P(Readdir, ASmallBufferTakesSmallSteps) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeNames("d", 50);
  for (const size_t size : {40u, 64u, 100u, 280u, 4096u}) {
    const std::vector<std::string> names = Names(OpenDirectory("d").get(), size);
    EXPECT_EQ(names.size(), 52u);
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 52u);
  }
}

TEST_P(Readdir, ABufferTooSmallForOneEntryIsInvalid) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/" + LongName(kNameMax));
  const UniqueFd fd = OpenDirectory("d");
  EXPECT_EQ(Getdents(fd.get(), 8).error, EINVAL);
  // The failed call lost no entry.
  EXPECT_EQ(Names(fd.get()).size(), 3u);
}

TEST_P(Readdir, AHundredThousandEntries) {
  constexpr int kCount = 100000;
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("f");
  for (int i = 0; i < kCount; ++i) ASSERT_EQ(link("f", ("d/" + Name(i)).c_str()), 0);
  EXPECT_EQ(Stat("f").st_nlink, kCount + 1u);
  std::vector<std::string> names = Names(OpenDirectory("d").get());
  EXPECT_EQ(names.size(), kCount + 2u);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  // As rm -rf works: list a part, remove it, continue.
  const UniqueFd fd = OpenDirectory("d");
  int removed = 0;
  for (;;) {
    const Listing listing = Getdents(fd.get(), 32768);
    ASSERT_EQ(listing.error, 0);
    if (listing.entries.empty()) break;
    for (const dirent64& entry : listing.entries) {
      if (entry.d_name[0] == '.') continue;
      ASSERT_EQ(unlinkat(fd.get(), entry.d_name, 0), 0);
      ++removed;
    }
  }
  EXPECT_EQ(removed, kCount);
  EXPECT_EQ(rmdir("d"), 0);
}

TEST_P(Readdir, LastingEntriesAreListedOnceWhileOthersComeAndGo) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeNames("d", 1000);
  const UniqueFd fd = OpenDirectory("d");
  std::map<std::string, int> seen;
  for (int round = 0;; ++round) {
    const Listing listing = Getdents(fd.get(), 1024);
    ASSERT_EQ(listing.error, 0);
    if (listing.entries.empty()) break;
    for (const dirent64& entry : listing.entries) ++seen[entry.d_name];
    // Odd entries are removed, from both ends; new entries are made.
    if (round < 250) {
      EXPECT_EQ(unlink(("d/" + Name(4 * round + 1)).c_str()), 0);
      EXPECT_EQ(unlink(("d/" + Name(999 - 4 * round)).c_str()), 0);
      MakeFile("d/new-" + std::to_string(round));
    }
    ASSERT_LT(round, 5000);
  }
  for (int i = 0; i < 1000; i += 2) EXPECT_EQ(seen[Name(i)], 1) << Name(i);
  for (const auto& [name, count] : seen) EXPECT_EQ(count, 1) << name;
}

TEST_P(Readdir, ARenameWhileListingLosesNoOtherEntry) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeNames("d", 300);
  const UniqueFd fd = OpenDirectory("d");
  std::map<std::string, int> seen;
  for (int round = 0;; ++round) {
    const Listing listing = Getdents(fd.get(), 512);
    if (listing.entries.empty()) break;
    for (const dirent64& entry : listing.entries) ++seen[entry.d_name];
    if (round < 100) {
      const std::string name = "d/" + Name(3 * round);
      EXPECT_EQ(rename(name.c_str(), (name + "x").c_str()), 0);
    }
    ASSERT_LT(round, 5000);
  }
  for (int i = 0; i < 300; ++i) {
    if (i % 3 == 0) continue;
    EXPECT_EQ(seen[Name(i)], 1) << Name(i);
  }
}

TEST_P(Readdir, TwoHandlesDoNotDisturbEachOther) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeNames("d", 100);
  const UniqueFd one = OpenDirectory("d"), other = OpenDirectory("d");
  Getdents(one.get(), 200);
  EXPECT_EQ(Names(other.get()).size(), 102u);
  EXPECT_LT(Names(one.get(), 200).size(), 102u);
  // A duplicate shares the position.
  ASSERT_EQ(lseek(one.get(), 0, SEEK_SET), 0);
  const UniqueFd duplicate(dup(one.get()));
  EXPECT_EQ(Names(one.get()).size(), 102u);
  EXPECT_TRUE(Names(duplicate.get()).empty());
}

TEST_P(Readdir, RewindingShowsTheCurrentEntries) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeNames("d", 10);
  const UniqueFd fd = OpenDirectory("d");
  EXPECT_EQ(Names(fd.get()).size(), 12u);
  EXPECT_TRUE(Names(fd.get()).empty());
  MakeFile("d/new");
  ASSERT_EQ(unlink(("d/" + Name(0)).c_str()), 0);
  ASSERT_EQ(unlink(("d/" + Name(1)).c_str()), 0);
  ASSERT_EQ(lseek(fd.get(), 0, SEEK_SET), 0);
  const std::vector<std::string> names = Names(fd.get());
  EXPECT_EQ(names.size(), 11u);
  EXPECT_THAT(names, testing::Contains("new"));
  EXPECT_THAT(names, testing::Not(testing::Contains(Name(0))));
}

TEST_P(Readdir, SeekdirReturnsToWhereTelldirWas) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeNames("d", 500);
  DIR* const dir = opendir("d");
  ASSERT_NE(dir, nullptr);
  std::vector<std::pair<long, std::string>> places;
  for (;;) {
    const long place = telldir(dir);
    const dirent* const entry = readdir(dir);
    if (entry == nullptr) break;
    places.emplace_back(place, entry->d_name);
  }
  ASSERT_EQ(places.size(), 502u);
  for (size_t i = places.size(); i-- > 0;) {
    seekdir(dir, places[i].first);
    const dirent* const entry = readdir(dir);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->d_name, places[i].second);
  }
  // Other entries may be removed; the positions stay valid. On tmpfs before Linux 6.6, positions
  // are indices of entries.
  if (!on_memfuse() && !KernelAtLeast(6, 6)) {
    closedir(dir);
    return;
  }
  for (size_t i = 0; i < places.size(); i += 2) {
    if (places[i].second[0] == '.') continue;
    ASSERT_EQ(unlink(("d/" + places[i].second).c_str()), 0);
  }
  for (size_t i = 3; i < places.size(); i += 2) {
    seekdir(dir, places[i].first);
    const dirent* const entry = readdir(dir);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->d_name, places[i].second);
  }
  rewinddir(dir);
  int left = 0;
  while (readdir(dir) != nullptr) ++left;
  EXPECT_EQ(left, static_cast<int>(List("d").size()) + 2);
  closedir(dir);
}

// Programs rename or copy each entry that a listing delivers (backups to "name~", rename loops). A
// listing ends with the entries that existed when it was opened or rewound.
TEST_P(Readdir, EndsWhileEachEntryIsRenamed) {
  constexpr int kEntries = 300;
  for (const size_t buffer : {512, 32768}) {
    TRACE(buffer);
    ASSERT_EQ(mkdir("d", 0755), 0);
    MakeNames("d", kEntries);
    const UniqueFd fd = OpenDirectory("d");
    int steps = 0;
    for (;;) {
      const Listing listing = Getdents(fd.get(), buffer);
      ASSERT_EQ(listing.error, 0);
      if (listing.entries.empty()) break;
      for (const dirent64& entry : listing.entries) {
        if (entry.d_name[0] == '.') continue;
        ASSERT_LE(++steps, kEntries);
        const std::string name = std::string("d/") + entry.d_name;
        ASSERT_EQ(rename(name.c_str(), "d/temporary"), 0);
        ASSERT_EQ(rename("d/temporary", name.c_str()), 0);
      }
    }
    EXPECT_EQ(steps, kEntries);
    EXPECT_EQ(List("d").size(), size_t{kEntries});
    for (const std::string& name : List("d")) ASSERT_EQ(unlink(("d/" + name).c_str()), 0);
    ASSERT_EQ(rmdir("d"), 0);
  }
}

TEST_P(Readdir, EndsWhileEachEntryIsCopiedToANewName) {
  constexpr int kEntries = 200;
  for (const size_t buffer : {512, 32768}) {
    TRACE(buffer);
    ASSERT_EQ(mkdir("d", 0755), 0);
    MakeNames("d", kEntries);
    const UniqueFd fd = OpenDirectory("d");
    int steps = 0;
    for (;;) {
      const Listing listing = Getdents(fd.get(), buffer);
      ASSERT_EQ(listing.error, 0);
      if (listing.entries.empty()) break;
      for (const dirent64& entry : listing.entries) {
        if (entry.d_name[0] == '.') continue;
        ASSERT_LE(++steps, kEntries);
        MakeFile(std::string("d/") + entry.d_name + "~");
      }
    }
    EXPECT_EQ(steps, kEntries);
    // The copies appear after the listing is rewound.
    ASSERT_EQ(lseek(fd.get(), 0, SEEK_SET), 0);
    EXPECT_EQ(Names(fd.get(), buffer).size(), size_t{2 * kEntries + 2});
    for (const std::string& name : List("d")) ASSERT_EQ(unlink(("d/" + name).c_str()), 0);
    ASSERT_EQ(rmdir("d"), 0);
  }
}

TEST_P(Readdir, ARemovedDirectoryCannotBeListed) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  const UniqueFd fd = OpenDirectory("d");
  ASSERT_EQ(rmdir("d"), 0);
  EXPECT_EQ(Getdents(fd.get(), 4096).error, ENOENT);
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/f");
  EXPECT_EQ(Getdents(fd.get(), 4096).error, ENOENT);
  EXPECT_EQ(ErrnoOf(openat(fd.get(), "f", O_CREAT | O_RDWR, 0644)), ENOENT);
}

TEST_P(Readdir, AChangedEntryShowsItsNewType) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  MakeFile("d/x");
  EXPECT_EQ(List("d").size(), 1u);
  ASSERT_EQ(unlink("d/x"), 0);
  ASSERT_EQ(mkdir("d/x", 0755), 0);
  for (const dirent64& entry : Getdents(OpenDirectory("d").get(), 4096).entries) {
    EXPECT_EQ(entry.d_type, DT_DIR);
    const bool changed = strcmp(entry.d_name, "x") == 0;
    EXPECT_EQ(entry.d_ino == Stat("d/x").st_ino, changed);
  }
}

TEST_P(Readdir, EveryChangeShowsInTheNextListing) {
  ASSERT_EQ(mkdir("d", 0755), 0);
  ASSERT_EQ(mkdir("e", 0755), 0);
  for (int i = 0; i < 20; ++i) {
    MakeFile("d/a");
    EXPECT_THAT(List("d"), testing::ElementsAre("a"));
    ASSERT_EQ(rename("d/a", "d/b"), 0);
    EXPECT_THAT(List("d"), testing::ElementsAre("b"));
    ASSERT_EQ(rename("d/b", "e/c"), 0);
    EXPECT_TRUE(List("d").empty());
    EXPECT_THAT(List("e"), testing::ElementsAre("c"));
    ASSERT_EQ(link("e/c", "d/a"), 0);
    EXPECT_THAT(List("d"), testing::ElementsAre("a"));
    ASSERT_EQ(unlink("d/a"), 0);
    ASSERT_EQ(unlink("e/c"), 0);
    EXPECT_TRUE(List("d").empty());
  }
}

TEST_P(Readdir, Errors) {
  MakeFile("f");
  EXPECT_EQ(Getdents(-1, 4096).error, EBADF);
  EXPECT_EQ(Getdents(Open("f", O_RDONLY).get(), 4096).error, ENOTDIR);
  EXPECT_EQ(Getdents(Open(".", O_PATH | O_DIRECTORY).get(), 4096).error, EBADF);
  const UniqueFd fd = OpenDirectory(".");
  EXPECT_EQ(ErrnoOf(syscall(SYS_getdents64, fd.get(), 16, 4096)), EFAULT);
  char byte;
  EXPECT_EQ(ErrnoOf(read(fd.get(), &byte, 1)), EISDIR);
  EXPECT_EQ(ErrnoOf(open("f", O_RDONLY | O_DIRECTORY)), ENOTDIR);
  EXPECT_EQ(ErrnoOf(open(".", O_WRONLY)), EISDIR);
  EXPECT_EQ(opendir("missing"), nullptr);
  EXPECT_EQ(errno, ENOENT);
}

TEST_P(ReaddirAsRoot, NeedsReadPermissionOnce) {
  ASSERT_EQ(mkdir("d", 0711), 0);
  MakeFile("d/f");
  EXPECT_EQ(As(kAlice, [] { return ErrnoOf(open("d", O_RDONLY | O_DIRECTORY)); }), EACCES);
  ASSERT_EQ(chmod("d", 0744), 0);
  EXPECT_EQ(As(kAlice,
               [] {
                 const UniqueFd fd(open("d", O_RDONLY | O_DIRECTORY));
                 if (!fd.valid()) return errno;
                 const size_t count = Getdents(fd.get(), 4096).entries.size();
                 struct stat s;
                 return count == 3 ? ErrnoOf(fstatat(fd.get(), "f", &s, 0)) : -1;
               }),
            EACCES);
  // An open descriptor stays usable.
  const UniqueFd fd = OpenDirectory("d");
  ASSERT_EQ(chmod("d", 0000), 0);
  EXPECT_EQ(As(kAlice, [&] { return static_cast<int>(Getdents(fd.get(), 4096).entries.size()); }),
            3);
}

}  // namespace
}  // namespace memfuse::conformance

// Calls on the same names from many threads. Each call is atomic, and exactly one succeeds.

#include <linux/fs.h>

#include <atomic>
#include <thread>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Atomic);

constexpr int kThreads = 4;
constexpr int kNames = 200;

// Runs `call` with every number below kNames in every thread and returns how many calls returned 0
// for each number. A call fails the test with an errno other than `loser`.
std::vector<int> Winners(int loser, const std::function<int(int)>& call) {
  std::vector<std::atomic<int>> wins(kNames);
  std::atomic<int> strange{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kNames; ++i) {
        const int error = call(i);
        if (error == 0) ++wins[static_cast<size_t>(i)];
        if (error != 0 && error != loser) strange = error;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(strange, 0);
  return {wins.begin(), wins.end()};
}

const std::vector<int> kOneEach(kNames, 1);

TEST_P(Atomic, OneCreatesAName) {
  EXPECT_EQ(Winners(EEXIST,
                    [](int i) {
                      const UniqueFd fd(open(std::to_string(i).c_str(),
                                             O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
                      return fd.valid() ? 0 : errno;
                    }),
            kOneEach);
  EXPECT_EQ(Winners(EEXIST,
                    [](int i) { return ErrnoOf(mkdir(("d" + std::to_string(i)).c_str(), 0755)); }),
            kOneEach);
  EXPECT_EQ(Stat(".").st_nlink, nlink_t{2 + kNames});
  EXPECT_EQ(
      Winners(EEXIST,
              [](int i) { return ErrnoOf(symlink("target", ("s" + std::to_string(i)).c_str())); }),
      kOneEach);
  EXPECT_EQ(
      Winners(EEXIST, [](int i) { return ErrnoOf(link("0", ("l" + std::to_string(i)).c_str())); }),
      kOneEach);
  EXPECT_EQ(Stat("0").st_nlink, nlink_t{1 + kNames});
  EXPECT_EQ(List(".").size(), size_t{4 * kNames});
}

TEST_P(Atomic, OneRemovesAName) {
  for (int i = 0; i < kNames; ++i) {
    MakeFile(std::to_string(i));
    MakeDirectory("d" + std::to_string(i));
  }
  EXPECT_EQ(Winners(ENOENT, [](int i) { return ErrnoOf(unlink(std::to_string(i).c_str())); }),
            kOneEach);
  EXPECT_EQ(
      Winners(ENOENT, [](int i) { return ErrnoOf(rmdir(("d" + std::to_string(i)).c_str())); }),
      kOneEach);
  EXPECT_EQ(Stat(".").st_nlink, nlink_t{2});
  EXPECT_THAT(List("."), testing::IsEmpty());
}

TEST_P(Atomic, OneMovesAName) {
  for (int i = 0; i < kNames; ++i) MakeFile(std::to_string(i));
  MakeDirectory("d");
  std::atomic<int> serial{0};
  EXPECT_EQ(Winners(ENOENT,
                    [&serial](int i) {
                      const std::string to = "d/" + std::to_string(serial++);
                      return ErrnoOf(rename(std::to_string(i).c_str(), to.c_str()));
                    }),
            kOneEach);
  EXPECT_EQ(List("d").size(), size_t{kNames});
}

TEST_P(Atomic, ARenamedOverNameIsAlwaysThere) {
  MakeFile("f", std::string(5000, 'a'));
  std::atomic<bool> done{false};
  std::atomic<int> missing{0}, torn{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      while (!done) {
        const UniqueFd fd(open("f", O_RDONLY | O_CLOEXEC));
        if (!fd.valid()) {
          ++missing;
          continue;
        }
        std::string content(6000, '\0');
        const ssize_t n = read(fd.get(), content.data(), content.size());
        if (n != 5000 || content.substr(0, 5000) != std::string(5000, content[0])) ++torn;
      }
    });
  }
  for (int i = 0; i < 300; ++i) {
    const UniqueFd fd(open("new", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
    const std::string content(5000, static_cast<char>('a' + i % 26));
    EXPECT_EQ(write(fd.get(), content.data(), content.size()), 5000);
    EXPECT_EQ(rename("new", "f"), 0);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(missing, 0);
  EXPECT_EQ(torn, 0);
}

TEST_P(Atomic, ExchangedNamesAreAlwaysThere) {
  MakeDirectory("p");
  MakeDirectory("q");
  MakeFile("p/a");
  MakeDirectory("q/b");
  std::atomic<bool> done{false};
  std::atomic<int> missing{0};
  std::thread reader([&] {
    while (!done) {
      if (access("p/a", F_OK) != 0 || access("q/b", F_OK) != 0) ++missing;
    }
  });
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(renameat2(AT_FDCWD, "p/a", AT_FDCWD, "q/b", RENAME_EXCHANGE), 0);
  }
  done = true;
  reader.join();
  EXPECT_EQ(missing, 0);
  EXPECT_EQ(Stat("q").st_nlink, 3u);
}

TEST_P(Atomic, TwoDirectoriesNeverContainEachOther) {
  for (int i = 0; i < 200; ++i) {
    MakeDirectory("a");
    MakeDirectory("b");
    int first = 0, second = 0;
    std::thread other([&first] { first = ErrnoOf(rename("a", "b/a")); });
    second = ErrnoOf(rename("b", "a/b"));
    other.join();
    // The later rename fails: its target is gone, or is inside the directory that it would move.
    EXPECT_EQ((first == 0) + (second == 0), 1) << first << " " << second;
    EXPECT_THAT(first == 0 ? second : first, testing::AnyOf(ENOENT, EINVAL));
    ASSERT_EQ(rmdir(first == 0 ? "b/a" : "a/b"), 0);
    ASSERT_EQ(rmdir(first == 0 ? "b" : "a"), 0);
  }
}

TEST_P(Atomic, LinkCountsAreCorrectAtTheEnd) {
  MakeFile("f");
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([t, &failures] {
      const std::string name = "l" + std::to_string(t), dir = "d" + std::to_string(t);
      for (int i = 0; i < 200; ++i) {
        if (link("f", name.c_str()) != 0 || unlink(name.c_str()) != 0) ++failures;
        if (mkdir(dir.c_str(), 0755) != 0 || rmdir(dir.c_str()) != 0) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(Stat("f").st_nlink, 1u);
  EXPECT_EQ(Stat(".").st_nlink, 2u);
}

TEST_P(Atomic, NothingIsMadeInADirectoryThatIsRemoved) {
  for (int i = 0; i < 200; ++i) {
    MakeDirectory("d");
    int made = 0, removed = 0;
    std::thread maker([&made] { made = ErrnoOf(mknod("d/f", S_IFREG | 0644, 0)); });
    removed = ErrnoOf(rmdir("d"));
    maker.join();
    if (removed == 0) {
      EXPECT_EQ(made, ENOENT);
    } else {
      EXPECT_EQ(removed, ENOTEMPTY);
      EXPECT_EQ(made, 0);
      ASSERT_EQ(unlink("d/f"), 0);
      ASSERT_EQ(rmdir("d"), 0);
    }
  }
}

}  // namespace
}  // namespace memfuse::conformance

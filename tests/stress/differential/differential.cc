// Applies random sequences of system calls to two directories, one on memfuse and one on kernel
// tmpfs, and compares every result and the final trees.
//
//   differential --left=DIR --right=DIR [--seeds=20] [--operations=2000] [--first_seed=1]
//
// Both directories must be on file systems mounted with noatime, because a server does not see
// reads that the page cache serves. The program runs as root, because sequences change users. It
// reports the first difference with its seed and a minimised sequence. Exit status: 0 no
// difference, 1 a difference, 2 wrong usage.

#include <fcntl.h>
#include <gflags/gflags.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/base/unique_fd.h"
#include "tests/stress/differential/content.h"
#include "tests/stress/differential/operation.h"
#include "tests/stress/differential/world.h"

DEFINE_string(left, "", "An empty directory on memfuse");
DEFINE_string(right, "", "An empty directory on tmpfs");
DEFINE_uint64(seeds, 20, "How many sequences");
DEFINE_uint64(operations, 2000, "Operations in each sequence");
DEFINE_uint64(first_seed, 1, "Seed of the first sequence");
DECLARE_bool(exact_holes);
DEFINE_bool(minimise, true, "Shorten a sequence that shows a difference");

namespace memfuse::differential {
namespace {

struct Difference {
  size_t at = 0;  // index of the operation; the number of operations where the trees differ
  std::string left, right;
};

// Each run has its own directory, so that the rest of a failed removal does not affect the next
// run. The directory has its own parent, because operations use "..", too, and leave files there.
class Home {
 public:
  explicit Home(const std::string& below) : path_(below + "/home") {
    BecomeUser(0);
    umask(0);
    mkdir(path_.c_str(), 0777);
    mkdir(path().c_str(), 0777);
  }
  ~Home() {
    BecomeUser(0);
    {
      const base::UniqueFd fd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      EmptyDirectory(fd.get());
    }
    rmdir(path_.c_str());
  }
  std::string path() const { return path_ + "/inner"; }

 private:
  const std::string path_;
};

// The lines in which two texts differ.
std::pair<std::string, std::string> FirstDifferingLine(const std::string& a, const std::string& b) {
  size_t begin = 0;
  for (size_t i = 0; i < a.size() && i < b.size() && a[i] == b[i]; ++i) {
    if (a[i] == '\n') begin = i + 1;
  }
  const auto line = [begin](const std::string& text) {
    return text.substr(begin, text.find('\n', begin) - begin);
  };
  return {line(a), line(b)};
}

// The kernel sends RELEASE to a FUSE server a moment after the last close, and no event tells when
// the server has carried it out. The trees may differ for this long.
constexpr absl::Duration kReleaseTimeout = absl::Seconds(60);
// The same while a sequence is shortened. A wrong result only makes the example worse.
constexpr absl::Duration kShortReleaseTimeout = absl::Seconds(5);

std::optional<Difference> Compare(const std::vector<Operation>& operations,
                                  absl::Duration release_timeout) {
  const Home left_home(FLAGS_left);
  const Home right_home(FLAGS_right);
  World left(left_home.path());
  World right(right_home.path());
  std::optional<Difference> difference;
  for (size_t i = 0; i < operations.size() && !difference.has_value(); ++i) {
    std::string a = left.Execute(operations[i]);
    std::string b = right.Execute(operations[i]);
    if (a != b) difference = Difference{i, std::move(a), std::move(b)};
  }
  BecomeUser(0);
  if (!difference.has_value()) {
    std::string a, b;
    if (FLAGS_exact_holes) {
      a = left.Describe();
      b = right.Describe();
    } else {
      left.CloseAll();
      right.CloseAll();
      const absl::Time deadline = absl::Now() + release_timeout;
      do {
        a = left.Describe();
        b = right.Describe();
      } while (a != b && absl::Now() < deadline);
    }
    if (a != b) {
      auto [left_line, right_line] = FirstDifferingLine(a, b);
      difference = Difference{operations.size(), std::move(left_line), std::move(right_line)};
    }
  }
  left.CloseAll();
  right.CloseAll();
  return difference;
}

// Removes ever smaller parts of the sequence while a difference remains.
std::vector<Operation> Minimise(std::vector<Operation> operations) {
  for (size_t part = operations.size() / 2; part >= 1; part /= 2) {
    bool shortened = true;
    while (shortened) {
      shortened = false;
      for (size_t at = 0; at + part <= operations.size();) {
        std::vector<Operation> shorter = operations;
        const auto begin = shorter.begin() + static_cast<std::ptrdiff_t>(at);
        shorter.erase(begin, begin + static_cast<std::ptrdiff_t>(part));
        if (const std::optional<Difference> still = Compare(shorter, kShortReleaseTimeout)) {
          if (still->at < shorter.size()) shorter.resize(still->at + 1);
          operations = std::move(shorter);
          shortened = true;
        } else {
          at += part;
        }
      }
    }
  }
  return operations;
}

void Report(uint64_t seed, std::vector<Operation> operations, const Difference& found) {
  if (found.at < operations.size()) operations.resize(found.at + 1);
  std::printf("seed %lu: a difference at operation %zu\n", seed, found.at);
  if (FLAGS_minimise) operations = Minimise(std::move(operations));
  const std::optional<Difference> last = Compare(operations, kShortReleaseTimeout);
  for (const Operation& op : operations) std::printf("  %s\n", op.ToString().c_str());
  const Difference& shown = last.has_value() ? *last : found;
  std::printf("memfuse: %s\ntmpfs:   %s\n", shown.left.c_str(), shown.right.c_str());
}

int Main() {
  if (FLAGS_left.empty() || FLAGS_right.empty() || geteuid() != 0) {
    std::fprintf(stderr, "differential needs --left, --right and root\n");
    return 2;
  }
  uint64_t done = 0;
  for (uint64_t i = 0; i < FLAGS_seeds; ++i) {
    const uint64_t seed = FLAGS_first_seed + i;
    const std::vector<Operation> operations = Generate(seed, FLAGS_operations);
    if (const std::optional<Difference> difference = Compare(operations, kReleaseTimeout)) {
      Report(seed, operations, *difference);
      return 1;
    }
    done += operations.size();
  }
  std::printf("%lu operations of %lu seeds, no difference\n", done, FLAGS_seeds);
  return 0;
}

}  // namespace
}  // namespace memfuse::differential

int main(int argc, char** argv) {
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  return memfuse::differential::Main();
}

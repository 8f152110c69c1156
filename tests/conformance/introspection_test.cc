// Information of the kernel about files in use: names in /proc and in core dumps, probes in
// programs (uprobes), pages in the page cache (cachestat, mincore), options in
// /proc/self/mountinfo.
//
// A mapping of a passthrough file is a mapping of its backing file. Only some interfaces of the
// kernel resolve it to the name that was opened.

#include <elf.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "tests/conformance/conformance.h"
#include "tests/conformance/kernel.h"
#include "tests/conformance/map.h"
#include "tests/conformance/mounts.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(Introspection);
ROOT_CONFORMANCE_SUITE(IntrospectionAsRoot);

// The name of the mapping that begins at `address`, from /proc/self/maps.
std::string NameInMaps(const void* address) {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    if (std::strtoull(line.c_str(), nullptr, 16) != reinterpret_cast<uintptr_t>(address)) continue;
    const size_t slash = line.find('/');
    return slash == std::string::npos ? "" : line.substr(slash);
  }
  return "";
}

TEST_P(Introspection, MappingsHaveTheNameThatWasOpened) {
  MakeFile("f", std::string(kPage, 'x'));
  const UniqueFd fd = Open("f", O_RDWR);
  const Map map(fd.get(), kPage, kReadWrite, MAP_SHARED);
  EXPECT_EQ(NameInMaps(map.data()), Absolute("f"));
  ASSERT_EQ(rename("f", "g"), 0);
  EXPECT_EQ(NameInMaps(map.data()), Absolute("g"));
  ASSERT_EQ(unlink("g"), 0);
  EXPECT_EQ(NameInMaps(map.data()), Absolute("g (deleted)"));
}

// The limits of a mount are options of tmpfs. On a FUSE mount only the server knows them.
TEST_P(Introspection, LimitsAreOptionsOfTheMount) {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line, found;
  while (std::getline(mounts, line)) {
    if (line.find(" " + mount_directory() + " ") != std::string::npos) found = line;
  }
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found.find("size=1048576k") == std::string::npos, on_memfuse()) << found;
}

struct CacheStatistics {
  uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

// cachestat(2) of the whole file: 0 or an errno.
int CacheStat(const UniqueFd& fd, CacheStatistics* statistics) {
  constexpr long kCacheStat = 451;
  struct {
    uint64_t offset, length;
  } range = {0, 0};
  return ErrnoOf(syscall(kCacheStat, fd.get(), &range, statistics, 0));
}

TEST_P(Introspection, CachestatCountsThePages) {
  if (!LinuxIsAtLeast(6, 5)) return;
  MakeFile("f", std::string(4 * kPage, 'x'));
  EXPECT_EQ(ReadFile("f").size(), 4 * kPage);
  const UniqueFd fd = Open("f", O_RDWR);
  CacheStatistics statistics = {};
  ASSERT_EQ(CacheStat(fd, &statistics), 0) << strerror(errno);
  // The pages of passthrough data belong to the backing file.
  EXPECT_EQ(statistics.cached, on_memfuse() && !daemon_serves_data() ? 0u : 4u);
}

// Drops the pages of the first four pages of `fd` from the page cache, if the file system allows
// that; returns how many are left.
int PagesLeftAfterDontneed(const UniqueFd& fd) {
  EXPECT_EQ(fsync(fd.get()), 0);
  EXPECT_EQ(posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  const Map map(fd.get(), 4 * kPage, PROT_READ, MAP_SHARED);
  unsigned char resident[4] = {};
  EXPECT_EQ(mincore(map.data(), 4 * kPage, resident), 0);
  return static_cast<int>(
      std::count_if(std::begin(resident), std::end(resident), [](int page) { return page & 1; }));
}

TEST_P(Introspection, AdviceNotToNeedDropsPages) {
  MakeFile("f", std::string(4 * kPage, 'x'));
  EXPECT_EQ(ReadFile("f").size(), 4 * kPage);
  const UniqueFd fd = Open("f", O_RDWR);
  if (daemon_serves_data()) {
    // The kernel does not drop a page that it is still adding to its lists.
    EXPECT_TRUE(Eventually([&] { return PagesLeftAfterDontneed(fd) == 0; }));
  } else {
    EXPECT_EQ(PagesLeftAfterDontneed(fd), 4);
  }
  EXPECT_EQ(ReadFile("f"), std::string(4 * kPage, 'x'));
}

// The offset of the first instruction of a 64-bit ELF program in its file.
uint64_t EntryOffset(const std::string& program) {
  const std::string bytes = ReadFile(program);
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, bytes.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_type == PT_LOAD && header.e_entry >= segment.p_vaddr &&
        header.e_entry - segment.p_vaddr < segment.p_filesz) {
      return header.e_entry - segment.p_vaddr + segment.p_offset;
    }
  }
  ADD_FAILURE() << program << " has no entry point";
  return 0;
}

// A breakpoint of the kernel at the entry point of `program`, in every process on one CPU. perf and
// bpftrace use the same call.
UniqueFd UprobeAtEntry(const std::string& program, int type, int cpu) {
  perf_event_attr attributes = {};
  attributes.size = sizeof(attributes);
  attributes.type = static_cast<uint32_t>(type);
  attributes.uprobe_path = reinterpret_cast<uintptr_t>(program.c_str());
  attributes.probe_offset = EntryOffset(program);
  UniqueFd event(static_cast<int>(
      syscall(SYS_perf_event_open, &attributes, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)));
  EXPECT_TRUE(event.valid()) << strerror(errno);
  return event;
}

TEST_P(IntrospectionAsRoot, ProbesInProgramsFire) {
  int type = 0;
  if (!(std::ifstream("/sys/bus/event_source/devices/uprobe/type") >> type)) {
    return;  // a kernel without uprobes
  }
  MakeFile("true", ReadFile("/bin/true"), 0755);
  std::vector<UniqueFd> probes;
  for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); ++cpu) {
    probes.push_back(UprobeAtEntry(Absolute("true"), type, static_cast<int>(cpu)));
  }
  EXPECT_EQ(Spawn({"./true"}), 0);
  uint64_t hits = 0;
  for (const UniqueFd& probe : probes) {
    uint64_t count = 0;
    ASSERT_EQ(read(probe.get(), &count, sizeof(count)), ssize_t{sizeof(count)});
    hits += count;
  }
  EXPECT_EQ(hits, on_memfuse() && !daemon_serves_data() ? 0u : 1u);
}

// The names in the NT_FILE note of a 64-bit core dump. Debuggers find mapped files through this
// note.
std::vector<std::string> MappedFilesOf(const std::string& core) {
  std::vector<std::string> names;
  Elf64_Ehdr header = {};
  if (core.size() < sizeof(header)) return names;
  std::memcpy(&header, core.data(), sizeof(header));
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, core.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_type != PT_NOTE) continue;
    const auto aligned = [](size_t size) { return (size + 3) & ~size_t{3}; };
    for (size_t at = segment.p_offset; at < segment.p_offset + segment.p_filesz;) {
      Elf64_Nhdr note;
      std::memcpy(&note, core.data() + at, sizeof(note));
      at += sizeof(note) + aligned(note.n_namesz);
      if (note.n_type == NT_FILE) {
        // A count, the page size, three numbers for each file, and then the names.
        uint64_t count;
        std::memcpy(&count, core.data() + at, sizeof(count));
        const char* name = core.data() + at + 16 + 24 * count;
        for (; count > 0; --count, name += names.back().size() + 1) names.emplace_back(name);
      }
      at += aligned(note.n_descsz);
    }
  }
  return names;
}

TEST_P(IntrospectionAsRoot, CoreDumpsNameMappedFiles) {
  std::string pattern;
  std::getline(std::ifstream("/proc/sys/kernel/core_pattern"), pattern);
  if (pattern != "core") return;  // another program gets the dumps
  MakeFile("f", std::string(kPage, 'x'));
  MakeDirectory("dump");
  const pid_t child = fork();
  if (child == 0) {
    const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    const UniqueFd fd = Open("f", O_RDWR);
    const Map map(fd.get(), kPage, kReadWrite, MAP_SHARED);
    if (setrlimit(RLIMIT_CORE, &unlimited) != 0 || chdir("dump") != 0) _exit(1);
    std::abort();
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WCOREDUMP(status)) << status;
  const std::vector<std::string> dumps = List("dump");  // "core" or "core.PID"
  ASSERT_EQ(dumps.size(), 1u);
  const std::vector<std::string> names = MappedFilesOf(ReadFile("dump/" + dumps.front()));
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(std::count(names.begin(), names.end(), Absolute("f")),
            on_memfuse() && !daemon_serves_data() ? 0 : 1);
}

}  // namespace
}  // namespace memfuse::conformance

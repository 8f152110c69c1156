// The cost of a request in the daemon itself: from the bytes that read(2) returned to the bytes for
// write(2), without a device. tests/bench/run_bench.py measures the transport in addition.
//
//   dispatcher_benchmark [--benchmark_filter=REGEX] [--benchmark_min_time=1]

#include <benchmark/benchmark.h>
#include <linux/fuse.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "memfuse/memory_filesystem.h"
#include "src/base/clock.h"
#include "src/base/mutex.h"
#include "src/transport/dispatcher.h"
#include "src/transport/request_statistics.h"
#include "tests/transport/wire_requests.h"

namespace memfuse::transport {
namespace {

// Accepts replies and keeps the last one.
class Sink final : public ReplySink {
 public:
  SendStatus Send(absl::Span<const char> head, absl::Span<const ReadSink::Piece>) override {
    benchmark::DoNotOptimize(head.data());
    return SendStatus::kDelivered;
  }
};

// A file system with `files` empty files f0, f1, ... in its root, and the dispatcher of a worker.
class Worker {
 public:
  explicit Worker(FileSystem* fs, bool counts_requests = true)
      : buffer_(kReplyHeader + (1 << 20)),
        statistics_(counts_requests ? std::make_unique<RequestStatistics>() : nullptr),
        dispatcher_(fs, Parameters(), absl::MakeSpan(buffer_), statistics_.get()) {}

  void Serve(const std::string& message) { dispatcher_.Serve(message, &sink_); }

 private:
  static ConnectionParameters Parameters() {
    ConnectionParameters parameters;
    parameters.minor = 45;
    parameters.max_write = 1 << 20;
    parameters.max_pages = 256;
    return parameters;
  }

  static constexpr size_t kReplyHeader = 16;
  std::vector<char> buffer_;
  Sink sink_;
  const std::unique_ptr<RequestStatistics> statistics_;
  Dispatcher dispatcher_;
};

std::unique_ptr<MemoryFileSystem> MakeFileSystem(int64_t files) {
  MemoryFileSystemOptions options;
  options.size_limit = uint64_t{16} << 30;
  options.inode_limit = uint64_t{1} << 30;
  auto made = MemoryFileSystem::Make(options);
  if (!made.ok()) std::abort();
  for (int64_t i = 0; i < files; ++i) {
    const std::string name = "f" + std::to_string(i);
    const Result<Entry> entry = (*made)->Mknod({}, {kRootInode, name, S_IFREG | 0644});
    if (!entry.ok()) std::abort();
    (*made)->Forget({entry->ino, 1});
  }
  return *std::move(made);
}

// One file system for all benchmarks with that many files, because the largest takes seconds to
// make.
MemoryFileSystem* FileSystemOf(int64_t files) {
  static std::unique_ptr<MemoryFileSystem> fs;
  static int64_t made = -1;
  if (made != files) {
    fs.reset();
    fs = MakeFileSystem(files);
    made = files;
  }
  return fs.get();
}

// LOOKUP and FORGET, as for names that the kernel has not cached.
void BM_LookupHit(benchmark::State& state) {
  Worker worker(FileSystemOf(state.range(0)));
  std::vector<std::string> messages;
  const int64_t files = state.range(0);
  for (int64_t i = 0; i < 1024; ++i) {
    messages.push_back(LookupMessage(7, "f" + std::to_string(i * 7919 % files)));
  }
  size_t i = 0;
  for (auto _ : state) worker.Serve(messages[i++ % messages.size()]);
}
BENCHMARK(BM_LookupHit)->Arg(1'000)->Arg(1'000'000);

void BM_LookupMiss(benchmark::State& state) {
  Worker worker(FileSystemOf(state.range(0)));
  const std::string message = LookupMessage(7, "no-such-name");
  for (auto _ : state) worker.Serve(message);
}
BENCHMARK(BM_LookupMiss)->Arg(1'000)->Arg(1'000'000);

void BM_Getattr(benchmark::State& state) {
  Worker worker(FileSystemOf(state.range(0)));
  const std::string message = GetattrMessage(7);
  for (auto _ : state) worker.Serve(message);
}
BENCHMARK(BM_Getattr)->Arg(1'000);

// The cost of the statistics: the difference of the two. The fastest requests show it best.
void BM_GetattrStatistics(benchmark::State& state) {
  Worker worker(FileSystemOf(1'000), state.range(0) != 0);
  const std::string message = GetattrMessage(7);
  for (auto _ : state) worker.Serve(message);
}
BENCHMARK(BM_GetattrStatistics)->Arg(0)->Arg(1);

// The same while the first-level cache holds other data before each request, as after the work of
// the kernel and of the client. The time of the walk is part of both results.
void BM_ColdGetattrStatistics(benchmark::State& state) {
  Worker worker(FileSystemOf(1'000), state.range(0) != 0);
  const std::string message = GetattrMessage(7);
  std::vector<char> other(256 << 10);
  for (auto _ : state) {
    for (size_t i = 0; i < other.size(); i += 64) ++other[i];
    worker.Serve(message);
  }
}
BENCHMARK(BM_ColdGetattrStatistics)->Arg(0)->Arg(1);

// The statistics alone: two readings of the clock, and the counters of one request.
void BM_CountRequest(benchmark::State& state) {
  const auto statistics = std::make_unique<RequestStatistics>();
  RecentRequest request;
  request.opcode = FUSE_GETATTR;
  for (auto _ : state) {
    request.start_nanoseconds = base::MonotonicNanoseconds();
    statistics->Begin(request.opcode);
    request.latency_nanoseconds = base::MonotonicNanoseconds() - request.start_nanoseconds;
    statistics->End(request, 0);
  }
}
BENCHMARK(BM_CountRequest);

void BM_CreateUnlink(benchmark::State& state) {
  Worker worker(FileSystemOf(state.range(0)));
  fuse_mknod_in in = {};
  in.mode = S_IFREG | 0644;
  const std::string make = Message(FUSE_MKNOD, 7, Bytes(in) + Name("new-file"));
  const std::string remove = Message(FUSE_UNLINK, 8, Name("new-file"));
  for (auto _ : state) {
    worker.Serve(make);
    worker.Serve(remove);
  }
}
// The benchmark sends no FORGET for the lookup of MKNOD, so each round leaves an inode behind.
BENCHMARK(BM_CreateUnlink)->Arg(1'000)->Arg(1'000'000)->Iterations(200'000);

// Each thread uses its own directory, like processes that build different targets. Contention on
// shared state slows the second thread down.
constexpr int64_t kSharedFiles = 1'000'000;

uint64_t OwnDirectory(MemoryFileSystem* fs, int thread) {
  const std::string name = "own" + std::to_string(thread);
  Result<Entry> entry = fs->Mkdir({}, {kRootInode, name, 0755});
  if (!entry.ok()) entry = fs->Lookup({}, {kRootInode, name});
  if (!entry.ok()) std::abort();
  return static_cast<uint64_t>(entry->ino);
}

void BM_LookupHitApart(benchmark::State& state) {
  static MemoryFileSystem* fs;
  if (state.thread_index() == 0) fs = FileSystemOf(kSharedFiles);
  std::unique_ptr<Worker> worker;
  std::vector<std::string> messages;
  size_t i = 0;
  for (auto _ : state) {
    if (worker == nullptr) {  // after the first thread has made the file system
      state.PauseTiming();
      worker = std::make_unique<Worker>(fs);
      const uint64_t directory = OwnDirectory(fs, state.thread_index());
      fuse_mknod_in in = {};
      in.mode = S_IFREG | 0644;
      for (int n = 0; n < 256; ++n) {
        const std::string name = "file" + std::to_string(n);
        worker->Serve(Message(FUSE_MKNOD, 7, Bytes(in) + Name(name), directory));
        messages.push_back(Message(FUSE_LOOKUP, 8, Name(name), directory));
      }
      state.ResumeTiming();
    }
    worker->Serve(messages[i++ % messages.size()]);
  }
}
BENCHMARK(BM_LookupHitApart)->Threads(1)->Threads(2)->UseRealTime();

void BM_CreateUnlinkApart(benchmark::State& state) {
  static MemoryFileSystem* fs;
  if (state.thread_index() == 0) fs = FileSystemOf(kSharedFiles);
  std::unique_ptr<Worker> worker;
  std::string make, remove;
  for (auto _ : state) {
    if (worker == nullptr) {
      state.PauseTiming();
      worker = std::make_unique<Worker>(fs);
      const uint64_t directory = OwnDirectory(fs, state.thread_index());
      fuse_mknod_in in = {};
      in.mode = S_IFREG | 0644;
      make = Message(FUSE_MKNOD, 7, Bytes(in) + Name("new-file"), directory);
      remove = Message(FUSE_UNLINK, 8, Name("new-file"), directory);
      state.ResumeTiming();
    }
    worker->Serve(make);
    worker->Serve(remove);
  }
}
BENCHMARK(BM_CreateUnlinkApart)->Threads(1)->Threads(2)->Iterations(200'000)->UseRealTime();

}  // namespace
}  // namespace memfuse::transport

int main(int argc, char** argv) {
  memfuse::base::DisableLockOrderDetector();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}

#include "src/memfs/records/record_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "src/memfs/records/transaction.h"
#include "tests/memfs/records.h"

namespace memfuse::memfs {
namespace {

// Opens the same memory again, as a successor does.
std::unique_ptr<RecordFile> OpenAgain(const RecordFile& file) {
  return *RecordFile::Open(base::UniqueFd(dup(file.descriptor())));
}

BlockHeader* NewBlock(RecordFile* file, size_t bytes, BlockId owner = kNoBlock) {
  auto* const block = static_cast<BlockHeader*>(file->Allocate(bytes));
  if (block == nullptr) return nullptr;
  block->owner = owner;
  block->kind = kTestKind;
  return block;
}

std::vector<BlockId> Blocks(RecordFile* file) {
  std::vector<BlockId> found;
  file->ForEachBlock([&](BlockHeader* block) {
    found.push_back(file->IdOf(block));
    return false;
  });
  return found;
}

uint64_t SystemMemory(const RecordFile& file) {
  struct stat status = {};
  EXPECT_EQ(fstat(file.descriptor(), &status), 0);
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

TEST(RecordFileTest, BlocksAreAlignedAndDoNotOverlap) {
  const auto file = MakeRecords();
  std::map<char*, size_t> blocks;
  for (size_t bytes = sizeof(BlockHeader); bytes <= RecordFile::kMaxBlockBytes;
       bytes += bytes / 7 + 1) {
    for (int i = 0; i < 20; ++i) {
      BlockHeader* const block = NewBlock(file.get(), bytes);
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 16, 0u);
      EXPECT_GE(RecordFile::BlockBytes(bytes), bytes);
      EXPECT_EQ(file->At(file->IdOf(block)), block);
      blocks[reinterpret_cast<char*>(block)] = bytes;
    }
  }
  const char* end = nullptr;
  for (const auto& [begin, bytes] : blocks) {
    EXPECT_LE(end, begin);
    end = begin + bytes;
  }
}

TEST(RecordFileTest, ABlockThatIsTooLargeIsRefused) {
  const auto file = MakeRecords();
  EXPECT_EQ(file->Allocate(RecordFile::kMaxBlockBytes + 1), nullptr);
}

TEST(RecordFileTest, ANewBlockIsFreeForASuccessorUntilItHasAKind) {
  const auto file = MakeRecords();
  void* const block = file->Allocate(64);
  EXPECT_EQ(static_cast<BlockHeader*>(block)->kind, BlockKind::kFree);
  const auto successor = OpenAgain(*file);
  EXPECT_THAT(Blocks(successor.get()), testing::IsEmpty());
  EXPECT_EQ(successor->Allocate(64), successor->At(file->IdOf(block)));
}

TEST(RecordFileTest, AFreeBlockIsUsedAgain) {
  const auto file = MakeRecords();
  BlockHeader* const first = NewBlock(file.get(), 64);
  NewBlock(file.get(), 64);
  file->Free(first);
  EXPECT_EQ(file->Allocate(50), first);
  EXPECT_EQ(first->kind, BlockKind::kFree);
}

TEST(RecordFileTest, ASuccessorFindsTheBlocksAndTheirContent) {
  const auto file = MakeRecords();
  std::memcpy(file->root(), "root", 4);
  std::map<BlockId, uint32_t> expected;
  std::vector<BlockHeader*> blocks;
  std::mt19937 random(1);
  for (uint32_t i = 0; i < 20'000; ++i) {
    if (random() % 3 == 0 && !blocks.empty()) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      expected.erase(file->IdOf(blocks.back()));
      file->Free(blocks.back());
      blocks.pop_back();
    } else {
      blocks.push_back(NewBlock(file.get(), 16 + random() % 3000, i));
      ASSERT_NE(blocks.back(), nullptr);
      expected[file->IdOf(blocks.back())] = i;
    }
  }
  const auto successor = OpenAgain(*file);
  std::map<BlockId, uint32_t> found;
  successor->ForEachBlock([&](BlockHeader* block) {
    found[successor->IdOf(block)] = block->owner;
    return false;
  });
  EXPECT_EQ(found, expected);
  EXPECT_EQ(std::memcmp(successor->root(), "root", 4), 0);
  EXPECT_EQ(successor->memory_bytes(), file->memory_bytes());
  // New blocks of the successor do not overlap with these.
  for (int i = 0; i < 20'000; ++i) {
    BlockHeader* const block = NewBlock(successor.get(), 16 + random() % 3000);
    ASSERT_NE(block, nullptr);
    ASSERT_EQ(found.count(successor->IdOf(block)), 0u);
  }
}

TEST(RecordFileTest, MemoryIsReservedBeforeABlockIsUsedAndGoesBack) {
  const auto file = MakeRecords();
  const uint64_t empty = SystemMemory(*file);
  EXPECT_EQ(file->memory_bytes(), empty);
  std::vector<BlockHeader*> blocks;
  for (int i = 0; i < 100'000; ++i) blocks.push_back(NewBlock(file.get(), 160));
  EXPECT_EQ(file->memory_bytes(), SystemMemory(*file));
  EXPECT_GE(file->memory_bytes(), 100'000u * 160);
  EXPECT_LE(file->memory_bytes(), 100'000u * 161 + (1 << 20));
  for (BlockHeader* block : blocks) file->Free(block);
  // One chunk stays.
  EXPECT_LE(file->memory_bytes(), empty + kChunkBytes);
  EXPECT_EQ(file->memory_bytes(), SystemMemory(*file));
}

TEST(RecordFileTest, MemoryIsBoundedRegardlessOfWhichBlocksAreFreed) {
  constexpr uint64_t kMax = 64 << 20;
  const auto file = MakeRecords();
  file->SetMaxBytes(kMax);
  // One block of each chunk is kept, so no chunk can get blocks of another size.
  std::vector<BlockHeader*> kept;
  for (const size_t bytes : {32, 48, 64, 80, 96, 112, 128, 160, 192}) {
    std::vector<BlockHeader*> blocks;
    while (BlockHeader* const block = NewBlock(file.get(), bytes)) blocks.push_back(block);
    EXPECT_LE(SystemMemory(*file), kMax);
    EXPECT_EQ(file->memory_bytes(), SystemMemory(*file));
    std::map<BlockId, BlockHeader*> first;
    for (BlockHeader* block : blocks) {
      const auto chunk = static_cast<BlockId>(file->IdOf(block) / (kChunkBytes / kBlockUnit));
      if (!first.emplace(chunk, block).second) file->Free(block);
    }
    for (const auto& [chunk, block] : first) kept.push_back(block);
  }
  EXPECT_GE(SystemMemory(*file), kMax - kChunkBytes);
  for (BlockHeader* block : kept) file->Free(block);
  EXPECT_NE(file->Allocate(4000), nullptr);
}

TEST(RecordFileTest, AChunkGetsBlocksOfAnotherSizeAfterItWasEmpty) {
  const auto file = MakeRecords();
  for (int round = 0; round < 3; ++round) {
    for (const size_t bytes : {48, 4000, 300}) {
      std::vector<BlockHeader*> blocks;
      for (uint64_t sum = 0; sum < 20 * kChunkBytes; sum += bytes) {
        BlockHeader* const block = static_cast<BlockHeader*>(file->Allocate(bytes));
        ASSERT_NE(block, nullptr);
        ASSERT_EQ(block->kind, BlockKind::kFree);
        std::memset(static_cast<void*>(block), 0xff, bytes);
        blocks.push_back(block);
      }
      for (BlockHeader* block : blocks) file->Free(block);
    }
  }
  EXPECT_LE(file->memory_bytes(), 4 * kChunkBytes + (1 << 20));
}

// Allocates until there is no memory. RLIMIT_FSIZE stands for a lack of memory: a memory file
// cannot grow beyond it. It is a limit of the process.
[[noreturn]] void FillAndExit() {
  signal(SIGXFSZ, SIG_IGN);
  const auto file = MakeRecords();
  const rlimit limit = {kFirstChunk * kChunkBytes + (4 << 20), RLIM_INFINITY};
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(2);
  std::vector<BlockHeader*> blocks;
  while (BlockHeader* const block = NewBlock(file.get(), 500)) blocks.push_back(block);
  const bool none = file->Allocate(500) == nullptr && file->Allocate(3000) == nullptr;
  file->Free(blocks.back());
  const bool one = file->Allocate(500) == blocks.back();
  const bool all = Blocks(file.get()).size() == blocks.size() - 1;
  _exit(none && one && all && blocks.size() > 4000 ? 0 : 1);
}

TEST(RecordFileTest, WithoutMemoryAllocateReturnsNullAndEverythingStays) {
  EXPECT_EXIT(FillAndExit(), testing::ExitedWithCode(0), "");
}

// Limits the address space to a gigabyte more than is mapped now, and fills what can be mapped.
[[noreturn]] void FillLimitedAddressSpaceAndExit() {
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0;
  statm >> pages;
  const rlim_t bytes = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{1} << 30);
  const rlimit limit = {bytes, bytes};
  if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
  const auto file = RecordFile::Make();
  if (!file.ok()) _exit(3);
  uint64_t allocated = 0;
  while ((*file)->Allocate(RecordFile::kMaxBlockBytes) != nullptr) {
    allocated += RecordFile::kMaxBlockBytes;
  }
  _exit(allocated > (150 << 20) && allocated < (uint64_t{1} << 30) ? 0 : 1);
}

TEST(RecordFileTest, ALimitedAddressSpaceLimitsTheBlocks) {
  EXPECT_EXIT(FillLimitedAddressSpaceAndExit(), testing::ExitedWithCode(0), "");
}

TEST(RecordFileTest, ThreadsGetDifferentBlocks) {
  const auto file = MakeRecords();
  constexpr uint32_t kThreads = 4;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&file, t] {
      std::mt19937 random(t);
      std::vector<BlockHeader*> blocks;
      for (int i = 0; i < 20'000; ++i) {
        if (random() % 2 == 0 && !blocks.empty()) {
          ASSERT_EQ(blocks.back()->owner, t + 1);
          file->Free(blocks.back());
          blocks.pop_back();
        } else {
          blocks.push_back(NewBlock(file.get(), 16 + random() % 200, t + 1));
        }
      }
      for (BlockHeader* block : blocks) ASSERT_EQ(block->owner, t + 1);
      for (BlockHeader* block : blocks) file->Free(block);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(Blocks(file.get()), testing::IsEmpty());
}

// Each thread has two chunks of blocks, which become empty while other threads take chunks.
TEST(RecordFileTest, ThreadsFillAndEmptyChunks) {
  const auto file = MakeRecords();
  const uint64_t empty = file->memory_bytes();
  constexpr size_t kBytes = 60'000;
  std::vector<std::thread> threads;
  for (int t = 1; t <= 4; ++t) {
    threads.emplace_back([&file, t] {
      for (int i = 0; i < 200; ++i) {
        std::vector<BlockHeader*> blocks;
        for (int n = 0; n < 6; ++n) {
          blocks.push_back(static_cast<BlockHeader*>(file->Allocate(kBytes)));
          ASSERT_NE(blocks.back(), nullptr);
          ASSERT_EQ(blocks.back()->kind, BlockKind::kFree);
          std::memset(static_cast<void*>(blocks.back()), t, kBytes);
        }
        for (BlockHeader* block : blocks) {
          const char* const bytes = reinterpret_cast<const char*>(block);
          ASSERT_EQ(bytes[0], t);
          ASSERT_EQ(std::memcmp(bytes, bytes + 1, kBytes - 1), 0);
          file->Free(block);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(Blocks(file.get()), testing::IsEmpty());
  EXPECT_LE(file->memory_bytes(), empty + kChunkBytes);
}

TEST(RecordFileTest, VisitorsFreeAllBlocksOfAChunk) {
  const auto file = MakeRecords();
  std::vector<BlockHeader*> blocks;
  // Two chunks of the class. The blocks of the second half of each stay free.
  const size_t of_chunk = (kChunkBytes - kChunkHeaderBytes) / 160;
  for (size_t i = 0; i < 2 * of_chunk; ++i) blocks.push_back(NewBlock(file.get(), 160));
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % of_chunk >= of_chunk / 2) file->Free(blocks[i]);
  }
  file->ForEachBlock([&](BlockHeader* block) {
    file->Free(block);
    return true;
  });
  EXPECT_EQ(file->memory_bytes(), SystemMemory(*file));
}

TEST(RecordFileTest, AFileWithoutRecordsIsRefused) {
  const auto refused = [](base::UniqueFd file) {
    return RecordFile::Open(std::move(file)).status();
  };
  base::UniqueFd empty(memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(refused(std::move(empty)).message(), "the memory file holds no records of memfuse");
  base::UniqueFd zeros(memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(zeros.get(), 1 << 20), 0);
  EXPECT_EQ(refused(std::move(zeros)).message(), "the memory file holds no records of memfuse");
}

TEST(RecordFileTest, AnotherLayoutAndDamagedHeadersAreRefused) {
  struct Damage {
    uint64_t offset;
    uint32_t value;
    const char* message;
  };
  constexpr uint64_t kChunk = kFirstChunk * kChunkBytes;
  const Damage damages[] = {
      {offsetof(Superblock, version), kLayoutVersion + 1,
       "the records have layout 5; this program reads layout 4"},
      {offsetof(Superblock, journals), 1 << 30, "the records are damaged"},
      {offsetof(Superblock, end_chunk), 0, "the records are damaged"},
      {offsetof(Superblock, end_chunk), ~uint32_t{0}, "the records are damaged"},
      {kJournalsOffset + offsetof(JournalHeader, state), 0xffff, "the records are damaged"},
      {kChunk + offsetof(ChunkHeader, size_class), 1000, "the records are damaged"},
      {kChunk + offsetof(ChunkHeader, reserved), 1 << 30, "the records are damaged"},
      {kChunk + offsetof(ChunkHeader, reserved), 0, "the records are damaged"},
  };
  for (const Damage& damage : damages) {
    const auto file = MakeRecords();
    NewBlock(file.get(), 64);
    Transaction(file.get()).Commit();
    ASSERT_EQ(pwrite(file->descriptor(), &damage.value, sizeof(damage.value),
                     static_cast<off_t>(damage.offset)),
              static_cast<ssize_t>(sizeof(damage.value)));
    const auto opened = RecordFile::Open(base::UniqueFd(dup(file->descriptor())));
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(opened.status().message(), damage.message) << damage.offset;
  }
}

}  // namespace
}  // namespace memfuse::memfs

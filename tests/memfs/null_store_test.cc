#include "src/memfs/data/null_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/memfs/records.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using test::Fails;
using test::Succeeds;

class NullStoreTest : public ::testing::Test {
 protected:
  std::string Read(uint64_t offset, size_t size) {
    std::string out(size, '#');
    const Result<size_t> count = file_->Read(offset, absl::MakeSpan(out.data(), out.size()));
    EXPECT_THAT(count, Succeeds());
    out.resize(count.ok() ? *count : 0);
    return out;
  }

  const std::unique_ptr<RecordFile> records_ = MakeRecords();
  Budget budget_{1000, 1};
  NullStore store_{&budget_};
  const std::unique_ptr<FileData> file_ =
      std::make_unique<NullFile>(nullptr, NewFileRecord(records_.get()));
};

TEST_F(NullStoreTest, KeepsTheSizeAndNoData) {
  const std::string data(5000, 'x');
  const Result<size_t> written = file_->Write(10, data);
  ASSERT_THAT(written, Succeeds());
  EXPECT_EQ(*written, 5000u);
  EXPECT_EQ(file_->size(), 5010u);
  EXPECT_EQ(file_->blocks(), 0u);
  EXPECT_EQ(Read(5000, 20), std::string(10, '\0'));
  EXPECT_EQ(Read(5010, 1), "");
  EXPECT_EQ(Read(~uint64_t{0}, 1), "");
  // Truncation to a smaller size changes nothing.
  ASSERT_THAT(file_->Write(0, data), Succeeds());
  EXPECT_EQ(file_->size(), 5010u);
}

TEST_F(NullStoreTest, UsesNothing) {
  ASSERT_THAT(file_->Write(0, std::string(100000, 'x')), Succeeds());
  ASSERT_THAT(file_->Allocate(0, 1 << 20, /*keep_size=*/true), Succeeds());
  EXPECT_EQ(store_.data_bytes(), 0u);
  EXPECT_EQ(budget_.bytes_used(), 0u);
  EXPECT_EQ(store_.free_bytes(), 1000u);
  ASSERT_TRUE(budget_.ReserveBytes(1));
  EXPECT_EQ(store_.free_bytes(), 999u);
}

TEST_F(NullStoreTest, ChangesTheSizeAsAFileDoes) {
  const Resized grown = *file_->Truncate(100);
  EXPECT_TRUE(grown.changed);
  EXPECT_FALSE(grown.had_data);
  EXPECT_FALSE(file_->Truncate(100)->changed);
  ASSERT_THAT(file_->Allocate(0, 200, /*keep_size=*/true), Succeeds());
  EXPECT_EQ(file_->size(), 100u);
  ASSERT_THAT(file_->Allocate(0, 200, /*keep_size=*/false), Succeeds());
  EXPECT_EQ(file_->size(), 200u);
  ASSERT_THAT(file_->ZeroRange(200, 100, /*keep_size=*/false), Succeeds());
  EXPECT_EQ(file_->size(), 300u);
  ASSERT_THAT(file_->PunchHole(0, 1000), Succeeds());
  EXPECT_EQ(file_->size(), 300u);
  NullFile copy(nullptr, NewFileRecord(records_.get()));
  EXPECT_EQ(*copy.CopyFrom(file_.get(), 0, 50, 300), 300u);
  EXPECT_EQ(copy.size(), 350u);
}

TEST_F(NullStoreTest, IsOneHole) {
  ASSERT_THAT(file_->Write(0, std::string(100, 'x')), Succeeds());
  EXPECT_THAT(file_->SeekData(0), Fails(ENXIO));
  EXPECT_EQ(*file_->SeekHole(99), 99u);
  EXPECT_THAT(file_->SeekHole(100), Fails(ENXIO));
}

TEST_F(NullStoreTest, WritesUpToTheLargestOffset) {
  EXPECT_THAT(file_->Write(kMaxFileSize - 1, std::string("x")), Succeeds());
  EXPECT_EQ(file_->size(), kMaxFileSize);
  EXPECT_THAT(file_->Write(kMaxFileSize - 1, std::string("xy")), Fails(EFBIG));
  EXPECT_THAT(file_->Write(~uint64_t{0}, std::string("x")), Fails(EFBIG));
  EXPECT_THAT(file_->Truncate(kMaxFileSize + 1), Fails(EFBIG));
  EXPECT_THAT(file_->Allocate(1, kMaxFileSize, /*keep_size=*/true), Fails(EFBIG));
  EXPECT_THAT(file_->ZeroRange(~uint64_t{0}, 1, /*keep_size=*/false), Fails(EFBIG));
  EXPECT_EQ(file_->size(), kMaxFileSize);
}

// Otherwise the transport would not receive a request.
TEST_F(NullStoreTest, EveryReadAndWriteIsARequest) {
  FileOpen open;
  ASSERT_THAT(file_->Open(O_RDWR, &open), Succeeds());
  EXPECT_TRUE(open.direct_io);
  EXPECT_TRUE(open.parallel_direct_writes);
  EXPECT_EQ(open.backing_id, 0);
  file_->Close(O_RDWR);
}

}  // namespace
}  // namespace memfuse::memfs

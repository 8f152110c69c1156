// ArenaFile beside a plain byte vector under random operations. The model knows, for each page,
// whether it is a hole, reserved, tiny or written, and so what blocks, lseek and the budget have to
// say.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "src/memfs/arena_file.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using test::Fails;
using test::Succeeds;

enum class Page { kReserved, kWritten };

class Model {
 public:
  explicit Model(uint64_t base) : base_(base) {}

  uint64_t size() const { return size_; }

  void Write(uint64_t offset, const std::string& data) {
    Store(offset, data);
    const uint64_t end = offset + data.size();
    if (end <= ArenaFile::kTinyLimit && pages_.count(0) == 0) {
      tiny_ = std::max(tiny_, end);
    } else {
      for (uint64_t page = offset / kPageSize; page <= (end - 1) / kPageSize; ++page) {
        Put(page, Page::kWritten);
      }
    }
    size_ = std::max(size_, end);
  }

  void Truncate(uint64_t size) {
    if (size <= size_) {
      DropPages((size + kPageSize - 1) / kPageSize, ~uint64_t{0});
      tiny_ = std::min(tiny_, size);
    }
    Zero(size, std::max(size, size_));
    size_ = size;
  }

  void Allocate(uint64_t offset, uint64_t length, bool keep_size) {
    for (uint64_t page = offset / kPageSize; page <= (offset + length - 1) / kPageSize; ++page) {
      if (page == 0 && tiny_ > 0) Put(0, Page::kWritten);
      // What was reserved before counts as data from now on, as on tmpfs.
      const auto [place, fresh] = pages_.emplace(page, Page::kReserved);
      if (!fresh) place->second = Page::kWritten;
    }
    if (!keep_size) size_ = std::max(size_, offset + length);
  }

  void Punch(uint64_t offset, uint64_t length) {
    Zero(offset, offset + length);
    const uint64_t first = (offset + kPageSize - 1) / kPageSize;
    const uint64_t end = (offset + length) / kPageSize;
    if (first >= end) return;
    DropPages(first, end - 1);
  }

  void ZeroRange(uint64_t offset, uint64_t length, bool keep_size) {
    Allocate(offset, length, keep_size);
    Zero(offset, offset + length);
    const uint64_t first = (offset + kPageSize - 1) / kPageSize;
    const uint64_t end = (offset + length) / kPageSize;
    for (uint64_t page = first; page < end; ++page) pages_[page] = Page::kReserved;
  }

  std::string Read(uint64_t offset, uint64_t length) const {
    if (offset >= size_) return {};
    std::string out(std::min(length, size_ - offset), '\0');
    Overlay(near_, 0, offset, &out);
    Overlay(far_, base_, offset, &out);
    return out;
  }

  // ~0 stands for ENXIO.
  uint64_t SeekData(uint64_t offset) const {
    for (uint64_t page = offset / kPageSize; page * kPageSize < size_; ++page) {
      if (IsData(page)) return std::max(offset, page * kPageSize);
      const auto next = pages_.upper_bound(page);
      if (next == pages_.end()) break;
      page = next->first - 1;
    }
    return ~uint64_t{0};
  }
  uint64_t SeekHole(uint64_t offset) const {
    uint64_t page = offset / kPageSize;
    while (IsData(page)) ++page;
    return std::min(size_, std::max(offset, page * kPageSize));
  }

  uint64_t blocks() const { return pages_.size() * 8 + (tiny_ + 511) / 512; }
  uint64_t page_count() const { return pages_.size(); }

 private:
  // Bytes are kept near the start and near `base_`, where all writes go.
  std::vector<char>* Place(uint64_t* offset) {
    std::vector<char>* const bytes = *offset >= base_ && base_ > 0 ? &far_ : &near_;
    if (bytes == &far_) *offset -= base_;
    return bytes;
  }
  // Copies what `bytes`, which lie at `start`, say about the file from `offset` on.
  static void Overlay(const std::vector<char>& bytes, uint64_t start, uint64_t offset,
                      std::string* out) {
    const uint64_t from = std::max(offset, start);
    const uint64_t to = std::min(offset + out->size(), start + bytes.size());
    if (from >= to) return;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(from - start), to - from,
                out->begin() + static_cast<std::ptrdiff_t>(from - offset));
  }
  void Store(uint64_t offset, const std::string& data) {
    std::vector<char>* const bytes = Place(&offset);
    if (bytes->size() < offset + data.size()) bytes->resize(offset + data.size());
    std::copy(data.begin(), data.end(), bytes->begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void Zero(uint64_t from, uint64_t to) {
    const auto zero = [](std::vector<char>* bytes, uint64_t a, uint64_t b) {
      const uint64_t end = std::min<uint64_t>(b, bytes->size());
      if (a < end) std::fill_n(bytes->begin() + static_cast<std::ptrdiff_t>(a), end - a, '\0');
    };
    zero(&near_, from, to);
    if (base_ > 0 && to > base_) zero(&far_, from > base_ ? from - base_ : 0, to - base_);
  }
  void Put(uint64_t page, Page state) {
    if (page == 0) tiny_ = 0;
    pages_[page] = state;
  }
  void DropPages(uint64_t first, uint64_t last) {
    pages_.erase(pages_.lower_bound(first), pages_.upper_bound(last));
    if (first == 0) tiny_ = 0;
  }
  bool IsData(uint64_t page) const {
    if (page == 0 && tiny_ > 0) return true;
    const auto it = pages_.find(page);
    return it != pages_.end() && it->second == Page::kWritten;
  }

  const uint64_t base_;
  uint64_t size_ = 0;
  uint64_t tiny_ = 0;  // bytes of page 0 on the heap
  std::map<uint64_t, Page> pages_;
  std::vector<char> near_, far_;
};

struct Setting {
  unsigned seed;
  uint64_t base;   // offsets are near 0 and from here on
  uint64_t reach;  // how far
};

void PrintTo(const Setting& setting, std::ostream* out) {
  *out << "seed " << setting.seed << ", base " << setting.base << ", reach " << setting.reach;
}

class ArenaFileModelTest : public ::testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    auto arena = Arena::Make(&budget_);
    ASSERT_TRUE(arena.ok());
    arena_ = *std::move(arena);
    file_ = std::make_unique<ArenaFile>(arena_.get());
  }

  uint64_t Offset() {
    const uint64_t base = random_() % 2 == 0 ? 0 : GetParam().base;
    uint64_t offset = random_() % GetParam().reach;
    if (random_() % 4 == 0) offset = offset / kPageSize * kPageSize;
    return base + offset;
  }
  uint64_t Length() {
    switch (random_() % 4) {
      case 0:
        return 1 + random_() % 64;
      case 1:
        return kPageSize * (1 + random_() % 4);
      case 2:
        return 1 + random_() % (40 * kPageSize);
      default:
        return 1 + random_() % 3000;
    }
  }
  std::string Data(uint64_t length) {
    std::string data(length, '\0');
    char c = static_cast<char>('A' + random_() % 26);
    for (char& byte : data) byte = c++;
    return data;
  }

  void Step() {
    const uint64_t offset = Offset();
    const uint64_t length = Length();
    const bool keep_size = random_() % 2 == 0;
    switch (random_() % 12) {
      case 0:
        EXPECT_THAT(file_->Truncate(offset), Succeeds());
        model_.Truncate(offset);
        break;
      case 1:
        EXPECT_THAT(file_->Allocate(offset, length, keep_size), Succeeds());
        model_.Allocate(offset, length, keep_size);
        break;
      case 2:
      case 3:
        EXPECT_THAT(file_->PunchHole(offset, length), Succeeds());
        model_.Punch(offset, length);
        break;
      case 4:
        EXPECT_THAT(file_->ZeroRange(offset, length, keep_size), Succeeds());
        model_.ZeroRange(offset, length, keep_size);
        break;
      default: {
        const std::string data = Data(length);
        const Result<size_t> written = file_->Write(offset, data);
        ASSERT_THAT(written, Succeeds());
        EXPECT_EQ(*written, data.size());
        model_.Write(offset, data);
      }
    }
    Compare();
  }

  void Compare() {
    ASSERT_EQ(file_->size(), model_.size());
    ASSERT_EQ(file_->blocks(), model_.blocks());
    ASSERT_EQ(arena_->pages_in_use(), model_.page_count());
    const uint64_t offset = Offset();
    std::string out(Length(), '#');
    const Result<size_t> count = file_->Read(offset, absl::MakeSpan(out.data(), out.size()));
    ASSERT_THAT(count, Succeeds());
    const std::string expected = model_.Read(offset, out.size());
    out.resize(*count);
    ASSERT_TRUE(out == expected) << "at " << offset << ", " << expected.size() << " bytes";
    CompareSeek(Offset());
  }

  void CompareSeek(uint64_t offset) {
    if (offset >= model_.size()) {
      ASSERT_THAT(file_->SeekData(offset), Fails(ENXIO));
      ASSERT_THAT(file_->SeekHole(offset), Fails(ENXIO));
      return;
    }
    const Result<uint64_t> hole = file_->SeekHole(offset);
    ASSERT_THAT(hole, Succeeds());
    ASSERT_EQ(*hole, model_.SeekHole(offset));
    const Result<uint64_t> data = file_->SeekData(offset);
    ASSERT_EQ(data.ok() ? *data : ~uint64_t{0}, model_.SeekData(offset));
  }

  std::mt19937_64 random_{GetParam().seed};
  Budget budget_{uint64_t{1} << 30, 1};
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<ArenaFile> file_;
  Model model_{GetParam().base};
};

TEST_P(ArenaFileModelTest, BehavesAsAVectorOfBytes) {
  for (int i = 0; i < 600; ++i) {
    Step();
    ASSERT_FALSE(HasFailure()) << "in step " << i;
  }
  file_.reset();
  EXPECT_EQ(budget_.bytes_used(), 0u);
  EXPECT_EQ(arena_->pages_in_use(), 0u);
}

constexpr uint64_t kFar = uint64_t{1} << 40;
// The last bytes that a file can have, with room for the longest step.
constexpr uint64_t kFarthest = (kMaxFileSize - (uint64_t{4} << 20)) / kPageSize * kPageSize;

INSTANTIATE_TEST_SUITE_P(Seeds, ArenaFileModelTest,
                         ::testing::Values(Setting{1, 0, 3000}, Setting{2, 0, 10000},
                                           Setting{3, 0, 200000}, Setting{4, 0, 3 << 20},
                                           Setting{5, kFar, 5000}, Setting{6, kFar, 3 << 20},
                                           Setting{7, kFarthest, 8000},
                                           Setting{8, kFarthest, 3 << 20},
                                           Setting{9, (2 << 20) - 9000, 30000}));

}  // namespace
}  // namespace memfuse::memfs

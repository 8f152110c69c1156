// The content of a file as plain bytes, and for each page whether it is a hole, reserved, inline
// data or written. From these the model knows the expected blocks, lseek results and limits.

#ifndef MEMFUSE_TESTS_MEMFS_FILE_MODEL_H_
#define MEMFUSE_TESTS_MEMFS_FILE_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/memfs/data/arena.h"
#include "src/memfs/data/daemon_file.h"

namespace memfuse::memfs {

class FileModel {
 public:
  // The store that it models.
  enum class Kind { kDaemon, kPassthrough };

  FileModel(Kind kind, uint64_t base) : kind_(kind), base_(base) {}

  uint64_t size() const { return size_; }

  void Write(uint64_t offset, const std::string& data) {
    Store(offset, data);
    const uint64_t end = offset + data.size();
    // The daemon store keeps inline data on the heap.
    if (kind_ == Kind::kDaemon && end <= DaemonFile::kMaxInlineSize && pages_.count(0) == 0) {
      inline_ = std::max(inline_, end);
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
      inline_ = std::min(inline_, size);
    }
    Zero(size, std::max(size, size_));
    size_ = size;
  }

  void Allocate(uint64_t offset, uint64_t length, bool keep_size) {
    for (uint64_t page = offset / kPageSize; page <= (offset + length - 1) / kPageSize; ++page) {
      if (page == 0 && inline_ > 0) Put(0, Page::kWritten);
      // From now on, pages that were reserved before count as data, as on tmpfs.
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
    if (kind_ == Kind::kPassthrough) {
      // Implemented with calls that tmpfs has. A partial first or last page counts as data
      // afterwards, although it was new.
      Punch(offset, length);
      Allocate(offset, length, keep_size);
      return;
    }
    Zero(offset, offset + length);
    const uint64_t first = (offset + kPageSize - 1) / kPageSize;
    const uint64_t end = (offset + length) / kPageSize;
    for (uint64_t page = first; page < end; ++page) pages_[page] = Page::kReserved;
  }

  // Holes and reserved pages of the source are data of the copy, in both stores. Returns the number
  // of bytes.
  uint64_t Copy(uint64_t offset_in, uint64_t offset_out, uint64_t length) {
    const std::string data = Read(offset_in, length);
    if (!data.empty()) Write(offset_out, data);
    return data.size();
  }

  std::string Read(uint64_t offset, uint64_t length) const {
    if (offset >= size_) return {};
    std::string out(std::min(length, size_ - offset), '\0');
    Overlay(near_, 0, offset, &out);
    Overlay(far_, base_, offset, &out);
    return out;
  }

  // ~0 means ENXIO.
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

  uint64_t blocks() const { return pages_.size() * 8 + (inline_ + 511) / 512; }
  uint64_t page_count() const { return pages_.size(); }

 private:
  enum class Page { kReserved, kWritten };

  // The model keeps bytes near the start and near `base_`. All writes go there.
  std::vector<char>* Place(uint64_t* offset) {
    std::vector<char>* const bytes = *offset >= base_ && base_ > 0 ? &far_ : &near_;
    if (bytes == &far_) *offset -= base_;
    return bytes;
  }
  // Copies into the result the part of `bytes`, which begin at `start`, from file offset `offset`
  // on.
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
    if (page == 0) inline_ = 0;
    pages_[page] = state;
  }
  void DropPages(uint64_t first, uint64_t last) {
    pages_.erase(pages_.lower_bound(first), pages_.upper_bound(last));
    if (first == 0) inline_ = 0;
  }
  bool IsData(uint64_t page) const {
    if (page == 0 && inline_ > 0) return true;
    const auto it = pages_.find(page);
    return it != pages_.end() && it->second == Page::kWritten;
  }

  const Kind kind_;
  const uint64_t base_;
  uint64_t size_ = 0;
  uint64_t inline_ = 0;  // bytes of inline data
  std::map<uint64_t, Page> pages_;
  std::vector<char> near_, far_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_FILE_MODEL_H_

// Sinks for the data that a file system reads.

#ifndef MEMFUSE_TESTS_TESTING_READ_SINKS_H_
#define MEMFUSE_TESTS_TESTING_READ_SINKS_H_

#include <gtest/gtest.h>

#include <string>

#include "memfuse/read_sink.h"

namespace memfuse::test {

// Checks the contract of ReadSink. result() is the answer of the file system.
class StringSink : public ReadSink {
 public:
  // Not zeros, so that bytes that are not filled in are visible.
  explicit StringSink(size_t size, bool gathers = false) : out_(size, '#'), gathers_(gathers) {}

  absl::Span<char> buffer() override { return absl::MakeSpan(out_.data(), out_.size()); }
  bool gathers() const override { return gathers_; }
  void Send(absl::Span<const Piece> pieces) override {
    EXPECT_TRUE(gathers_);
    EXPECT_EQ(sends_++, 0);
    EXPECT_LE(pieces.size(), kMaxPieces);
    for (const Piece piece : pieces) {
      EXPECT_FALSE(piece.empty());
      sent_.append(piece.data(), piece.size());
    }
    EXPECT_LE(sent_.size(), out_.size());
    pieces_ = pieces.size();
  }

  // Checks the return value of Read.
  std::string Result(size_t count) const {
    if (sends_ == 0) return out_.substr(0, count);
    EXPECT_EQ(count, sent_.size());
    return sent_;
  }
  bool sent() const { return sends_ > 0; }
  size_t pieces() const { return pieces_; }

 private:
  std::string out_;
  const bool gathers_;
  int sends_ = 0;
  std::string sent_;
  size_t pieces_ = 0;
};

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_READ_SINKS_H_

#include "src/cli/size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace memfuse::cli {
namespace {

constexpr uint64_t kMemory = uint64_t{8} << 30;

uint64_t Size(const std::string& text) {
  const auto size = ParseSize(text, kMemory);
  EXPECT_TRUE(size.ok()) << size.status();
  return size.ok() ? *size : 0;
}

TEST(ParseSize, TakesBytesAndSuffixesInEitherCase) {
  EXPECT_EQ(Size("8192"), 8192u);
  EXPECT_EQ(Size("64k"), 64u << 10);
  EXPECT_EQ(Size("64K"), 64u << 10);
  EXPECT_EQ(Size("3m"), 3u << 20);
  EXPECT_EQ(Size("3M"), 3u << 20);
  EXPECT_EQ(Size("5g"), uint64_t{5} << 30);
  EXPECT_EQ(Size("5G"), uint64_t{5} << 30);
  EXPECT_EQ(Size("2t"), uint64_t{2} << 40);
  EXPECT_EQ(Size("2T"), uint64_t{2} << 40);
}

TEST(ParseSize, RoundsUpToPages) {
  EXPECT_EQ(Size("1"), 4096u);
  EXPECT_EQ(Size("4096"), 4096u);
  EXPECT_EQ(Size("4097"), 8192u);
}

TEST(ParseSize, TakesPercentagesOfMemory) {
  EXPECT_EQ(Size("50%"), kMemory / 2);
  EXPECT_EQ(Size("100%"), kMemory);
  EXPECT_EQ(Size("1%"), (kMemory / 100 + 4095) / 4096 * 4096);
  EXPECT_EQ(Size("200%"), kMemory * 2) << "tmpfs allows it too";
}

TEST(FormatSize, IsShortAndRoundedDown) {
  EXPECT_EQ(FormatSize(4096), "4.0 KiB");
  EXPECT_EQ(FormatSize((1 << 20) - 4096), "1020.0 KiB");
  EXPECT_EQ(FormatSize(3 << 19), "1.5 MiB");
  EXPECT_EQ(FormatSize((uint64_t{2} << 30) - 4096), "1.9 GiB");
  EXPECT_EQ(FormatSize(uint64_t{12} << 30), "12.0 GiB");
  EXPECT_EQ(FormatSize(kMaxSize), "128.0 TiB");
}

TEST(ParseSize, ZeroIsAllOfMemory) {
  EXPECT_EQ(Size("0"), kMemory);
  EXPECT_EQ(Size("0g"), kMemory);
  EXPECT_EQ(Size("0%"), kMemory);
}

TEST(ParseSize, LargestIsTheAddressSpace) {
  EXPECT_EQ(Size("128t"), kMaxSize);
  EXPECT_EQ(Size("140737488355328"), kMaxSize);
  EXPECT_FALSE(ParseSize("140737488355329", kMemory).ok());
  EXPECT_FALSE(ParseSize("129t", kMemory).ok());
}

TEST(ParseSize, TakesNumbersAsTheKernelDoes) {
  EXPECT_EQ(ParseSize("0x100000", kMemory).value(), uint64_t{1} << 20);
  EXPECT_EQ(ParseSize("0x1E000", kMemory).value(), 0x1e000u) << "no suffix";
  EXPECT_EQ(ParseSize("020k", kMemory).value(), uint64_t{16} << 10);
  EXPECT_FALSE(ParseSize("090k", kMemory).ok());
}

TEST(ParseSize, RefusesInvalidSizes) {
  for (const char* text : {"",
                           " ",
                           "k",
                           "%",
                           "-1",
                           "-50%",
                           "+1",
                           "1.5g",
                           "12.5%",
                           "1gb",
                           "1 g",
                           " 1",
                           "1 ",
                           "1e9",
                           "g1",
                           "50%%",
                           "k50",
                           "lots",
                           "18446744073709551616",
                           "18446744073709551615k",
                           "99999999999999999999%",
                           "16777216t"}) {
    const auto size = ParseSize(text, kMemory);
    EXPECT_FALSE(size.ok()) << "'" << text << "' gave " << *size;
    EXPECT_THAT(std::string(size.status().message()),
                testing::AllOf(testing::StartsWith("--size: '" + std::string(text) + "'"),
                               testing::Not(testing::HasSubstr("\n"))));
  }
}

TEST(ParseSize, RefusesPercentagesBeyondTheAddressSpace) {
  EXPECT_FALSE(ParseSize("18446744073709551615%", kMemory).ok());
  EXPECT_FALSE(ParseSize("1638401%", kMemory).ok());
  EXPECT_EQ(Size("1638400%"), kMaxSize);
}

TEST(ParseInodeCount, TakesCountsAndSuffixes) {
  EXPECT_EQ(*ParseInodeCount("1"), 1u);
  EXPECT_EQ(*ParseInodeCount("10k"), 10240u);
  EXPECT_EQ(*ParseInodeCount("2M"), 2u << 20);
  EXPECT_EQ(*ParseInodeCount("1g"), 1u << 30);
}

TEST(ParseInodeCount, ZeroIsUnlimited) { EXPECT_EQ(*ParseInodeCount("0"), kUnlimitedInodes); }

TEST(ParseInodeCount, RefusesInvalidCounts) {
  for (const char* text : {"", "-1", "50%", "1.5k", "many", "2t", "18446744073709551616"}) {
    EXPECT_FALSE(ParseInodeCount(text).ok()) << text;
  }
}

}  // namespace
}  // namespace memfuse::cli

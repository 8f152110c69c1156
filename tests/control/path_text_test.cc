#include "src/control/path_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace memfuse::control {
namespace {

using nlohmann::json;

TEST(PathTextTest, SuperfluousSlashesAreRemoved) {
  EXPECT_EQ(CanonicalPath("//a///b/"), "/a/b");
  EXPECT_EQ(CanonicalPath("/a/b"), "/a/b");
  EXPECT_EQ(CanonicalPath("///"), "/");
  EXPECT_EQ(CanonicalPath(""), "");
  EXPECT_EQ(CanonicalPath("a//b/"), "a/b");
}

TEST(PathTextTest, Utf8) {
  for (const std::string text :
       {"", "a/b", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(text)) << json(text);
  }
  EXPECT_TRUE(IsUtf8(std::string(1, '\0')));
  for (const std::string text :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2g", "\xe0\x9f\xbf", "\xe0\xa0",
        "\xed\xa0\x80", "\xef\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff", "ok\xff"}) {
    EXPECT_FALSE(IsUtf8(text));
  }
}

// The bytes that JSON keeps are those that are UTF-8.
TEST(PathTextTest, Utf8IsWhatJsonKeeps) {
  std::mt19937 random(1);
  constexpr unsigned char kBytes[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                                      0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xee,
                                      0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (unsigned size = random() % 6; size > 0; --size) {
      text += static_cast<char>(kBytes[random() % sizeof(kBytes)]);
    }
    const std::string kept = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
    ASSERT_EQ(IsUtf8(text), json::parse(kept) == text);
  }
}

TEST(PathTextTest, ANameThatJsonCannotContainIsAddedEncoded) {
  json row;
  AddName("name", "a b", &row);
  EXPECT_EQ(row, json({{"name", "a b"}}));
  AddName("name", "a\xff", &row);
  EXPECT_EQ(row["encoded"], "a%FF");
}

}  // namespace
}  // namespace memfuse::control

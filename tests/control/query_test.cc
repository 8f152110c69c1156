// Queries: what is parsed, and what is refused with a sentence.

#include "src/control/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace memfuse::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(QueryTest, PairsAreDecoded) {
  EXPECT_THAT(*ParseQuery(""), IsEmpty());
  EXPECT_THAT(*ParseQuery("a=1"), ElementsAre(Pair("a", "1")));
  EXPECT_THAT(*ParseQuery("b=2&a="), ElementsAre(Pair("a", ""), Pair("b", "2")));
  EXPECT_THAT(*ParseQuery("path=/a%20b%2fc%2B%C3%a4%0A&%61=x=y?"),
              ElementsAre(Pair("a", "x=y?"), Pair("path", "/a b/c+\xc3\xa4\n")));
  EXPECT_THAT(*ParseQuery("a=%25%26%3D%FF"), ElementsAre(Pair("a", "%&=\xff")));
}

TEST(QueryTest, BadQueriesAreRefused) {
  for (const std::string& query : std::vector<std::string>{
           "a",     "=",     "=1",    "a=1&",    "&a=1",       "a=1&&b=2",
           "a=%",   "a=%4",  "a=%4g", "a=%g4",   "a=%-1",      "a=%00",
           "%00=a", "a=1+2", "a=a b", "a=\x7f",  "a=\xc3\xa4", "a=#",
           "a=\"",  "a=[",   "a=\n",  "a=1&a=1", "a=1&%61=2",  std::string("a=\0", 3)}) {
    const auto pairs = ParseQuery(query);
    EXPECT_FALSE(pairs.ok()) << query;
    EXPECT_THAT(std::string(pairs.status().message()), HasSubstr("query")) << query;
  }
}

TEST(QueryTest, EveryByteButNulSurvivesEncoding) {
  std::string all;
  for (int byte = 1; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_THAT(*ParseQuery("all=" + EncodeQueryValue(all)), ElementsAre(Pair("all", all)));
  EXPECT_EQ(EncodeQueryValue("/a-b_c.d~e/\xff %"), "/a-b_c.d~e/%FF%20%25");
}

}  // namespace
}  // namespace memfuse::control

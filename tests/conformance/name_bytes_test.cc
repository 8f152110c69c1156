// Names are bytes: any but '/' and NUL, 255 at most, compared bit by bit (path_resolution(7)).

#include <set>

#include "tests/conformance/conformance.h"

namespace memfuse::conformance {
namespace {

CONFORMANCE_SUITE(NameBytes);

TEST_P(NameBytes, EverySingleByteIsAName) {
  std::set<std::string> names;
  for (int byte = 1; byte < 256; ++byte) {
    if (byte == '/' || byte == '.') continue;
    const std::string name(1, static_cast<char>(byte));
    MakeFile(name, name);
    names.insert(name);
  }
  const std::vector<std::string> listed = List(".");
  EXPECT_EQ(std::set<std::string>(listed.begin(), listed.end()), names);
  for (const std::string& name : names) EXPECT_EQ(ReadFile(name), name);
}

TEST_P(NameBytes, EncodingsAreNotInterpreted) {
  const std::vector<std::string> names = {
      "caf\xc3\xa9",   // composed
      "cafe\xcc\x81",  // decomposed
      "CAF\xc3\x89",
      "cafe",
      "\xff\xfe\xfd",  // no UTF-8
      "\xc3\x28",
      "\xe2\x82",          // cut off
      "\xed\xa0\x80",      // a surrogate
      "\xf0\x9f\x90\xa7",  // a penguin
      " ",
      "  ",
      "\n",
      "\t\r",
      "-rf",
      "*",
      "\\",
      "a b",
      "...",
      ". ",
      "..a",
      ".a",
      "\xe2\x80\xae\x61",  // right to left
      "a\x01",
      "CON",
      "nul.txt",
      "a:b",
      "a|b",
  };
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    EXPECT_EQ(ErrnoOf(mkdir(name.c_str(), 0755)), 0);
    MakeFile(name + "/" + name, name);
  }
  EXPECT_EQ(List(".").size(), names.size());
  for (const std::string& name : names) {
    EXPECT_EQ(ReadFile(name + "/" + name), name);
    EXPECT_THAT(List(name), testing::ElementsAre(name));
    EXPECT_EQ(ErrnoOf(rename((name + "/" + name).c_str(), (name + "/x" + name).c_str())), 0);
    EXPECT_EQ(ErrnoOf(unlink((name + "/x" + name).c_str())), 0);
    EXPECT_EQ(ErrnoOf(rmdir(name.c_str())), 0);
  }
  EXPECT_TRUE(List(".").empty());
}

TEST_P(NameBytes, TheLimitCountsBytesAndNotCharacters) {
  std::string wide;
  while (wide.size() < 255) wide += "\xe2\x82\xac";
  ASSERT_EQ(wide.size(), 255u);
  EXPECT_EQ(ErrnoOf(mkdir(wide.c_str(), 0755)), 0);
  MakeFile(wide + "/" + wide, "deep");
  EXPECT_EQ(ReadFile(wide + "/" + wide), "deep");
  EXPECT_EQ(ErrnoOf(mkdir((wide + "x").c_str(), 0755)), ENAMETOOLONG);
  EXPECT_EQ(ErrnoOf(mkdir((wide + "\xe2\x82\xac").c_str(), 0755)), ENAMETOOLONG);
  const std::string raw(255, '\xff');
  MakeFile(raw);
  EXPECT_TRUE(Exists(raw));
  EXPECT_EQ(List(".").size(), 2u);
}

TEST_P(NameBytes, TargetsOfSymbolicLinksAreBytesToo) {
  const std::string target = "\xff\x01\n \xc3/../\xe2\x82";
  ASSERT_EQ(symlink(target.c_str(), "l"), 0);
  char read[100];
  const ssize_t size = readlink("l", read, sizeof(read));
  EXPECT_EQ(std::string(read, static_cast<size_t>(size)), target);
}

TEST_P(NameBytes, DirectoriesOfLongNamesAreListedWhole) {
  std::set<std::string> names;
  for (int i = 0; i < 300; ++i) {
    std::string name(255, static_cast<char>('a' + i % 26));
    name.replace(0, 5, std::to_string(10000 + i));
    if (i % 2 == 0) name[100] = '\xff';
    MakeFile(name);
    names.insert(name);
  }
  const std::vector<std::string> listed = List(".");
  EXPECT_EQ(std::set<std::string>(listed.begin(), listed.end()), names);
}

}  // namespace
}  // namespace memfuse::conformance

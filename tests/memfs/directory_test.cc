#include "src/memfs/tree/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "src/memfs/tree/inode_table.h"
#include "tests/memfs/charge.h"

namespace memfuse::memfs {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

class DirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = base::RefPtr<Directory>::Adopt(
        new Directory(&resources_, DirectoryRecord(&resources_, InodeNumber{100}, kRootInode),
                      ChargeFor(&resources_)));
    child_ = InodeRef::Adopt(
        new Inode(&resources_,
                  NewInodeRecord(resources_.records.get(), InodeNumber{101}, S_IFIFO, Timestamp{}),
                  ChargeFor(&resources_)));
  }

  Dentry* Insert(const std::string& name) {
    EXPECT_TRUE(directory_->account()->ReserveBytes(DentryCost(name)).ok());
    Dentry* const dentry = NewDentry(resources_.records.get(), name, child_.get()).release();
    MutexLock lock(&directory_->names_mu);
    directory_->Insert(dentry);
    return dentry;
  }
  void Erase(const std::string& name) {
    MutexLock lock(&directory_->names_mu);
    Dentry* const dentry = directory_->Find(name);
    Transaction change(resources_.records.get());
    change.Remove(&dentry->header);
    directory_->Erase(dentry);
    change.Commit();
  }
  Dentry* Find(const std::string& name) const {
    ReaderMutexLock lock(&directory_->names_mu);
    return directory_->Find(name);
  }
  std::vector<std::string> NamesBefore(uint64_t cookie) const {
    ReaderMutexLock lock(&directory_->names_mu);
    std::vector<std::string> names;
    while (const Dentry* dentry = directory_->Before(cookie)) {
      names.emplace_back(dentry->name());
      cookie = dentry->cookie;
    }
    return names;
  }
  std::vector<std::string> Names() const { return NamesBefore(~uint64_t{0}); }
  bool Empty() const {
    ReaderMutexLock lock(&directory_->names_mu);
    return directory_->empty();
  }

  Resources resources_{uint64_t{64} << 20, 1, MakeRecords()};
  base::RefPtr<Directory> directory_;
  InodeRef child_;
};

TEST_F(DirectoryTest, StartsEmpty) {
  EXPECT_TRUE(Empty());
  EXPECT_EQ(directory_->size(), 40u);
  EXPECT_EQ(Find("a"), nullptr);
  EXPECT_THAT(Names(), ElementsAre());
}

TEST_F(DirectoryTest, FindsNamesAsBytes) {
  const std::string longest(kNameMax, 'x');
  const std::string odd("a\xff\n b\x01", 6);
  for (const std::string& name : {std::string("a"), std::string("A"), longest, odd}) {
    Dentry* const dentry = Insert(name);
    EXPECT_EQ(Find(name), dentry);
    EXPECT_EQ(dentry->name(), name);
    EXPECT_EQ(dentry->inode(), child_.get());
  }
  EXPECT_EQ(Find(longest.substr(1)), nullptr);
  EXPECT_EQ(Find(""), nullptr);
  EXPECT_EQ(directory_->size(), 40u + 4 * 20);
}

TEST_F(DirectoryTest, ListsFromTheLargestCookieDown) {
  Insert("c");
  const uint64_t b = Insert("b")->cookie;
  Insert("a");
  EXPECT_THAT(Names(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(NamesBefore(b), ElementsAre("c"));
  EXPECT_THAT(NamesBefore(b + 1), ElementsAre("b", "c"));
  EXPECT_THAT(NamesBefore(kFirstCookie), ElementsAre());
  EXPECT_THAT(NamesBefore(0), ElementsAre());
}

TEST_F(DirectoryTest, NeverUsesACookieAgain) {
  uint64_t last = 2;  // 0 to 2 are the beginning, "." and ".."
  for (int i = 0; i < 10; ++i) {
    const uint64_t cookie = Insert("a")->cookie;
    EXPECT_GT(cookie, last);
    last = cookie;
    Erase("a");
  }
}

TEST_F(DirectoryTest, ContinuesAfterARemovedEntry) {
  Insert("a");
  const uint64_t b = Insert("b")->cookie;
  Insert("c");
  Erase("b");
  EXPECT_THAT(NamesBefore(b), ElementsAre("a"));
  Insert("b");
  EXPECT_THAT(NamesBefore(b), ElementsAre("a"));
  EXPECT_THAT(Names(), ElementsAre("b", "c", "a"));
}

TEST_F(DirectoryTest, ReleasesTheBytesChargedForEntries) {
  Insert("a");
  Insert(std::string(200, 'x'));
  EXPECT_EQ(resources_.budget.bytes_used(), DentryCost("a") + DentryCost(std::string(200, 'x')));
  Erase("a");
  EXPECT_EQ(resources_.budget.bytes_used(), DentryCost(std::string(200, 'x')));
  Insert("b");
  directory_->Clear();
  EXPECT_EQ(resources_.budget.bytes_used(), 0u);
  EXPECT_TRUE(Empty());
  Insert("c");
  directory_ = nullptr;
  EXPECT_EQ(resources_.budget.bytes_used(), 0u);
}

TEST_F(DirectoryTest, StaysRightWhenItShrinks) {
  const auto name = [](int i) { return "name-" + std::to_string(i); };
  constexpr int kNames = 20000;
  for (int i = 0; i < kNames; ++i) Insert(name(i));
  for (int i = 0; i < kNames; ++i) {
    if (i % 1000 != 0) Erase(name(i));
  }
  std::vector<std::string> left;
  for (int i = 0; i < kNames; i += 1000) {
    left.push_back(name(i));
    EXPECT_NE(Find(name(i)), nullptr);
    EXPECT_EQ(Find(name(i + 1)), nullptr);
  }
  EXPECT_THAT(Names(), ElementsAreArray(left.rbegin(), left.rend()));
  EXPECT_EQ(directory_->size(), 40u + 20 * left.size());
  for (const std::string& last : left) Erase(last);
  EXPECT_TRUE(Empty());
  EXPECT_EQ(resources_.budget.bytes_used(), 0u);
  Insert("again");
  EXPECT_THAT(Names(), ElementsAre("again"));
}

TEST_F(DirectoryTest, BehavesAsAMapUnderRandomChanges) {
  std::mt19937 random(7);
  std::map<std::string, uint64_t> model;  // name -> cookie
  for (int i = 0; i < 20000; ++i) {
    const std::string name = std::to_string(random() % 300);
    const auto it = model.find(name);
    ASSERT_EQ(Find(name) != nullptr, it != model.end());
    if (it == model.end()) {
      model[name] = Insert(name)->cookie;
    } else {
      Erase(name);
      model.erase(it);
    }
  }
  std::map<uint64_t, std::string, std::greater<>> ordered;
  for (const auto& [name, cookie] : model) ordered[cookie] = name;
  std::vector<std::string> expected;
  for (const auto& [cookie, name] : ordered) expected.push_back(name);
  EXPECT_EQ(Names(), expected);
}

}  // namespace
}  // namespace memfuse::memfs

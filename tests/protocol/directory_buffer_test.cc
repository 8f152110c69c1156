#include <dirent.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "src/protocol/encode.h"
#include "tests/protocol/message.h"

namespace memfuse::protocol {
namespace {

// The READDIR part of a record, as <linux/fuse.h> describes it, without padding.
std::string Dirent(uint64_t ino, uint64_t offset, uint32_t type, std::string_view name) {
  fuse_dirent dirent{};
  dirent.ino = ino;
  dirent.off = offset;
  dirent.namelen = static_cast<uint32_t>(name.size());
  dirent.type = type;
  return std::string(reinterpret_cast<const char*>(&dirent), FUSE_NAME_OFFSET) + std::string(name);
}

std::string Padded(std::string record) {
  record.resize(FUSE_DIRENT_ALIGN(record.size()), '\0');
  return record;
}

// A buffer of exactly `size` bytes, filled with garbage.
class Memory {
 public:
  explicit Memory(size_t size) : bytes_(new char[size]), size_(size) {
    std::fill_n(bytes_.get(), size, '\xaa');
  }
  absl::Span<char> span() { return {bytes_.get(), size_}; }
  std::string first(size_t size) const { return std::string(bytes_.get(), size); }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_;
};

DirectoryEntry Named(std::string_view name, const Entry* entry = nullptr) {
  return {name, InodeNumber{0x1112131415161718}, S_IFREG, 0x2122232425262728, entry};
}

TEST(DirectoryBuffer, RecordsFollowEachOther) {
  Memory memory(4096);
  DirectoryBuffer buffer(memory.span(), /*plus=*/false);
  buffer.Add({".", InodeNumber{1}, S_IFDIR, 1, nullptr});
  buffer.Add({"a-name-8", InodeNumber{2}, S_IFREG, 2, nullptr});
  buffer.Add({"link", InodeNumber{0xffffffffffffffff}, S_IFLNK, 0xfffffffffffffffe, nullptr});
  const std::string expected =
      Padded(Dirent(1, 1, DT_DIR, ".")) + Padded(Dirent(2, 2, DT_REG, "a-name-8")) +
      Padded(Dirent(0xffffffffffffffff, 0xfffffffffffffffe, DT_LNK, "link"));
  EXPECT_EQ(buffer.size(), expected.size());
  EXPECT_EQ(memory.first(buffer.size()), expected);
}

TEST(DirectoryBuffer, TypesAreThoseOfReaddir) {
  const std::pair<uint32_t, uint32_t> types[] = {
      {S_IFREG, DT_REG}, {S_IFDIR, DT_DIR},  {S_IFLNK, DT_LNK},   {S_IFCHR, DT_CHR},
      {S_IFBLK, DT_BLK}, {S_IFIFO, DT_FIFO}, {S_IFSOCK, DT_SOCK}, {S_IFREG | 07777, DT_REG}};
  for (const auto& [mode, type] : types) {
    Memory memory(64);
    DirectoryBuffer buffer(memory.span(), /*plus=*/false);
    buffer.Add({"n", InodeNumber{1}, mode, 1, nullptr});
    EXPECT_EQ(memory.first(buffer.size()), Padded(Dirent(1, 1, type, "n"))) << mode;
  }
}

TEST(DirectoryBuffer, PlusPutsTheEntryInFront) {
  Entry entry;
  entry.ino = InodeNumber{0x3132333435363738};
  entry.generation = 3;
  entry.attributes.ino = entry.ino;
  entry.attributes.mode = S_IFREG | 0600;
  entry.attributes.size = 99;
  entry.entry_valid = 5;
  entry.attributes_valid = 6;
  fuse_entry_out head{};
  head.nodeid = 0x3132333435363738;
  head.generation = 3;
  head.entry_valid = 5;
  head.attr_valid = 6;
  head.attr.ino = 0x3132333435363738;
  head.attr.mode = S_IFREG | 0600;
  head.attr.size = 99;
  head.attr.blksize = 4096;

  Memory memory(4096);
  DirectoryBuffer buffer(memory.span(), /*plus=*/true);
  buffer.Add(Named("some-name", &entry));
  const std::string expected =
      Padded(BytesOf(head) + Dirent(0x1112131415161718, 0x2122232425262728, DT_REG, "some-name"));
  EXPECT_EQ(memory.first(buffer.size()), expected);
}

TEST(DirectoryBuffer, PlusWithoutALookupHasAnEmptyEntry) {
  Entry none;  // as for "." and "..": attributes, but no lookup
  none.attributes.mode = S_IFDIR | 0755;
  const std::string expected = Padded(BytesOf(fuse_entry_out{}) +
                                      Dirent(0x1112131415161718, 0x2122232425262728, DT_REG, ".."));
  for (const Entry* entry :
       {static_cast<const Entry*>(nullptr), static_cast<const Entry*>(&none)}) {
    Memory memory(4096);
    DirectoryBuffer buffer(memory.span(), /*plus=*/true);
    buffer.Add(Named("..", entry));
    EXPECT_EQ(memory.first(buffer.size()), expected);
  }
}

TEST(DirectoryBuffer, WithoutPlusEntriesAreNotSent) {
  Entry entry;
  entry.ino = InodeNumber{5};
  Memory memory(4096);
  DirectoryBuffer buffer(memory.span(), /*plus=*/false);
  buffer.Add(Named("n", &entry));
  EXPECT_EQ(memory.first(buffer.size()),
            Padded(Dirent(0x1112131415161718, 0x2122232425262728, DT_REG, "n")));
}

// For every length of a name, the record fits into exactly the bytes that it takes, and not into
// one less.
TEST(DirectoryBuffer, FitsExactlyToTheByte) {
  for (const bool plus : {false, true}) {
    const size_t head = plus ? sizeof(fuse_entry_out) : 0;
    for (size_t length = 1; length <= 255; ++length) {
      const std::string name(length, 'n');
      const size_t record = FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + length);
      const std::string first = Padded(std::string(head, '\0') + Dirent(1, 1, DT_REG, "first"));

      Memory small(first.size() + record - 1);
      DirectoryBuffer full(small.span(), plus);
      EXPECT_TRUE(full.HasRoomFor("first"));
      full.Add({"first", InodeNumber{1}, S_IFREG, 1, nullptr});
      EXPECT_FALSE(full.HasRoomFor(name)) << length;

      Memory enough(first.size() + record);
      DirectoryBuffer buffer(enough.span(), plus);
      buffer.Add({"first", InodeNumber{1}, S_IFREG, 1, nullptr});
      ASSERT_TRUE(buffer.HasRoomFor(name)) << length;
      buffer.Add({name, InodeNumber{2}, S_IFREG, 2, nullptr});
      EXPECT_EQ(buffer.size(), first.size() + record);
      EXPECT_EQ(enough.first(buffer.size()),
                first + Padded(std::string(head, '\0') + Dirent(2, 2, DT_REG, name)));
      EXPECT_FALSE(buffer.HasRoomFor("x"));
    }
  }
}

TEST(DirectoryBuffer, AnEmptyBufferHasNoRoom) {
  DirectoryBuffer buffer(absl::Span<char>(), /*plus=*/false);
  EXPECT_FALSE(buffer.HasRoomFor("n"));
  EXPECT_EQ(buffer.size(), 0u);
}

}  // namespace
}  // namespace memfuse::protocol

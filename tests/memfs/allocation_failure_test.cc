// Tests that every operation handles the failure of each of its allocations.
//
// For each operation and each n, the test fills a new file system and makes the n-th allocation of
// the operation fail: either that allocation alone, or that one and all later ones. The operation
// must then answer ENOMEM or ENOSPC, or the same as with memory. The tree and the usage must be
// those before the operation or those after it. When everything is removed, the usage must be that
// of an empty file system.

#include "tests/testing/allocation_failure.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "memfuse/ioctl.h"
#include "tests/memfs/acl_bytes.h"
#include "tests/memfs/fake_backing_files.h"
#include "tests/memfs/memfs_test_base.h"
#include "tests/memfs/passthrough_store_test_base.h"

namespace memfuse::memfs {
namespace {

using test::AllocationFailure;

constexpr uint64_t kLimit = uint64_t{16} << 20;
constexpr int kShort = -1;  // the operation did less than requested

const std::string kNamedAcl = AclBytes(
    {{kAclUserObj, 6}, {kAclUser, 7, 1000}, {kAclGroupObj, 4}, {kAclMask, 7}, {kAclOther, 0}});
const std::string kPlainAcl = AclBytes({{kAclUserObj, 6}, {kAclGroupObj, 4}, {kAclOther, 0}});
const std::string kLongName(200, 'n');
const std::string kLongTarget(1000, 't');

using memfs::Must;
void Must(const Result<void>& result) { ASSERT_THAT(result, Succeeds()); }

// Allocates nothing: the file system calls a sink with the directory locked, and a sink must not
// throw.
class CountingSink final : public DirectorySink {
 public:
  bool HasRoomFor(std::string_view) const override { return count_ < looked_up_.size(); }
  void Add(const DirectoryEntry& entry) override {
    looked_up_[count_++] = entry.entry == nullptr ? kNoInode : entry.entry->ino;
  }
  absl::Span<const InodeNumber> looked_up() const {
    return absl::MakeConstSpan(looked_up_.data(), count_);
  }

 private:
  std::array<InodeNumber, 100> looked_up_;
  size_t count_ = 0;
};

// A file system with files of each kind. It records the lookups and opens that the kernel would
// hold.
class Subject {
 public:
  explicit Subject(DataKind kind) {
    MemoryFileSystemOptions options = SmallOptions(kLimit);
    options.data = kind;
    fs_ = MakeMemFs(options);
    me_ = std::make_unique<Caller>(fs_.get());
    EXPECT_TRUE(fs_->Connected({kind == DataKind::kPassthrough ? &backing_ : nullptr}).ok());
    empty_ = fs_->Usage();
    lookups_.reserve(1000);
    opens_.reserve(100);
  }
  ~Subject() { fs_->Disconnected(); }

  void Fill() {
    const InodeNumber dir = Add("dir", me_->Mkdir(kRootInode, "dir"));
    const InodeNumber file = Add("file", me_->Mknod(dir, "file", 06755));
    Must(me_->Write(file, 0, Letters(3 * kPageSize + 10)));
    const InodeNumber copy = Add("copy", me_->Mknod(dir, "copy"));
    EXPECT_EQ(Must(me_->Copy(file, 0, copy, 0, 4 * kPageSize)), 3 * kPageSize + 10);
    const InodeNumber inline_data = Add("tiny", me_->Mknod(dir, "tiny"));
    Must(me_->Write(inline_data, 0, Letters(100)));
    const InodeNumber sparse = Add("sparse", me_->Mknod(dir, "sparse"));
    Must(me_->Write(sparse, 20 * kPageSize, Letters(kPageSize)));
    Must(me_->Write(sparse, 5000 * kPageSize, Letters(10)));
    const InodeNumber reserved = Add("reserved", me_->Mknod(dir, "reserved"));
    Must(me_->Fallocate(reserved, FALLOC_FL_KEEP_SIZE, 0, 4 * kPageSize));
    Add("empty", me_->Mknod(dir, "empty"));
    Add("link", me_->Link(inline_data, dir, "link"));
    Add("symlink", me_->Symlink(dir, "symlink", kLongTarget));
    Add("fifo", me_->Mknod(dir, "fifo", S_IFIFO | 0644));
    const InodeNumber acl = Add("acl", me_->Mknod(dir, "acl"));
    Must(me_->Setxattr(acl, kAccessAclName, kNamedAcl));
    for (int i = 0; i < 6; ++i) {
      Must(me_->Setxattr(acl, absl::StrCat("user.", i), std::string(40, 'v')));
    }
    const InodeNumber full = Add("full", me_->Mkdir(dir, "full"));
    Must(me_->Setxattr(full, kDefaultAclName, kNamedAcl));
    Add("sub", me_->Mkdir(full, "sub"));
    Add("unused", me_->Mkdir(dir, "unused"));
    const CreateResult open = Must(me_->Create(dir, "open", 0644, 0, O_RDWR));
    inodes_["open"] = open.entry.ino;
    lookups_.push_back(open.entry.ino);
    opens_.emplace_back(open.entry.ino, O_RDWR);
    const CreateResult nameless = Must(me_->Tmpfile(dir, 0600, 0, O_RDWR));
    inodes_["nameless"] = nameless.entry.ino;
    lookups_.push_back(nameless.entry.ino);
    opens_.emplace_back(nameless.entry.ino, O_RDWR);
  }

  InodeNumber operator[](const char* name) const { return inodes_.at(name); }
  const Caller& me() const { return *me_; }
  MemFs& fs() { return *fs_; }

  // The answer of an operation. What the operation handed out is recorded. None of these allocates.
  int Note(const Result<Entry>& result) {
    if (result.ok()) lookups_.push_back(result->ino);
    return result.ok() ? 0 : result.error().value();
  }
  int Note(const Result<CreateResult>& result, uint32_t flags) {
    if (!result.ok()) return result.error().value();
    lookups_.push_back(result->entry.ino);
    opens_.emplace_back(result->entry.ino, flags);
    return 0;
  }
  int NoteOpen(InodeNumber ino, const Result<OpenResult>& result, uint32_t flags) {
    if (result.ok()) opens_.emplace_back(ino, flags);
    return result.ok() ? 0 : result.error().value();
  }
  int NoteListing(const CountingSink& sink) {
    for (const InodeNumber ino : sink.looked_up()) {
      if (ino != kNoInode) lookups_.push_back(ino);
    }
    return 0;
  }
  int Release(const char* name) {
    const auto open = std::find_if(opens_.begin(), opens_.end(), [&](const auto& candidate) {
      return candidate.first == inodes_.at(name);
    });
    const auto [ino, flags] = *open;
    opens_.erase(open);
    return me_->Release(ino, flags).error_or_zero();
  }
  void Forget(const char* name) {
    const auto lookup = std::find(lookups_.begin(), lookups_.end(), inodes_.at(name));
    const InodeNumber ino = *lookup;
    lookups_.erase(lookup);
    me_->Forget(ino);
  }

  // The whole tree and the usage: names in both directions, attributes, data, ACLs and extended
  // attributes. With `exact` the text includes inode numbers and times (except atime, which reading
  // moves), and can be compared within the same file system only.
  std::string Describe(bool exact) const {
    std::string text;
    std::map<uint64_t, size_t> numbers;
    DescribeInode(kRootInode, kRootInode, "/", exact, &numbers, &text);
    const MemoryFileSystemUsage usage = fs_->Usage();
    absl::StrAppend(&text, "bytes ", usage.bytes_used, " of ", usage.size_limit, ", data ",
                    usage.data_bytes, ", inodes ", usage.inodes_used, " of ", usage.inode_limit,
                    "\n");
    return text;
  }

  // Removes everything. Afterwards the file system must be empty.
  void ExpectEmptyAfterRemoval() {
    RemoveAll(kRootInode);
    for (const auto& [ino, flags] : opens_) Must(me_->Release(ino, flags));
    for (const InodeNumber ino : lookups_) me_->Forget(ino);
    const MemoryFileSystemUsage usage = fs_->Usage();
    EXPECT_EQ(usage.inodes_used, 1u);
    EXPECT_EQ(usage.bytes_used, empty_.bytes_used);
    EXPECT_EQ(usage.data_bytes, 0u);
  }

  static std::string Letters(size_t size) {
    std::string text(size, ' ');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
    return text;
  }

 private:
  InodeNumber Add(const char* name, const Result<Entry>& made) {
    const InodeNumber ino = Ino(made);
    lookups_.push_back(ino);
    return inodes_[name] = ino;
  }

  void DescribeInode(InodeNumber parent, InodeNumber ino, const std::string& path, bool exact,
                     std::map<uint64_t, size_t>* numbers, std::string* text) const {
    const Attributes a = Must(me_->Getattr(ino)).attributes;
    const size_t number = numbers->emplace(ToInt(ino), numbers->size()).first->second;
    absl::StrAppend(text, path, " #", exact ? ToInt(a.ino) : number, " mode ", absl::Hex(a.mode),
                    " nlink ", a.nlink, " owner ", a.uid, ":", a.gid, " size ", a.size, " blocks ",
                    a.blocks, " rdev ", a.rdev);
    if (exact) {
      for (const Timestamp time : {a.mtime, a.ctime, a.btime}) {
        absl::StrAppend(text, " ", time.seconds, ".", time.nanoseconds);
      }
    }
    const std::string names = Must(me_->Listxattr(ino));
    for (size_t at = 0; at < names.size(); at = names.find('\0', at) + 1) {
      const std::string name = names.c_str() + at;
      absl::StrAppend(text, " ", name, "=", absl::BytesToHexString(Must(me_->Getxattr(ino, name))));
    }
    if (S_ISLNK(a.mode)) absl::StrAppend(text, " -> ", Must(me_->Readlink(ino)));
    if (S_ISREG(a.mode)) DescribeData(ino, a.size, text);
    text->append("\n");
    if (!S_ISDIR(a.mode)) return;
    EXPECT_EQ(Must(me_->Lookup(ino, "..")).ino, parent);
    me_->Forget(parent);
    Listing listing;
    Must(me_->Readdir(ino, 0, /*plus=*/false, &listing));
    // Checks that the link count and the size of a directory agree with its entries.
    size_t directories = 0;
    for (const Listing::Item& item : listing.items) {
      if (item.name == "." || item.name == "..") continue;
      const Entry found = Must(me_->Lookup(ino, item.name));
      EXPECT_EQ(found.ino, item.ino) << path << item.name;
      EXPECT_EQ(found.attributes.mode & S_IFMT, item.type);
      directories += item.type == S_IFDIR ? 1 : 0;
      DescribeInode(ino, found.ino, path + item.name + (item.type == S_IFDIR ? "/" : ""), exact,
                    numbers, text);
      me_->Forget(found.ino);
    }
    EXPECT_EQ(a.nlink, 2 + directories) << path;
    EXPECT_EQ(a.size, 40 + 20 * (listing.items.size() - 2)) << path;
  }

  void DescribeData(InodeNumber ino, uint64_t size, std::string* text) const {
    const auto summary = [](const std::string& data) {
      // Run-length encoding, or the last run alone: enough to distinguish any two of the contents.
      return absl::StrCat(std::hash<std::string>()(data));
    };
    uint64_t hole = 0;
    for (;;) {
      const Result<uint64_t> data = me_->Lseek(ino, hole, SEEK_DATA);
      if (!data.ok()) break;
      hole = Must(me_->Lseek(ino, *data, SEEK_HOLE));
      absl::StrAppend(text, " data ", *data, "-", hole, " ",
                      summary(Must(me_->Read(ino, *data, hole - *data, O_NOATIME))));
    }
    // There are only zeros around the end.
    const uint64_t near = std::min(size, 2 * kPageSize);
    absl::StrAppend(text, " end ",
                    summary(Must(me_->Read(ino, size - near, 4 * kPageSize, O_NOATIME))));
  }

  void RemoveAll(InodeNumber directory) {
    Listing listing;
    Must(me_->Readdir(directory, 0, /*plus=*/false, &listing));
    for (const Listing::Item& item : listing.items) {
      if (item.name == "." || item.name == "..") continue;
      if (item.type == S_IFDIR) {
        RemoveAll(item.ino);
        Must(me_->Rmdir(directory, item.name));
      } else {
        Must(me_->Unlink(directory, item.name));
      }
    }
  }

  FakeBackingFiles backing_;
  std::unique_ptr<MemFs> fs_;
  std::unique_ptr<Caller> me_;
  MemoryFileSystemUsage empty_;
  std::map<std::string, InodeNumber, std::less<>> inodes_;
  std::vector<InodeNumber> lookups_;
  std::vector<std::pair<InodeNumber, uint32_t>> opens_;
};

template <typename T>
int ErrorOf(const Result<T>& result) {
  return result.ok() ? 0 : result.error().value();
}
int ErrorOf(const Result<void>& result) { return result.error_or_zero(); }

// The result of a call that was to process that many bytes.
template <typename T>
int ErrorOrShort(const Result<T>& result, uint64_t expected) {
  if (!result.ok()) return result.error().value();
  return *result == expected ? 0 : kShort;
}

struct Operation {
  const char* name;
  std::function<int(Subject&)> run;
  // If there is no memory for inline data, the operation may use a page instead.
  bool may_take_a_page = false;
};

std::string FlagBytes(uint32_t flags) {
  return std::string(reinterpret_cast<const char*>(&flags), sizeof(flags));
}

IoctlRequest MakeIoctl(InodeNumber ino, uint32_t command, absl::Span<const char> input,
                       uint32_t output_size) {
  IoctlRequest request{};
  request.ino = ino;
  request.command = command;
  request.input = input;
  request.output_size = output_size;
  return request;
}

int Ioctl(Subject& s, const char* name, uint32_t command, absl::Span<const char> input,
          uint32_t output_size) {
  return ErrorOf(s.fs().Ioctl(s.me().context(), MakeIoctl(s[name], command, input, output_size)));
}

int Rename(Subject& s, const char* from, const char* name, const char* to, const char* new_name,
           uint32_t flags = 0) {
  return ErrorOf(s.me().Rename(s[from], name, s[to], new_name, flags));
}

int Write(Subject& s, const char* name, uint64_t offset, const std::string& data) {
  return ErrorOrShort(s.me().Write(s[name], offset, data, /*kill_suidgid=*/true), data.size());
}

int Copy(Subject& s, const char* in, uint64_t offset_in, const char* out, uint64_t offset_out,
         uint64_t length) {
  return ErrorOrShort(s.me().Copy(s[in], offset_in, s[out], offset_out, length), length);
}

int Fallocate(Subject& s, const char* name, uint32_t mode, uint64_t offset, uint64_t length) {
  return ErrorOf(s.me().Fallocate(s[name], mode, offset, length));
}

int List(Subject& s, bool plus) {
  CountingSink sink;
  try {
    const int error = ErrorOf(s.me().Readdir(s["dir"], 0, plus, &sink));
    s.NoteListing(sink);
    return error;
  } catch (const std::bad_alloc&) {
    s.NoteListing(sink);
    throw;
  }
}

const std::string& FourPages() {
  static const std::string data(4 * kPageSize, 'W');
  return data;
}
const std::string& FewBytes() {
  static const std::string data(50, 'w');
  return data;
}
// Every operation of FileSystem (memfuse/filesystem.h), in its variants.
std::vector<Operation> Operations() {
  constexpr uint32_t kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const auto set_mode_and = [](Subject& s, const char* name, std::optional<uint64_t> size) {
    SetattrRequest request{};
    request.ino = s[name];
    request.mode = 0604;
    request.size = size;
    if (!size.has_value()) {
      request.uid = 1;
      request.gid = 2;
    }
    request.mtime = {TimeChange::Kind::kSet, {1000, 1}};
    return ErrorOf(s.me().Setattr(request));
  };
  return {
      {"Lookup", [](Subject& s) { return s.Note(s.me().Lookup(s["dir"], "file")); }},
      {"Lookup .", [](Subject& s) { return s.Note(s.me().Lookup(s["file"], ".")); }},
      {"Lookup ..", [](Subject& s) { return s.Note(s.me().Lookup(s["sub"], "..")); }},
      {"Lookup nothing", [](Subject& s) { return s.Note(s.me().Lookup(s["dir"], "none")); }},
      {"Forget", [](Subject& s) { return s.Forget("file"), 0; }},
      {"Forget the last",
       [](Subject& s) { return s.Release("nameless"), s.Forget("nameless"), 0; }},
      {"Getattr", [](Subject& s) { return ErrorOf(s.me().Getattr(s["file"])); }},
      {"Getattr open", [](Subject& s) { return ErrorOf(s.me().Getattr(s["open"])); }},
      {"chmod", [](Subject& s) { return ErrorOf(s.me().Chmod(s["file"], 0600)); }},
      {"chmod with ACL", [](Subject& s) { return ErrorOf(s.me().Chmod(s["acl"], 0604)); }},
      {"chown", [](Subject& s) { return ErrorOf(s.me().Chown(s["file"], 1, 2)); }},
      {"truncate to 0", [](Subject& s) { return ErrorOf(s.me().Truncate(s["file"], 0)); }},
      {"truncate shared",
       [](Subject& s) { return ErrorOf(s.me().Truncate(s["copy"], kPageSize + 5)); }},
      {"truncate small", [](Subject& s) { return ErrorOf(s.me().Truncate(s["tiny"], 5)); }},
      {"extend", [](Subject& s) { return ErrorOf(s.me().Truncate(s["tiny"], 1 << 20)); }},
      {"extend empty", [](Subject& s) { return ErrorOf(s.me().Truncate(s["empty"], 1 << 20)); }},
      {"Setattr of all", [=](Subject& s) { return set_mode_and(s, "acl", std::nullopt); }},
      {"Setattr of mode, size and time", [=](Subject& s) { return set_mode_and(s, "acl", 100); }},
      {"Setattr of shared", [=](Subject& s) { return set_mode_and(s, "copy", 100); }},
      {"Statx",
       [](Subject& s) {
         StatxRequest request{};
         request.ino = s["file"];
         return ErrorOf(s.fs().Statx(s.me().context(), request));
       }},
      {"Readlink", [](Subject& s) { return ErrorOf(s.me().Readlink(s["symlink"])); }},
      {"Symlink", [](Subject& s) { return s.Note(s.me().Symlink(s["dir"], "new", "to")); }},
      {"Symlink long",
       [](Subject& s) { return s.Note(s.me().Symlink(s["dir"], kLongName, kLongTarget)); }},
      {"Mknod file", [](Subject& s) { return s.Note(s.me().Mknod(s["dir"], "new")); }},
      {"Mknod into a new table", [](Subject& s) { return s.Note(s.me().Mknod(s["sub"], "new")); }},
      {"Mknod fifo",
       [](Subject& s) { return s.Note(s.me().Mknod(s["dir"], "new", S_IFIFO | 0644)); }},
      {"Mknod device",
       [](Subject& s) { return s.Note(s.me().Mknod(s["dir"], "new", S_IFCHR | 0644, 0, 7)); }},
      {"Mknod with default ACL", [](Subject& s) { return s.Note(s.me().Mknod(s["full"], "new")); }},
      {"Mkdir", [](Subject& s) { return s.Note(s.me().Mkdir(s["dir"], "new")); }},
      {"Mkdir with default ACL",
       [](Subject& s) { return s.Note(s.me().Mkdir(s["full"], kLongName)); }},
      {"Link", [](Subject& s) { return s.Note(s.me().Link(s["file"], s["full"], "new")); }},
      {"Link to a new table",
       [](Subject& s) { return s.Note(s.me().Link(s["file"], s["sub"], kLongName)); }},
      {"Link nameless",
       [](Subject& s) { return s.Note(s.me().Link(s["nameless"], s["sub"], "new")); }},
      {"Create",
       [](Subject& s) { return s.Note(s.me().Create(s["dir"], "new", 0644, 0, O_RDWR), O_RDWR); }},
      {"Create with default ACL",
       [](Subject& s) {
         return s.Note(s.me().Create(s["full"], kLongName, 0666, 0, O_WRONLY), O_WRONLY);
       }},
      {"Tmpfile",
       [](Subject& s) { return s.Note(s.me().Tmpfile(s["dir"], 0600, 0, O_RDWR), O_RDWR); }},
      {"Tmpfile with default ACL",
       [](Subject& s) { return s.Note(s.me().Tmpfile(s["full"], 0600, 0, O_RDWR), O_RDWR); }},
      {"Unlink", [](Subject& s) { return ErrorOf(s.me().Unlink(s["dir"], "file")); }},
      {"Unlink one of two", [](Subject& s) { return ErrorOf(s.me().Unlink(s["dir"], "tiny")); }},
      {"Unlink open", [](Subject& s) { return ErrorOf(s.me().Unlink(s["dir"], "open")); }},
      {"Rmdir", [](Subject& s) { return ErrorOf(s.me().Rmdir(s["full"], "sub")); }},
      {"Rmdir of a full one", [](Subject& s) { return ErrorOf(s.me().Rmdir(s["dir"], "full")); }},
      {"Rename within", [](Subject& s) { return Rename(s, "dir", "file", "dir", "new"); }},
      {"Rename to a long name",
       [](Subject& s) { return Rename(s, "dir", "file", "dir", kLongName.c_str()); }},
      {"Rename between", [](Subject& s) { return Rename(s, "dir", "file", "sub", "new"); }},
      {"Rename of a directory", [](Subject& s) { return Rename(s, "full", "sub", "dir", "new"); }},
      {"Rename over a file", [](Subject& s) { return Rename(s, "dir", "file", "dir", "copy"); }},
      {"Rename over a directory",
       [](Subject& s) { return Rename(s, "dir", "unused", "full", "sub"); }},
      {"Rename NOREPLACE",
       [](Subject& s) { return Rename(s, "dir", "file", "sub", "new", RENAME_NOREPLACE); }},
      {"Rename EXCHANGE",
       [](Subject& s) { return Rename(s, "dir", "file", "full", "sub", RENAME_EXCHANGE); }},
      {"Rename WHITEOUT",
       [](Subject& s) { return Rename(s, "dir", "file", "sub", "new", RENAME_WHITEOUT); }},
      {"Rename WHITEOUT within",
       [](Subject& s) { return Rename(s, "dir", "file", "dir", "new", RENAME_WHITEOUT); }},
      {"Rename WHITEOUT over a file",
       [](Subject& s) { return Rename(s, "dir", "file", "dir", "copy", RENAME_WHITEOUT); }},
      {"Rename WHITEOUT over a directory",
       [](Subject& s) { return Rename(s, "dir", "unused", "full", "sub", RENAME_WHITEOUT); }},
      {"Open",
       [](Subject& s) {
         return s.NoteOpen(s["file"], s.me().Open(s["file"], O_RDONLY), O_RDONLY);
       }},
      {"Open of a new file",
       [](Subject& s) { return s.NoteOpen(s["empty"], s.me().Open(s["empty"], O_RDWR), O_RDWR); }},
      {"Open with O_TRUNC",
       [](Subject& s) {
         return s.NoteOpen(s["file"], s.me().Open(s["file"], O_RDWR | O_TRUNC, true), O_RDWR);
       }},
      {"Open again",
       [](Subject& s) { return s.NoteOpen(s["open"], s.me().Open(s["open"], O_RDWR), O_RDWR); }},
      {"Release", [](Subject& s) { return s.Release("open"); }},
      {"Release the last", [](Subject& s) { return s.Forget("nameless"), s.Release("nameless"); }},
      {"Read", [](Subject& s) { return ErrorOf(s.me().Read(s["file"], 10, 2 * kPageSize)); }},
      {"Read small", [](Subject& s) { return ErrorOf(s.me().Read(s["tiny"], 10, 1000)); }},
      {"Read gathered",
       [](Subject& s) { return ErrorOf(s.me().Read(s["sparse"], 0, 64 * kPageSize)); }},
      {"Write small", [](Subject& s) { return Write(s, "empty", 5, FewBytes()); },
       /*may_take_a_page=*/true},
      {"Write small further", [](Subject& s) { return Write(s, "tiny", 90, FewBytes()); },
       /*may_take_a_page=*/true},
      {"Write small to page", [](Subject& s) { return Write(s, "tiny", 4000, FewBytes()); }},
      {"Write pages over small", [](Subject& s) { return Write(s, "tiny", 0, FourPages()); }},
      {"Write into small", [](Subject& s) { return Write(s, "tiny", 50, FourPages()); }},
      {"Write new pages", [](Subject& s) { return Write(s, "empty", 10, FourPages()); }},
      {"Write over shared", [](Subject& s) { return Write(s, "copy", 0, FourPages()); }},
      {"Write into shared", [](Subject& s) { return Write(s, "copy", 100, FewBytes()); }},
      {"Write over shared in part", [](Subject& s) { return Write(s, "file", 100, FourPages()); }},
      {"Write far away",
       [](Subject& s) { return Write(s, "sparse", uint64_t{1} << 40, FourPages()); }},
      {"Write between chunks",
       [](Subject& s) { return Write(s, "sparse", 1024 * kPageSize - 10, FewBytes()); }},
      {"Write reserved", [](Subject& s) { return Write(s, "reserved", 10, FewBytes()); }},
      {"Flush", [](Subject& s) { return ErrorOf(s.fs().Flush(s.me().context(), {s["file"]})); }},
      {"Fsync", [](Subject& s) { return ErrorOf(s.fs().Fsync(s.me().context(), {s["file"]})); }},
      {"fallocate", [](Subject& s) { return Fallocate(s, "empty", 0, 100, 600 * kPageSize); }},
      {"fallocate small", [](Subject& s) { return Fallocate(s, "tiny", 0, 0, 3 * kPageSize); }},
      {"fallocate holes",
       [](Subject& s) { return Fallocate(s, "sparse", FALLOC_FL_KEEP_SIZE, 0, 1000 * kPageSize); }},
      {"fallocate again", [](Subject& s) { return Fallocate(s, "reserved", 0, 0, kPageSize * 8); }},
      {"punch", [=](Subject& s) { return Fallocate(s, "file", kPunch, 10, 2 * kPageSize); }},
      {"punch within a page",
       [=](Subject& s) { return Fallocate(s, "copy", kPunch, kPageSize + 10, 20); }},
      {"punch small", [=](Subject& s) { return Fallocate(s, "tiny", kPunch, 10, 20); }},
      {"punch small away", [=](Subject& s) { return Fallocate(s, "tiny", kPunch, 0, kPageSize); }},
      {"zero",
       [](Subject& s) { return Fallocate(s, "file", FALLOC_FL_ZERO_RANGE, 10, 2 * kPageSize); }},
      {"zero further",
       [](Subject& s) {
         return Fallocate(s, "copy", FALLOC_FL_ZERO_RANGE, kPageSize, 600 * kPageSize);
       }},
      {"zero small",
       [](Subject& s) { return Fallocate(s, "tiny", FALLOC_FL_ZERO_RANGE, 10, kPageSize); }},
      {"SEEK_DATA", [](Subject& s) { return ErrorOf(s.me().Lseek(s["sparse"], 0, SEEK_DATA)); }},
      {"SEEK_HOLE", [](Subject& s) { return ErrorOf(s.me().Lseek(s["file"], 0, SEEK_HOLE)); }},
      {"copy by sharing", [](Subject& s) { return Copy(s, "file", 0, "empty", 0, 3 * kPageSize); }},
      {"copy by sharing over others",
       [](Subject& s) { return Copy(s, "file", kPageSize, "copy", 0, 2 * kPageSize); }},
      {"copy by sharing over small",
       [](Subject& s) { return Copy(s, "file", 0, "tiny", 0, 3 * kPageSize); }},
      {"copy by sharing far away",
       [](Subject& s) { return Copy(s, "file", 0, "sparse", uint64_t{1} << 40, 3 * kPageSize); }},
      {"copy of bytes", [](Subject& s) { return Copy(s, "file", 10, "empty", 20, kPageSize); }},
      {"copy of small", [](Subject& s) { return Copy(s, "tiny", 0, "empty", 0, 100); }},
      {"copy in both ways",
       [](Subject& s) { return Copy(s, "file", 0, "empty", 0, 3 * kPageSize + 10); }},
      {"Opendir", [](Subject& s) { return ErrorOf(s.fs().Opendir(s.me().context(), {s["dir"]})); }},
      {"Readdir", [](Subject& s) { return List(s, /*plus=*/false); }},
      {"Readdir plus", [](Subject& s) { return List(s, /*plus=*/true); }},
      {"Releasedir",
       [](Subject& s) { return ErrorOf(s.fs().Releasedir(s.me().context(), {s["dir"]})); }},
      {"Fsyncdir",
       [](Subject& s) { return ErrorOf(s.fs().Fsyncdir(s.me().context(), {s["dir"]})); }},
      {"Statfs", [](Subject& s) { return ErrorOf(s.fs().Statfs(s.me().context(), {kRootInode})); }},
      {"Setxattr",
       [](Subject& s) { return ErrorOf(s.me().Setxattr(s["file"], "user.a", kLongTarget)); }},
      {"Setxattr of one more",
       [](Subject& s) { return ErrorOf(s.me().Setxattr(s["acl"], "user.another", kLongTarget)); }},
      {"Setxattr of another value",
       [](Subject& s) {
         return ErrorOf(s.me().Setxattr(s["acl"], "user.3", kLongTarget, XATTR_REPLACE));
       }},
      {"Setxattr of an ACL",
       [](Subject& s) { return ErrorOf(s.me().Setxattr(s["file"], kAccessAclName, kNamedAcl)); }},
      {"Setxattr of an ACL again",
       [](Subject& s) { return ErrorOf(s.me().Setxattr(s["acl"], kAccessAclName, kNamedAcl)); }},
      {"Setxattr of an ACL that is a mode",
       [](Subject& s) { return ErrorOf(s.me().Setxattr(s["acl"], kAccessAclName, kPlainAcl)); }},
      {"Setxattr of a default ACL",
       [](Subject& s) { return ErrorOf(s.me().Setxattr(s["dir"], kDefaultAclName, kNamedAcl)); }},
      {"Getxattr", [](Subject& s) { return ErrorOf(s.me().Getxattr(s["acl"], "user.3")); }},
      {"Listxattr", [](Subject& s) { return ErrorOf(s.me().Listxattr(s["acl"])); }},
      {"Removexattr", [](Subject& s) { return ErrorOf(s.me().Removexattr(s["acl"], "user.3")); }},
      {"Removexattr of an ACL",
       [](Subject& s) { return ErrorOf(s.me().Removexattr(s["acl"], kAccessAclName)); }},
      {"Access",
       [](Subject& s) {
         return ErrorOf(s.fs().Access(s.me().context(), {s["file"], R_OK}));
       }},
      {"GETFLAGS", [](Subject& s) { return Ioctl(s, "file", FS_IOC_GETFLAGS, {}, 4); }},
      {"SETFLAGS",
       [](Subject& s) {
         static const std::string flags = FlagBytes(FS_NODUMP_FL);
         return Ioctl(s, "file", FS_IOC_SETFLAGS, absl::MakeConstSpan(flags), 0);
       }},
      {"FSGETXATTR",
       [](Subject& s) { return Ioctl(s, "file", FS_IOC_FSGETXATTR, {}, sizeof(fsxattr)); }},
      {"FSSETXATTR",
       [](Subject& s) {
         static const std::string none(sizeof(fsxattr), '\0');
         return Ioctl(s, "file", FS_IOC_FSSETXATTR, absl::MakeConstSpan(none), 0);
       }},
      {"GET_LIMITS",
       [](Subject& s) {
         return Ioctl(s, "dir", MEMFUSE_IOC_GET_LIMITS, {}, sizeof(memfuse_limits));
       }},
      {"SET_LIMITS",
       [](Subject& s) {
         static const memfuse_limits limits = {2 * kLimit, 0, 500, 0};
         return Ioctl(s, "dir", MEMFUSE_IOC_SET_LIMITS,
                      {reinterpret_cast<const char*>(&limits), sizeof(limits)}, 0);
       }},
      {"SET_ATIME",
       [](Subject& s) {
         static const std::string keep = FlagBytes(1);
         return Ioctl(s, "dir", MEMFUSE_IOC_SET_ATIME, absl::MakeConstSpan(keep), 0);
       }},
      {"GET_OPTIONS",
       [](Subject& s) {
         return Ioctl(s, "dir", MEMFUSE_IOC_GET_OPTIONS, {}, sizeof(memfuse_mount_options));
       }},
      {"memory is given back", [](Subject& s) { return s.fs().ReleaseUnusedMemory(), 0; }},
  };
}

// A description without the space that files take.
std::string WithoutSpace(const std::string& description) {
  return std::regex_replace(description, std::regex(" blocks \\d+|bytes \\d+ of \\d+, data \\d+"),
                            "");
}

// Encodes the answer as the dispatcher does.
int Answer(const Operation& operation, Subject& subject) {
  try {
    return operation.run(subject);
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
}

class AllocationFailureTest : public ::testing::TestWithParam<DataKind> {
 protected:
  void SetUp() override { ASSERT_TRUE(MayMountTmpfs()) << "needs root (CAP_SYS_ADMIN)"; }

  // Returns the number of allocations that the operation makes.
  static uint64_t Sweep(const Operation& operation, AllocationFailure::Kind kind) {
    Subject whole(GetParam());
    whole.Fill();
    const std::string before = whole.Describe(/*exact=*/false);
    const int expected = Answer(operation, whole);
    const std::string after = whole.Describe(/*exact=*/false);
    EXPECT_NE(expected, ENOMEM);
    whole.ExpectEmptyAfterRemoval();
    for (uint64_t n = 1;; ++n) {
      SCOPED_TRACE(absl::StrCat("allocation ", n, " fails"));
      Subject subject(GetParam());
      subject.Fill();
      EXPECT_EQ(subject.Describe(/*exact=*/false), before);
      const std::string exact = subject.Describe(/*exact=*/true);
      bool happened;
      int answer;
      {
        const AllocationFailure failure(n, kind);
        answer = Answer(operation, subject);
        happened = failure.happened();
      }
      if (answer == expected) {
        const std::string found = subject.Describe(/*exact=*/false);
        if (operation.may_take_a_page) {
          EXPECT_EQ(WithoutSpace(found), WithoutSpace(after));
        } else {
          EXPECT_EQ(found, after);
        }
      } else if (answer != kShort) {
        EXPECT_TRUE(answer == ENOMEM || answer == ENOSPC) << answer;
        EXPECT_TRUE(happened);
        // A reply that could not be built does not undo the operation.
        if (subject.Describe(/*exact=*/true) != exact) {
          EXPECT_EQ(subject.Describe(/*exact=*/false), after);
        }
      }
      subject.ExpectEmptyAfterRemoval();
      if (!happened || ::testing::Test::HasFailure()) return n - 1;
    }
  }
};

TEST_P(AllocationFailureTest, LeavesTheTreeAsBeforeOrAsAfterTheOperation) {
  uint64_t allocations = 0;
  for (const Operation& operation : Operations()) {
    SCOPED_TRACE(operation.name);
    allocations += Sweep(operation, AllocationFailure::Kind::kOne);
    Sweep(operation, AllocationFailure::Kind::kRest);
    if (HasFailure()) break;
  }
  // The test is meaningless where allocations cannot be counted.
  EXPECT_GT(allocations, 100u);
}

// Tables grow at 7/8 of a power of two, trees level by level.
TEST_P(AllocationFailureTest, NamesStayWhileTablesGrow) {
  constexpr int kNames = 4000;
  const auto name = [](int i) { return absl::StrCat("a name that is not short ", i); };
  Subject subject(GetParam());
  const Caller& me = subject.me();
  const InodeNumber dir = Ino(me.Mkdir(kRootInode, "dir"));
  std::vector<InodeNumber> numbers;
  const auto check = [&] {
    Listing listing;
    Must(me.Readdir(dir, 0, /*plus=*/false, &listing));
    ASSERT_EQ(listing.items.size(), numbers.size() + 2);
    for (size_t i = 0; i < numbers.size(); ++i) {
      const Result<Entry> found = me.Lookup(dir, name(static_cast<int>(i)));
      ASSERT_THAT(found, Succeeds()) << i;
      ASSERT_EQ(found->ino, numbers[i]);
      me.Forget(found->ino);
    }
    EXPECT_EQ(subject.fs().Usage().inodes_used, numbers.size() + 2);
  };
  ASSERT_THAT(subject.fs().SetLimits(0, kNames + 10), Succeeds());
  int failures = 0;
  for (int i = 0; i < kNames; ++i) {
    const std::string text = name(i);
    uint64_t used = subject.fs().Usage().bytes_used;
    int this_time = 0;
    for (uint64_t n = 1;; ++n) {
      int answer = ENOMEM;
      InodeNumber ino = kNoInode;
      try {
        const AllocationFailure failure(
            n, n % 2 == 0 ? AllocationFailure::Kind::kOne : AllocationFailure::Kind::kRest);
        const Result<Entry> made = me.Mknod(dir, text);
        answer = ErrorOf(made);
        if (made.ok()) ino = made->ino;
      } catch (const std::bad_alloc&) {
      }
      if (answer == 0) {
        numbers.push_back(ino);
        me.Forget(ino);
        break;
      }
      ASSERT_EQ(answer, ENOMEM);
      ASSERT_EQ(subject.fs().Usage().bytes_used, used);
      ++this_time;
    }
    failures += this_time;
    // An insertion takes three allocations: the inode, its name and its slot. More allocations mean
    // that a table grows.
    if (i % 256 == 0 || (this_time > 3 && i % 16 == 0) || i == kNames - 1) check();
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(failures, kNames);
  // Removal needs no memory.
  std::vector<std::string> names;
  for (int i = 0; i < kNames; ++i) names.push_back(name(i));
  bool all = true;
  {
    const AllocationFailure failure(1, AllocationFailure::Kind::kRest);
    for (const std::string& text : names) all = me.Unlink(dir, text).ok() && all;
  }
  EXPECT_TRUE(all);
  me.Forget(dir);
  subject.ExpectEmptyAfterRemoval();
}

TEST_P(AllocationFailureTest, AttributesStayWhileTheirTreeGrows) {
  Subject subject(GetParam());
  const Caller& me = subject.me();
  const InodeNumber file = Ino(me.Mknod(kRootInode, "file"));
  std::map<std::string, std::string> expected;
  for (int i = 0; i < 300; ++i) {
    // In random order.
    const std::string name = absl::StrCat("user.an attribute with a long name ", i * 131 % 300);
    const std::string value(50, static_cast<char>('a' + i % 26));
    for (uint64_t n = 1;; ++n) {
      const uint64_t used = subject.fs().Usage().bytes_used;
      int answer = ENOMEM;
      try {
        const AllocationFailure failure(n, AllocationFailure::Kind::kRest);
        answer = ErrorOf(me.Setxattr(file, name, value));
      } catch (const std::bad_alloc&) {
      }
      if (answer == 0) break;
      ASSERT_EQ(answer, ENOMEM);
      ASSERT_EQ(subject.fs().Usage().bytes_used, used);
    }
    expected[name] = value;
  }
  for (const auto& [name, value] : expected) EXPECT_EQ(Must(me.Getxattr(file, name)), value);
  while (!expected.empty()) {
    ASSERT_THAT(me.Removexattr(file, expected.begin()->first), Succeeds());
    expected.erase(expected.begin());
    std::string names;
    for (const auto& [name, value] : expected) names += name + '\0';
    ASSERT_EQ(Must(me.Listxattr(file)), names);
  }
  me.Forget(file);
  subject.ExpectEmptyAfterRemoval();
}

// Copies share pages. A separate table counts the owners of a shared page.
TEST_P(AllocationFailureTest, FailedCopiesKeepNoPages) {
  constexpr uint64_t kPages = 64;
  Subject subject(GetParam());
  const Caller& me = subject.me();
  const InodeNumber file = Ino(me.Mknod(kRootInode, "file"));
  const std::string data = Subject::Letters(kPages * kPageSize);
  Must(me.Write(file, 0, data));
  for (uint64_t pages = 1; pages <= kPages; pages += 7) {
    for (uint64_t n = 1;; ++n) {
      const InodeNumber copy = Ino(me.Mknod(kRootInode, "copy"));
      const MemoryFileSystemUsage before = subject.fs().Usage();
      int answer = ENOMEM;
      bool happened;
      {
        const AllocationFailure failure(n, AllocationFailure::Kind::kOne);
        try {
          answer = ErrorOrShort(me.Copy(file, 0, copy, 0, pages * kPageSize), pages * kPageSize);
        } catch (const std::bad_alloc&) {
        }
        happened = failure.happened();
      }
      if (answer == 0) {
        EXPECT_EQ(Must(me.Read(copy, 0, data.size())), data.substr(0, pages * kPageSize));
      } else {
        EXPECT_EQ(answer, ENOMEM);
        const MemoryFileSystemUsage after = subject.fs().Usage();
        EXPECT_EQ(after.bytes_used, before.bytes_used);
        EXPECT_EQ(after.data_bytes, before.data_bytes);
      }
      Must(me.Unlink(kRootInode, "copy"));
      me.Forget(copy);
      if (!happened) break;
    }
  }
  EXPECT_EQ(Must(me.Read(file, 0, data.size())), data);
  me.Forget(file);
  subject.ExpectEmptyAfterRemoval();
}

INSTANTIATE_TEST_SUITE_P(Stores, AllocationFailureTest,
                         ::testing::Values(DataKind::kDaemon, DataKind::kPassthrough),
                         [](const auto& store) {
                           return store.param == DataKind::kDaemon ? "Daemon" : "Passthrough";
                         });

}  // namespace
}  // namespace memfuse::memfs

// For tests that make a file system again from the records of a process that has died.

#ifndef MEMFUSE_TESTS_MEMFS_RECOVERY_TEST_BASE_H_
#define MEMFUSE_TESTS_MEMFS_RECOVERY_TEST_BASE_H_

#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tests/memfs/acl_bytes.h"
#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {

inline MemoryFileSystemOptions RecoveryOptions() {
  MemoryFileSystemOptions options;
  options.data = DataKind::kDaemon;
  options.huge = "never";
  return options;
}

// The content of a memory file, as a successor finds it.
class MemoryFileContent {
 public:
  explicit MemoryFileContent(int file) : file_(file) { Refresh(); }

  // Reads the memory again. Returns whether it has changed.
  bool Refresh() {
    std::map<off_t, std::string> now;
    for (off_t end = 0;;) {
      const off_t begin = lseek(file_, end, SEEK_DATA);
      if (begin < 0) break;
      end = lseek(file_, begin, SEEK_HOLE);
      std::string& part = now[begin];
      part.resize(static_cast<size_t>(end - begin));
      EXPECT_EQ(pread(file_, part.data(), part.size(), begin), end - begin);
    }
    size_ = lseek(file_, 0, SEEK_END);
    if (now == parts_) return false;
    parts_.swap(now);
    return true;
  }

  // A memory file with this content.
  base::UniqueFd Copy() const {
    base::UniqueFd copy(memfd_create("copy", MFD_CLOEXEC));
    EXPECT_EQ(ftruncate(copy.get(), size_), 0);
    for (const auto& [begin, part] : parts_) {
      EXPECT_EQ(pwrite(copy.get(), part.data(), part.size(), begin),
                static_cast<ssize_t>(part.size()));
    }
    return copy;
  }

 private:
  const int file_;
  off_t size_ = 0;
  std::map<off_t, std::string> parts_;  // by offset; the rest of the file is a hole
};

// The memory files of a file system with the daemon store.
class Memory {
 public:
  explicit Memory(const MemFs& fs)
      : records_(fs.record_descriptor()), data_(fs.data_descriptor()) {}

  // Reads the memory again. Returns whether it has changed.
  bool Refresh() {
    const bool records = records_.Refresh();
    return data_.Refresh() || records;
  }
  MemFs::FilesOfPredecessor Copy() const { return {records_.Copy(), data_.Copy()}; }

  std::unique_ptr<MemFs> Recover(const MemoryFileSystemOptions& options = RecoveryOptions()) const {
    absl::StatusOr<std::unique_ptr<MemFs>> fs = MemFs::Recover(options, Copy());
    EXPECT_TRUE(fs.ok()) << fs.status();
    return fs.ok() ? *std::move(fs) : nullptr;
  }

 private:
  MemoryFileContent records_;
  MemoryFileContent data_;
};

inline std::string Text(Timestamp time) {
  return std::to_string(time.seconds) + "." + std::to_string(time.nanoseconds);
}

inline uint32_t FlagsOf(MemFs* fs, InodeNumber ino) {
  IoctlRequest request{};
  request.ino = ino;
  request.command = FS_IOC_GETFLAGS;
  request.output_size = sizeof(uint32_t);
  const IoctlResult result = Must(fs->Ioctl(Caller(fs).context(), request));
  uint32_t flags = 0;
  std::memcpy(&flags, result.output.data(), sizeof(flags));
  return flags;
}

// The size and the content of a regular file, up to its last byte that is not 0 within a mebibyte.
inline std::string DescribeData(MemFs* fs, InodeNumber ino) {
  const Caller me(fs);
  const uint64_t size = Must(me.Getattr(ino)).attributes.size;
  std::string data = Must(me.Read(ino, 0, static_cast<size_t>(std::min<uint64_t>(size, 1 << 20))));
  const size_t end = data.find_last_not_of('\0');
  data.resize(end == std::string::npos ? 0 : end + 1);
  if (data.size() > 100) data = "hash " + std::to_string(std::hash<std::string>()(data));
  for (char& c : data) {
    if (c < ' ') c = '.';
  }
  return "size " + std::to_string(size) + " data " + data;
}

// Everything that programs see of the tree, except for access times and the places of holes.
inline void Describe(MemFs* fs, InodeNumber ino, const std::string& path, std::string* text) {
  const Caller me(fs);
  const Attributes a = Must(me.Getattr(ino)).attributes;
  *text += path + " ino " + std::to_string(ToInt(ino)) + " mode " + std::to_string(a.mode) +
           " nlink " + std::to_string(a.nlink) + " owner " + std::to_string(a.uid) + ":" +
           std::to_string(a.gid) + " rdev " + std::to_string(a.rdev) + " mtime " + Text(a.mtime) +
           " ctime " + Text(a.ctime) + " btime " + Text(a.btime) + " flags " +
           std::to_string(FlagsOf(fs, ino));
  if (S_ISLNK(a.mode)) *text += " to " + Must(me.Readlink(ino));
  if (S_ISREG(a.mode)) *text += " " + DescribeData(fs, ino);
  const std::string xattrs = Must(me.Listxattr(ino));
  for (size_t at = 0; at < xattrs.size(); at += std::strlen(&xattrs[at]) + 1) {
    *text += std::string(" ") + &xattrs[at] + "=" + Must(me.Getxattr(ino, &xattrs[at]));
  }
  *text += "\n";
  if (!S_ISDIR(a.mode)) return;
  Listing listing;
  EXPECT_THAT(me.Readdir(ino, 0, /*plus=*/false, &listing), Succeeds());
  for (const auto& entry : listing.items) {
    if (entry.name == "." || entry.name == "..") continue;
    Describe(fs, entry.ino, path + "/" + entry.name, text);
  }
}

inline std::string RulesOf(MemFs* fs) {
  std::string text;
  for (const QuotaRule& rule : fs->Quotas()) {
    text += std::to_string(static_cast<int>(rule.kind)) + " of " +
            (rule.id.has_value() ? std::to_string(*rule.id) : "all") + " " + rule.path + ": " +
            std::to_string(rule.bytes) + " bytes, " + std::to_string(rule.inodes) + " inodes\n";
  }
  return text;
}

inline std::string Describe(MemFs* fs) {
  std::string text = RulesOf(fs);
  Describe(fs, kRootInode, "", &text);
  UsageWalk walk;
  for (const NamelessInode& inode : fs->UsageOfNameless(std::nullopt, &walk).inodes) {
    text += "nameless " + std::to_string(ToInt(inode.ino)) + " opens " +
            std::to_string(inode.opens) + " lookups " + std::to_string(inode.lookups);
    if (S_ISREG(Must(Caller(fs).Getattr(inode.ino)).attributes.mode)) {
      text += " " + DescribeData(fs, inode.ino);
    }
    text += "\n";
  }
  const MemoryFileSystemUsage usage = fs->Usage();
  return text + std::to_string(usage.bytes_used) + " bytes, " + std::to_string(usage.inodes_used) +
         " inodes\n";
}

// What most cases start with.
struct Tree {
  explicit Tree(MemFs* file_system)
      : fs(file_system),
        me(fs),
        dir(Ino(me.Mkdir(kRootInode, "dir", 0755))),
        other(Ino(me.Mkdir(kRootInode, "other", 02775))),
        file(Ino(me.Mknod(dir, "file", 06755))),
        nameless(Ino(me.Tmpfile(dir))) {
    Must(me.Link(file, kRootInode, "hard link"));
    Must(me.Mkdir(other, "empty"));
    Must(me.Mknod(other, "single"));
    Must(me.Symlink(dir, "link", "a target"));
    for (const InodeNumber ino : {dir, file}) {
      EXPECT_THAT(me.Setxattr(ino, "user.name", "value"), Succeeds());
    }
    const std::string acl = AclBytes(
        {{kAclUserObj, 7}, {kAclUser, 7, 1000}, {kAclGroupObj, 5}, {kAclMask, 7}, {kAclOther, 0}});
    EXPECT_THAT(me.Setxattr(file, kAccessAclName, acl), Succeeds());
    EXPECT_THAT(me.Setxattr(dir, kDefaultAclName, acl), Succeeds());
  }
  // The same tree in a successor.
  Tree(MemFs* successor, const Tree& tree)
      : fs(successor),
        me(fs),
        dir(tree.dir),
        other(tree.other),
        file(tree.file),
        nameless(tree.nameless) {}
  MemFs* const fs;
  Caller me;
  const InodeNumber dir, other, file, nameless;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_RECOVERY_TEST_BASE_H_

#include "src/memfs/ops/tree_usage.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "src/memfs/ops/directory_paths.h"
#include "src/memfs/space/hash_table.h"
#include "src/memfs/tree/directory.h"

namespace memfuse::memfs {
namespace {

constexpr uint64_t kSectorBytes = 512;

FileType TypeOf(const Inode& inode) {
  switch (inode.type) {
    case S_IFREG:
      return FileType::kRegular;
    case S_IFDIR:
      return FileType::kDirectory;
    case S_IFLNK:
      return FileType::kSymlink;
    case S_IFIFO:
      return FileType::kFifo;
    case S_IFSOCK:
      return FileType::kSocket;
    default:
      return FileType::kDevice;
  }
}

void AddComponent(std::string* path, std::string_view name) {
  *path += '/';
  *path += name;
}

uint64_t BytesOf(const TreeUsage::Child& child) { return child.usage.bytes; }
uint64_t BytesOf(const TreeUsage::File& file) { return file.bytes; }
uint64_t BytesOf(const NamelessInode& inode) { return inode.bytes; }

// The rows with the most bytes, at most kMaxUsageRows: a heap with the smallest of them on top.
template <typename Row>
class LargestRows {
 public:
  bool WouldKeep(uint64_t bytes) const {
    return rows_.size() < kMaxUsageRows || bytes > BytesOf(rows_.front());
  }
  // Precondition: WouldKeep. Returns the row that has to go for it. Throws std::bad_alloc.
  std::optional<Row> Add(Row row) {
    std::optional<Row> gone;
    if (rows_.size() == kMaxUsageRows) {
      std::pop_heap(rows_.begin(), rows_.end(), Larger);
      gone = std::move(rows_.back());
      rows_.pop_back();
    }
    rows_.push_back(std::move(row));
    std::push_heap(rows_.begin(), rows_.end(), Larger);
    return gone;
  }
  // Returns the rows, the largest first.
  std::vector<Row> Take() {
    std::sort_heap(rows_.begin(), rows_.end(), Larger);
    return std::move(rows_);
  }

 private:
  static bool Larger(const Row& a, const Row& b) { return BytesOf(a) > BytesOf(b); }

  std::vector<Row> rows_;
};

// What one inode takes, but for the names in it.
struct Measure {
  UsageAmount usage;
  uint64_t size = 0;
  uint32_t nlink = 0;
};

// Looks at data that the kernel may have changed.
Measure MeasureInode(Inode* inode) {
  Measure measure;
  {
    MutexLock lock(&inode->mu);
    (void)inode->SyncFromBackingLocked();
    measure.usage = {1, inode->OwnChargeLocked(), inode->blocks() * kSectorBytes};
    measure.size = inode->size();
    measure.nlink = inode->meta().nlink;
  }
  // The lock of file data may not be taken under the attribute lock.
  if (inode->is_regular()) {
    measure.usage.bytes += static_cast<RegularFile*>(inode)->data()->CurrentCharge();
  }
  return measure;
}

class TreeWalk {
 public:
  // `path` is that of the top, without a '/' at the end.
  TreeWalk(const Inodes& inodes, std::string path, UsageWalk* walk)
      : inodes_(inodes), walk_(*walk), path_(std::move(path)) {
    // No memory is allocated under the lock of a directory.
    items_.reserve(kUsageBatch);
    names_.reserve(kUsageBatch * kNameMax);
  }

  TreeUsage Run(DirectoryRef top) {
    Count(FileType::kDirectory, MeasureInode(top.get()).usage);
    Enter(std::move(top), "");
    while (!frames_.empty()) {
      if (walk_.Ended() || IsTooDeep()) {
        result_.complete = false;
        if (frames_.size() > 1) FinishChild();
        break;
      }
      Step();
    }
    result_.children = children_.Take();
    result_.largest = files_.Take();
    return std::move(result_);
  }

 private:
  // A directory that is being listed.
  struct Frame {
    DirectoryRef dir;
    uint64_t cookie = std::numeric_limits<uint64_t>::max();  // of the last entry that was taken
    size_t path_size = 0;  // of the path of its parent, in path_size_
  };
  // An entry of a batch. Its name ends at `name_end` in names_.
  struct Item {
    InodeRef inode;
    size_t name_end;
  };

  // A tree cannot be deeper than it has inodes. Directories that are moved below each other during
  // the walk could make it longer.
  bool IsTooDeep() const { return frames_.size() > inodes_.resources()->budget.inodes_used() + 1; }

  void Enter(DirectoryRef dir, std::string_view name) {
    const size_t before = path_size_;
    if (!frames_.empty()) {
      path_size_ += 1 + name.size();
      if (path_size_ <= kMaxUsagePath) AddComponent(&path_, name);
    }
    frames_.push_back({std::move(dir), std::numeric_limits<uint64_t>::max(), before});
  }

  void Leave() {
    if (frames_.size() == 2) FinishChild();
    path_size_ = frames_.back().path_size;
    if (frames_.size() > 1) path_.resize(std::min(path_.size(), path_size_));
    frames_.pop_back();
  }

  // Lists one batch of the innermost directory. A directory ends the batch, because it is walked
  // before the entries that follow it.
  void Step() {
    const size_t depth = frames_.size();
    end_of_path_.clear();
    TakeBatch();
    if (items_.empty()) return Leave();
    size_t name_begin = 0;
    for (Item& item : items_) {
      const std::string_view name(names_.data() + name_begin, item.name_end - name_begin);
      name_begin = item.name_end;
      Visit(std::move(item.inode), name, depth);
    }
    walk_.Visit(items_.size());
  }

  void TakeBatch() {
    items_.clear();
    names_.clear();
    Frame& frame = frames_.back();
    uint64_t names_cost = 0;
    {
      const Directory& dir = *frame.dir;
      ReaderMutexLock lock(&dir.names_mu);
      if (frame.cookie == std::numeric_limits<uint64_t>::max()) names_cost = dir.names_cost();
      while (items_.size() < kUsageBatch) {
        const Dentry* const dentry = dir.Before(frame.cookie);
        if (dentry == nullptr) break;
        frame.cookie = dentry->cookie;
        names_.append(dentry->name());
        items_.push_back({InodeRef(dentry->inode()), names_.size()});
        if (dentry->inode()->is_directory()) break;
      }
    }
    if (names_cost != 0) Count(FileType::kDirectory, {0, names_cost, 0});
  }

  // `depth`: 1 for an entry of the top.
  void Visit(InodeRef inode, std::string_view name, size_t depth) {
    const Measure measure = MeasureInode(inode.get());
    if (measure.nlink == 0) return;  // removed since the batch was taken
    if (inode->is_directory()) {
      if (depth == 1) {
        child_name_ = name;
        child_ = UsageAmount();
      }
      // Entered first, because it counts for the child that it is, not for what is in the top.
      Enter(DirectoryRef::Adopt(static_cast<Directory*>(inode.release())), name);
      Count(FileType::kDirectory, measure.usage);
      return;
    }
    if (measure.nlink > 1) {
      const uint64_t ino = ToInt(inode->ino);
      if (seen_.contains(ino)) return;
      seen_.Insert(ino);
    }
    Count(TypeOf(*inode), measure.usage);
    if (inode->is_regular() && files_.WouldKeep(measure.usage.bytes)) {
      (void)files_.Add(
          {PathOf(name), inode->ino, measure.size, measure.usage.bytes, inode->owner().uid});
    }
  }

  void Count(FileType type, const UsageAmount& usage) {
    result_.total += usage;
    result_.by_type[static_cast<size_t>(type)] += usage;
    (frames_.size() <= 1 ? result_.direct : child_) += usage;
  }

  // Adds the child of the top that was walked.
  void FinishChild() {
    if (!children_.WouldKeep(child_.bytes)) {
      result_.other_children += child_;
      ++result_.other_count;
      return;
    }
    if (const auto gone = children_.Add({std::move(child_name_), child_})) {
      result_.other_children += gone->usage;
      ++result_.other_count;
    }
  }

  // The path of an entry of the innermost directory.
  std::string PathOf(std::string_view name) {
    std::string path;
    if (path_size_ + 1 + name.size() <= kMaxUsagePath) {
      path = path_;
    } else {
      constexpr std::string_view kCut = "...";
      if (end_of_path_.empty()) FindEndOfPath();
      const std::string_view parent = end_of_path_;
      const size_t room = kMaxUsagePath - kCut.size() - 1 - name.size();
      const size_t begin = parent.size() - std::min(parent.size(), room);
      path = kCut;
      path += parent.substr(std::min(parent.find('/', begin), parent.size()));
    }
    AddComponent(&path, name);
    return path;
  }

  // Sets end_of_path_. If a directory is removed or renamed meanwhile, the path begins below it.
  void FindEndOfPath() {
    std::string reversed;
    size_t frame = frames_.size() - 1;
    for (; frame != 0 && reversed.size() < kMaxUsagePath; --frame) {
      std::array<char, kNameMax> name;
      size_t size = 0;
      const Frame& parent = frames_[frame - 1];
      {
        ReaderMutexLock lock(&parent.dir->names_mu);
        // The walk entered the directory from the last entry that it took.
        const Dentry* const dentry = parent.dir->Before(parent.cookie + 1);
        if (dentry != nullptr && dentry->cookie == parent.cookie) {
          size = dentry->name().copy(name.data(), name.size());
        }
      }
      if (size == 0) break;
      reversed.append(std::make_reverse_iterator(name.begin() + size),
                      std::make_reverse_iterator(name.begin()));
      reversed += '/';
    }
    if (frame == 0) reversed.append(path_.rbegin() + (path_.size() - top_size_), path_.rend());
    end_of_path_.assign(reversed.rbegin(), reversed.rend());
  }

  const Inodes& inodes_;
  UsageWalk& walk_;
  TreeUsage result_;
  LargestRows<TreeUsage::Child> children_;
  LargestRows<TreeUsage::File> files_;
  // The child of the top that is being walked.
  std::string child_name_;
  UsageAmount child_;
  // The directories from the top to the innermost one.
  std::vector<Frame> frames_;
  // The path of the innermost directory, or of the last one on the way to it whose path has at most
  // kMaxUsagePath bytes: a deep tree of long names takes no memory for its paths.
  std::string path_;
  // The size of the path of the top, and of that of the innermost directory.
  const size_t top_size_ = path_.size();
  size_t path_size_ = top_size_;
  // Empty, or at least the last kMaxUsagePath bytes of the path of the innermost directory.
  std::string end_of_path_;
  // The batch.
  std::vector<Item> items_;
  std::string names_;
  // Inodes with several names that were counted. The table of Abseil could not fail safely.
  GrowSafeHashSet<uint64_t, absl::Hash<uint64_t>, std::equal_to<>> seen_;
};

}  // namespace

Result<TreeUsage> WalkTree(const Inodes& inodes, std::string_view path, UsageWalk* walk) {
  walk->Begin();
  MEMFUSE_ASSIGN_OR_RETURN(const std::vector<std::string_view> names, SplitPath(path));
  MEMFUSE_ASSIGN_OR_RETURN(DirectoryRef top, FindByNames(inodes, names));
  std::string canonical;
  for (const std::string_view name : names) AddComponent(&canonical, name);
  return TreeWalk(inodes, std::move(canonical), walk).Run(std::move(top));
}

NamelessUsage FindNameless(const Inodes& inodes, std::optional<uint32_t> uid, UsageWalk* walk) {
  walk->Begin();
  NamelessUsage result;
  LargestRows<NamelessInode> rows;
  size_t visited = 0;
  const auto visit = [&](const InodeRef& inode) {
    NamelessInode found;
    {
      MutexLock lock(&inode->mu);
      if (inode->meta().nlink != 0 || inode->dead) return;
      found.opens = inode->meta().opens;
      found.lookups = inode->meta().lookups;
    }
    const Owner owner = inode->owner();
    if (uid.has_value() && owner.uid != *uid) return;
    const Measure measure = MeasureInode(inode.get());
    result.total += measure.usage;
    if (!rows.WouldKeep(measure.usage.bytes)) return;
    found.ino = inode->ino;
    found.type = TypeOf(*inode);
    found.size = measure.size;
    found.bytes = measure.usage.bytes;
    found.uid = owner.uid;
    found.gid = owner.gid;
    (void)rows.Add(found);
  };
  inodes.table()->ForEach([&](const InodeRef& inode) {
    if (++visited % kUsageBatch == 0) {
      walk->Visit(kUsageBatch);
      result.complete = !walk->Ended();
    }
    if (result.complete) visit(inode);
    return result.complete;
  });
  result.inodes = rows.Take();
  return result;
}

}  // namespace memfuse::memfs

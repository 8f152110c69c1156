// RENAME, with all its flags.
//
// Locks. Within one directory the lock of that directory is sufficient: it keeps the source and the
// target in place, and a target directory that is replaced is locked as its child. Between two
// directories the rename lock is taken first. While it is held, no directory changes its parent, so
// the relation "is an ancestor of" is fixed: the ancestor is locked first, and of two unrelated
// directories the one with the smaller number.
//
// No loops. A directory becomes its own descendant only if it is moved into its own subtree, that
// is, if it lies on the path from the new parent up to the root. The path is checked under the
// rename lock, and the move is made before the lock is released, so the result is still valid when
// it is used. A rename within one directory does not change any path to the root.
//
// No directory is lost. A directory that is replaced is empty, and loses its name and is marked
// `removed` in one critical section of its own lock. An operation that comes later to add an entry
// sees the mark.

#include <linux/fs.h>

#include <algorithm>
#include <utility>

#include "src/base/clock.h"
#include "src/memfs/ops/memfs.h"
#include "src/memfs/ops/new_inode.h"
#include "src/memfs/ops/tree_quotas.h"
#include "src/memfs/tree/changes.h"
#include "src/memfs/tree/inode_flags.h"

namespace memfuse::memfs {
namespace {

// Returns EINVAL.
Result<void> CheckFlags(uint32_t flags) {
  constexpr uint32_t kKnown = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
  if ((flags & ~kKnown) != 0) return Errno(EINVAL);
  if ((flags & RENAME_EXCHANGE) != 0 && flags != RENAME_EXCHANGE) return Errno(EINVAL);
  return {};
}

// Returns ENAMETOOLONG, EBUSY or ENOENT (empty name). Each error is checked for both names before
// the next error.
Result<void> CheckNames(std::string_view a, std::string_view b) {
  if (std::max(a.size(), b.size()) > kNameMax) return Errno(ENAMETOOLONG);
  for (const std::string_view name : {a, b}) {
    if (name == "." || name == "..") return Errno(EBUSY);
  }
  if (a.empty() || b.empty()) return Errno(ENOENT);
  return {};
}

// Returns the child of `ancestor` on the path to `directory`, or kNoInode if there is no such path.
InodeNumber ChildTowards(const Inodes& inodes, const Directory& ancestor,
                         const Directory& directory)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(inodes.rename_mu) {
  InodeNumber below = directory.ino;
  InodeNumber above = directory.parent();
  while (below != kRootInode) {
    if (above == ancestor.ino) return below;
    // A parent that does not exist any more belongs to a directory that was removed, which has no
    // path to the root.
    const Result<DirectoryRef> next = inodes.FindDirectory(above);
    if (!next.ok()) break;
    below = above;
    above = (*next)->parent();
  }
  return kNoInode;
}

// Renames, under the locks of both directories. `away` is the child of `from` on the path down to
// `to`; `back` is the child of `to` on the path down to `from`. The caller evicts `dead` after it
// has released the locks.
Result<void> RenameLocked(Inodes* inodes, const RequestContext& context,
                          const RenameRequest& request, Directory* from, Directory* to,
                          InodeNumber away, InodeNumber back, InodeRef* dead)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(from->names_mu, to->names_mu) {
  if (from->removed || to->removed) return Errno(ENOENT);
  MEMFUSE_RETURN_IF_ERROR(MayMoveBetween(*from, *to));
  MoveSpec move{from->Find(request.name), to->Find(request.new_name)};
  const bool exchange = (request.flags & RENAME_EXCHANGE) != 0;
  if (move.source == nullptr) return Errno(ENOENT);
  if (exchange && move.target == nullptr) return Errno(ENOENT);
  if ((request.flags & RENAME_NOREPLACE) != 0 && move.target != nullptr) return Errno(EEXIST);
  Inode* const source = move.source->inode();
  Inode* const target = move.target != nullptr ? move.target->inode() : nullptr;
  if (source->ino == away) return Errno(EINVAL);
  if (target != nullptr && target->ino == back) return Errno(exchange ? EINVAL : ENOTEMPTY);
  if (source == target) return {};
  MEMFUSE_RETURN_IF_ERROR(MayRemove(*from, *source));
  MEMFUSE_RETURN_IF_ERROR(target == nullptr ? MayCreate(*to) : MayRemove(*to, *target));

  MEMFUSE_RETURN_IF_ERROR(MayRemoveTree(*source));
  if (exchange) {
    MEMFUSE_RETURN_IF_ERROR(MayRemoveTree(*target));
    ExchangeEntries(from, move.source, to, move.target, base::Now());
    return {};
  }
  if (target != nullptr && target->is_directory() != source->is_directory()) {
    return Errno(target->is_directory() ? EISDIR : ENOTDIR);
  }
  if (target != nullptr && target->is_directory()) {
    // This check comes before ENOSPC. It is repeated below, because another thread may add an entry
    // to the target in the meantime.
    const auto* const victim = static_cast<const Directory*>(target);
    MEMFUSE_RETURN_IF_ERROR(MayRemoveTree(*victim));
    ReaderMutexLock names(&victim->names_mu);
    if (!victim->empty()) return Errno(ENOTEMPTY);
  }

  const Timestamp now = base::Now();
  NewInode whiteout(inodes);
  if ((request.flags & RENAME_WHITEOUT) != 0) {
    NewNode node;
    node.mode = S_IFCHR;  // device 0:0 without any permission, as overlayfs expects
    MEMFUSE_RETURN_IF_ERROR(whiteout.Make(context, *from, node, now));
    whiteout.Insert();
    move.whiteout = whiteout.get();
  }

  if (target == nullptr) {
    Reservation space;
    MEMFUSE_RETURN_IF_ERROR(space.Reserve(to->account(), DentryCost(request.new_name)));
    DentryHolder fresh = NewDentry(inodes->resources()->records.get(), request.new_name, source);
    move.fresh = fresh.get();
    (void)MoveEntry(from, to, move, now);  // no inode is replaced, so none becomes dead
    (void)fresh.release();
    whiteout.Commit();
    space.Keep();
    return {};
  }
  InodeRef replaced(target);
  bool died;
  if (target->is_directory()) {
    auto* const victim = static_cast<Directory*>(target);
    MutexLock names(&victim->names_mu);
    MEMFUSE_RETURN_IF_ERROR(MayRemoveTree(*victim));
    if (!victim->empty()) return Errno(ENOTEMPTY);
    died = MoveEntry(from, to, move, now);
    victim->removed = true;
  } else {
    died = MoveEntry(from, to, move, now);
  }
  whiteout.Commit();
  if (died) *dead = std::move(replaced);
  return {};
}

// RENAME, without waiting for space.
Result<void> MoveName(Inodes* inodes, const RequestContext& context, const RenameRequest& request) {
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef from_ref, inodes->Find(request.parent));
  MEMFUSE_ASSIGN_OR_RETURN(const InodeRef to_ref, inodes->Find(request.new_parent));
  MEMFUSE_RETURN_IF_ERROR(CheckFlags(request.flags));
  if (!from_ref->is_directory() || !to_ref->is_directory()) return Errno(ENOTDIR);
  MEMFUSE_RETURN_IF_ERROR(CheckNames(request.name, request.new_name));
  auto* const from = static_cast<Directory*>(from_ref.get());
  auto* const to = static_cast<Directory*>(to_ref.get());

  InodeRef dead;
  Result<void> result;
  if (from == to) {
    MutexLock names(&from->names_mu);
    to->names_mu.AssertHeld();
    result = RenameLocked(inodes, context, request, from, to, /*away=*/kNoInode, /*back=*/kNoInode,
                          &dead);
  } else {
    MutexLock rename(&inodes->rename_mu);
    const InodeNumber away = ChildTowards(*inodes, *from, *to);
    const InodeNumber back = ChildTowards(*inodes, *to, *from);
    const bool from_first =
        away != kNoInode || (back == kNoInode && ToInt(from->ino) < ToInt(to->ino));
    MutexLock first(from_first ? &from->names_mu : &to->names_mu);
    MutexLock second(from_first ? &to->names_mu : &from->names_mu);
    from->names_mu.AssertHeld();
    to->names_mu.AssertHeld();
    result = RenameLocked(inodes, context, request, from, to, away, back, &dead);
  }
  if (dead) inodes->Evict(dead);
  return result;
}

}  // namespace

Result<void> MemFs::Rename(const RequestContext& context, const RenameRequest& request) {
  if (completed_.Take(context)) return {};
  return space_.Retry(context, request.parent, /*bytes=*/0,
                      [&] { return MoveName(&inodes_, context, request); });
}

}  // namespace memfuse::memfs

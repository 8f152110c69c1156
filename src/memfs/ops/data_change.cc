#include "src/memfs/ops/data_change.h"

#include <linux/capability.h>

#include "src/base/caller.h"
#include "src/memfs/tree/attribute_changes.h"

namespace memfuse::memfs {
namespace {

// Whether the caller may keep S_ISGID. This requires membership in the group `gid`, or CAP_FSETID.
// The group execution bit is not set, so S_ISGID gives no rights: only a program with that bit gets
// the rights of the group, and a chmod(2) by a caller outside of the group removes S_ISGID. If the
// answer cannot be determined, the bit is therefore kept in these cases:
//    - On an idmapped mount the daemon does not know the mapping. The root user of a container,
//      which owns the file by that mapping, has its capability in another user namespace. If the
//      kernel has let it change the owner or an ACL, the capability counts. It does not count in a
//      write for which the kernel reports that the caller has no capability in the initial user
//      namespace.
//    - If the caller cannot be found (base::Caller), older kernels report its user and newer ones
//      do not. Changes of an owner are mostly made by root, which keeps the bit.
bool KeepsGroupBit(const RequestContext& context, bool unprivileged, uint32_t gid) {
  if (context.gid == gid) return true;
  if (const auto caller = base::Caller::Find(context.pid); caller.has_value()) {
    return caller->InGroup(gid) || (unprivileged ? caller->HasCapability(CAP_FSETID)
                                                 : caller->HasCapabilityAtHome(CAP_FSETID));
  }
  return !unprivileged && context.uid.value_or(0) == 0;
}

}  // namespace

void NoteDataChange(const RequestContext& context, RegularFile* file, bool kill_suidgid,
                    std::optional<Timestamp> time) {
  if (AttributeChanges::NoteDataChange(file, kill_suidgid, time)) {
    DropSetGid(context, /*unprivileged=*/true, file);
  }
}

std::optional<uint32_t> GroupThatLosesSetGid(const RequestContext& context, bool unprivileged,
                                             const Inode& inode) {
  uint32_t gid;
  {
    MutexLock lock(&inode.mu);
    if ((inode.meta().permissions & S_ISGID) == 0) return std::nullopt;
    gid = inode.owner().gid;
  }
  if (KeepsGroupBit(context, unprivileged, gid)) return std::nullopt;
  return gid;
}

void DropSetGid(const RequestContext& context, bool unprivileged, Inode* inode) {
  const std::optional<uint32_t> gid = GroupThatLosesSetGid(context, unprivileged, *inode);
  if (gid.has_value()) AttributeChanges::RemoveSetGid(inode, *gid);
}

}  // namespace memfuse::memfs

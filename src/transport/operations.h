// Calls the method of the file system that a request asks for, and sends its result.

#ifndef MEMFUSE_SRC_TRANSPORT_OPERATIONS_H_
#define MEMFUSE_SRC_TRANSPORT_OPERATIONS_H_

#include <cstddef>

#include "memfuse/errno.h"
#include "memfuse/filesystem.h"
#include "src/protocol/decode.h"
#include "src/transport/lookup_list.h"
#include "src/transport/reply.h"

namespace memfuse::transport {

// The smallest READDIRPLUS entry: two fixed structs of 128 and 24 bytes, and a name. A reply of n
// bytes gives at most n / kMinPlusEntry lookups.
inline constexpr size_t kMinPlusEntry = 128 + 24 + 8;

// Executes `request` and answers it through `reply`, which is null for a request that expects no
// answer. If the reply gives lookups or an open to the kernel and is not delivered, they are
// returned with Forget and Release. `listed` is empty, for the lookups of a READDIRPLUS. `left` are
// those of a process that has died, or null. Exceptions of the file system pass through.
void Execute(FileSystem* fs, const RequestContext& context, const protocol::Request& request,
             Reply* reply, LookupList* listed, const LeftLookupsByRequest* left);

// Answers `request`, which expects an answer, with an error, and returns what a process that has
// died has given for it. The other parameters are those of Execute.
void Refuse(FileSystem* fs, const RequestContext& context, const protocol::Request& request,
            Errno error, Reply* reply, LookupList* listed, const LeftLookupsByRequest* left);

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_OPERATIONS_H_

// The structs of INIT, in which the kernel and the server exchange their capabilities. As for
// wire.h, no file outside of src/protocol includes this file, except for tests.

#ifndef MEMFUSE_SRC_PROTOCOL_WIRE_INIT_H_
#define MEMFUSE_SRC_PROTOCOL_WIRE_INIT_H_

#include <cstddef>
#include <cstdint>

namespace memfuse::protocol::wire {

// The struct that kernels before 7.36 send.
struct InitShortIn {
  uint32_t major;
  uint32_t minor;
  uint32_t max_readahead;
  uint32_t flags;
};
static_assert(sizeof(InitShortIn) == 16);

// Follows InitShortIn if kInitInitExt is set in its flags.
struct InitExtensionIn {
  uint32_t flags2;
  uint32_t unused[11];
};

struct InitIn {
  InitShortIn head;
  InitExtensionIn extension;
};
static_assert(sizeof(InitIn) == 64);

struct InitOut {
  uint32_t major;
  uint32_t minor;
  uint32_t max_readahead;
  uint32_t flags;
  uint16_t max_background;
  uint16_t congestion_threshold;
  uint32_t max_write;
  uint32_t time_gran;
  uint16_t max_pages;
  uint16_t map_alignment;
  uint32_t flags2;
  uint32_t max_stack_depth;
  uint16_t request_timeout;
  uint16_t unused[11];
};
static_assert(sizeof(InitOut) == 64);
static_assert(offsetof(InitOut, flags2) == 32);
static_assert(offsetof(InitOut, request_timeout) == 40);

// Flags of both directions. The upper 32 bits are sent as flags2.

inline constexpr uint64_t InitBit(int n) { return uint64_t{1} << n; }

inline constexpr uint64_t kInitAsyncRead = InitBit(0);
inline constexpr uint64_t kInitPosixLocks = InitBit(1);
inline constexpr uint64_t kInitFileOps = InitBit(2);
inline constexpr uint64_t kInitAtomicOTrunc = InitBit(3);
inline constexpr uint64_t kInitExportSupport = InitBit(4);
inline constexpr uint64_t kInitBigWrites = InitBit(5);
inline constexpr uint64_t kInitDontMask = InitBit(6);
inline constexpr uint64_t kInitSpliceWrite = InitBit(7);
inline constexpr uint64_t kInitSpliceMove = InitBit(8);
inline constexpr uint64_t kInitSpliceRead = InitBit(9);
inline constexpr uint64_t kInitFlockLocks = InitBit(10);
inline constexpr uint64_t kInitHasIoctlDir = InitBit(11);
inline constexpr uint64_t kInitAutoInvalData = InitBit(12);
inline constexpr uint64_t kInitDoReaddirplus = InitBit(13);
inline constexpr uint64_t kInitReaddirplusAuto = InitBit(14);
inline constexpr uint64_t kInitAsyncDio = InitBit(15);
inline constexpr uint64_t kInitWritebackCache = InitBit(16);
inline constexpr uint64_t kInitNoOpenSupport = InitBit(17);
inline constexpr uint64_t kInitParallelDirops = InitBit(18);
inline constexpr uint64_t kInitHandleKillpriv = InitBit(19);
inline constexpr uint64_t kInitPosixAcl = InitBit(20);
inline constexpr uint64_t kInitAbortError = InitBit(21);
inline constexpr uint64_t kInitMaxPages = InitBit(22);
inline constexpr uint64_t kInitCacheSymlinks = InitBit(23);
inline constexpr uint64_t kInitNoOpendirSupport = InitBit(24);
inline constexpr uint64_t kInitExplicitInvalData = InitBit(25);
inline constexpr uint64_t kInitMapAlignment = InitBit(26);
inline constexpr uint64_t kInitSubmounts = InitBit(27);
inline constexpr uint64_t kInitHandleKillprivV2 = InitBit(28);
inline constexpr uint64_t kInitSetxattrExt = InitBit(29);
inline constexpr uint64_t kInitInitExt = InitBit(30);
inline constexpr uint64_t kInitReserved = InitBit(31);
inline constexpr uint64_t kInitSecurityCtx = InitBit(32);
inline constexpr uint64_t kInitHasInodeDax = InitBit(33);
inline constexpr uint64_t kInitCreateSuppGroup = InitBit(34);
inline constexpr uint64_t kInitHasExpireOnly = InitBit(35);
inline constexpr uint64_t kInitDirectIoAllowMmap = InitBit(36);
inline constexpr uint64_t kInitPassthrough = InitBit(37);
inline constexpr uint64_t kInitNoExportSupport = InitBit(38);
inline constexpr uint64_t kInitHasResend = InitBit(39);
inline constexpr uint64_t kInitAllowIdmap = InitBit(40);
inline constexpr uint64_t kInitOverIoUring = InitBit(41);
inline constexpr uint64_t kInitRequestTimeout = InitBit(42);

}  // namespace memfuse::protocol::wire

#endif  // MEMFUSE_SRC_PROTOCOL_WIRE_INIT_H_

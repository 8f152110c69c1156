#include "src/memfs/ops/store_selection.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/memfs/data/daemon_store.h"
#include "src/memfs/data/null_store.h"
#include "src/memfs/records/store_order.h"

namespace memfuse::memfs {
namespace {

// A sparse file on a tmpfs takes a huge page for each small write, so huge pages are used only if
// the option requests them.
std::string TmpfsHuge(const std::string& huge) { return huge == "auto" ? "never" : huge; }

// Whether the calling thread has CAP_SYS_ADMIN in effect. If it does not, the kernel refuses
// backing files; if it does, only in a user namespace of its own, the kernel refuses them too.
bool MayRegisterBackingFiles() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  static_assert(CAP_SYS_ADMIN < 32);
  return syscall(SYS_capget, &header, data) == 0 &&
         (data[0].effective & uint32_t{1} << CAP_SYS_ADMIN) != 0;
}

}  // namespace

absl::Status StoreSelection::Make() {
  switch (options_.data) {
    case DataKind::kPassthrough:
      if (absl::Status used = UsePassthroughStore(); !used.ok()) return used;
      Selected(StoreKind::kPassthrough, TmpfsHuge(options_.huge),
               "private tmpfs, without passthrough");
      return absl::OkStatus();
    case DataKind::kNull:
      resources_.store = std::make_unique<NullStore>(&resources_.budget);
      Selected(StoreKind::kNull, "", "none: writes vanish");
      return absl::OkStatus();
    case DataKind::kAuto:
    case DataKind::kDaemon:
      break;
  }
  absl::StatusOr<std::unique_ptr<DaemonStore>> daemon_store =
      DaemonStore::Make({options_.huge, options_.noswap, options_.writeback_cache},
                        resources_.records.get(), &resources_.budget);
  if (!daemon_store.ok()) return daemon_store.status();
  const std::string huge = (*daemon_store)->huge();
  resources_.store = *std::move(daemon_store);
  Selected(StoreKind::kDaemon, huge, absl::StrCat("daemon, huge=", huge));
  return absl::OkStatus();
}

absl::Status StoreSelection::Adopt(base::UniqueFd data, uint64_t size_limit) {
  const RootRecord* const root = resources_.root();
  const std::string huge(root->huge, strnlen(root->huge, sizeof(root->huge)));
  switch (const StoreKind kind = root->store; kind) {
    case StoreKind::kNull:
      resources_.store = std::make_unique<NullStore>(&resources_.budget);
      Describe(kind, "", "none: writes vanish");
      break;
    case StoreKind::kDaemon: {
      absl::StatusOr<std::unique_ptr<DaemonStore>> store =
          DaemonStore::Adopt({huge, options_.noswap, options_.writeback_cache}, std::move(data),
                             resources_.records.get(), &resources_.budget);
      if (!store.ok()) return store.status();
      resources_.store = *std::move(store);
      Describe(kind, huge, absl::StrCat("daemon, huge=", huge));
      break;
    }
    case StoreKind::kPassthrough: {
      const PrivateTmpfsOptions options = {size_limit, huge, options_.noswap, options_.noatime,
                                           options_.strictatime};
      absl::StatusOr<std::unique_ptr<PassthroughStore>> store = PassthroughStore::Adopt(
          options, std::move(data), &resources_.root()->backing_ids, &resources_.budget);
      if (!store.ok()) return store.status();
      passthrough_store_ = store->get();
      resources_.store = *std::move(store);
      Describe(kind, huge, "private tmpfs, without passthrough");
      break;
    }
    case StoreKind::kNone:
    default:
      return absl::FailedPreconditionError("the records name no store for file data");
  }
  adopted_ = true;
  return absl::OkStatus();
}

void StoreSelection::Selected(StoreKind kind, const std::string& huge, std::string description) {
  RootRecord* const root = resources_.root();
  std::memset(root->huge, 0, sizeof(root->huge));
  huge.copy(root->huge, sizeof(root->huge) - 1);
  StoreInOrder(&root->store, kind);
  Describe(kind, huge, std::move(description));
}

void StoreSelection::Describe(StoreKind kind, const std::string& huge, std::string description) {
  description_ = std::move(description);
  switch (kind) {
    case StoreKind::kNull:
      chosen_options_ = "data=null";
      break;
    case StoreKind::kPassthrough:
      chosen_options_ = absl::StrCat("data=passthrough,huge=", huge);
      break;
    case StoreKind::kDaemon:
    case StoreKind::kNone:
      chosen_options_ = absl::StrCat("data=daemon,huge=", huge);
      break;
  }
}

absl::Status StoreSelection::UsePassthroughStore() {
  const PrivateTmpfsOptions options = {resources_.budget.total(), TmpfsHuge(options_.huge),
                                       options_.noswap, options_.noatime, options_.strictatime};
  absl::StatusOr<std::unique_ptr<PassthroughStore>> store =
      PassthroughStore::Make(options, &resources_.root()->backing_ids, &resources_.budget);
  if (!store.ok()) return store.status();
  passthrough_store_ = store->get();
  resources_.store = *std::move(store);
  return absl::OkStatus();
}

bool StoreSelection::wants_backing_files() const {
  // Without CAP_SYS_ADMIN the kernel agrees on passthrough and then refuses every backing file. The
  // agreement alone makes open(2) with O_TRUNC slower.
  return options_.data == DataKind::kPassthrough ||
         (options_.data == DataKind::kAuto && MayRegisterBackingFiles());
}

absl::Status StoreSelection::Connected(BackingFiles* backing) {
  if (options_.data != DataKind::kAuto && options_.data != DataKind::kPassthrough) {
    return absl::OkStatus();
  }
  // The adopted store has files, so it is not replaced.
  if (adopted_ && passthrough_store_ == nullptr) return absl::OkStatus();
  absl::Status status;
  const std::string daemon_description = description_;
  if (backing == nullptr) {
    status = absl::FailedPreconditionError(
        MayRegisterBackingFiles() ? "the kernel offers no FUSE passthrough here"
                                  : "it needs CAP_SYS_ADMIN in the initial user namespace");
  } else if (passthrough_store_ == nullptr) {
    // The daemon store stays until the passthrough store is known to work.
    std::unique_ptr<DataStore> daemon_store = std::move(resources_.store);
    status = UsePassthroughStore();
    if (status.ok()) status = passthrough_store_->UseBackingFiles(backing);
    if (!status.ok()) {
      passthrough_store_ = nullptr;
      resources_.store = std::move(daemon_store);
    }
  } else {
    status = passthrough_store_->UseBackingFiles(backing);
  }
  if (status.ok()) {
    const std::string huge = adopted_ ? resources_.root()->huge : TmpfsHuge(options_.huge);
    const std::string description = absl::StrCat("passthrough, huge=", huge);
    if (adopted_) {
      Describe(StoreKind::kPassthrough, huge, description);
    } else {
      Selected(StoreKind::kPassthrough, huge, description);
    }
    return status;
  }
  // Files that are open by passthrough cannot be opened in another way.
  if (adopted_) return status;
  if (options_.data == DataKind::kPassthrough) {
    return absl::FailedPreconditionError(absl::StrCat("--data=passthrough: ", status.message()));
  }
  description_ = absl::StrCat(daemon_description, "; no passthrough: ", status.message());
  return absl::OkStatus();
}

void StoreSelection::Disconnected() {
  if (passthrough_store_ != nullptr) passthrough_store_->ForgetBackingFiles();
}

}  // namespace memfuse::memfs

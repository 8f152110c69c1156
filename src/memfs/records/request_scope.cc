#include "src/memfs/records/request_scope.h"

#include "src/memfs/records/store_order.h"

namespace memfuse::memfs {
namespace {

thread_local RequestScope* current = nullptr;

}  // namespace

RequestScope::RequestScope(RecordFile* file, uint64_t request) noexcept
    : file_(*file), request_(request), outer_(current) {
  current = this;
}

RequestScope::~RequestScope() {
  current = outer_;
  if (place_.has_value()) file_.ForgetCompleted(*place_);
}

RequestScope* RequestScope::Current() { return current; }

void RequestScope::Prepare(uint32_t journal, uint64_t commit, uint64_t result) noexcept {
  if (!place_.has_value()) place_ = file_.AcquirePlace();
  CompletedRequest* const place = &file_.JournalAt(*place_)->completed;
  // The place is valid only while it has a request.
  StoreInOrder(&place->request, uint64_t{0});
  place->result = result;
  place->journal = journal;
  place->commit = commit;
  StoreInOrder(&place->request, request_);
}

void RequestScope::Adopt(uint64_t result) noexcept {
  // Every journal has reached this number.
  Prepare(/*journal=*/0, /*commit=*/0, result);
}

}  // namespace memfuse::memfs

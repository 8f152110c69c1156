#include "src/memfs/records/request_scope.h"

#include "src/memfs/records/store_order.h"

namespace memfuse::memfs {
namespace {

thread_local RequestScope* innermost = nullptr;

}  // namespace

RequestScope::RequestScope(RecordFile* file, uint64_t request) noexcept
    : file_(*file), request_(request), outer_(innermost), place_(file->AcquirePlace()) {
  innermost = this;
}

RequestScope::~RequestScope() {
  innermost = outer_;
  file_.ForgetCompleted(place_);
}

RequestScope* RequestScope::Current(const RecordFile* file) {
  RequestScope* scope = innermost;
  while (scope != nullptr && &scope->file_ != file) scope = scope->outer_;
  return scope;
}

const CompletedRequest* RequestScope::result() const noexcept {
  const CompletedRequest* const place = &file_.JournalAt(place_)->completed;
  return place->request == 0 ? nullptr : place;
}

void RequestScope::Prepare(uint32_t journal, uint64_t commit, uint64_t result) noexcept {
  CompletedRequest* const place = &file_.JournalAt(place_)->completed;
  // The place is valid only while it has a request.
  StoreInOrder(&place->request, uint64_t{0});
  place->result = result;
  place->journal = journal;
  place->commit = commit;
  StoreInOrder(&place->request, request_);
}

void RequestScope::Adopt(const RecordFile::Completed& completed) noexcept {
  file_.ForgetCompleted(place_);
  place_ = completed.place;
}

}  // namespace memfuse::memfs

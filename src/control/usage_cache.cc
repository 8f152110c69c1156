#include "src/control/usage_cache.h"

namespace memfuse::control {

class UsageCache::Summary final : public LongAnswer {
 public:
  Summary(UsageCache* cache, Make make) : cache_(*cache), make_(std::move(make)) {}

  Kind kind() const override { return Kind::kSummary; }
  HttpResponse Compute() override { return make_(*cache_.Get()); }
  void Cancel() override {}  // it does not take long

 private:
  UsageCache& cache_;
  const Make make_;
};

Answer UsageCache::Ask(Make make) {
  if (const auto young = Young()) return make(*young);
  return std::make_unique<Summary>(this, std::move(make));
}

std::shared_ptr<const UsageCache::Usage> UsageCache::Young() const {
  const base::MonotonicTime now = now_();
  base::MutexLock lock(&mu_);
  return now < until_ ? usage_ : nullptr;
}

std::shared_ptr<const UsageCache::Usage> UsageCache::Get() {
  // Another client that waited for the thread may have asked for the same.
  if (auto young = Young()) return young;
  const base::MonotonicTime begin = now_();
  auto usage = std::make_shared<const Usage>(fs_.UsageByOwner());
  const base::MonotonicTime end = now_();
  std::shared_ptr<const Usage> old;  // freed without the lock
  base::MutexLock lock(&mu_);
  old = std::exchange(usage_, usage);
  until_ = end + kUsageShare * (end - begin);
  return usage;
}

}  // namespace memfuse::control

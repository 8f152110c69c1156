#include "src/transport/seats.h"

#include <utility>

namespace memfuse::transport {

Seats::Seats(int most, std::function<bool()> start) : most_(most), start_(std::move(start)) {
  sem_init(&turns_, /*pshared=*/0, 0);
}

Seats::~Seats() { sem_destroy(&turns_); }

void Seats::Leave() {
  {
    base::MutexLock lock(&mu_);
    ++away_;
    if (closed_ || serving_ >= away_) return;
    if (parked_ > 0) {
      --parked_;
      ++serving_;
      sem_post(&turns_);
      return;
    }
    if (serving_ >= most_) return;
    ++serving_;
  }
  if (start_()) return;
  base::MutexLock lock(&mu_);
  --serving_;
}

void Seats::Return() {
  base::MutexLock lock(&mu_);
  --away_;
}

void Seats::AwaitTurn(absl::FunctionRef<void()> rest) {
  {
    base::MutexLock lock(&mu_);
    if (closed_ || serving_ <= away_) return;
    --serving_;
    ++parked_;
  }
  rest();
  while (sem_wait(&turns_) != 0) {
    // EINTR: whoever stops the session closes this, too.
  }
}

void Seats::Close() {
  base::MutexLock lock(&mu_);
  closed_ = true;
  for (; parked_ > 0; --parked_) {
    ++serving_;
    sem_post(&turns_);
  }
}

}  // namespace memfuse::transport

#include "src/memfs/orphans.h"

#include <time.h>

namespace memfuse::memfs {

void Orphans::Wait() {
  constexpr timespec kStep = {0, 100'000};
  constexpr int kSteps = 2000;
  const uint64_t made = this->made();
  if (made == in_vain_.load()) return;
  for (int i = 0; i < kSteps; ++i) {
    if (!any()) return;
    nanosleep(&kStep, nullptr);
  }
  in_vain_.store(made);
}

}  // namespace memfuse::memfs

#include "src/base/error_text.h"

#include <cstring>

namespace memfuse::base {

std::string ErrorText(int error) {
  char buffer[128];
  // The variant of the GNU C library: it returns its text, which may be outside of the buffer.
  return strerror_r(error, buffer, sizeof(buffer));
}

}  // namespace memfuse::base

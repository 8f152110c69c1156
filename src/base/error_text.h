// The text of an errno.

#ifndef MEMFUSE_SRC_BASE_ERROR_TEXT_H_
#define MEMFUSE_SRC_BASE_ERROR_TEXT_H_

#include <string>

namespace memfuse::base {

// Returns: the text for `error`, a positive errno, such as "Permission denied". Unlike strerror(3),
// any number of threads may call it.
std::string ErrorText(int error);

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_ERROR_TEXT_H_

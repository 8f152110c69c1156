// File content that is made from a number, digests of it, and whole trees as text.

#ifndef MEMFUSE_TESTS_STRESS_DIFFERENTIAL_CONTENT_H_
#define MEMFUSE_TESTS_STRESS_DIFFERENTIAL_CONTENT_H_

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace memfuse::differential {

// `length` bytes that depend on `salt` and on their position.
std::string MakeContent(uint32_t salt, size_t length);

// 64 bits of the bytes, in hex; empty for no bytes.
std::string Digest(const char* data, size_t length);

// Every object below the directory, one per line, sorted by path. `describe` puts a stat into
// words. Files contribute digests of their data and where it lies (SEEK_DATA, SEEK_HOLE); names of
// the same inode are told apart from copies.
std::string DescribeTree(int directory,
                         const std::function<std::string(const struct stat&)>& describe);

// Deletes everything below the directory; false if something stayed.
bool EmptyDirectory(int directory);

}  // namespace memfuse::differential

#endif  // MEMFUSE_TESTS_STRESS_DIFFERENTIAL_CONTENT_H_

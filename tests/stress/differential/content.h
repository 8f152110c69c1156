// File content that is generated from a number, digests of content, and whole trees as text.

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

// A digest of 64 bits in hexadecimal; empty for no bytes.
std::string Digest(const char* data, size_t length);

// Every object below the directory, one per line, sorted by path. `describe` formats a stat. Files
// contribute digests of their data and its position (SEEK_DATA, SEEK_HOLE). Hard links are
// distinguished from copies.
std::string DescribeTree(int directory,
                         const std::function<std::string(const struct stat&)>& describe);

// Deletes everything below the directory; returns false if anything is left.
bool EmptyDirectory(int directory);

}  // namespace memfuse::differential

#endif  // MEMFUSE_TESTS_STRESS_DIFFERENTIAL_CONTENT_H_

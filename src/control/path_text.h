// Paths from the root of the file system as text: in queries, in bodies and in answers.

#ifndef MEMFUSE_SRC_CONTROL_PATH_TEXT_H_
#define MEMFUSE_SRC_CONTROL_PATH_TEXT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace memfuse::control {

// Without superfluous '/', as the file system reports the path of a directory: "//a///b/" becomes
// "/a/b", and "//" becomes "/". Throws std::bad_alloc.
std::string CanonicalPath(std::string_view path);

// Whether the bytes are UTF-8 (RFC 3629). JSON cannot contain other bytes.
bool IsUtf8(std::string_view text);

// Adds a name or a path to a row of an answer, as the member `member`. If it is no UTF-8, which
// JSON cannot contain, the member "encoded" has it as the value of a query (EncodeQueryValue).
// Throws std::bad_alloc.
void AddName(const char* member, const std::string& name, nlohmann::json* row);

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_PATH_TEXT_H_

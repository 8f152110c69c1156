// The query of a request: NAME=VALUE pairs behind the '?' of the target (RFC 3986).

#ifndef MEMFUSE_SRC_CONTROL_QUERY_H_
#define MEMFUSE_SRC_CONTROL_QUERY_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace memfuse::control {

// Parses a query without its '?', and decodes the percent-encoding of names and values. An empty
// query has no pairs. Returns InvalidArgument, with a sentence, for: a pair without a name or
// without '='; a '%' that two hexadecimal digits do not follow; %00; a character that RFC 3986 does
// not permit in a query (a space, a control character, a byte above 126, one of "#[]<>\^`{|}); a
// '+', which some programs mean as a space and some as a plus sign; a name that occurs twice. May
// throw std::bad_alloc.
absl::StatusOr<std::map<std::string, std::string>> ParseQuery(absl::string_view query);

// Encodes any bytes as a value of a query. A '/' stays as it is.
std::string EncodeQueryValue(absl::string_view value);

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_QUERY_H_

#include "src/control/path_text.h"

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "src/control/query.h"

namespace memfuse::control {
namespace {

// The first byte of a sequence: how many bytes follow, and the bounds of the first of them. They
// exclude what has a shorter form, surrogates, and what is above U+10FFFF.
struct Lead {
  uint8_t first;
  uint8_t last;
  size_t following;
  uint8_t low = 0x80;
  uint8_t high = 0xbf;
};
constexpr Lead kLeads[] = {
    {0x00, 0x7f, 0},
    {0xc2, 0xdf, 1},
    {0xe0, 0xe0, 2, 0xa0, 0xbf},
    {0xe1, 0xec, 2},
    {0xed, 0xed, 2, 0x80, 0x9f},
    {0xee, 0xef, 2},
    {0xf0, 0xf0, 3, 0x90, 0xbf},
    {0xf1, 0xf3, 3},
    {0xf4, 0xf4, 3, 0x80, 0x8f},
};

const Lead* FindLead(uint8_t byte) {
  for (const Lead& lead : kLeads) {
    if (byte >= lead.first && byte <= lead.last) return &lead;
  }
  return nullptr;
}

}  // namespace

std::string CanonicalPath(std::string_view path) {
  std::string canonical;
  for (const char c : path) {
    if (c != '/' || canonical.empty() || canonical.back() != '/') canonical += c;
  }
  if (canonical.size() > 1 && canonical.back() == '/') canonical.pop_back();
  return canonical;
}

bool IsUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Lead* const lead = FindLead(static_cast<uint8_t>(text[at]));
    if (lead == nullptr || text.size() - at <= lead->following) return false;
    for (size_t i = 1; i <= lead->following; ++i) {
      const auto byte = static_cast<uint8_t>(text[at + i]);
      if (byte < (i == 1 ? lead->low : 0x80) || byte > (i == 1 ? lead->high : 0xbf)) return false;
    }
    at += 1 + lead->following;
  }
  return true;
}

void AddName(const char* member, const std::string& name, nlohmann::json* row) {
  (*row)[member] = name;
  if (!IsUtf8(name)) (*row)["encoded"] = EncodeQueryValue(name);
}

}  // namespace memfuse::control

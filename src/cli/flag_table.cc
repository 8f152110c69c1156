#include "src/cli/flag_table.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace memfuse::cli {
namespace {

constexpr bool IsTrue(bool value) { return value; }
template <typename T>
constexpr bool IsTrue(T /*value*/) {
  return false;
}

// The literal of a default as it is in flags.inc, without its quotes.
constexpr absl::string_view Literal(absl::string_view text) {
  if (text.size() >= 2 && text.front() == '"') return text.substr(1, text.size() - 2);
  return text;
}

constexpr bool kbool = true, kint32 = false, kstring = false;

constexpr Flag MakeRow(absl::string_view name, bool is_switch, bool on, absl::string_view literal,
                       absl::string_view words, absl::string_view value, absl::string_view unit,
                       FlagPlace place, absl::string_view help) {
  const absl::string_view shown = is_switch ? absl::string_view() : literal;
  return {name, is_switch, on,  words.empty() ? shown : words, !words.empty(), value,
          unit, place,     help};
}

constexpr Flag kFlags[] = {
#define FLAG(type, name, default_value, words, value, unit, place, help)                      \
  MakeRow(#name, k##type, IsTrue(default_value), Literal(#default_value), words, value, unit, \
          FlagPlace::place, help),
#define BORROWED(type, name, words, value, unit, place, help) \
  MakeRow(#name, k##type, false, "", words, value, unit, FlagPlace::place, help),
#define SYNONYM(name, value, unit, place, help) \
  MakeRow(#name, false, false, "", "", value, unit, FlagPlace::place, help),
#define RESERVED(name) MakeRow(#name, false, false, "", "", "", "", FlagPlace::kReserved, ""),
#include "src/cli/flags.inc"
#undef FLAG
#undef BORROWED
#undef SYNONYM
#undef RESERVED
};

}  // namespace

std::string Flag::shown_name() const { return absl::StrCat(on_by_default ? "no" : "", name); }

std::vector<absl::string_view> Flag::choices() const {
  if (!absl::StrContains(value, '|')) return {};
  return absl::StrSplit(value, '|');
}

absl::Span<const Flag> FlagTable() { return kFlags; }

const Flag* FindFlag(absl::string_view name) {
  for (const Flag& flag : kFlags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

}  // namespace memfuse::cli

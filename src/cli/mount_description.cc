#include "src/cli/mount_description.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "src/cli/flags.h"

namespace memfuse::cli {
namespace {

bool IsPlain(char c) {
  return c != ',' && c != '\\' && !absl::ascii_isspace(static_cast<unsigned char>(c)) &&
         !absl::ascii_iscntrl(static_cast<unsigned char>(c));
}

std::string Escape(absl::string_view value) {
  std::string text;
  for (const char c : value) {
    if (IsPlain(c)) {
      text += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    absl::StrAppend(&text, "\\", byte >> 6, byte >> 3 & 7, byte & 7);
  }
  return text;
}

// The inverse of Escape().
std::string Unescape(absl::string_view text) {
  std::string value;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 3 >= text.size()) {
      value += text[i];
      continue;
    }
    value += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 |
                               (text[i + 3] - '0'));
    i += 3;
  }
  return value;
}

absl::string_view Word(bool value) { return value ? "true" : "false"; }

}  // namespace

std::string DescribeMount(const Options& options, absl::string_view data_options, bool io_uring,
                          absl::string_view control_socket) {
  return absl::StrCat(
      "threads=", options.session.threads, ",", data_options,
      ",transport=", io_uring ? "uring" : "dev", ",noswap=", Word(options.filesystem.noswap),
      ",xattr=", Word(options.filesystem.xattr), ",strictatime=", Word(options.mount.strictatime),
      ",diratime=", Word(!options.mount.nodiratime),
      ",symfollow=", Word(!options.mount.nosymfollow),
      ",writeback=", Word(options.session.writeback_cache),
      ",allow_other=", Word(options.mount.allow_other), ",fsname=", Escape(options.mount.fsname),
      ",log_dir=", Escape(options.log_dir), ",quota=", Escape(options.quota),
      ",metrics_listen=", Escape(options.metrics_listen),
      ",metrics_allow_remote=", Word(options.metrics_allow_remote),
      ",metrics_show_directories=", Word(options.metrics_show_directories),
      ",control=", Escape(control_socket));
}

std::optional<std::string> ValueInDescription(absl::string_view description,
                                              absl::string_view name) {
  for (absl::string_view option : absl::StrSplit(description, ',')) {
    if (absl::ConsumePrefix(&option, name) && absl::ConsumePrefix(&option, "=")) {
      return Unescape(option);
    }
  }
  return std::nullopt;
}

}  // namespace memfuse::cli

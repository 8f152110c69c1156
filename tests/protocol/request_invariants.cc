#include "tests/protocol/request_invariants.h"

#include <functional>
#include <string_view>
#include <variant>

#include "src/protocol/opcodes.h"

namespace memfuse::protocol {
namespace {

class Checker {
 public:
  explicit Checker(absl::Span<const char> message) : message_(message) {}

  const std::string& broken() const { return broken_; }

  template <typename T>
  void operator()(const T&) {}  // no views and nothing that could be out of range

  void operator()(const LookupRequest& request) { Name(request.name); }
  void operator()(const SymlinkRequest& request) {
    Name(request.name);
    String(request.target);
  }
  void operator()(const MknodRequest& request) { Name(request.name); }
  void operator()(const MkdirRequest& request) { Name(request.name); }
  void operator()(const UnlinkRequest& request) { Name(request.name); }
  void operator()(const RmdirRequest& request) { Name(request.name); }
  void operator()(const RenameRequest& request) {
    Name(request.name);
    Name(request.new_name);
  }
  void operator()(const LinkRequest& request) { Name(request.new_name); }
  void operator()(const CreateRequest& request) { Name(request.name); }
  void operator()(const TmpfileRequest& request) {
    Expect(request.create.name.empty(), "TMPFILE has a name");
  }
  void operator()(const GetxattrRequest& request) { String(request.name); }
  void operator()(const RemovexattrRequest& request) { String(request.name); }
  void operator()(const SetxattrRequest& request) {
    String(request.name);
    Inside(request.value);
  }
  void operator()(const WriteRequest& request) { Inside(request.data); }
  void operator()(const IoctlRequest& request) { Inside(request.input); }
  void operator()(const BatchForgetRequest& request) {
    Inside(request.entries);
    Expect(request.entries.size() == request.count * size_t{16}, "BATCH_FORGET counts wrongly");
    for (uint32_t i = 0; i < request.count; ++i) (void)request.At(i);
  }
  void operator()(const SetattrRequest& request) {
    Time(request.atime.value);
    Time(request.mtime.value);
    if (request.ctime.has_value()) Time(*request.ctime);
  }

 private:
  void Expect(bool holds, std::string_view what) {
    if (!holds && broken_.empty()) broken_ = std::string(what);
  }

  void Inside(absl::Span<const char> view) {
    if (view.empty()) return;
    const std::less_equal<const char*> before;  // also for pointers into different arrays
    Expect(before(message_.data(), view.data()) &&
               before(view.data() + view.size(), message_.data() + message_.size()),
           "a view leaves the message");
  }

  void String(std::string_view string) {
    Inside(absl::Span<const char>(string.data(), string.size()));
    Expect(string.find('\0') == std::string_view::npos, "a string holds a NUL");
  }

  void Name(std::string_view name) {
    String(name);
    Expect(name.find('/') == std::string_view::npos, "a name holds a '/'");
  }

  void Time(Timestamp time) { Expect(time.nanoseconds < 1'000'000'000, "nanoseconds overflow"); }

  const absl::Span<const char> message_;
  std::string broken_;
};

}  // namespace

std::string BrokenInvariant(const RequestHeader& header, const Request& request,
                            absl::Span<const char> message) {
  const OpcodeInfo* info = FindOpcode(header.opcode);
  if (info == nullptr) return "an unknown opcode is decoded";
  if (info->disposition == Disposition::kRefuse || info->disposition == Disposition::kIgnore) {
    return "an opcode that is not served is decoded";
  }
  Checker checker(message);
  std::visit([&checker](const auto& typed) { checker(typed); }, request);
  return checker.broken();
}

}  // namespace memfuse::protocol

// Errors of the request path.
//
// A file system answers with errno values; callers compare them exactly, so nothing may fold two of
// them into one. `Errno` is that value as a type, `Result<T>` is a value or an Errno, and
// `Result<void>` is success or an Errno. They cost nothing to make: no allocation, no string.
// Start-up, mounting and flags, where a sentence helps the user, use absl::Status instead.

#ifndef MEMFUSE_ERRNO_H_
#define MEMFUSE_ERRNO_H_

#include <cassert>
#include <cerrno>
#include <type_traits>
#include <utility>
#include <variant>

namespace memfuse {

// A positive errno value (ENOENT, EIO, ...), as in <cerrno>. Never 0: success is not an error.
class Errno {
 public:
  constexpr explicit Errno(int value) : value_(value) { assert(value > 0); }

  constexpr int value() const { return value_; }

  friend constexpr bool operator==(Errno a, Errno b) { return a.value_ == b.value_; }
  friend constexpr bool operator!=(Errno a, Errno b) { return a.value_ != b.value_; }
  friend constexpr bool operator==(Errno a, int b) { return a.value_ == b; }
  friend constexpr bool operator!=(Errno a, int b) { return a.value_ != b; }

 private:
  int value_;
};

// A value of type T, or why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  // Implicit on purpose: `return entry;` and `return Errno(ENOENT);` are how functions end.
  Result(const T& value) : state_(std::in_place_index<0>, value) {}        // NOLINT
  Result(T&& value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT
  Result(Errno error) : state_(std::in_place_index<1>, error) {}           // NOLINT

  bool ok() const { return state_.index() == 0; }
  // 0 on success, so that it can be compared with an expected errno in one go.
  int error_or_zero() const { return ok() ? 0 : error().value(); }

  // Precondition: !ok().
  Errno error() const { return *std::get_if<1>(&state_); }

  // Precondition of all four: ok().
  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }

 private:
  std::variant<T, Errno> state_;
};

// Success, or why not.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  constexpr Result() = default;
  constexpr Result(Errno error) : error_(error.value()) {}  // NOLINT: implicit, as above

  constexpr bool ok() const { return error_ == 0; }
  constexpr int error_or_zero() const { return error_; }
  constexpr Errno error() const { return Errno(error_); }

 private:
  int error_ = 0;
};

// Returns from the enclosing function when `expression` (a Result<void>) failed.
#define MEMFUSE_RETURN_IF_ERROR(expression)                                                      \
  do {                                                                                           \
    if (auto memfuse_status = (expression); !memfuse_status.ok()) return memfuse_status.error(); \
  } while (false)

#define MEMFUSE_CONCAT_INNER(a, b) a##b
#define MEMFUSE_CONCAT(a, b) MEMFUSE_CONCAT_INNER(a, b)

// MEMFUSE_ASSIGN_OR_RETURN(auto entry, Lookup(...));
// NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration takes no parentheses
#define MEMFUSE_ASSIGN_OR_RETURN(declaration, expression)        \
  auto MEMFUSE_CONCAT(memfuse_result_, __LINE__) = (expression); \
  if (!MEMFUSE_CONCAT(memfuse_result_, __LINE__).ok())           \
    return MEMFUSE_CONCAT(memfuse_result_, __LINE__).error();    \
  declaration = *std::move(MEMFUSE_CONCAT(memfuse_result_, __LINE__))

}  // namespace memfuse

#endif  // MEMFUSE_ERRNO_H_

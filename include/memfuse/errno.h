// Errors of the request path.
//
// A file system answers with errno values. Callers compare them exactly, so no layer may map two
// different values to one. `Errno` is such a value as a type, `Result<T>` is a value or an Errno,
// and `Result<void>` is success or an Errno. Constructing them needs no allocation and no string.
// Start-up, mounting and flags use absl::Status instead, because a sentence helps the user there.

#ifndef MEMFUSE_ERRNO_H_
#define MEMFUSE_ERRNO_H_

#include <cassert>
#include <cerrno>
#include <type_traits>
#include <utility>
#include <variant>

namespace memfuse {

// A positive errno value (ENOENT, EIO, ...), as in <cerrno>. The value is never 0, because success
// is not an error.
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

// A value of type T, or the error for which there is no value.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  // The constructors are implicit so that functions can end with `return entry;` and `return
  // Errno(ENOENT);`.
  Result(const T& value) : state_(std::in_place_index<0>, value) {}        // NOLINT
  Result(T&& value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT
  Result(Errno error) : state_(std::in_place_index<1>, error) {}           // NOLINT

  bool ok() const { return state_.index() == 0; }
  // Returns 0 on success. A caller can compare the result with an expected errno in one expression.
  int error_or_zero() const { return ok() ? 0 : error().value(); }

  // Requires: !ok().
  Errno error() const { return *std::get_if<1>(&state_); }

  // Requires, for all five operators: ok().
  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }

 private:
  std::variant<T, Errno> state_;
};

// Success, or the error of the failure.
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

// Returns from the enclosing function if `expression` (a Result<void>) failed.
#define MEMFUSE_RETURN_IF_ERROR(expression)                                                      \
  do {                                                                                           \
    if (auto memfuse_status = (expression); !memfuse_status.ok()) return memfuse_status.error(); \
  } while (false)

#define MEMFUSE_CONCAT_INNER(a, b) a##b
#define MEMFUSE_CONCAT(a, b) MEMFUSE_CONCAT_INNER(a, b)

// Example: MEMFUSE_ASSIGN_OR_RETURN(auto entry, Lookup(...));
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration takes no parentheses
#define MEMFUSE_ASSIGN_OR_RETURN(declaration, expression)        \
  auto MEMFUSE_CONCAT(memfuse_result_, __LINE__) = (expression); \
  if (!MEMFUSE_CONCAT(memfuse_result_, __LINE__).ok())           \
    return MEMFUSE_CONCAT(memfuse_result_, __LINE__).error();    \
  declaration = *std::move(MEMFUSE_CONCAT(memfuse_result_, __LINE__))
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace memfuse

#endif  // MEMFUSE_ERRNO_H_

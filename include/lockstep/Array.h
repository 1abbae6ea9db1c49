// Arrays of numbers in the memory of whoever calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "lockstep/Visibility.h"

LOCKSTEP_NAMESPACE_BEGIN

/// Of the elements of an array. The numbers are those of the C interface (`lockstep_type`).
enum class Type { kFloat32 = 1, kFloat64 = 2, kInt32 = 3, kInt64 = 4, kUint8 = 5, kBool = 6 };

/// Numbers that belong to somebody else, row-major and without gaps: the last size varies fastest. `data` may be null
/// where a size is 0.
struct ArrayView {
  const void* data = nullptr;       ///< the first number
  Type type = Type::kFloat32;       ///< of the numbers
  std::vector<std::int64_t> sizes;  ///< the slowest first
};

/// The same, to be written.
struct MutableArrayView {
  void* data = nullptr;             ///< the first number
  Type type = Type::kFloat32;       ///< of the numbers
  std::vector<std::int64_t> sizes;  ///< the slowest first
};

/// Numbers of its own, as ArrayView has them.
struct Array {
  Type type = Type::kFloat32;       ///< of the numbers
  std::vector<std::int64_t> sizes;  ///< the slowest first
  std::vector<std::byte> bytes;     ///< the numbers

  /// `T` is the C++ type of `type`.
  template <typename T>
  const T* data() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
  /// Good as long as this.
  ArrayView view() const { return {bytes.data(), type, sizes}; }
};

/// The Type of a C++ type.
template <typename T>
constexpr Type type_of() {
  constexpr bool known = std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int32_t> ||
                         std::is_same_v<T, std::int64_t> || std::is_same_v<T, std::uint8_t> || std::is_same_v<T, bool>;
  static_assert(known, "arrays are of float, double, int32_t, int64_t, uint8_t or bool");
  if (std::is_same_v<T, float>) return Type::kFloat32;
  if (std::is_same_v<T, double>) return Type::kFloat64;
  if (std::is_same_v<T, std::int32_t>) return Type::kInt32;
  if (std::is_same_v<T, std::int64_t>) return Type::kInt64;
  return std::is_same_v<T, bool> ? Type::kBool : Type::kUint8;
}

/// `view(x.data(), {32, 3})`
template <typename T>
ArrayView view(const T* data, std::vector<std::int64_t> sizes) {
  return {data, type_of<T>(), std::move(sizes)};
}
template <typename T>
MutableArrayView mutable_view(T* data, std::vector<std::int64_t> sizes) {
  return {data, type_of<T>(), std::move(sizes)};
}

LOCKSTEP_NAMESPACE_END

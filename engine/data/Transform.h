// From numbers as they are stored to numbers as they are computed on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/ElementType.h"
#include "engine/data/Normalization.h"

namespace lockstep {

/// Converts elements of one type to another: the one place that says what a number becomes.
///
/// To a real type by way of float64, so that float32 is float64 rounded; to bool by whether a number is 0; to an
/// integer type, from integers and bool only, exactly. With `normalized`, inputs of real type follow Normalization;
/// bool becomes 0 and 1.
class Transform {
 public:
  /// `to`: float32, float64, bool or an integer type. Throws InternalError for a pair of types that `possible` denies.
  Transform(ElementType from, ElementType to, bool normalized, Normalization normalization = {});

  static bool possible(ElementType from, ElementType to);

  ElementType from() const { return from_; }
  ElementType to() const { return to_; }
  /// Whether what is stored is what is computed on, to the bit.
  bool copies() const;
  /// Whether it makes real numbers of bytes: pixels.
  bool scales_bytes() const { return normalized_ && from_ == ElementType::kUint8 && is_real(to_); }
  const Normalization& normalization() const { return normalization_; }
  /// The same to another type.
  Transform with_result(ElementType to) const { return Transform(from_, to, normalized_, normalization_); }
  /// Writes `count` elements of type `to` to `out`: of whole samples, where parts of a sample are normalized by numbers
  /// of their own. The memory must be aligned for its elements.
  void run(const std::byte* stored, std::int64_t count, std::byte* out) const;

 private:
  ElementType from_;
  ElementType to_;
  bool normalized_;
  Normalization normalization_;
};

}  // namespace lockstep

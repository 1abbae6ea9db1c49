#include "engine/data/Transform.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <iterator>
#include <type_traits>
#include <utility>

#include "common/Error.h"

namespace lockstep {

namespace {

/// IEEE 754 binary16.
struct Half {
  std::uint16_t bits;
  explicit operator double() const {
    const int exponent = bits >> 10 & 31;
    const int fraction = bits & 1023;
    const double magnitude = exponent == 31  ? (fraction != 0 ? std::nan("") : HUGE_VAL)
                             : exponent == 0 ? std::ldexp(fraction, -24)
                                             : std::ldexp(1024 + fraction, exponent - 25);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
  }
};

/// The upper half of a float32.
struct BFloat16 {
  std::uint16_t bits;
  explicit operator double() const {
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U));
  }
};

template <typename Do>
void with_stored_type(ElementType type, const Do& run) {
  switch (type) {
    case ElementType::kUint8:
      return run(std::uint8_t{});
    case ElementType::kInt8:
      return run(std::int8_t{});
    case ElementType::kInt16:
      return run(std::int16_t{});
    case ElementType::kInt32:
      return run(std::int32_t{});
    case ElementType::kInt64:
      return run(std::int64_t{});
    case ElementType::kHalf:
      return run(Half{});
    case ElementType::kFloat:
      return run(float{});
    case ElementType::kDouble:
      return run(double{});
    case ElementType::kBool:
      return run(bool{});
    case ElementType::kBFloat16:
      return run(BFloat16{});
    case ElementType::kUint16:
      return run(std::uint16_t{});
    case ElementType::kUint32:
      return run(std::uint32_t{});
    case ElementType::kUint64:
      return run(std::uint64_t{});
  }
}

template <typename Stored>
double as_double(Stored value) {
  return static_cast<double>(value);
}

// By numbers of one mean and deviation.
template <typename Stored, typename Computed>
void normalize(const Stored* stored, std::int64_t count, Computed* out, double mean, double std) {
  if constexpr (std::is_same_v<Stored, std::uint8_t>) {
    const auto value = [&](auto raw) { return static_cast<Computed>((static_cast<double>(raw) / 255 - mean) / std); };
    if (count < 256) {
      std::transform(stored, stored + count, out, value);
      return;
    }
    std::array<Computed, 256> values;
    for (std::size_t raw = 0; raw < values.size(); ++raw) values[raw] = value(raw);
    std::transform(stored, stored + count, out, [&](Stored raw) { return values[raw]; });
  } else {
    std::transform(stored, stored + count, out,
                   [&](Stored value) { return static_cast<Computed>((as_double(value) - mean) / std); });
  }
}

template <typename Stored, typename Computed>
void normalize(const Stored* stored, std::int64_t count, Computed* out, const Normalization& by) {
  const std::int64_t each = by.parts() == 1 ? count : by.part;
  for (std::size_t part = 0; count > 0; part = part + 1 == by.parts() ? 0 : part + 1) {
    normalize(stored, std::min(each, count), out, by.mean[part], by.std[part]);
    stored += each;
    out += each;
    count -= each;
  }
}

template <typename Stored, typename Computed>
void convert(const Stored* stored, std::int64_t count, Computed* out, const Normalization* normalization) {
  if constexpr (std::is_same_v<Computed, bool>) {
    std::transform(stored, stored + count, out, [](Stored value) { return as_double(value) != 0; });
  } else if constexpr (std::is_integral_v<Computed>) {
    if constexpr (std::is_integral_v<Stored>) {
      std::transform(stored, stored + count, out, [](Stored value) { return static_cast<Computed>(value); });
    }
  } else if (normalization == nullptr || std::is_same_v<Stored, bool>) {
    std::transform(stored, stored + count, out, [](Stored value) { return static_cast<Computed>(as_double(value)); });
  } else {
    normalize(stored, count, out, *normalization);
  }
}

}  // namespace

bool Normalization::changes_nothing() const {
  const auto all = [](const std::vector<double>& values, double value) {
    return std::ranges::count(values, value) == std::ssize(values);
  };
  return all(mean, 0) && all(std, 1);
}

Transform::Transform(ElementType from, ElementType to, bool normalized, Normalization normalization)
    : from_(from), to_(to), normalized_(normalized), normalization_(std::move(normalization)) {
  if (!possible(from, to)) throw InternalError("no transform from " + to_string(from) + " to " + to_string(to));
}

bool Transform::possible(ElementType from, ElementType to) {
  if (to == ElementType::kHalf || to == ElementType::kBFloat16) return false;
  return is_real(to) || !is_real(from);
}

bool Transform::copies() const {
  return from_ == to_ && (!normalized_ || !is_real(to_) || normalization_.changes_nothing());
}

void Transform::run(const std::byte* stored, std::int64_t count, std::byte* out) const {
  with_stored_type(from_, [&]<typename Stored>(Stored) {
    const auto* first = reinterpret_cast<const Stored*>(stored);
    with_stored_type(to_, [&]<typename Computed>(Computed) {
      if constexpr (std::is_arithmetic_v<Computed>) {
        convert(first, count, reinterpret_cast<Computed*>(out), normalized_ ? &normalization_ : nullptr);
      }
    });
  });
}

}  // namespace lockstep

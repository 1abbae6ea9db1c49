#include "engine/data/fields/ExactMoments.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr int kLimbBits = 32;
constexpr int kLowest = -1074;                                  // the exponent of the smallest float64
constexpr std::int64_t kMostUnsettled = std::int64_t{1} << 28;  // each adds less than 2^34 to a limb

using Wide = unsigned __int128;

// Adds ±magnitude · 2^position, of at most 64 bits.
void add_at(std::span<std::int64_t> limbs, std::uint64_t magnitude, int position, bool negative) {
  auto limb = static_cast<std::size_t>(position / kLimbBits);
  for (Wide bits = Wide{magnitude} << (position % kLimbBits); bits != 0; bits >>= kLimbBits) {
    const auto piece = static_cast<std::int64_t>(static_cast<std::uint32_t>(bits));
    limbs[limb++] += negative ? -piece : piece;
  }
}

// Brings each limb but the last to 0 … 2^32 - 1.
void settle_limbs(std::span<std::int64_t> limbs) {
  for (std::size_t i = 0; i + 1 < limbs.size(); ++i) {
    limbs[i + 1] += limbs[i] >> kLimbBits;
    limbs[i] &= 0xffffffff;
  }
}

/// A natural number, in limbs of 32 bits.
using Natural = std::vector<std::uint32_t>;

struct Whole {
  Natural magnitude{};
  bool negative = false;
};

Whole whole_of(std::span<const std::int64_t> settled) {
  std::vector<std::int64_t> limbs(settled.begin(), settled.end());
  const bool negative = limbs.back() < 0;
  if (negative) {
    for (std::int64_t& limb : limbs) limb = -limb;
    settle_limbs(limbs);
  }
  Whole whole{.negative = negative};
  for (const std::int64_t limb : limbs) whole.magnitude.push_back(static_cast<std::uint32_t>(limb));
  whole.magnitude.push_back(static_cast<std::uint32_t>(limbs.back() >> kLimbBits));
  return whole;
}

Natural product(const Natural& a, const Natural& b) {
  Natural result(a.size() + b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      carry += std::uint64_t{a[i]} * b[j] + result[i + j];
      result[i + j] = static_cast<std::uint32_t>(carry);
      carry >>= kLimbBits;
    }
    result[i + b.size()] = static_cast<std::uint32_t>(carry);
  }
  return result;
}

// a - b, of a ≥ b.
Natural difference(Natural a, const Natural& b) {
  std::int64_t borrow = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::int64_t limb = std::int64_t{a[i]} - (i < b.size() ? b[i] : 0) + borrow;
    a[i] = static_cast<std::uint32_t>(limb);
    borrow = limb < 0 ? -1 : 0;
  }
  return a;
}

// magnitude · 2^exponent to 64 bits, the last of which says whether there are more behind.
long double rounded(const Natural& magnitude, int exponent) {
  std::size_t top = magnitude.size();
  while (top > 0 && magnitude[top - 1] == 0) --top;
  Wide bits = 0;
  int shift = exponent;
  std::size_t low = top > 4 ? top - 4 : 0;
  for (std::size_t i = top; i-- > low;) bits = bits << kLimbBits | magnitude[i];
  shift += static_cast<int>(low) * kLimbBits;
  bool more = false;
  for (std::size_t i = 0; i < low; ++i) more |= magnitude[i] != 0;
  while (bits >> 64 != 0) {
    more |= (bits & 1) != 0;
    bits >>= 1;
    ++shift;
  }
  return std::ldexp(static_cast<long double>(static_cast<std::uint64_t>(bits) | (more ? 1 : 0)), shift);
}

}  // namespace

void ExactMoments::add(double value, std::int64_t times) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const int stored = static_cast<int>(bits >> 52 & 2047);
  const std::uint64_t fraction = bits & ((std::uint64_t{1} << 52) - 1);
  const std::uint64_t mantissa = stored == 0 ? fraction : fraction | std::uint64_t{1} << 52;
  const int position = std::max(stored, 1) - 1;  // above the lowest
  const Wide sum = Wide{mantissa} * static_cast<std::uint64_t>(times);
  add_at(sum_, static_cast<std::uint64_t>(sum), position, value < 0);
  add_at(sum_, static_cast<std::uint64_t>(sum >> 64), position + 64, value < 0);
  // (h · 2^64 + l) · times, of a square of at most 106 bits.
  const Wide square = Wide{mantissa} * mantissa;
  const Wide low = Wide{static_cast<std::uint64_t>(square)} * static_cast<std::uint64_t>(times);
  const Wide high = (square >> 64) * static_cast<std::uint64_t>(times);
  for (const auto& [part, at] : {std::pair{low, 2 * position}, {high, 2 * position + 64}}) {
    add_at(squares_, static_cast<std::uint64_t>(part), at, false);
    add_at(squares_, static_cast<std::uint64_t>(part >> 64), at + 64, false);
  }
  count_ += times;
  if (++unsettled_ == kMostUnsettled) settle();
}

void ExactMoments::add(double value) { add(value, 1); }

void ExactMoments::settle() {
  settle_limbs(sum_);
  settle_limbs(squares_);
  unsettled_ = 0;
}

void ExactMoments::merge(const ExactMoments& other) {
  ExactMoments settled = other;
  settled.settle();
  settle();
  for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += settled.sum_[i];
  for (std::size_t i = 0; i < squares_.size(); ++i) squares_[i] += settled.squares_[i];
  count_ += settled.count_;
  settle();
}

double ExactMoments::mean() const {
  if (count_ == 0) return 0;
  ExactMoments settled = *this;
  settled.settle();
  const Whole sum = whole_of(settled.sum_);
  const long double mean = rounded(sum.magnitude, kLowest) / static_cast<long double>(count_);
  return static_cast<double>(sum.negative ? -mean : mean);
}

// (n Σx² - (Σx)²) / n², of which the numerator is exact.
double ExactMoments::deviation() const {
  if (count_ == 0) return 0;
  ExactMoments settled = *this;
  settled.settle();
  const Natural sum = whole_of(settled.sum_).magnitude;
  const auto n = static_cast<std::uint64_t>(count_);
  const Natural count = {static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(n >> kLimbBits)};
  const Natural squares = product(whole_of(settled.squares_).magnitude, count);
  const Natural numerator = difference(squares, product(sum, sum));
  return static_cast<double>(std::sqrt(rounded(numerator, 2 * kLowest)) / static_cast<long double>(count_));
}

std::string ExactMoments::bytes() const {
  ExactMoments settled = *this;
  settled.settle();
  std::string bytes(kBytes, '\0');
  char* out = bytes.data();
  std::memcpy(out, settled.sum_.data(), sizeof sum_);
  std::memcpy(out + sizeof sum_, settled.squares_.data(), sizeof squares_);
  std::memcpy(out + sizeof sum_ + sizeof squares_, &count_, sizeof count_);
  return bytes;
}

ExactMoments ExactMoments::from_bytes(std::string_view bytes) {
  if (bytes.size() != kBytes) throw InternalError("no moments have so many bytes");
  ExactMoments moments;
  std::memcpy(moments.sum_.data(), bytes.data(), sizeof sum_);
  std::memcpy(moments.squares_.data(), bytes.data() + sizeof sum_, sizeof squares_);
  std::memcpy(&moments.count_, bytes.data() + sizeof sum_ + sizeof squares_, sizeof count_);
  return moments;
}

}  // namespace lockstep

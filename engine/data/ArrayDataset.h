// A data set whose fields are whole arrays in memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/Dataset.h"

namespace lockstep {

/// The numbers of one field of all samples, row-major, in this machine's byte order.
struct Array {
  Field field;
  std::int64_t samples = 0;
  std::vector<std::uint8_t> bytes{};
};

/// From the sizes of a whole array, whose first dimension counts samples. Throws InputError, naming `field.origin`, for
/// an array without dimensions.
Array make_array(Field field, std::vector<std::int64_t> sizes, std::vector<std::uint8_t> bytes);

/// The field `field` of one sample, from the sizes of a whole array as make_array has them.
Field field_of_array(Field field, const std::vector<std::int64_t>& sizes);

/// The fields of arrays, each with its count of samples. Throws InputError, naming `origin`, unless they have different
/// names and the same count of samples ≥ 1, and each sample has numbers.
SampleSpec spec_of_arrays(const std::string& origin, std::vector<std::pair<Field, std::int64_t>> arrays);

/// Makes bytes that are neither 0 nor 1, which are no bool, 1.
void make_bools(std::span<std::uint8_t> bytes);

/// Reverses the bytes of every element of `width` bytes.
void swap_bytes(std::span<std::uint8_t> bytes, std::size_t width);

/// Whoever copies samples in a random order asks for one while as many others are copied (common/Prefetch.h): memory
/// takes as long to answer as these take.
inline constexpr std::size_t kSamplesAhead = 8;

class ArrayDataset : public Dataset {
 public:
  /// Throws InputError as spec_of_arrays does. `digest`: of the arrays' content where there is one already; "": it is
  /// computed.
  ArrayDataset(const std::string& origin, std::vector<Array> arrays, std::string digest = "");

  std::int64_t size() const override { return size_; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return digest_; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;

 private:
  std::vector<std::vector<std::uint8_t>> bytes_;  ///< by field
  SampleSpec spec_;
  std::int64_t size_ = 0;
  std::string digest_;
};

}  // namespace lockstep

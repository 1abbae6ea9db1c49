// A channel of IDX files: images, or rows of numbers, with a target for each.
#pragma once

#include <array>
#include <filesystem>

#include "engine/data/Dataset.h"
#include "engine/data/IdxFile.h"

namespace lockstep {

/// Holds a channel in memory as it is stored (images as bytes) and turns samples into normalized numbers when they are read.
///
/// Files are found by what they are, not by name: the array with the most dimensions holds the inputs, the other the
/// targets. N × H × W images become inputs {1, H, W}; other sizes are kept: {C, H, W} for four dimensions, {D} for two.
/// One-dimensional targets of bytes or int32 are class labels; real numbers are regression targets.
class IdxDataset : public Dataset {
 public:
  /// `real_targets`: class labels are taken as numbers to regress on. Throws InputError for a directory that does not hold
  /// exactly one array of inputs and one of targets of the same count.
  IdxDataset(const std::filesystem::path& directory, Normalization normalization, bool real_targets);

  std::int64_t size() const override { return size_; }
  const SampleShape& shape() const override { return shape_; }
  std::string digest() const override;
  void require_classes(std::int64_t classes) const override;
  void read(std::span<const std::int64_t> samples, float* inputs, void* targets) const override;
  void read(std::span<const std::int64_t> samples, double* inputs, void* targets) const override;

 private:
  template <typename Real>
  void read_as(std::span<const std::int64_t> samples, Real* inputs, void* targets) const;

  Normalization normalization_;
  std::filesystem::path inputs_path_;
  std::filesystem::path targets_path_;
  IdxArray inputs_;
  IdxArray targets_;
  SampleShape shape_;
  std::int64_t size_ = 0;
  std::int64_t input_length_ = 0;   ///< numbers of one sample
  std::int64_t target_length_ = 1;
  std::array<double, 256> byte_values_{};
};

}  // namespace lockstep

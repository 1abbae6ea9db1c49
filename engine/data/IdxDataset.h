// A channel of IDX files: images, or rows of numbers, with a target for each.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/data/Dataset.h"
#include "engine/data/IdxFile.h"

namespace lockstep {

/// Holds a channel in memory (inputs as they are stored: images as bytes) and turns samples into normalized
/// numbers when they are read.
///
/// The one of two IDX arrays whose file name holds "targets" or "labels" holds the targets; where both names do, or
/// neither, the one with fewer dimensions. Files of other formats are passed over. N × H × W arrays become inputs
/// {1, H, W}; others keep their sizes as stored: {C, H, W} for four dimensions, {D} for two. Targets of integers are
/// class labels, with more dimensions than one an array of them for each sample; all other targets are real numbers.
class IdxDataset : public Dataset {
 public:
  /// `real_targets`: class labels are taken as numbers to regress on. Throws InputError for a directory that
  /// does not hold exactly one array of inputs and one of targets of the same count ≥ 1, and for a negative
  /// class label.
  IdxDataset(const std::filesystem::path& directory, Normalization normalization, bool real_targets);

  std::int64_t size() const override { return size_; }
  const SampleShape& shape() const override { return shape_; }
  void fit_inputs(const std::vector<std::int64_t>& sizes) override;
  std::string digest() const override { return digest_; }
  void require_classes(std::int64_t classes, const std::string& reason) const override;
  void read(std::span<const std::int64_t> samples, Precision precision, void* inputs, void* targets) const override;

 private:
  template <typename Real>
  void read_as(std::span<const std::int64_t> samples, Real* inputs, void* targets) const;
  [[noreturn]] void refuse_label(std::int64_t sample, double label, const std::string& expected) const;

  Normalization normalization_;
  std::filesystem::path targets_path_;
  IdxArray inputs_;
  std::vector<double> targets_;
  SampleShape shape_;
  std::string digest_;
  std::int64_t size_ = 0;
  std::int64_t input_length_ = 0;   ///< numbers of one sample
  std::int64_t target_length_ = 0;  ///< numbers of one sample
  std::array<double, 256> byte_values_{};
};

}  // namespace lockstep

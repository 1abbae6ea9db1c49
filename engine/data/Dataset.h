// Samples that can be read in any order by several threads at once.
#pragma once

#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "job/Hyperparameters.h"

namespace lockstep {

/// What the samples of a data set look like to a program.
struct SampleShape {
  std::vector<std::int64_t> input{};   ///< of one sample, without the batch dimension: {1, 28, 28}
  std::int64_t vocabulary = 0;         ///< inputs are tokens (int64) below it; 0: they are real numbers
  bool class_labels = true;            ///< targets are class numbers (int64); else they are real numbers
  std::vector<std::int64_t> target{};  ///< of one sample; {} for one label or one number
  std::int64_t classes = 0;            ///< 1 + the largest class label; 0 without class labels

  std::int64_t input_numbers() const { return product(input); }    ///< of one sample
  std::int64_t target_numbers() const { return product(target); }  ///< of one sample

 private:
  static std::int64_t product(const std::vector<std::int64_t>& sizes) {
    return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
  }
};

/// How raw values become inputs: (raw / 255 - mean) / std for bytes, (raw - mean) / std for real numbers.
struct Normalization {
  double mean = 0;
  double std = 1;
};

class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual std::int64_t size() const = 0;
  virtual const SampleShape& shape() const = 0;
  /// Gives the inputs the sizes that the program takes, where they differ from their own in sizes of 1 only: pictures
  /// of 28×28 serve a program of 1×28×28 and one of 28×28. To be called before anything reads.
  virtual void fit_inputs(const std::vector<std::int64_t>& /*sizes*/) {}
  /// Identifies the content: ranks compare it at start.
  virtual std::string digest() const = 0;
  /// Throws InputError, naming the first such sample, when a class label is not below `classes`. `reason` says where
  /// that bound comes from: "the program has 10 classes".
  virtual void require_classes(std::int64_t classes, const std::string& reason) const = 0;

  /// Writes the inputs of `samples` one after another into `inputs`, and their targets into `targets`: tokens and class
  /// labels as int64, real numbers as double with precision fp64, else as float. Thread-safe.
  virtual void read(std::span<const std::int64_t> samples, Precision precision, void* inputs, void* targets) const = 0;
};

}  // namespace lockstep

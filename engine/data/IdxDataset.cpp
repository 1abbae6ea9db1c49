#include "engine/data/IdxDataset.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

std::string describe(const fs::path& path, const IdxHeader& header) {
  std::vector<std::string> sizes;
  for (const std::int64_t size : header.dimensions) sizes.push_back(std::to_string(size));
  return path.filename().string() + " (" + join(sizes, " × ") + ")";
}

double target(const IdxArray& array, std::int64_t index) {
  const auto at = static_cast<std::size_t>(index);
  return array.header.type == IdxType::kByte ? array.bytes[at] : array.numbers[at];
}

}  // namespace

IdxDataset::IdxDataset(const fs::path& directory, Normalization normalization, bool real_targets)
    : normalization_(normalization) {
  if (!fs::is_directory(directory)) throw InputError(directory.string() + " is not a directory");
  std::vector<std::pair<fs::path, IdxHeader>> found;
  std::vector<std::string> others;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (!entry.is_regular_file() || entry.path().filename().string().starts_with(".")) continue;
    if (const auto header = read_idx_header(entry.path())) {
      found.emplace_back(entry.path(), *header);
    } else {
      others.push_back(entry.path().filename().string());
    }
  }
  const auto dimensions = [](const auto& file) { return file.second.dimensions.size(); };
  std::ranges::sort(found, [&](const auto& a, const auto& b) {
    return std::pair(dimensions(b), a.first) < std::pair(dimensions(a), b.first);
  });
  if (found.size() != 2 || dimensions(found[0]) < 2 || dimensions(found[1]) > 2 ||
      dimensions(found[0]) == dimensions(found[1])) {
    std::vector<std::string> names;
    for (const auto& [path, header] : found) names.push_back(describe(path, header));
    std::ranges::sort(others);
    throw InputError("the channel directory " + directory.string() +
                     " must hold one IDX file of inputs (magic number 00 00 08 03 for images) and one of targets (00 00 08 "
                     "01 for labels), plain or gzip; it holds " +
                     (names.empty() ? "no IDX file" : join(names, ", ")) +
                     (others.empty() ? "" : " and other files: " + join(others, ", ")));
  }
  inputs_path_ = found[0].first;
  targets_path_ = found[1].first;
  inputs_ = read_idx(inputs_path_);
  targets_ = read_idx(targets_path_);

  const auto& sizes = inputs_.header.dimensions;
  size_ = sizes[0];
  if (size_ != targets_.header.dimensions[0]) {
    throw InputError(inputs_path_.string() + " has " + std::to_string(size_) + " samples but " + targets_path_.string() +
                     " has " + std::to_string(targets_.header.dimensions[0]) + " targets");
  }
  if (size_ == 0 || inputs_.header.elements() == 0 || targets_.header.elements() == 0) {
    throw InputError("the channel directory " + directory.string() + " holds no samples: " +
                     describe(inputs_path_, inputs_.header));
  }
  shape_.input.assign(sizes.begin() + 1, sizes.end());
  if (sizes.size() == 3) shape_.input.insert(shape_.input.begin(), 1);
  input_length_ = inputs_.header.elements() / size_;
  shape_.target.assign(targets_.header.dimensions.begin() + 1, targets_.header.dimensions.end());
  target_length_ = targets_.header.elements() / size_;
  const bool integers = targets_.header.type == IdxType::kByte || targets_.header.type == IdxType::kInt32;
  shape_.class_labels = integers && shape_.target.empty() && !real_targets;
  if (shape_.class_labels) {
    for (std::int64_t i = 0; i < size_; ++i) {
      const double label = target(targets_, i);
      if (label < 0) {
        throw InputError(targets_path_.string() + ": the label of sample " + std::to_string(i) + " is " +
                         format("%g", label) + "; labels count from 0");
      }
      shape_.classes = std::max(shape_.classes, static_cast<std::int64_t>(label) + 1);
    }
  }
  for (std::size_t raw = 0; raw < byte_values_.size(); ++raw) {
    byte_values_[raw] = (static_cast<double>(raw) / 255 - normalization.mean) / normalization.std;
  }
}

void IdxDataset::require_classes(std::int64_t classes) const {
  if (shape_.classes <= classes) return;
  for (std::int64_t i = 0; i < size_; ++i) {
    if (target(targets_, i) < static_cast<double>(classes)) continue;
    throw InputError(targets_path_.string() + ": the label of sample " + std::to_string(i) + " is " +
                     format("%g", target(targets_, i)) + ", out of range: the program has " + std::to_string(classes) +
                     " classes, 0 … " + std::to_string(classes - 1));
  }
}

std::string IdxDataset::digest() const {
  Digest digest;
  for (const IdxArray* array : {&inputs_, &targets_}) {
    digest.update(std::as_bytes(std::span(array->header.dimensions)));
    digest.update(std::as_bytes(std::span(array->bytes)));
    digest.update(std::as_bytes(std::span(array->numbers)));
  }
  return digest.hex();
}

template <typename Real>
void IdxDataset::read_as(std::span<const std::int64_t> samples, Real* inputs, void* targets) const {
  std::array<Real, 256> values;
  std::ranges::transform(byte_values_, values.begin(), [](double value) { return static_cast<Real>(value); });
  const auto length = static_cast<std::size_t>(input_length_);
  std::size_t at_target = 0;
  for (const std::int64_t sample : samples) {
    const std::size_t begin = static_cast<std::size_t>(sample) * length;
    if (inputs_.header.type == IdxType::kByte) {
      const std::uint8_t* raw = inputs_.bytes.data() + begin;
      for (std::size_t i = 0; i < length; ++i) inputs[i] = values[raw[i]];
    } else {
      const double* raw = inputs_.numbers.data() + begin;
      for (std::size_t i = 0; i < length; ++i) {
        inputs[i] = static_cast<Real>((raw[i] - normalization_.mean) / normalization_.std);
      }
    }
    inputs += length;
    for (std::int64_t i = 0; i < target_length_; ++i, ++at_target) {
      const double value = target(targets_, sample * target_length_ + i);
      if (shape_.class_labels) {
        static_cast<std::int64_t*>(targets)[at_target] = static_cast<std::int64_t>(value);
      } else {
        static_cast<Real*>(targets)[at_target] = static_cast<Real>(value);
      }
    }
  }
}

void IdxDataset::read(std::span<const std::int64_t> samples, float* inputs, void* targets) const {
  read_as(samples, inputs, targets);
}

void IdxDataset::read(std::span<const std::int64_t> samples, double* inputs, void* targets) const {
  read_as(samples, inputs, targets);
}

}  // namespace lockstep

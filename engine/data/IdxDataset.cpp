#include "engine/data/IdxDataset.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

using Found = std::pair<fs::path, IdxHeader>;

std::string describe(const Found& file) {
  return file.first.filename().string() + " (" + file.second.dimensions_text() + ")";
}

bool named_targets(const Found& file) {
  std::string name = file.first.filename().string();
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name.find("targets") != std::string::npos || name.find("labels") != std::string::npos;
}

/// The channel's two IDX files, inputs first.
std::pair<Found, Found> find_arrays(const fs::path& directory) {
  std::vector<Found> found;
  std::vector<std::string> others;
  try {
    for (const auto& entry : fs::directory_iterator(directory)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".")) continue;
      std::error_code error;
      const fs::file_status what = entry.status(error);
      if (what.type() == fs::file_type::not_found && entry.is_symlink()) {
        others.push_back(name + " (a link whose target is not there)");
      }
      if (what.type() == fs::file_type::none) {
        throw InputError("cannot look at " + entry.path().string() + " in the channel directory: " + error.message());
      }
      if (!fs::is_regular_file(what)) continue;
      if (const auto header = read_idx_header(entry.path())) {
        found.emplace_back(entry.path(), *header);
      } else {
        others.push_back(name);
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw InputError("cannot read the channel directory " + directory.string() + ": " + error.code().message());
  }
  std::ranges::sort(found, {}, &Found::first);
  if (found.size() == 2) {
    // Of inputs, less than of targets.
    const auto rank = [](const Found& file) {
      return std::pair(named_targets(file), -static_cast<int>(file.second.dimensions.size()));
    };
    if (rank(found[0]) < rank(found[1])) return {found[0], found[1]};
    if (rank(found[1]) < rank(found[0])) return {found[1], found[0]};
  }
  std::vector<std::string> names(found.size());
  std::ranges::transform(found, names.begin(), describe);
  std::ranges::sort(others);
  throw InputError(
      "the channel directory " + directory.string() +
      " must hold, plain or gzip, one IDX file of inputs (for images it begins with the bytes 00 00 08 03) and one of "
      "targets (for labels 00 00 08 01), which has fewer dimensions or \"targets\" or \"labels\" in its name; it "
      "holds " +
      (names.empty() ? "no IDX file" : join(names, ", ")) +
      (others.empty() ? "" : " and other files: " + join(others, ", ")));
}

}  // namespace

IdxDataset::IdxDataset(const fs::path& directory, Normalization normalization, bool real_targets)
    : normalization_(normalization) {
  const auto [inputs, targets] = find_arrays(directory);
  const auto& input_sizes = inputs.second.dimensions;
  const auto& target_sizes = targets.second.dimensions;
  size_ = input_sizes[0];
  if (size_ != target_sizes[0]) {
    throw InputError("the channel directory " + directory.string() + " must hold one target for each sample; " +
                     describe(inputs) + " has " + std::to_string(size_) + " samples and " + describe(targets) + " " +
                     std::to_string(target_sizes[0]) + " targets");
  }
  if (inputs.second.elements() == 0 || targets.second.elements() == 0) {
    throw InputError("the channel directory " + directory.string() + " holds no data: " + describe(inputs) + ", " +
                     describe(targets));
  }
  targets_path_ = targets.first;
  inputs_ = read_idx(inputs.first);
  const IdxArray stored_targets = read_idx(targets_path_);
  targets_.resize(static_cast<std::size_t>(stored_targets.header.elements()));
  stored_targets.read(0, targets_);

  Digest digest;
  for (const IdxArray* array : {&std::as_const(inputs_), &stored_targets}) {
    digest.update(format("%d", static_cast<int>(array->header.type)));
    digest.update(std::as_bytes(std::span(array->header.dimensions)));
    digest.update(std::as_bytes(std::span(array->bytes)));
  }
  digest_ = digest.hex();

  shape_.input.assign(input_sizes.begin() + 1, input_sizes.end());
  if (input_sizes.size() == 3) shape_.input.insert(shape_.input.begin(), 1);
  shape_.target.assign(target_sizes.begin() + 1, target_sizes.end());
  input_length_ = inputs.second.elements() / size_;
  target_length_ = targets.second.elements() / size_;
  shape_.class_labels = targets.second.integers() && !real_targets;
  if (shape_.class_labels) {
    const auto [least, most] = std::ranges::minmax_element(targets_);
    if (*least < 0) refuse_label((least - targets_.begin()) / target_length_, *least, "labels count from 0");
    shape_.classes = static_cast<std::int64_t>(*most) + 1;
  }
  for (std::size_t raw = 0; raw < byte_values_.size(); ++raw) {
    byte_values_[raw] = (static_cast<double>(raw) / 255 - normalization.mean) / normalization.std;
  }
}

void IdxDataset::refuse_label(std::int64_t sample, double label, const std::string& expected) const {
  throw InputError(targets_path_.string() + ": the label of sample " + std::to_string(sample) + " is " +
                   format("%.0f", label) + "; " + expected);
}

void IdxDataset::fit_inputs(const std::vector<std::int64_t>& sizes) {
  const auto without_ones = [](std::vector<std::int64_t> all) {
    std::erase(all, 1);
    return all;
  };
  if (without_ones(sizes) == without_ones(shape_.input)) shape_.input = sizes;
}

void IdxDataset::require_classes(std::int64_t classes, const std::string& reason) const {
  if (shape_.classes <= classes) return;
  const auto first =
      std::ranges::find_if(targets_, [&](double label) { return label >= static_cast<double>(classes); });
  refuse_label((first - targets_.begin()) / target_length_, *first,
               reason + ", so labels must be 0 … " + std::to_string(classes - 1));
}

template <typename Real>
void IdxDataset::read_as(std::span<const std::int64_t> samples, Real* inputs, void* targets) const {
  std::array<Real, 256> byte_values;
  std::ranges::transform(byte_values_, byte_values.begin(), [](double value) { return static_cast<Real>(value); });
  const bool bytes = inputs_.header.type == IdxType::kByte;
  std::vector<double> numbers(bytes ? 0 : static_cast<std::size_t>(input_length_));
  for (const std::int64_t sample : samples) {
    if (bytes) {
      const std::uint8_t* raw = inputs_.bytes.data() + sample * input_length_;
      inputs = std::transform(raw, raw + input_length_, inputs, [&](std::uint8_t byte) { return byte_values[byte]; });
    } else {
      inputs_.read(sample * input_length_, numbers);
      inputs = std::ranges::transform(numbers, inputs, [&](double number) {
                 return static_cast<Real>((number - normalization_.mean) / normalization_.std);
               }).out;
    }
  }
  const auto copy_targets = [&]<typename Target>(Target* out) {
    for (const std::int64_t sample : samples) {
      const double* first = targets_.data() + sample * target_length_;
      out = std::transform(first, first + target_length_, out, [](double value) { return static_cast<Target>(value); });
    }
  };
  shape_.class_labels ? copy_targets(static_cast<std::int64_t*>(targets)) : copy_targets(static_cast<Real*>(targets));
}

void IdxDataset::read(std::span<const std::int64_t> samples, Precision precision, void* inputs, void* targets) const {
  precision == Precision::kFp64 ? read_as(samples, static_cast<double*>(inputs), targets)
                                : read_as(samples, static_cast<float*>(inputs), targets);
}

}  // namespace lockstep

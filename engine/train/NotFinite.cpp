#include "engine/train/NotFinite.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>

#include "common/Text.h"

namespace lockstep {

namespace {

// Of the number at `flat` in row-major order.
std::vector<std::int64_t> indices_of(std::int64_t flat, std::span<const std::int64_t> sizes) {
  std::vector<std::int64_t> indices(sizes.size());
  for (std::size_t i = sizes.size(); i-- > 0; flat /= sizes[i]) indices[i] = flat % sizes[i];
  return indices;
}

/// The inputs or the targets of samples, one at a time.
class Numbers {
 public:
  Numbers(const char* name, std::vector<std::int64_t> sizes, bool real)
      : name_(name), sizes_(std::move(sizes)), real_(real) {
    const auto count =
        static_cast<std::size_t>(std::accumulate(sizes_.begin(), sizes_.end(), std::int64_t{1}, std::multiplies<>()));
    memory_.resize(count);  // of the largest type
  }

  void* memory() { return memory_.data(); }
  /// The first that is not finite; nothing for integers.
  std::optional<std::int64_t> first_not_finite(Precision precision) const {
    if (!real_) return std::nullopt;
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      if (!std::isfinite(value(static_cast<std::int64_t>(i), precision))) return static_cast<std::int64_t>(i);
    }
    return std::nullopt;
  }
  double value(std::int64_t at, Precision precision) const {
    return precision == Precision::kFp64 ? memory_[static_cast<std::size_t>(at)]
                                         : static_cast<double>(reinterpret_cast<const float*>(memory_.data())[at]);
  }
  std::string describe(std::int64_t at, std::int64_t sample) const {
    const std::string whole = std::string("the ") + name_ + " of sample " + std::to_string(sample);
    if (sizes_.empty()) return whole;
    if (sizes_.size() == 1) return "column " + std::to_string(at) + " of " + whole;
    return "[" + join(indices_of(at, sizes_), ", ") + "] of " + whole;
  }

 private:
  const char* name_;
  std::vector<std::int64_t> sizes_;
  bool real_;
  std::vector<double> memory_;
};

}  // namespace

std::string number_text(double number) { return std::isnan(number) ? "nan" : format("%g", number); }

std::string find_not_finite(const at::Tensor& tensor) {
  const at::Tensor wrong = at::isfinite(tensor.detach()).logical_not();
  if (!wrong.any().item<bool>()) return "";
  const auto flat = wrong.flatten().to(at::kByte).argmax().item<std::int64_t>();
  const auto sizes = tensor.sizes();
  const std::string place = sizes.empty() ? "" : "[" + join(indices_of(flat, {sizes.data(), sizes.size()}), ", ") + "]";
  return place + " is " + number_text(tensor.detach().flatten()[flat].item<double>());
}

std::string find_not_finite(const std::vector<StateTensor>& entries) {
  // One wait for the device in the usual case.
  std::vector<at::Tensor> finite;
  for (const StateTensor& entry : entries) finite.push_back(at::isfinite(entry.tensor.detach()).all());
  if (finite.empty() || at::stack(finite).all().item<bool>()) return "";
  for (const StateTensor& entry : entries) {
    if (const std::string found = find_not_finite(entry.tensor); !found.empty()) return entry.name + found;
  }
  return "";
}

std::vector<StateTensor> trained_state(const Program& program) {
  std::vector<StateTensor> entries = program.trained_parameters();
  std::ranges::copy(program.running_statistics(), std::back_inserter(entries));
  return entries;
}

std::string find_not_finite(const Dataset& dataset, std::span<const std::int64_t> samples, Precision precision) {
  const SampleShape& shape = dataset.shape();
  Numbers inputs("input", shape.input, shape.vocabulary == 0);
  Numbers targets("target", shape.target, !shape.class_labels);
  for (const std::int64_t sample : samples) {
    const auto read = [&](Precision as) { dataset.read({&sample, 1}, as, inputs.memory(), targets.memory()); };
    read(precision);
    for (const Numbers* numbers : {&inputs, &targets}) {
      const auto at = numbers->first_not_finite(precision);
      if (!at) continue;
      const std::string text = numbers->describe(*at, sample) + " is " + number_text(numbers->value(*at, precision));
      if (precision == Precision::kFp64) return text;
      read(Precision::kFp64);
      const double exact = numbers->value(*at, Precision::kFp64);
      return text + (std::isfinite(exact) ? " in float32, from " + number_text(exact) : "");
    }
  }
  return "";
}

std::string find_not_finite(const Dataset& dataset, std::span<const std::int64_t> samples, Precision precision,
                            Communicator& host) {
  const std::vector<std::string> all = host.all_gather(find_not_finite(dataset, samples, precision));
  const auto found = std::ranges::find_if(all, [](const std::string& text) { return !text.empty(); });
  return found == all.end() ? "" : *found;
}

std::string not_finite_data(const std::string& channel, const std::string& found) {
  return "of channel " + channel + ", " + found + " (samples and columns count from 0): mend it, or leave it out";
}

std::string nothing_counts(const std::string& channel) {
  return "nothing is measured on channel " + channel +
         ": all of its labels are ignored or weigh 0 (ignore_index, class_weights)";
}

std::string not_finite_loss(const std::string& channel, double loss, const std::string& found) {
  return "the loss on channel " + channel + " is " + number_text(loss) + "; " +
         (found.empty() ? "its data and the model's state are finite, but not what is computed from them"
                        : not_finite_data(channel, found));
}

std::string find_not_finite(const Dataset& dataset, Precision precision, Communicator& host) {
  const std::int64_t first = dataset.size() * host.rank() / host.size();
  std::vector<std::int64_t> samples(static_cast<std::size_t>(dataset.size() * (host.rank() + 1) / host.size() - first));
  std::iota(samples.begin(), samples.end(), first);
  return find_not_finite(dataset, samples, precision, host);
}

}  // namespace lockstep

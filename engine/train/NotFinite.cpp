#include "engine/train/NotFinite.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "common/Text.h"
#include "engine/collectives/FirstWord.h"

namespace lockstep {

namespace {

// Of the number at `flat` in row-major order.
std::vector<std::int64_t> indices_of(std::int64_t flat, std::span<const std::int64_t> sizes) {
  std::vector<std::int64_t> indices(sizes.size());
  for (std::size_t i = sizes.size(); i-- > 0; flat /= sizes[i]) indices[i] = flat % sizes[i];
  return indices;
}

// As the program gets a number.
double computed(double exact, ElementType type) {
  return type == ElementType::kDouble ? exact : static_cast<double>(static_cast<float>(exact));
}

// One pass over memory, where isfinite takes several: the least and the largest of numbers among which one is NaN are
// NaN.
at::Tensor all_finite(const at::Tensor& tensor) {
  const at::ScalarType type = tensor.scalar_type();
  const bool plain = type == at::kFloat || type == at::kDouble || type == at::kBFloat16 || type == at::kHalf;
  if (!plain || tensor.numel() == 0) return at::isfinite(tensor).all();
  const auto [least, largest] = at::aminmax(tensor);
  return at::isfinite(least).logical_and(at::isfinite(largest));
}

std::string describe(const ProgramSamples& data, const Column& column, std::int64_t at, std::int64_t sample) {
  const bool input = !data.has_targets() || &column != &data.target();
  const std::string whole = "the " + std::string(input ? "input" : "target") +
                            (input && data.inputs() > 1 ? " " + column.name : "") + " of sample " +
                            std::to_string(sample);
  if (column.sizes.empty()) return whole;
  if (column.sizes.size() == 1) return "column " + std::to_string(at) + " of " + whole;
  return "[" + join(indices_of(at, column.sizes), ", ") + "] of " + whole;
}

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
  for (const StateTensor& entry : entries) finite.push_back(all_finite(entry.tensor.detach()));
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

std::string find_not_finite(const ProgramSamples& data, std::span<const std::int64_t> samples) {
  for (const std::int64_t sample : samples) {
    const std::size_t columns = data.inputs() + (data.has_targets() ? 1 : 0);
    for (std::size_t i = 0; i < columns; ++i) {
      const Column& column = data.columns()[i];
      const ElementType type = column.transform.to();
      if (!is_real(type)) continue;
      const std::vector<double> numbers = data.numbers(column, sample);
      const auto wrong =
          std::ranges::find_if(numbers, [&](double number) { return !std::isfinite(computed(number, type)); });
      if (wrong == numbers.end()) continue;
      return describe(data, column, wrong - numbers.begin(), sample) + " is " + number_text(computed(*wrong, type)) +
             (std::isfinite(*wrong) ? " in float32, from " + number_text(*wrong) : "");
    }
  }
  return "";
}

std::string find_not_finite(const ProgramSamples& data, std::span<const std::int64_t> samples, Communicator& host) {
  const auto found = first_word(host.all_gather(find_not_finite(data, samples)));
  if (!found) return "";
  const std::string whose = "among the samples of rank " + std::to_string(found->rank) + "'s host, ";
  return (data.dataset()->shards() ? whose : "") + found->text;
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

std::string find_not_finite(const ProgramSamples& data, Communicator& host) {
  const Shards shards = data.shards(host.size());
  const Slice own = shards.share(host.rank(), {0, shards.samples()});
  std::vector<std::int64_t> samples(static_cast<std::size_t>(own.size()));
  std::iota(samples.begin(), samples.end(), own.begin);
  return find_not_finite(data, samples, host);
}

}  // namespace lockstep

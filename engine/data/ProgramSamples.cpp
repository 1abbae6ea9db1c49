#include "engine/data/ProgramSamples.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/SliceReads.h"

namespace lockstep {

namespace {

constexpr std::size_t kMostPixelParts = 4;      // channels: as many as the kernel image_augment knows
constexpr std::size_t kBlockBytes = 256 << 10;  // stays in a core's cache between reading and converting

// The memory of a block of samples, aligned for any element.
std::vector<double> memory_of(std::size_t bytes) { return std::vector<double>((bytes + 7) / sizeof(double)); }

// Of a stored integer that has become int64.
std::string number_text(const Column& column, std::int64_t value) {
  return column.transform.from() == ElementType::kUint64 ? std::to_string(static_cast<std::uint64_t>(value))
                                                         : std::to_string(value);
}

}  // namespace

ProgramSamples::ProgramSamples(std::shared_ptr<const Dataset> dataset, const std::vector<ProgramInput>& inputs,
                               const ColumnOptions& options)
    : dataset_(std::move(dataset)), inputs_(inputs.size()), ignored_label_(options.ignored_label) {
  Columns chosen = choose_columns(dataset_->spec(), inputs, options);
  columns_ = std::move(chosen.inputs);
  if (chosen.target) columns_.push_back(std::move(*chosen.target));
  if (chosen.weight) columns_.push_back(std::move(*chosen.weight));
  for (std::size_t i = 0; i < columns_.size(); ++i) check_range(i);
  if (class_labels()) find_classes();
  if (has_weights()) check_weights();
}

ProgramSamples ProgramSamples::with_pixels_as_stored() const {
  ProgramSamples samples = *this;
  for (std::size_t i = 0; i < inputs_; ++i) {
    Column& column = samples.columns_[i];
    if (!column.transform.scales_bytes() || column.transform.to() != ElementType::kFloat) continue;
    if (column.transform.normalization().parts() > kMostPixelParts) continue;
    column.pixels = column.transform.normalization();
    column.transform = Transform(ElementType::kUint8, ElementType::kUint8, false);
  }
  return samples;
}

ProgramSamples ProgramSamples::varied(const Variation& variation) const {
  ProgramSamples samples = *this;
  samples.variation_ = variation;
  if (!variation.changes_pictures()) return samples;
  const std::vector<Field>& fields = dataset_->spec().fields;
  for (std::size_t i = 0; i < inputs_; ++i) {
    const std::size_t field = columns_[i].field;
    if (!is_picture(fields[field]) || std::ranges::count(samples.pictures_, field) > 0) continue;
    samples.pictures_.push_back(field);
  }
  if (samples.pictures_.empty()) {
    throw InputError(
        "image_flip and image_padding vary inputs of bytes of [rows, columns], or of [channels, rows, "
        "columns] with 1, 3 or 4 channels, and so does image_jitter; there is " +
        describe(dataset_->spec()) + ": leave them out");
  }
  if (variation.moves_pixels() && has_targets() && target().sizes.size() >= 2) {
    throw InputError(
        "image_flip and image_padding move the pixels of inputs alone, and would part them from targets of sizes [" +
        join(target().sizes, ", ") + "]: leave them out");
  }
  return samples;
}

void ProgramSamples::refuse(const Column& column, const std::string& what, std::int64_t sample,
                            const std::string& found, const std::string& expected) const {
  const std::string place = dataset_->place(column.field, sample);
  throw InputError((place.empty() ? dataset_->spec().fields[column.field].name : place) + ": the " + what +
                   " of sample " + std::to_string(sample) + " is " + found + "; " + expected);
}

template <typename Number, typename Visitor>
void ProgramSamples::visit_numbers(std::size_t field, const Transform& transform, const Visitor& visit) const {
  const std::int64_t each = dataset_->spec().fields[field].numbers();
  std::vector<Number> values;
  read_slice(*dataset_, {&field, 1}, {0, size()},
             [&](std::int64_t first, std::int64_t count, std::span<std::byte* const> places) {
               values.resize(static_cast<std::size_t>(count * each));
               transform.run(places[field], count * each, reinterpret_cast<std::byte*>(values.data()));
               for (std::int64_t i = 0; i < count * each; ++i)
                 visit(first + i / each, values[static_cast<std::size_t>(i)]);
             });
}

template <typename Visitor>
void ProgramSamples::visit_integers(std::size_t field, const Visitor& visit) const {
  const ElementType stored = dataset_->spec().fields[field].type;
  visit_numbers<std::int64_t>(field, Transform(stored, ElementType::kInt64, false), visit);
}

void ProgramSamples::require(Check check) {
  const Column& column = columns_[check.column];
  if (large(column)) {
    checks_.push_back(std::move(check));
    return;
  }
  visit_integers(column.field, [&](std::int64_t sample, std::int64_t value) {
    if (!check.holds(value)) refuse(column, check.what, sample, number_text(column, value), check.expected);
  });
}

void ProgramSamples::check_read(const Check& check, std::span<const std::int64_t> samples,
                                const std::byte* stored) const {
  const Column& column = columns_[check.column];
  const auto each = static_cast<std::size_t>(column.numbers());
  const std::size_t count = samples.size() * each;
  const auto* values = reinterpret_cast<const std::int64_t*>(stored);
  thread_local std::vector<std::int64_t> widened;
  if (column.transform.from() != ElementType::kInt64) {
    widened.resize(count);
    Transform(column.transform.from(), ElementType::kInt64, false)
        .run(stored, static_cast<std::int64_t>(count), reinterpret_cast<std::byte*>(widened.data()));
    values = widened.data();
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (!check.holds(values[i]))
      refuse(column, check.what, samples[i / each], number_text(column, values[i]), check.expected);
  }
}

void ProgramSamples::check_range(std::size_t index) {
  const Column& column = columns_[index];
  if (!is_integer(column.transform.to())) return;
  const IntegerLimits possible = limits_of(column.transform.to());
  const IntegerLimits stored = limits_of(column.transform.from());
  if (stored.least >= possible.least && stored.most <= possible.most) return;
  // What int64 does not hold is negative when it has become one.
  require({.column = index,
           .what = "number",
           .least = std::max(stored.least, possible.least),
           .most = static_cast<std::int64_t>(
               std::min<std::uint64_t>(possible.most, std::numeric_limits<std::int64_t>::max())),
           .expected = (index == inputs_ ? "class labels are " : "the program's input " + column.name + " is ") +
                       to_string(column.transform.to()) + ", which ends at " + std::to_string(possible.most)});
}

void ProgramSamples::check_weights() const {
  const Column& weight = columns_.back();
  double sum = 0;
  visit_numbers<double>(weight.field, weight.transform.with_result(ElementType::kDouble),
                        [&](std::int64_t sample, double value) {
                          if (!std::isfinite(value) || value < 0) {
                            refuse(weight, "weight", sample, format("%g", value), "weights are finite numbers ≥ 0");
                          }
                          sum += value;
                        });
  // Other hosts may have samples that weigh something.
  if (sum == 0 && !dataset_->shards())
    throw InputError("all weights of the column " + weight.name + " are 0: nothing can be learnt");
}

void ProgramSamples::find_classes() {
  const std::int64_t bound = this->bound(target());
  const bool ignored_may_be_the_largest = ignored_label_ && *ignored_label_ >= 0 && *ignored_label_ < bound;
  if (bound > 0 && (!ignored_may_be_the_largest || large(target()))) {
    classes_ = bound;
    return;
  }
  Check labels = {.column = inputs_,
                  .what = "label",
                  .most = std::numeric_limits<std::int64_t>::max(),
                  .except = ignored_label_,
                  .expected = "labels count from 0"};
  if (large(target())) {
    checks_.push_back(std::move(labels));
    return;
  }
  std::int64_t most = 0;
  visit_integers(target().field, [&](std::int64_t sample, std::int64_t label) {
    if (label == ignored_label_) return;
    if (!labels.holds(label)) refuse(target(), labels.what, sample, std::to_string(label), labels.expected);
    most = std::max(most, label);
  });
  classes_ = most + 1;
}

std::int64_t ProgramSamples::count(const Column& input) const {
  if (!is_integer(input.transform.to())) return 0;
  if (bound(input) > 0 || large(input)) return bound(input);
  std::int64_t most = -1;
  visit_integers(input.field, [&](std::int64_t, std::int64_t value) { most = std::max(most, value); });
  return most + 1;
}

void ProgramSamples::widen_classes(std::int64_t classes) {
  const bool looked_at = classes_ > 0 || size() == 0;
  if (looked_at) classes_ = std::max(classes_, classes);
}

void ProgramSamples::require_classes(std::int64_t classes, const std::string& reason) {
  if (classes_ <= classes && (classes_ > 0 || !class_labels())) return;
  require({.column = inputs_,
           .what = "label",
           .most = classes - 1,
           .except = ignored_label_,
           .expected = reason + ", so labels must be 0 … " + std::to_string(classes - 1)});
}

void ProgramSamples::require_targets(double least, double most, std::optional<double> except,
                                     const std::string& expected) const {
  const Column& column = target();
  if (class_labels() || large(column)) return;
  visit_numbers<double>(column.field, column.transform.with_result(ElementType::kDouble),
                        [&](std::int64_t sample, double value) {
                          // What is no number is found with its column, as training meets it.
                          if (!(value < least || value > most) || value == except) return;
                          refuse(column, "target", sample, format("%g", value), expected);
                        });
}

void ProgramSamples::require_tokens(const Column& input, std::int64_t bound, const std::string& reason) {
  const std::int64_t known = this->bound(input);
  if (known > 0 && known <= bound) return;
  require({.column = static_cast<std::size_t>(&input - columns_.data()),
           .what = "token",
           .most = bound - 1,
           .expected = reason + ", so tokens must be 0 … " + std::to_string(bound - 1)});
}

void ProgramSamples::read_fields(std::span<const std::int64_t> samples, std::span<std::byte* const> places,
                                 std::int64_t epoch) const {
  if (!variation_) return dataset_->read(samples, places);
  dataset_->read_varied(samples, places, {.seed = variation_->seed, .epoch = epoch});
  for (const std::size_t picture : pictures_) {
    if (places[picture] == nullptr) continue;
    const Field& field = dataset_->spec().fields[picture];
    for (std::size_t i = 0; i < samples.size(); ++i) {
      vary(places[picture] + i * field.bytes(), field, *variation_, epoch, samples[i]);
    }
  }
}

void ProgramSamples::read(std::span<const std::int64_t> samples, std::span<std::byte* const> columns,
                          std::int64_t epoch) const {
  const std::vector<Field>& fields = dataset_->spec().fields;
  // What is taken as it is stored is read into its place. The other fields are read into memory of a block's size.
  std::vector<std::size_t> straight;
  std::vector<std::byte*> places(fields.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] == nullptr || !columns_[i].transform.copies() || places[columns_[i].field] != nullptr) continue;
    places[columns_[i].field] = columns[i];
    straight.push_back(i);
  }
  std::vector<std::size_t> converted;
  std::vector<std::size_t> buffered;  // fields
  std::size_t sample_bytes = 0;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] == nullptr || std::ranges::find(straight, i) != straight.end()) continue;
    converted.push_back(i);
    const std::size_t field = columns_[i].field;
    if (places[field] != nullptr || std::ranges::find(buffered, field) != buffered.end()) continue;
    buffered.push_back(field);
    sample_bytes += fields[field].bytes();
  }
  if (samples.empty() || (straight.empty() && converted.empty())) return;
  const std::size_t block =
      converted.empty()
          ? samples.size()
          : std::clamp<std::size_t>(kBlockBytes / std::max<std::size_t>(sample_bytes, 1), 1, samples.size());
  std::vector<std::vector<double>> memory;
  for (const std::size_t field : buffered) {
    memory.push_back(memory_of(block * fields[field].bytes()));
    places[field] = reinterpret_cast<std::byte*>(memory.back().data());
  }
  for (std::size_t first = 0; first < samples.size(); first += block) {
    const auto part = samples.subspan(first, std::min(block, samples.size() - first));
    for (const std::size_t i : straight) places[columns_[i].field] = columns[i] + first * columns_[i].bytes();
    read_fields(part, places, epoch);
    for (const Check& check : checks_) {
      if (columns[check.column] != nullptr) check_read(check, part, places[columns_[check.column].field]);
    }
    for (const std::size_t i : converted) {
      const Column& column = columns_[i];
      column.transform.run(places[column.field], static_cast<std::int64_t>(part.size()) * column.numbers(),
                           columns[i] + first * column.bytes());
    }
  }
}

std::vector<double> ProgramSamples::numbers(const Column& column, std::int64_t sample) const {
  const Field& field = dataset_->spec().fields[column.field];
  std::vector<double> raw = memory_of(field.bytes());
  std::vector<std::byte*> fields(dataset_->spec().fields.size());
  fields[column.field] = reinterpret_cast<std::byte*>(raw.data());
  dataset_->read({&sample, 1}, fields);
  std::vector<double> numbers(static_cast<std::size_t>(column.numbers()));
  column.transform.with_result(ElementType::kDouble)
      .run(fields[column.field], column.numbers(), reinterpret_cast<std::byte*>(numbers.data()));
  return numbers;
}

}  // namespace lockstep

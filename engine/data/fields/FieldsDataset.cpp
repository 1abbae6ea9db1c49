#include "engine/data/fields/FieldsDataset.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Columns.h"
#include "engine/data/Transform.h"

namespace lockstep {

namespace {

using Piece = FieldRecipe::Piece;

std::vector<double> converted(const Field& field, std::size_t samples, const std::byte* stored) {
  std::vector<double> numbers(samples * static_cast<std::size_t>(field.numbers()));
  Transform(field.type, ElementType::kDouble, false)
      .run(stored, std::ssize(numbers), reinterpret_cast<std::byte*>(numbers.data()));
  return numbers;
}

std::size_t find_column(const SampleSpec& spec, const Field& trained) {
  const auto found = spec.find(trained.name);
  if (!found) throw InputError("there is no column " + in_quotes(trained.name) + ": there is " + describe(spec));
  const Field& field = spec.fields[*found];
  if (field.fault) throw InputError(field.fault->why);
  if (field.type == trained.type && field.sizes == trained.sizes && field.categories == trained.categories)
    return *found;
  throw InputError("column " + trained.name + " is not like the training channel's: there is " + describe(spec) +
                   ", and there it is " + describe({{trained}}) + "; store both alike");
}

// Numbers of a piece to their places among those of all samples.
template <typename Stored, typename Made>
void lay_out(const Piece& piece, const std::vector<Stored>& numbers, std::size_t each, Made* out) {
  const std::size_t stride = each;
  const auto mine = static_cast<std::size_t>(piece.numbers);
  if (piece.one_hot == 0) {
    for (std::size_t i = 0; i < numbers.size(); ++i) out[i / mine * stride + i % mine] = static_cast<Made>(numbers[i]);
    return;
  }
  const auto classes = static_cast<std::size_t>(piece.one_hot);
  const std::size_t stored = mine / classes;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    Made* const first = out + i / stored * stride + i % stored * classes;
    std::fill_n(first, classes, Made{0});
    first[static_cast<std::size_t>(numbers[i])] = Made{1};
  }
}

}  // namespace

FieldsDataset::FieldsDataset(std::shared_ptr<const Dataset> own, std::vector<FieldRecipe> recipes)
    : own_(std::move(own)), recipes_(std::move(recipes)) {
  const std::vector<Field>& fields = own_->spec().fields;
  for (FieldRecipe& recipe : recipes_) {
    for (Piece& piece : recipe.pieces) piece.source = find_column(own_->spec(), piece.stored);
  }
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto hides = [&](const FieldRecipe& recipe) { return recipe.field.name == fields[i].name; };
    if (std::ranges::any_of(recipes_, hides)) continue;
    made_.push_back({.source = i});
    spec_.fields.push_back(fields[i]);
  }
  for (std::size_t i = 0; i < recipes_.size(); ++i) {
    const FieldRecipe& recipe = recipes_[i];
    const std::size_t source = recipe.pieces.at(0).source;
    made_.push_back({.source = source, .recipe = recipe.as_stored ? -1 : static_cast<std::int64_t>(i)});
    spec_.fields.push_back(recipe.field);
    // Which samples are too many to look at, each rank knows of its own.
    spec_.fields.back().large = false;
    for (const Piece& piece : recipe.pieces) spec_.fields.back().large |= fields[piece.source].large;
    spec_.fields.back().origin = fields[source].origin;
    if (recipe.as_stored) spec_.fields.back().bound = fields[source].bound;
  }
}

std::string FieldsDataset::place(std::size_t field, std::int64_t sample) const {
  return own_->place(made_[field].source, sample);
}

void FieldsDataset::refuse(const Piece& piece, std::int64_t sample, const std::string& what) const {
  throw InputError(own_->place(piece.source, sample) + ": column " + piece.stored.name + " holds " + what);
}

void FieldsDataset::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  read_all(samples, fields, nullptr);
}

void FieldsDataset::read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                                const Draw& draw) const {
  read_all(samples, fields, &draw);
}

void FieldsDataset::read_all(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                             const Draw* draw) const {
  const std::vector<Field>& stored = own_->spec().fields;
  std::vector<std::byte*> places(stored.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i] != nullptr && made_[i].straight() && places[made_[i].source] == nullptr) {
      places[made_[i].source] = fields[i];
    }
  }
  std::vector<std::vector<double>> memory;  // aligned for any element
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i] == nullptr || made_[i].straight()) continue;
    for (const Piece& piece : recipes_[static_cast<std::size_t>(made_[i].recipe)].pieces) {
      if (places[piece.source] != nullptr) continue;
      memory.emplace_back(samples.size() * stored[piece.source].bytes() / sizeof(double) + 1);
      places[piece.source] = reinterpret_cast<std::byte*>(memory.back().data());
    }
  }
  draw != nullptr ? own_->read_varied(samples, places, *draw) : own_->read(samples, places);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i] == nullptr) continue;
    if (!made_[i].straight()) {
      make(recipes_[static_cast<std::size_t>(made_[i].recipe)], samples, places, fields[i]);
    } else if (const std::byte* from = places[made_[i].source]; from != fields[i]) {
      std::memcpy(fields[i], from, samples.size() * stored[made_[i].source].bytes());
    }
  }
}

void FieldsDataset::make(const FieldRecipe& recipe, std::span<const std::int64_t> samples,
                         std::span<std::byte* const> places, std::byte* out) const {
  const auto each = static_cast<std::size_t>(recipe.field.numbers());
  std::size_t at = 0;
  for (const Piece& piece : recipe.pieces) {
    const std::byte* const stored = places[piece.source];
    if (recipe.field.type == ElementType::kBool) {
      lay_out(piece, integers(piece, samples, stored), each, reinterpret_cast<std::uint8_t*>(out) + at);
    } else if (recipe.field.type == ElementType::kInt64) {
      lay_out(piece, integers(piece, samples, stored), each, reinterpret_cast<std::int64_t*>(out) + at);
    } else if (piece.real) {
      lay_out(piece, reals(piece, samples.size(), stored), each, reinterpret_cast<double*>(out) + at);
    } else {
      lay_out(piece, integers(piece, samples, stored), each, reinterpret_cast<double*>(out) + at);
    }
    at += static_cast<std::size_t>(piece.numbers);
  }
}

std::vector<double> FieldsDataset::reals(const Piece& piece, std::size_t samples, const std::byte* stored) const {
  std::vector<double> numbers = converted(own_->spec().fields[piece.source], samples, stored);
  if (piece.fill) {
    for (double& number : numbers) number = std::isnan(number) ? *piece.fill : number;
  }
  return numbers;
}

std::vector<std::int64_t> FieldsDataset::integers(const Piece& piece, std::span<const std::int64_t> samples,
                                                  const std::byte* stored) const {
  const Field& field = own_->spec().fields[piece.source];
  const auto each = static_cast<std::size_t>(field.numbers());
  std::vector<std::int64_t> numbers(samples.size() * each);
  if (is_real(field.type)) {
    const std::vector<double> stored_numbers = reals(piece, samples.size(), stored);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const double number = stored_numbers[i];
      if (!(std::abs(number) <= 0x1p53) || std::trunc(number) != number) {
        refuse(piece, samples[i / each], format("%.17g", number) + ", which is no integer");
      }
      numbers[i] = static_cast<std::int64_t>(number);
    }
  } else {
    Transform(field.type, ElementType::kInt64, false)
        .run(stored, std::ssize(numbers), reinterpret_cast<std::byte*>(numbers.data()));
  }
  for (std::size_t i = 0; i < numbers.size() && !piece.labels.empty(); ++i) {
    const auto label = piece.labels.find(numbers[i]);
    if (label == piece.labels.end()) {
      refuse(piece, samples[i / each],
             std::to_string(numbers[i]) + ", which is none of its " + std::to_string(piece.labels.size()) + " labels");
    }
    numbers[i] = label->second;
  }
  for (std::size_t i = 0; i < numbers.size() && piece.one_hot > 0; ++i) {
    if (numbers[i] < 0 || numbers[i] >= piece.one_hot) {
      refuse(piece, samples[i / each],
             std::to_string(numbers[i]) + "; it is one-hot of " + std::to_string(piece.one_hot));
    }
  }
  return numbers;
}

}  // namespace lockstep

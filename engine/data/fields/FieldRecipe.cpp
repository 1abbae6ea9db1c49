#include "engine/data/fields/FieldRecipe.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Columns.h"
#include "engine/data/Padding.h"
#include "engine/data/table/TableColumns.h"

namespace lockstep {

using nlohmann::json;
using Normalize = FieldPart::Normalize;
using Type = FieldPart::Type;

namespace {

constexpr std::int64_t kMostNumbers = std::int64_t{1} << 24;  // of a field that is made
constexpr const char* kFormat = "lockstep fields";
constexpr int kVersion = 1;

std::size_t source_of(const SampleSpec& spec, const std::string& column) {
  if (const auto source = spec.find(column)) {
    if (const auto& fault = spec.fields[*source].fault) throw InputError(fault->why);
    return *source;
  }
  throw InputError("there is no column " + in_quotes(column) + ": there is " + describe(spec));
}

bool is_mean(const FieldPart& part) { return part.fill && part.fill->mean(); }

bool is_computed(const FieldPart& part) {
  return part.normalize == Normalize::kStandard || part.normalize == Normalize::kMinMax;
}

bool has_texts(const Field& field) { return !field.categories.empty(); }

// Of integers that have no names: those that there are.
bool wants_values(const FieldPart& part, const Field& stored) {
  if (has_texts(stored) || part.hash_buckets > 0) return false;
  return part.labels ? part.labels->empty() : part.one_hot;
}

/// Makes the pieces of one field.
class RecipeMaker {
 public:
  RecipeMaker(const SampleSpec& spec, const std::vector<StatisticsRequest>& requests,
              const std::vector<ColumnStatistics>& statistics)
      : spec_(spec), requests_(requests), statistics_(statistics) {}

  FieldRecipe make(const std::string& name, const std::vector<FieldPart>& parts) const {
    FieldRecipe recipe;
    for (const FieldPart& part : parts) {
      for (const std::string& column : part.columns) recipe.pieces.push_back(piece(part, column));
    }
    const Field& stored = spec_.fields[recipe.pieces[0].source];
    recipe.as_stored = recipe.pieces.size() == 1 && stays(recipe.pieces[0], parts[0], stored);
    auto first = recipe.pieces.begin();
    for (const FieldPart& part : parts) {
      const std::span pieces(first, part.columns.size());
      if (part.normalize == Normalize::kGiven) give(part, pieces);
      if (is_computed(part)) {
        for (Piece& piece : pieces) piece.normalization = computed(part.normalize, piece.source, recipe.as_stored);
      }
      first += std::ssize(part.columns);
    }
    recipe.field = recipe.as_stored ? as_stored(recipe.pieces[0], stored) : joined(recipe.pieces);
    recipe.field.name = name;
    return recipe;
  }

 private:
  using Piece = FieldRecipe::Piece;

  const ColumnStatistics& statistics(std::size_t source) const {
    const auto found = std::ranges::find(requests_, source, &StatisticsRequest::field);
    return statistics_.at(static_cast<std::size_t>(found - requests_.begin()));
  }

  Piece piece(const FieldPart& part, const std::string& column) const {
    Piece piece;
    piece.source = source_of(spec_, column);
    piece.stored = spec_.fields[piece.source];
    piece.stored.reading = part.reading();
    const Field& stored = piece.stored;
    const auto refuse = [&](const std::string& holds, const std::string& what) {
      throw InputError("column " + column + " holds " + holds + what);
    };
    if (part.normalize != Normalize::kNone && has_texts(stored)) refuse("texts", ", and normalize is for numbers");
    if (part.type == Type::kReal && has_texts(stored)) refuse("texts", ", which are no numbers");
    if (part.type == Type::kInteger && has_texts(stored)) refuse("texts", ", which are no integers");
    check_reading(part, stored);
    piece.whole = part.type == Type::kInteger && is_real(stored.type);
    const bool encoded = part.labels || part.one_hot;
    if (encoded && is_real(stored.type) && !piece.whole) {
      refuse("real numbers", R"(, which are no labels; "type": "integer" makes integers of them)");
    }
    if (part.fill && is_real(stored.type)) piece.fill = fill(part, piece.source);
    if (encoded) label(part, stored, piece);
    if (piece.names.empty()) piece.names = stored.categories;
    piece.numbers = stored.numbers();
    if (part.one_hot) {
      const std::int64_t named = std::ssize(piece.names);
      piece.one_hot = part.hash_buckets > 0 ? part.hash_buckets : named;
      if (piece.one_hot > kMostNumbers / std::max<std::int64_t>(piece.numbers, 1)) {
        refuse(std::to_string(piece.one_hot) + " different values", ", too many to be one-hot");
      }
      piece.numbers *= piece.one_hot;
    }
    piece.real =
        (is_real(stored.type) && !piece.whole) || part.type == Type::kReal || part.normalize != Normalize::kNone;
    return piece;
  }

  // Of formats that know nothing of readings, columns are as they are.
  static void check_reading(const FieldPart& part, const Field& stored) {
    const auto refuse = [&](const std::string& text) { throw InputError("column " + stored.name + " " + text); };
    const bool hashed = part.hash_buckets > 0;
    if (part.type == Type::kText && !hashed && !has_texts(stored)) refuse("holds numbers, and not as texts");
    if (hashed && (has_texts(stored) || stored.bound != part.hash_buckets || is_real(stored.type))) {
      refuse("holds numbers; what is hashed are texts");
    }
    if (part.pad.length > 0 && stored.sizes != std::vector{part.pad.length}) {
      refuse("holds no lists of any length; it cannot be padded");
    }
    if (part.pad.length > 0) check_padding(stored);
    if (!part.fill) return;
    const bool texts = hashed || has_texts(stored);
    check_fill(stored.name, *part.fill, texts);
    if (!texts && !is_real(stored.type)) refuse("holds integers, of which none is missing: leave fill out");
  }

  double fill(const FieldPart& part, std::size_t source) const {
    if (const double* number = std::get_if<double>(&part.fill->value)) return *number;
    const std::vector<ColumnStatistics::Part>& parts = statistics(source).parts();
    if (parts.size() > 1) throw InputError("column " + spec_.fields[source].name + " has several means to fill it by");
    require_values(source, parts[0]);
    return statistics(source).moments(0).mean();
  }

  void require_values(std::size_t source, const ColumnStatistics::Part& part) const {
    if (part.least <= part.most) return;
    throw InputError("column " + spec_.fields[source].name + " has no value in the training channel");
  }

  void label(const FieldPart& part, const Field& stored, Piece& piece) const {
    if (!part.labels || part.labels->empty()) {
      if (!wants_values(part, stored)) return;
      if (is_real(stored.type)) {
        throw InputError("column " + stored.name + " holds real numbers; give the labels that they are");
      }
      for (const auto& [value, count] : statistics(piece.source).values()) {
        piece.labels.emplace(value, std::ssize(piece.labels));
        piece.names.push_back(std::to_string(value));
      }
      piece.found = true;
      return;
    }
    const bool texts = std::holds_alternative<std::string>(part.labels->front());
    if (texts != has_texts(stored)) {
      throw InputError("column " + stored.name + " holds " + (texts ? "numbers" : "texts") + ", and its labels are " +
                       (texts ? "texts" : "integers"));
    }
    for (const FieldPart::Label& given : *part.labels) {
      const auto* const name = std::get_if<std::string>(&given);
      piece.names.push_back(name != nullptr ? *name : std::to_string(std::get<std::int64_t>(given)));
      if (name == nullptr) piece.labels.emplace(std::get<std::int64_t>(given), std::ssize(piece.names) - 1);
    }
    for (std::size_t i = 0; i < stored.categories.size(); ++i) {
      const auto found = std::ranges::find(piece.names, stored.categories[i]);
      if (found == piece.names.end()) {
        throw InputError("column " + stored.name + " holds " + in_quotes(stored.categories[i]) +
                         ", which is none of its labels: " + join(piece.names, ", "));
      }
      piece.labels.emplace(static_cast<std::int64_t>(i), found - piece.names.begin());
    }
  }

  // A deviation of 0, or a range of 0, divides nothing: what is always the same becomes 0. Bytes that stay bytes are
  // divided by 255 before.
  Normalization computed(Normalize how, std::size_t source, bool as_stored) const {
    const ColumnStatistics& found = statistics(source);
    const double unit = as_stored && spec_.fields[source].type == ElementType::kUint8 ? 255 : 1;
    Normalization result{.mean = {}, .std = {}, .part = found.part_numbers()};
    for (std::size_t i = 0; i < found.parts().size(); ++i) {
      const ColumnStatistics::Part& part = found.parts()[i];
      require_values(source, part);
      const bool standard = how == Normalize::kStandard;
      const double spread = standard ? found.moments(i).deviation() : part.most - part.least;
      if (!std::isfinite(spread)) throw InputError("column " + spec_.fields[source].name + " has numbers too large");
      result.mean.push_back((standard ? found.moments(i).mean() : part.least) / unit);
      result.std.push_back(spread > 0 ? spread / unit : 1);
    }
    return result;
  }

  // One for all, one for each column, or one for each part of the only column.
  void give(const FieldPart& part, std::span<Piece> pieces) const {
    const std::size_t given = part.mean.size();
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const Field& stored = spec_.fields[pieces[i].source];
      const ColumnStatistics shape(stored, {});
      Normalization& result = pieces[i].normalization;
      if (given == 1 || (pieces.size() > 1 && given == pieces.size())) {
        const std::size_t place = given == 1 ? 0 : i;
        result = {.mean = {part.mean[place]}, .std = {part.std[place]}};
      } else if (pieces.size() == 1 && given == shape.parts().size()) {
        result = {.mean = part.mean, .std = part.std, .part = shape.part_numbers()};
      } else {
        throw InputError("normalize gives " + std::to_string(given) + " means, for " +
                         (pieces.size() > 1
                              ? std::to_string(pieces.size()) + " columns"
                              : "column " + stored.name + " of sizes [" + join(stored.sizes, ", ") + "]") +
                         ": give one, or one for each column, channel or number of a row");
      }
    }
  }

  static bool stays(const Piece& piece, const FieldPart& part, const Field& stored) {
    return piece.labels.empty() && piece.one_hot == 0 && !piece.fill && !piece.whole &&
           (part.type != Type::kReal || is_real(stored.type));
  }

  static Field as_stored(const Piece& piece, const Field& stored) {
    Field field = stored;
    field.normalization = piece.normalization;
    return field;
  }

  // Real numbers where one piece has some, bool where all are one-hot, else integers.
  Field joined(const std::vector<Piece>& pieces) const {
    const Field& stored = spec_.fields[pieces[0].source];
    Field field{
        .type = ElementType::kBool, .sizes = stored.sizes, .origin = stored.origin, .normalization = Normalization()};
    Normalization each{.mean = {}, .std = {}, .part = 1};
    std::int64_t numbers = 0;
    for (const Piece& piece : pieces) {
      const ElementType type = piece.real          ? ElementType::kDouble
                               : piece.one_hot > 0 ? ElementType::kBool
                                                   : ElementType::kInt64;
      if (field.type == ElementType::kBool || type == ElementType::kDouble) field.type = type;
      field.large |= spec_.fields[piece.source].large;
      numbers += piece.numbers;
      const Normalization& own = piece.normalization;
      const std::int64_t part = own.parts() == 1 ? piece.numbers : own.part;
      for (std::int64_t i = 0; i < piece.numbers; ++i) {
        each.mean.push_back(own.mean[static_cast<std::size_t>(i / part)]);
        each.std.push_back(own.std[static_cast<std::size_t>(i / part)]);
      }
    }
    if (numbers > kMostNumbers) throw InputError("a sample would have " + with_commas(numbers) + " numbers");
    if (!each.changes_nothing()) field.normalization = std::move(each);
    if (pieces.size() > 1) {
      field.sizes = {numbers};
      return field;
    }
    if (pieces[0].one_hot > 0) {
      field.sizes.push_back(pieces[0].one_hot);
    } else if (field.type == ElementType::kInt64) {
      field.categories = pieces[0].names;
      field.bound = std::ssize(field.categories);
    }
    return field;
  }

  const SampleSpec& spec_;
  const std::vector<StatisticsRequest>& requests_;
  const std::vector<ColumnStatistics>& statistics_;
};

std::string in_field(const std::string& name, const InputError& error) {
  return "field " + in_quotes(name) + ": " + error.what();
}

json numbers_or_one(const std::vector<double>& numbers) {
  return numbers.size() == 1 ? json(numbers[0]) : json(numbers);
}

// What a column's values are read as.
const char* type_of(const FieldRecipe::Piece& piece) {
  if (has_texts(piece.stored) || piece.stored.reading.as_text()) return "text";
  return piece.whole || !is_real(piece.stored.type) ? "integer" : "real";
}

json write_piece(const FieldRecipe::Piece& piece) {
  json object = {{"column", piece.stored.name}, {"type", type_of(piece)}};
  const ColumnReading& reading = piece.stored.reading;
  if (reading.hash_buckets > 0) object["hash"] = reading.hash_buckets;
  if (reading.pad.length > 0) object["pad"] = write_padding(reading.pad);
  if (reading.fill && reading.fill->text() != nullptr) object["fill"] = *reading.fill->text();
  if (piece.fill) object["fill"] = *piece.fill;
  if (!piece.names.empty()) object["labels"] = piece.names;
  if (piece.one_hot > 0) object["one_hot"] = piece.one_hot;
  if (!piece.normalization.changes_nothing()) {
    object["mean"] = numbers_or_one(piece.normalization.mean);
    object["std"] = numbers_or_one(piece.normalization.std);
  }
  return object;
}

}  // namespace

bool FieldRecipe::may_refuse(bool training) const {
  return std::ranges::any_of(pieces, [&](const Piece& piece) {
    return piece.whole || (!piece.labels.empty() && !has_texts(piece.stored) && !(training && piece.found));
  });
}

std::vector<StatisticsRequest> statistics_requests(const FieldDescriptions& fields, const SampleSpec& spec) {
  std::map<std::size_t, StatisticsRequest> requests;
  for (const auto& [name, parts] : fields) {
    try {
      for (const FieldPart& part : parts) {
        for (const std::string& column : part.columns) {
          const std::size_t source = source_of(spec, column);
          const Field& stored = spec.fields[source];
          const bool standard = part.normalize == Normalize::kStandard;
          const StatisticsRequest wanted = {.field = source,
                                            .moments = (standard || is_mean(part)) && !has_texts(stored),
                                            .values = wants_values(part, stored) && !is_real(stored.type),
                                            .may_lack = part.fill.has_value()};
          const bool range = is_computed(part) && !has_texts(stored);
          if (!wanted.moments && !wanted.values && !range) continue;
          StatisticsRequest& request = requests.emplace(source, wanted).first->second;
          request.moments |= wanted.moments;
          request.values |= wanted.values;
          ColumnStatistics possible(stored, request);
        }
      }
    } catch (const InputError& error) {
      throw InputError(in_field(name, error));
    }
  }
  std::vector<StatisticsRequest> all;
  for (const auto& [source, request] : requests) all.push_back(request);
  return all;
}

std::vector<FieldRecipe> make_recipes(const FieldDescriptions& fields, const SampleSpec& spec,
                                      const std::vector<StatisticsRequest>& requests,
                                      const std::vector<ColumnStatistics>& statistics) {
  std::vector<FieldRecipe> recipes;
  for (const auto& [name, parts] : fields) {
    try {
      recipes.push_back(RecipeMaker(spec, requests, statistics).make(name, parts));
    } catch (const InputError& error) {
      throw InputError(in_field(name, error));
    }
  }
  return recipes;
}

std::string write_recipes(const std::vector<FieldRecipe>& recipes) {
  json fields = json::object();
  for (const FieldRecipe& recipe : recipes) {
    json columns = json::array();
    for (const FieldRecipe::Piece& piece : recipe.pieces) columns.push_back(write_piece(piece));
    json object = {{"columns", std::move(columns)}};
    if (recipe.as_stored && recipe.field.type == ElementType::kUint8) object["divided_by"] = 255;
    fields[recipe.field.name] = std::move(object);
  }
  const json document = {{"format", kFormat}, {"version", kVersion}, {"fields", std::move(fields)}};
  return document.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace lockstep

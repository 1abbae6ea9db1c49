// What a job says of how columns of its data become what its program takes: the hyperparameter `fields`.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lockstep {

/// Lists of up to `length` numbers that become as long as that.
struct Padding {
  std::int64_t length = 0;  ///< 0: not padded
  double value = 0;         ///< behind the numbers that are there
  bool cut = false;         ///< longer lists are cut; otherwise they are an error
  std::string mask{};       ///< the field that says which numbers were there, bool; "": none is made

  bool operator==(const Padding&) const = default;
};

/// What stands for a missing value: a number, the mean of the column's values in the training channel, or, among texts,
/// a text, which is a category of its own.
struct Fill {
  std::variant<double, std::string> value = 0.0;

  bool mean() const { return value == std::variant<double, std::string>("mean"); }
  const std::string* text() const { return mean() ? nullptr : std::get_if<std::string>(&value); }
  bool operator==(const Fill&) const = default;
};

/// What whoever reads a column has to know of it.
struct ColumnReading {
  bool text = false;              ///< its values are texts, also where they look like numbers
  std::int64_t hash_buckets = 0;  ///< its texts become numbers below this (text_bucket); 0: they are categories
  std::optional<Fill> fill{};     ///< nothing: a missing value is an error
  Padding pad{};

  bool as_text() const { return text || hash_buckets > 0; }
  /// Whether a row need not have a value. A list that is padded is then empty.
  bool may_lack() const { return fill || pad.length > 0; }
  bool operator==(const ColumnReading&) const = default;
};

/// The bucket of a text: FNV-1a of 64 bits over its bytes (Fowler, Noll, Vo), modulo the number of buckets.
std::int64_t text_bucket(std::string_view text, std::int64_t buckets);

/// Columns that are treated alike, side by side.
struct FieldPart {
  enum class Type { kStored, kText, kInteger, kReal };
  enum class Normalize { kNone, kGiven, kStandard, kMinMax };
  using Label = std::variant<std::int64_t, std::string>;

  std::vector<std::string> columns{};
  Type type = Type::kStored;
  Normalize normalize = Normalize::kNone;
  std::vector<double> mean{};  ///< kGiven: one, or one for each column, channel or number
  std::vector<double> std{};   ///< as many
  bool one_hot = false;
  /// What the numbers 0, 1, … stand for. An empty list: the values that the training channel has, in their order.
  std::optional<std::vector<Label>> labels{};
  std::int64_t hash_buckets = 0;
  std::optional<Fill> fill{};
  Padding pad{};

  ColumnReading reading() const {
    return {.text = type == Type::kText, .hash_buckets = hash_buckets, .fill = fill, .pad = pad};
  }
  bool operator==(const FieldPart&) const = default;
};

/// A field is a part, or several, side by side. By the name of the program's input, or `target` or `weight`.
using FieldDescriptions = std::map<std::string, std::vector<FieldPart>>;

/// As the object of `fields` has it.
nlohmann::json write_padding(const Padding& pad);

/// Reads the object of `fields`. Throws InputError, naming the field, for what it cannot mean.
FieldDescriptions read_field_descriptions(const nlohmann::json& object);

/// What read_field_descriptions reads back.
nlohmann::json write_field_descriptions(const FieldDescriptions& fields);

/// How the columns that they name are to be read, by name. Throws InputError for a column that two parts want read in
/// two ways.
std::map<std::string, ColumnReading> column_readings(const FieldDescriptions& fields);

}  // namespace lockstep

// The columns of a table whose cells are text, and what their cells become.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/Field.h"

namespace lockstep {

/// A cell as a number; nothing when it is none. Spaces around it and a plus before it do not count.
std::optional<std::int64_t> integer_of(std::string_view cell);
std::optional<double> real_of(std::string_view cell);
/// Whether a cell says that there is no value: it is empty, or NA, N/A, NaN or null in any case.
bool is_missing(std::string_view cell);

/// Finds out what the columns of a table hold, from all its cells: integers, real numbers, or else categories, which
/// are named by their text and numbered in the order of their names. Show it all cells by `look_at`; when that leaves
/// `has_text`, show it all again by `collect`. Then `fields`.
class TableColumns {
 public:
  static constexpr std::size_t kMostCategories = 65536;  ///< of a column

  /// `names`: of the columns, in order. `like`: the fields of data that these must be like, such as the training
  /// channel's: their types and categories are taken over.
  /// Throws InputError for a name that is empty or there twice, for kFeaturesField, and when `like` has not the same
  /// columns in the same order.
  TableColumns(std::vector<std::string> names, const SampleSpec* like);

  std::size_t size() const { return columns_.size(); }
  /// Throws InputError, naming the column, for a cell without a value, for one that is not as `like` says, and for a
  /// text among numbers or a number among texts: that is a slip, not a category.
  void look_at(std::span<const std::string_view> cells);
  bool has_text() const;
  /// Throws InputError for more than kMostCategories in a column.
  void collect(std::span<const std::string_view> cells);
  /// int64 and float64, of one number each.
  std::vector<Field> fields(const std::string& origin) const;

 private:
  enum class Kind { kInteger, kReal, kText };
  struct Column {
    std::string name;
    Kind kind = Kind::kInteger;
    bool seen = false;  ///< a cell
    std::int64_t least = 0;
    std::int64_t most = 0;
    std::vector<std::string> categories{};  ///< sorted
    std::optional<Field> given{};           ///< by `like`
  };
  static void look_at(Column& column, std::string_view cell);

  std::vector<Column> columns_;
};

/// Writes a cell as a field of `fields` has it. Throws InputError, naming the column, when it cannot be that.
void write_cell(const Field& field, std::string_view cell, std::byte* out);

}  // namespace lockstep

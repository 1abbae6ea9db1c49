// The columns of a table, and what its texts become.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/data/Field.h"
#include "engine/data/table/ColumnUse.h"

namespace lockstep {

/// A cell as a number; nothing when it is none. Spaces around it and a plus before it do not count.
std::optional<std::int64_t> integer_of(std::string_view cell);
std::optional<double> real_of(std::string_view cell);
/// Whether a cell says that there is no value: it is empty, or NA, N/A, NaN or null in any case.
bool is_missing(std::string_view cell);

/// The name of the so-manieth column that has none, as pandas calls an index without a name: `__index_level_0__`.
std::string unnamed_column(std::size_t number);

/// Whether a column has that name, or `Unnamed: 0`, which pandas gives what it reads from CSV without a name: it
/// numbers or names the rows.
bool is_index_name(const std::string& name);

/// The columns of a table whose fields these are: all but masks, and but the features, unless one of the columns
/// `names` is called so.
std::vector<std::string> columns_of(const SampleSpec& like, const std::vector<std::string>& names,
                                    const FieldDescriptions& described);

/// Finds out what the columns of a table hold, from all its values: integers, real numbers, or else categories, which
/// are named by their text and numbered in the order of their names. Arrays of numbers are as long in each row. Show it
/// all values, by `look_at` the cells of a row or one by one within `show`, then ask for `fields`. What is said of a
/// column beforehand (ColumnReading) comes first: it holds texts, its texts are hashed, values may be missing, lists
/// are padded.
///
/// What a column cannot hold is its fault (Field::fault), which says where it lies: what is not as `like` says, an
/// array of another size than before, a text among numbers or a number among texts, which is a slip and no category,
/// and a missing value. Where rows may be left out (begin_row), a row is bad that has one in a column that the job
/// takes: it throws InputError, naming the column.
class TableColumns {
 public:
  static constexpr std::size_t kMostCategories = 65536;        ///< of a column
  static constexpr std::size_t kMostCategoryBytes = 16 << 20;  ///< of all their texts
  static constexpr std::size_t kMostOthers = 4096;

  /// `names`: of the columns, in order. `like`: the fields of data that these must be like, such as the training
  /// channel's: their types and categories are taken over. `described`: fields that say how columns are to be read.
  /// Throws InputError for a name that is empty or there twice, and when `like` has not the same columns in the same
  /// order. A column that has a fault in `like` has it here.
  TableColumns(std::vector<std::string> names, const SampleSpec* like, const FieldDescriptions& described = {});

  std::size_t size() const { return columns_.size(); }
  const std::string& name(std::size_t column) const { return columns_[column].name; }
  const ColumnReading& reading(std::size_t column) const { return columns_[column].reading; }
  bool has_fault(std::size_t column) const { return columns_[column].fault.has_value(); }
  /// Where what is shown next lies, for faults.
  void set_place(std::function<std::string()> place) { place_ = std::move(place); }
  /// What the job takes of the columns. Without it: all of them.
  void set_uses(std::vector<ColumnUse> uses) { uses_ = std::move(uses); }
  /// Whether the job takes a column that holds what is known of it so far.
  bool takes(std::size_t column) const;
  /// The columns hold texts of which texts were shown to `other`, which was made alike.
  void take_texts(const TableColumns& other);
  /// Whether a value of each column was shown.
  bool all_seen() const;
  /// The column holds texts, which will be shown.
  void expect_texts(std::size_t column);
  /// The column numbers or names the rows, unless the training channel has it otherwise.
  void set_index(std::size_t column) { columns_[column].row_index |= !columns_[column].given; }
  void set_fault(std::size_t column, ColumnFault fault) { columns_[column].fault = std::move(fault); }
  /// Calls `work`, which shows values of a column; what it throws, InputError, is a fault of the column, or, of a bad
  /// row, goes on. Of a column with a fault nothing more is shown.
  template <typename Work>
  void show(std::size_t column, const Work& work) {
    if (has_fault(column)) return;
    try {
      work();
    } catch (const InputError& error) {
      if (is_bad_row(column)) throw;
      note_fault(column, error.what());
    }
  }
  /// What is shown next is a row that may turn out to be bad.
  void begin_row();
  /// Forgets what was shown since begin_row.
  void undo_row();
  /// A row of texts, each of which is a number if it can be one.
  void look_at(std::span<const std::string_view> cells);
  /// The sizes of the array whose numbers are shown next; {} for one number or text.
  void sizes(std::size_t column, std::span<const std::int64_t> sizes);
  /// The numbers of a padded list, of which those are shown next that are not cut.
  void length(std::size_t column, std::int64_t count);
  void integer(std::size_t column, std::int64_t value) { integers(column, {&value, 1}); }
  void integers(std::size_t column, std::span<const std::int64_t> values);
  void real(std::size_t column, double value) { reals(column, {&value, 1}); }
  void reals(std::size_t column, std::span<const double> values);
  /// Throws InputError for more than kMostCategories, too.
  void text(std::size_t column, std::string_view value);
  /// Counted as a fault unless values of the column may be missing, or thrown as `show` does. `absent`: the row does
  /// not even speak of the column.
  void missing(std::size_t column, bool absent = false);
  /// A row has a value of what is none of the columns, which is passed over where the training channel has no such
  /// column. Throws InputError after refuse_others, and for more than kMostOthers of them.
  void other(std::string_view name) { add_other(name, 1); }
  void add_other(std::string_view name, std::int64_t rows);
  void refuse_others() { others_refused_ = true; }
  /// What rows have beside the columns, and how many rows have it.
  const std::map<std::string, std::int64_t, std::less<>>& others() const { return others_; }
  /// All that was shown, for `restore` of columns that were made alike.
  nlohmann::json findings() const;
  /// Throws nlohmann::json::exception or InputError for what `findings` does not give for such columns.
  void restore(const nlohmann::json& findings);
  /// Leaves out the columns that need not have values and of which nothing was shown, not even that one is missing.
  void drop_absent();
  /// int64 and float64, in the columns' order, and behind them the masks of those that have one. Throws InputError for
  /// a column that is filled with what its values are not, unless it has a fault.
  std::vector<Field> fields(const std::string& origin) const;

 private:
  enum class Kind { kInteger, kReal, kText };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  /// What was found out of a column, but for its texts.
  struct Found {
    Kind kind = Kind::kInteger;
    bool seen = false;   ///< a value
    bool there = false;  ///< no value, but in a row
    std::int64_t least = 0;
    std::int64_t most = 0;
    std::vector<std::int64_t> sizes{};
    std::size_t text_bytes = 0;
    std::int64_t lacking = 0;  ///< rows without a value, where it may not be missing
  };
  struct Column : Found {
    std::string name{};
    std::unordered_set<std::string, Hash, std::equal_to<>> texts{};
    std::optional<Field> given{};  ///< by `like`
    ColumnReading reading{};
    Found before_row{};
    std::string lacks{};  ///< of the first of the rows without a value: where it lies, and what it lacks
    std::optional<ColumnFault> fault{};
    bool row_index = false;

    /// It need not have values, and nothing was shown of it.
    bool absent() const { return reading.may_lack() && !seen && !there && !given && !fault; }
  };

  static std::vector<std::string> categories(const Column& column);
  static std::optional<ColumnFault> fault_of(const Column& column);
  bool is_bad_row(std::size_t column) const { return new_texts_ && takes(column); }
  std::string placed(const std::string& text) const;
  void note_fault(std::size_t column, const std::string& why);
  void look_at(std::size_t column, std::string_view cell);

  std::vector<Column> columns_;
  std::vector<ColumnUse> uses_{};  ///< by column, or none
  std::map<std::string, std::int64_t, std::less<>> others_{};
  bool others_refused_ = false;
  std::function<std::string()> place_{};
  /// The row's new texts, by column; nothing before begin_row.
  std::optional<std::vector<std::pair<std::size_t, std::string>>> new_texts_{};
};

/// Throws InputError, naming the column, unless what is to fill it is of its kind: a text among texts, else a number or
/// the mean.
void check_fill(const std::string& column, const Fill& fill, bool texts);

/// The number of a text of a field of categories. Throws InputError, naming the column, for one that is none of them.
std::int64_t category_of(const Field& field, std::string_view text);

/// Writes a text as a field of texts has it: its category or its bucket. Throws as category_of does.
void write_text(const Field& field, std::string_view text, std::byte* out);

/// Writes what stands for a value that is missing, of a field that has values missing.
void write_missing(const Field& field, std::byte* out);

/// Writes a cell as a field of `fields` has it. Throws InputError, naming the column, when it cannot be that.
void write_cell(const Field& field, std::string_view cell, std::byte* out);

}  // namespace lockstep

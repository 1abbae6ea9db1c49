#include "engine/data/columnar/ColumnarTable.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/FileDataset.h"
#include "engine/data/Padding.h"
#include "engine/data/Transform.h"
#include "engine/data/table/TableColumns.h"
#include "engine/data/table/TableFeatures.h"

namespace lockstep {

namespace {

/// One file, or a table of it, and which of its columns is which of the whole table's.
struct Source {
  std::string name;
  std::unique_ptr<ColumnarFile> file;
  std::vector<std::size_t> columns{};  ///< of the file → of the table
  std::vector<std::int64_t> bad{};     ///< rows that are left out, in ascending order

  bool is_bad(std::int64_t row) const { return std::ranges::binary_search(bad, row); }
};

class ColumnarTable {
 public:
  ColumnarTable(const ChannelFiles& channel, ColumnarKind kind)
      : channel_(channel),
        sources_(open_sources(channel, kind)),
        columns_(names(), channel.options.like, channel.options.fields) {
    columns_.set_uses(column_uses(names(), channel.options));
    for (Source& source : sources_) join(source);
    if (channel.options.most_bad > 0) find_bad_rows();
    read_texts();
    fields_ = fields();
    features_ = features_of(fields_, channel.options);
    lay_out();
  }

  /// Reads all. To be called once.
  std::unique_ptr<Dataset> dataset() && {
    std::vector<RandomAccessFile> files;
    std::vector<FileField::Part> parts;
    for (const Source& source : sources_) {
      const std::uint64_t begin = scratch_->size();
      read_rows(source);
      parts.push_back(
          {.file = files.size(), .samples = static_cast<std::int64_t>((scratch_->size() - begin) / stride_)});
      files.emplace_back(source.name, scratch_, begin);
    }
    if (std::ranges::all_of(parts, [](const FileField::Part& part) { return part.samples == 0; })) {
      const std::size_t others = sources_.size() - 1;
      throw InputError(sources_[0].name +
                       (others == 0 ? " holds no row" : " and " + std::to_string(others) + " other files hold no row"));
    }
    std::vector<Field> known = fields();  // with their bounds and faults
    for (std::size_t i = 0; i < known.size(); ++i) {
      known[i].type = fields_[i].type;  // as they were laid out
      known[i].sizes = fields_[i].sizes;
    }
    if (features_) take_faults(known, *features_);
    std::vector<FileField> stored;
    for (std::size_t i = 0; i < known.size(); ++i) stored.push_back(field_at(known[i], places_[i], parts));
    if (features_) stored.push_back(field_at(features_->field, 0, parts));
    return std::make_unique<FileDataset>(channel_.origin(), std::move(files), std::move(stored),
                                         left_out(known, features_), std::move(bad_));
  }

 private:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

  static std::vector<Source> open_sources(const ChannelFiles& channel, ColumnarKind kind) {
    std::vector<Source> sources;
    const ColumnReadings readings = column_readings(channel.options.fields);
    for (const RandomAccessFile& file : open_random_access(channel.files)) {
      for (std::unique_ptr<ColumnarFile>& table : open_columnar_file(file, kind, readings)) {
        sources.push_back({.name = table->name(), .file = std::move(table)});
      }
    }
    return sources;
  }

  // Of the first file, in the training channel's order: files may have another.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const ColumnarField& field : sources_[0].file->fields()) names.push_back(field.name);
    if (names.empty()) throw InputError(sources_[0].name + " has no columns");
    if (const SampleSpec* like = channel_.options.like) {
      std::ranges::stable_sort(names, {}, [&](const std::string& name) { return like->find(name).value_or(kNone); });
    }
    return names;
  }

  // Finds the file's columns among the table's, and checks that they hold the like.
  void join(Source& source) {
    const std::vector<ColumnarField>& fields = source.file->fields();
    stored_.resize(columns_.size());
    for (const ColumnarField& field : fields) {
      std::size_t column = 0;
      while (column < columns_.size() && columns_.name(column) != field.name) ++column;
      if (column == columns_.size() || std::ranges::find(source.columns, column) != source.columns.end()) {
        throw InputError(source.name + " has the column " + in_quotes(field.name) + ", which " + sources_[0].name +
                         " has not: files of a channel have the same columns");
      }
      source.columns.push_back(column);
      if (&source == &sources_[0]) stored_[column] = field;
      if (field.row_index) columns_.set_index(column);
      if (field.fault && !columns_.has_fault(column)) columns_.set_fault(column, *field.fault);
      columns_.set_place([&source] { return source.name; });
      columns_.show(column, [&] { join(column, field); });
    }
    if (fields.size() < columns_.size()) {
      throw InputError(source.name + " has " + std::to_string(fields.size()) + " columns, and " + sources_[0].name +
                       " has " + std::to_string(columns_.size()) + ": files of a channel have the same columns");
    }
  }

  void join(std::size_t column, const ColumnarField& field) {
    if (stored_[column].text != field.text || (!field.sizes.empty() && stored_[column].type != field.type)) {
      throw InputError("column " + field.name + " holds another type than in " + sources_[0].name +
                       "; write both alike");
    }
    if (std::ranges::find(field.sizes, -1) == field.sizes.end()) columns_.sizes(column, field.sizes);
    if (field.text) return columns_.expect_texts(column);
    is_real(field.type) ? columns_.reals(column, {}) : columns_.integers(column, {});
  }

  // Calls `work` with each row of a block that is not left out, by its number in the block. It shows a column.
  template <typename Work>
  void each_row(const Source& source, const ColumnarRows& rows, std::size_t column, const Work& work) {
    std::int64_t row = 0;
    columns_.set_place([&] { return source.file->place(rows.first + row); });
    for (; row < rows.count && !columns_.has_fault(column); ++row) {
      if (!source.is_bad(rows.first + row)) columns_.show(column, [&] { work(static_cast<std::size_t>(row)); });
    }
    columns_.set_place({});
  }

  // Calls `show` with the numbers of a block; where that is refused, or where some are missing, row by row.
  template <typename Number, typename Show>
  void show(const Source& source, const ColumnarRows& rows, std::size_t index, std::span<const Number> numbers,
            const Show& show) {
    const std::size_t column = source.columns[index];
    const ColumnarRows::Column& read = rows.columns[index];
    if (columns_.has_fault(column)) return;
    try {
      if (read.missing.empty() && source.bad.empty()) return show(numbers);
    } catch (const InputError&) {  // a row is found that says so
    }
    const std::size_t each = numbers.size() / static_cast<std::size_t>(rows.count);
    each_row(source, rows, column, [&](std::size_t row) {
      const auto own = numbers.subspan(row * each, each);
      lacks(read, row) || (each == 1 && std::isnan(static_cast<double>(own[0]))) ? columns_.missing(column) : show(own);
    });
  }

  // Rows that have no value in a column that the job takes, of those of which rows can be told apart.
  void find_bad_rows() {
    std::int64_t before = 0;
    for (Source& source : sources_) {
      const std::vector<ColumnarField>& stored = source.file->fields();
      std::vector<bool> wanted;
      for (std::size_t i = 0; i < stored.size(); ++i) {
        const std::size_t column = source.columns[i];
        wanted.push_back(columns_.takes(column) && stored[i].sizes.empty() && !stored[i].reading.may_lack() &&
                         !columns_.has_fault(column));
      }
      source.file->read(wanted, [&](const ColumnarRows& rows) {
        before += rows.count;
        for (std::int64_t row = 0; row < rows.count; ++row) {
          for (std::size_t i = 0; i < stored.size(); ++i) {
            if (!wanted[i] || !lacks(stored[i], rows.columns[i], static_cast<std::size_t>(row))) continue;
            const std::string why =
                source.file->place(rows.first + row) + ": column " + stored[i].name + " has no value";
            if (std::ssize(bad_) == channel_.options.most_bad) throw InputError(why + more_than(std::ssize(bad_)));
            bad_.push_back({.sample = before - rows.count + row, .why = why});
            source.bad.push_back(rows.first + row);
            break;
          }
        }
      });
    }
  }

  void read_texts() {
    for (const Source& source : sources_) {
      const std::vector<ColumnarField>& stored = source.file->fields();
      std::vector<bool> wanted;
      for (std::size_t i = 0; i < stored.size(); ++i) {
        wanted.push_back((stored[i].text || is_counted(stored[i])) && !columns_.has_fault(source.columns[i]));
      }
      if (std::ranges::find(wanted, true) == wanted.end()) continue;
      source.file->read(wanted, [&](const ColumnarRows& rows) {
        for (std::size_t i = 0; i < stored.size(); ++i) {
          if (!wanted[i]) continue;
          const std::size_t column = source.columns[i];
          const std::vector<std::string_view>& texts = rows.columns[i].texts;
          const auto numbers = stored[i].text ? std::span<const std::int64_t>() : whole(stored[i], rows.columns[i]);
          each_row(source, rows, column, [&](std::size_t row) {
            if (lacks(rows.columns[i], row)) return columns_.missing(column);
            stored[i].text ? columns_.text(column, texts[row]) : columns_.integer(column, numbers[row]);
          });
        }
      });
    }
  }

  // Integers that are taken for texts.
  static bool is_counted(const ColumnarField& field) {
    return !field.text && field.reading.as_text() && !is_real(field.type) && field.sizes.empty();
  }
  static bool lacks(const ColumnarRows::Column& column, std::size_t row) {
    return !column.missing.empty() && column.missing[row];
  }
  // NaN is no value either.
  bool lacks(const ColumnarField& stored, const ColumnarRows::Column& column, std::size_t row) {
    if (lacks(column, row)) return true;
    if (stored.text || !is_real(stored.type)) return false;
    const std::size_t width = size_of(stored.type);
    return std::isnan(as<double>(stored.type, column.numbers.subspan(row * width, width), reals_)[0]);
  }
  std::span<const std::int64_t> whole(const ColumnarField& stored, const ColumnarRows::Column& read) {
    if (stored.reading.fill) throw InputError("column " + stored.name + " holds integers as texts: leave fill out");
    return as<std::int64_t>(stored.type, read.numbers, integers_);
  }

  // Arrays have the type that is stored.
  std::vector<Field> fields() const {
    std::vector<Field> fields = columns_.fields(channel_.origin());
    for (std::size_t i = 0; i < stored_.size(); ++i) {
      if (!fields[i].fault && !fields[i].sizes.empty()) fields[i].type = stored_[i].type;
    }
    return fields;
  }

  // A row begins with the features, one after another; behind them is what is none of them, or of another type.
  void lay_out() {
    places_.assign(fields_.size(), kNone);
    feature_places_.assign(fields_.size(), kNone);
    if (features_) {
      for (const std::size_t column : features_->columns) {
        feature_places_[column] = stride_;
        if (fields_[column].type == features_->field.type) places_[column] = stride_;
        stride_ += size_of(features_->field.type);
      }
    }
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      if (places_[i] != kNone) continue;
      if (fields_[i].numbers() > kMostArrayBytes)
        throw InputError("column " + fields_[i].name + " has arrays too large");
      places_[i] = stride_;
      stride_ += fields_[i].bytes();
    }
  }

  void read_rows(const Source& source) {
    std::vector<std::byte> rows;
    std::vector<bool> wanted;
    for (const std::size_t column : source.columns) wanted.push_back(!fields_[column].fault);
    const bool all = std::ranges::find(wanted, false) == wanted.end();
    source.file->read(wanted, [&](const ColumnarRows& read) {
      rows.resize(static_cast<std::size_t>(read.count) * stride_);
      if (!all) std::ranges::fill(rows, std::byte{0});
      for (std::size_t i = 0; i < source.columns.size(); ++i) {
        if (wanted[i]) take(source, read, i, rows);
      }
      scratch_->append(rows, source.name);
    });
  }

  // Shows the numbers of a column, and writes them into their places in the rows.
  void take(const Source& source, const ColumnarRows& block, std::size_t index, std::vector<std::byte>& rows) {
    const ColumnarField& stored = source.file->fields()[index];
    const ColumnarRows::Column& read = block.columns[index];
    const std::size_t column = source.columns[index];
    const Field& field = fields_[column];
    if (field.bytes() * (rows.size() / stride_) == 0) return;
    if (!read.fault.empty() && !columns_.has_fault(column)) {
      columns_.set_fault(column, {.why = read.fault, .what = "arrays that cannot be used"});
    }
    if (!read.fault.empty()) return place(std::vector<std::byte>(rows.size()), field.bytes(), places_[column], rows);
    if (stored.text || is_counted(stored)) {
      take_texts(source, block, index);
      place(std::as_bytes(std::span(integers_)), field.bytes(), places_[column], rows);
      return;
    }
    if (field.reading.pad.length > 0) return take_lists(source, block, index, rows);
    if (field.reading.fill && field.sizes.empty()) {
      take_filled(source, block, index);
      return place(std::as_bytes(std::span(reals_)), sizeof(double), places_[column], rows);
    }
    const std::span<const std::byte> values = without_missing(stored, block, read);
    const std::size_t count = values.size() / size_of(stored.type);
    if (count != static_cast<std::size_t>(field.numbers()) * (rows.size() / stride_)) {
      throw InputError(source.name + ": column " + field.name + " has other numbers than its rows say");
    }
    if (is_real(stored.type)) {
      const auto numbers = as<double>(stored.type, values, reals_);
      show(source, block, index, numbers, [&](std::span<const double> some) { columns_.reals(column, some); });
      place(field.sizes.empty() ? std::as_bytes(numbers) : values, field.bytes(), places_[column], rows);
      return;
    }
    const auto numbers = as<std::int64_t>(stored.type, values, integers_);
    show(source, block, index, numbers, [&](std::span<const std::int64_t> some) {
      if (stored.type == ElementType::kUint64 && std::ranges::min(some) < 0) {
        throw InputError("column " + field.name + " holds an integer above 2^63 - 1");
      }
      columns_.integers(column, some);
    });
    if (!field.sizes.empty()) return place(values, field.bytes(), places_[column], rows);
    // Where the training channel has real numbers, and among real features.
    reals_.assign(numbers.begin(), numbers.end());
    const auto real = std::as_bytes(std::span(reals_));
    place(is_real(field.type) ? real : std::as_bytes(numbers), field.bytes(), places_[column], rows);
    if (feature_places_[column] == kNone || feature_places_[column] == places_[column]) return;
    place(real, sizeof(double), feature_places_[column], rows);
  }

  // Numbers of a column, with 0 where there is none.
  std::span<const std::byte> without_missing(const ColumnarField& stored, const ColumnarRows& block,
                                             const ColumnarRows::Column& read) {
    if (read.missing.empty()) return read.numbers;
    const std::size_t width = size_of(stored.type);
    present_.assign(static_cast<std::size_t>(block.count) * width, std::byte{0});
    for (std::size_t row = 0; row < read.missing.size() && !read.numbers.empty(); ++row) {
      if (!read.missing[row]) std::memcpy(&present_[row * width], &read.numbers[row * width], width);
    }
    return present_;
  }

  // Numbers of texts, to `integers_`; 0 in rows that are left out.
  void take_texts(const Source& source, const ColumnarRows& block, std::size_t index) {
    const ColumnarField& stored = source.file->fields()[index];
    const ColumnarRows::Column& read = block.columns[index];
    const Field& field = fields_[source.columns[index]];
    if (is_counted(stored)) {
      const auto numbers = whole(stored, read);
      if (numbers.data() != integers_.data()) integers_.assign(numbers.begin(), numbers.end());
    }
    integers_.resize(static_cast<std::size_t>(block.count));
    for (std::size_t row = 0; row < integers_.size(); ++row) {
      auto* out = reinterpret_cast<std::byte*>(&integers_[row]);
      if (source.is_bad(block.first + static_cast<std::int64_t>(row))) {
        integers_[row] = 0;
      } else if (lacks(read, row)) {
        write_missing(field, out);
      } else {
        write_text(field, stored.text ? read.texts[row] : std::to_string(integers_[row]), out);
      }
    }
  }

  // Numbers of which some are missing, to `reals_`.
  void take_filled(const Source& source, const ColumnarRows& block, std::size_t index) {
    const ColumnarField& stored = source.file->fields()[index];
    const ColumnarRows::Column& read = block.columns[index];
    const auto numbers = as<double>(stored.type, read.numbers, reals_);
    std::vector<double> filled(numbers.begin(), numbers.end());
    for (std::size_t row = 0; row < filled.size(); ++row) {
      if (lacks(read, row)) filled[row] = std::numeric_limits<double>::quiet_NaN();
    }
    each_row(source, block, source.columns[index], [&](std::size_t row) {
      if (!std::isnan(filled[row])) columns_.real(source.columns[index], filled[row]);
    });
    reals_ = std::move(filled);
  }

  // Lists of any length, each to its row, and their masks.
  void take_lists(const Source& source, const ColumnarRows& block, std::size_t index, std::vector<std::byte>& rows) {
    const ColumnarField& stored = source.file->fields()[index];
    const ColumnarRows::Column& read = block.columns[index];
    const Field& field = fields_[source.columns[index]];
    const auto mask = std::ranges::find(fields_, field.reading.pad.mask, &Field::name);
    const bool masked = !field.reading.pad.mask.empty();
    std::vector<std::size_t> begins = {0};
    for (const std::int64_t length : read.lengths) {
      begins.push_back(begins.back() + static_cast<std::size_t>(length) * size_of(stored.type));
    }
    each_row(source, block, source.columns[index], [&](std::size_t row) {
      const auto numbers = read.numbers.subspan(begins[row], begins[row + 1] - begins[row]);
      std::byte* const out = rows.data() + row * stride_;
      show_list(source.columns[index], stored.type, numbers);
      write_padded(field, numbers.data(), read.lengths[row], out + places_[source.columns[index]],
                   masked ? out + places_[static_cast<std::size_t>(mask - fields_.begin())] : nullptr);
    });
  }

  void show_list(std::size_t column, ElementType type, std::span<const std::byte> numbers) {
    if (is_real(type)) return columns_.reals(column, as<double>(type, numbers, reals_));
    columns_.integers(column, as<std::int64_t>(type, numbers, integers_));
  }

  // Numbers as int64 or float64: where they are, or in `memory`.
  template <typename Number>
  static std::span<const Number> as(ElementType type, std::span<const std::byte> numbers, std::vector<Number>& memory) {
    const ElementType to = std::is_same_v<Number, double> ? ElementType::kDouble : ElementType::kInt64;
    const std::size_t count = numbers.size() / size_of(type);
    if (type == to) return {reinterpret_cast<const Number*>(numbers.data()), count};
    memory.resize(count);
    Transform(type, to, false)
        .run(numbers.data(), static_cast<std::int64_t>(count), reinterpret_cast<std::byte*>(memory.data()));
    return memory;
  }

  void place(std::span<const std::byte> values, std::size_t bytes, std::size_t place,
             std::vector<std::byte>& rows) const {
    const std::byte* from = values.data();
    std::byte* const end = rows.data() + rows.size();
    if (bytes == sizeof(double)) {  // a size that the compiler knows
      for (std::byte* to = rows.data(); to < end; to += stride_, from += sizeof(double)) {
        std::memcpy(to + place, from, sizeof(double));
      }
      return;
    }
    for (std::byte* to = rows.data(); to < end; to += stride_, from += bytes) std::memcpy(to + place, from, bytes);
  }

  FileField field_at(const Field& field, std::size_t place, std::vector<FileField::Part> parts) const {
    for (FileField::Part& part : parts) part.offset = place;
    return {.field = field, .stride = stride_, .rows = true, .parts = std::move(parts)};
  }

  const ChannelFiles& channel_;
  std::vector<Source> sources_;
  TableColumns columns_;
  std::vector<ColumnarField> stored_{};  ///< by column of the table, as in the first file
  std::vector<Field> fields_{};
  std::optional<TableFeatures> features_{};
  std::vector<std::size_t> places_{};          ///< of the columns in a row, in bytes
  std::vector<std::size_t> feature_places_{};  ///< of the same as features; kNone: it is none
  std::size_t stride_ = 0;                     ///< bytes of a row
  std::shared_ptr<ScratchBytes> scratch_ = std::make_shared<ScratchBytes>();
  std::vector<std::int64_t> integers_{};  ///< of a block
  std::vector<double> reals_{};
  std::vector<std::byte> present_{};
  std::vector<BadRecord> bad_{};
};

}  // namespace

std::unique_ptr<Dataset> open_columnar(const ChannelFiles& channel, ColumnarKind kind) {
  return ColumnarTable(channel, kind).dataset();
}

}  // namespace lockstep

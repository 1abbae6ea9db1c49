// lockstep-arrow.so: columnar files through Apache Arrow (https://arrow.apache.org/docs/cpp).
#include <arrow/api.h>
#include <arrow/ipc/reader.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/columnar/ArrowBytes.h"
#include "engine/data/columnar/ArrowTypes.h"
#include "engine/data/columnar/ColumnarFile.h"
#include "engine/data/columnar/FlatColumn.h"
#include "engine/data/columnar/TablesWithin.h"

namespace lockstep {

namespace {

constexpr std::int64_t kMostMemory = std::int64_t{512} << 20;
constexpr std::int64_t kRowsBytes = 512 << 10;  ///< of the rows that are read at once

const ColumnReading& reading_of(const ColumnReadings& readings, const std::string& column) {
  static const ColumnReading usual;
  const auto found = readings.find(column);
  return found == readings.end() ? usual : found->second;
}

/// What is wrong with a row of a block; where it lies is said by who knows.
struct BadRow {
  std::int64_t row;
  std::string what;
};

std::vector<bool> missing_values(const arrow::Array& array) {
  std::vector<bool> missing;
  if (array.null_count() == 0) return missing;
  for (std::int64_t i = 0; i < array.length(); ++i) missing.push_back(array.IsNull(i));
  return missing;
}

void check_values(const arrow::Array& array, std::int64_t values_of_a_row) {
  if (array.null_count() == 0) return;
  for (std::int64_t i = 0; i < array.length(); ++i) {
    if (array.IsNull(i)) {
      throw BadRow{i / values_of_a_row, values_of_a_row == 1 ? "has no value; leave the row out"
                                                             : "holds an array with no value at one of its places"};
    }
  }
}

// One list behind the other; a row without a list has an empty one.
template <typename List>
std::shared_ptr<arrow::Array> flatten(const List& lists, std::vector<std::int64_t>& lengths) {
  for (std::int64_t i = 0; i < lists.length(); ++i) lengths.push_back(lists.IsNull(i) ? 0 : lists.value_length(i));
  auto flat = lists.Flatten();
  if (!flat.ok()) throw std::runtime_error(flat.status().message());
  return *flat;
}

template <typename List>
std::shared_ptr<arrow::Array> flatten(const List& lists, std::int64_t& size, std::int64_t lists_of_a_row) {
  for (std::int64_t i = 0; i < lists.length(); ++i) {
    if (size < 0) size = lists.value_length(i);
    if (lists.value_length(i) != size) {
      throw BadRow{i / lists_of_a_row, "holds an array of " + std::to_string(lists.value_length(i)) + ", and of " +
                                           std::to_string(size) + " before: pad or cut them"};
    }
  }
  auto flat = lists.Flatten();
  if (!flat.ok()) throw std::runtime_error(flat.status().message());  // ArrowFile says of which file
  return *flat;
}

/// One table, which is a file, or the bytes of it from `begin` to `end`. What Arrow finds wrong becomes an InputError
/// that names it.
class ArrowFile : public ColumnarFile {
 public:
  ArrowFile(const lockstep::RandomAccessFile& file, std::string name, std::uint64_t begin, const TableWithin& table,
            ColumnarKind kind, const ColumnReadings& readings)
      : file_(file),
        name_(std::move(name)),
        begin_(begin),
        size_(table.end - begin),
        kind_(kind),
        pool_(arrow::system_memory_pool(), kMostMemory) {
    guarded([&] { kind_ == ColumnarKind::kParquet ? open_parquet(table.footer) : open_arrow(); });
    const std::vector<std::string> indexes = index_columns(*schema_);
    for (const auto& column : schema_->fields()) {
      fields_.push_back(field_of(*column));
      ColumnarField& field = fields_.back();
      field.reading = reading_of(readings, column->name());
      field.row_index = std::ranges::find(indexes, column->name()) != indexes.end();
      if (field.fault) field.fault->why = name_ + ": " + field.fault->why;
      if (!field.fault) check_list(field);
    }
    find_sizes();
  }

  const std::string& name() const override { return name_; }
  const std::vector<ColumnarField>& fields() const override { return fields_; }
  std::string place(std::int64_t row) const override {
    std::string text = name_ + ", row " + std::to_string(row + 1);
    if (kind_ == ColumnarKind::kArrow) return text;
    const auto group = std::ranges::upper_bound(group_ends_, row) - group_ends_.begin();
    return text + ", in row group " + std::to_string(group + 1);
  }

  void read(const std::vector<bool>& wanted, const std::function<void(const ColumnarRows&)>& visit) const override {
    const std::vector<std::unique_ptr<FlatColumn>> flat = guarded([&] { return flat_columns(wanted); });
    std::vector<bool> others = wanted;
    for (std::size_t i = 0; i < flat.size(); ++i) others[i] = wanted[i] && flat[i] == nullptr;
    const auto next = guarded([&] { return batches(others); });
    std::vector<ColumnarField> fields = fields_;  // whose sizes may become known
    std::vector<std::string> faults(fields.size());
    ColumnarRows rows;
    while (const std::shared_ptr<arrow::RecordBatch> batch = guarded(next)) {
      rows.count = batch->num_rows();
      rows.columns.assign(fields.size(), {});
      std::vector<std::shared_ptr<arrow::Array>> kept;
      int column = 0;
      for (std::size_t i = 0; i < fields.size(); ++i) {
        if (!wanted[i]) continue;
        try {
          guarded([&] {
            if (flat[i]) return take_flat(*flat[i], rows.count, rows.columns[i]);
            const auto array = batch->column(column++);
            if (!faults[i].empty()) return;
            fields[i].text ? take_texts(*array, rows.columns[i])
                           : take_numbers(array, fields[i], rows.columns[i], kept);
          });
        } catch (const BadRow& bad) {
          faults[i] = place(rows.first + bad.row) + ": column " + fields[i].name + " " + bad.what;
        }
        if (!faults[i].empty()) rows.columns[i] = {.fault = faults[i]};
      }
      if (rows.count > 0) visit(rows);
      rows.first += rows.count;
    }
  }

 private:
  using Next = std::function<std::shared_ptr<arrow::RecordBatch>()>;

  // Arrow says what is wrong in a status or an exception.
  template <typename Work>
  std::invoke_result_t<Work> guarded(const Work& work) const {
    try {
      return work();
    } catch (const Error&) {
      throw;
    } catch (const BadRow&) {
      throw;
    } catch (const std::bad_alloc&) {
      throw InputError(name_ + " does not fit in memory");
    } catch (const std::exception& error) {
      refuse(error.what());
    }
  }
  [[noreturn]] void refuse(const std::string& cause) const {
    throw InputError(name_ + " cannot be read as " + (kind_ == ColumnarKind::kParquet ? "Parquet" : "Arrow IPC") +
                     ": " + cause + "; copy or write it again");
  }
  void check(const arrow::Status& status) const {
    if (status.ok()) return;
    if (status.IsOutOfMemory()) {
      throw InputError(name_ + " wants more than " + std::to_string(kMostMemory >> 20) +
                       " MiB of memory at once: write it with smaller " +
                       (kind_ == ColumnarKind::kParquet ? "pages" : "record batches"));
    }
    refuse(status.message());
  }
  template <typename Value>
  Value checked(arrow::Result<Value> result) const {
    check(result.status());
    return std::move(result).ValueUnsafe();
  }

  void open_parquet(const std::shared_ptr<parquet::FileMetaData>& footer) {
    parquet::ReaderProperties properties(&pool_);
    properties.enable_buffered_stream();
    parquet::ArrowReaderProperties arrow_properties(/*use_threads=*/false);
    arrow_properties.set_pre_buffer(false);
    parquet::arrow::FileReaderBuilder builder;
    check(builder.Open(bytes(), properties, footer));
    if (!has_at(0, kParquetMagic)) refuse("it does not begin with PAR1");
    const auto metadata = builder.raw_reader()->metadata();
    std::int64_t row = 1;  // bytes, in memory or as they are stored
    for (int i = 0; i < metadata->num_row_groups(); ++i) {
      const auto group = metadata->RowGroup(i);
      if (group->num_rows() < 0 || group->num_rows() > kMostArrowValues) {
        refuse("a row group says that it has " + std::to_string(group->num_rows()) + " rows");
      }
      check_rows(*group);
      group_ends_.push_back((group_ends_.empty() ? 0 : group_ends_.back()) + group->num_rows());
      if (group->num_rows() > 0) row = std::max(row, bytes_of(*group) / group->num_rows());
    }
    if (metadata->num_rows() != (group_ends_.empty() ? 0 : group_ends_.back())) {
      refuse("it says that it has " + std::to_string(metadata->num_rows()) + " rows, and its row groups have others");
    }
    batch_rows_ = std::clamp<std::int64_t>(kRowsBytes / row, 1, 8192);
    arrow_properties.set_batch_size(batch_rows_);
    builder.memory_pool(&pool_)->properties(arrow_properties);
    parquet_ = checked(builder.Build());
    check(parquet_->GetSchema(&schema_));
  }

  // Of a row group that says fewer rows than it has, the others would be left out.
  void check_rows(const parquet::RowGroupMetaData& group) const {
    for (int i = 0; i < group.num_columns(); ++i) {
      const std::int64_t values = group.ColumnChunk(i)->num_values();
      if (group.schema()->Column(i)->max_repetition_level() == 0 && values != group.num_rows()) {
        refuse("a row group says that it has " + std::to_string(group.num_rows()) + " rows, and a column of it " +
               std::to_string(values));
      }
    }
  }

  // What a row group says of itself, which only decides how many rows are read at once.
  static std::int64_t bytes_of(const parquet::RowGroupMetaData& group) {
    std::int64_t bytes = 0;
    for (int i = 0; i < group.num_columns(); ++i) {
      bytes = std::min(bytes + std::clamp<std::int64_t>(group.ColumnChunk(i)->num_values(), 0, kMostArrowValues) * 8,
                       kMostArrowValues);
    }
    return std::max(bytes, group.total_byte_size());
  }

  // A file is a stream between two magic numbers, with a list of its parts behind it. It is read as the stream that it
  // holds: Arrow's reader of files leaves work to threads, which outlive it.
  void open_arrow() {
    if (size_ >= kArrowStart && has_at(0, kArrowMagic)) {
      if (size_ < 2 * kArrowStart || !has_at(size_ - kArrowMagic.size(), kArrowMagic))
        refuse("it is truncated: it does not end with ARROW1");
      stream_ = kArrowStart;
    }
    schema_ = open_stream(bytes(), {})->schema();
  }

  bool has_at(std::uint64_t at, std::string_view magic) const {
    std::string bytes(magic.size(), '\0');
    file_.read_at(begin_ + at, std::as_writable_bytes(std::span(bytes)));
    return bytes == magic;
  }

  std::shared_ptr<arrow::ipc::RecordBatchStreamReader> open_stream(const std::shared_ptr<ArrowBytes>& content,
                                                                   const std::vector<bool>& wanted) const {
    check(content->Seek(stream_));
    return checked(arrow::ipc::RecordBatchStreamReader::Open(content, options(wanted)));
  }

  // Arrow reads a stream up to the mark of its end, which a changed byte can make or hide. Rows behind that would be
  // left out.
  void check_end(const ArrowBytes& content) const {
    std::uint64_t end = static_cast<std::uint64_t>(checked(content.Tell()));
    if (stream_ > 0) {
      std::uint32_t footer = 0;
      constexpr std::uint64_t kTail = sizeof footer + kArrowMagic.size();
      file_.read_at(begin_ + size_ - kTail, std::as_writable_bytes(std::span(&footer, 1)));
      end += footer + kTail;
    }
    if (end != size_) {
      refuse("its record batches end at byte " + std::to_string(checked(content.Tell())) + " of " +
             std::to_string(size_) + ", and more than a footer is behind them");
    }
  }

  std::shared_ptr<ArrowBytes> bytes() const { return std::make_shared<ArrowBytes>(file_, begin_, size_, &pool_); }

  arrow::ipc::IpcReadOptions options(const std::vector<bool>& wanted) const {
    arrow::ipc::IpcReadOptions options;
    options.memory_pool = &pool_;
    options.use_threads = false;
    options.ensure_alignment = arrow::ipc::Alignment::kDataTypeSpecificAlignment;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i]) options.included_fields.push_back(static_cast<int>(i));
    }
    return options;
  }

  static void add_leaves(const parquet::arrow::SchemaField& field, std::vector<int>& leaves) {
    if (field.is_leaf()) leaves.push_back(field.column_index);
    for (const auto& child : field.children) add_leaves(child, leaves);
  }

  // By column; null for one that is not wanted, or that Arrow's arrays are needed for.
  std::vector<std::unique_ptr<FlatColumn>> flat_columns(const std::vector<bool>& wanted) const {
    std::vector<std::unique_ptr<FlatColumn>> columns(fields_.size());
    if (kind_ != ColumnarKind::kParquet) return columns;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const parquet::arrow::SchemaField& stored = parquet_->manifest().schema_fields.at(i);
      if (!wanted[i] || fields_[i].text || !fields_[i].sizes.empty() || !stored.is_leaf()) continue;
      columns[i] = flat_column(*parquet_->parquet_reader(), stored.column_index, fields_[i].type);
    }
    return columns;
  }

  // As many rows of no columns as there are.
  Next bare_batches() const {
    return [left = group_ends_.empty() ? 0 : group_ends_.back(), most = batch_rows_]() mutable {
      const std::int64_t rows = std::min(left, most);
      left -= rows;
      return rows == 0 ? nullptr : arrow::RecordBatch::Make(arrow::schema({}), rows, arrow::ArrayVector());
    };
  }

  // Gives one batch of the wanted columns after another, at last null.
  Next batches(const std::vector<bool>& wanted) const {
    if (kind_ == ColumnarKind::kParquet) {
      std::vector<int> leaves;
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (wanted[i]) add_leaves(parquet_->manifest().schema_fields.at(i), leaves);
      }
      if (leaves.empty()) return bare_batches();
      std::vector<int> groups(group_ends_.size());
      std::iota(groups.begin(), groups.end(), 0);
      return [this, reader = std::shared_ptr(checked(parquet_->GetRecordBatchReader(groups, leaves)))] {
        std::shared_ptr<arrow::RecordBatch> batch;
        check(reader->ReadNext(&batch));
        if (batch) check(batch->Validate());
        return batch;
      };
    }
    const auto content = bytes();
    return [this, content, reader = open_stream(content, wanted)] {
      std::shared_ptr<arrow::RecordBatch> batch;
      check(reader->ReadNext(&batch));
      batch ? check(batch->ValidateFull()) : check_end(*content);
      return batch;
    };
  }

  void check_list(ColumnarField& field) const {
    const std::int64_t length = field.reading.pad.length;
    if (length == 0) return;
    if (field.sizes.size() != 1) {
      throw InputError(name_ + ": column " + field.name + " is to be padded, and holds no lists");
    }
    field.sizes = {length};
  }

  // Of arrays whose type does not say how long they are, the first row's.
  void find_sizes() {
    std::vector<bool> open;
    for (const ColumnarField& field : fields_) open.push_back(std::ranges::find(field.sizes, -1) != field.sizes.end());
    if (std::ranges::find(open, true) == open.end()) return;
    const auto next = guarded([&] { return batches(open); });
    std::shared_ptr<arrow::RecordBatch> batch;
    while ((batch = guarded(next)) && batch->num_rows() == 0) {
    }
    int column = 0;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      if (!open[i] || batch == nullptr) continue;
      ColumnarRows::Column ignored;
      std::vector<std::shared_ptr<arrow::Array>> kept;
      try {
        guarded([&] { take_numbers(batch->column(column++)->Slice(0, 1), fields_[i], ignored, kept); });
      } catch (const BadRow& bad) {
        fields_[i].sizes.clear();
        fields_[i].fault = ColumnFault{.why = place(bad.row) + ": column " + fields_[i].name + " " + bad.what,
                                       .what = schema_->field(static_cast<int>(i))->type()->ToString()};
      }
    }
  }

  static void take_flat(FlatColumn& flat, std::int64_t rows, ColumnarRows::Column& column) {
    flat.read(rows);
    column.numbers = flat.numbers();
    column.missing = flat.missing();
  }

  void take_numbers(std::shared_ptr<arrow::Array> array, ColumnarField& field, ColumnarRows::Column& column,
                    std::vector<std::shared_ptr<arrow::Array>>& kept) const {
    std::int64_t each = 1;
    if (field.reading.pad.length > 0) {
      if (array->type_id() == arrow::Type::FIXED_SIZE_LIST) {
        array = flatten(static_cast<const arrow::FixedSizeListArray&>(*array), column.lengths);
      } else if (array->type_id() == arrow::Type::LIST) {
        array = flatten(static_cast<const arrow::ListArray&>(*array), column.lengths);
      } else {
        array = flatten(static_cast<const arrow::LargeListArray&>(*array), column.lengths);
      }
      check_elements(*array, column.lengths);
    } else {
      array = arrays(array, field, each);
      if (!field.sizes.empty()) check_values(*array, each);
      column.missing = missing_values(*array);
    }
    if (field.type == ElementType::kBool) array = expanded(static_cast<const arrow::BooleanArray&>(*array));
    kept.push_back(array);
    const std::size_t width = size_of(field.type);
    const auto& values = array->data()->buffers.at(1);
    if (array->length() == 0 || values == nullptr) return;
    column.numbers = {
        reinterpret_cast<const std::byte*>(values->data()) + static_cast<std::size_t>(array->offset()) * width,
        static_cast<std::size_t>(array->length()) * width};
  }

  static void check_elements(const arrow::Array& array, const std::vector<std::int64_t>& lengths) {
    if (array.null_count() == 0) return;
    std::int64_t at = 0;
    for (std::size_t row = 0; row < lengths.size(); ++row) {
      for (const std::int64_t end = at + lengths[row]; at < end; ++at) {
        if (array.IsNull(at)) {
          throw BadRow{static_cast<std::int64_t>(row), "holds an array with no value at one of its places"};
        }
      }
    }
  }

  // Out of its lists, which all have one size.
  static std::shared_ptr<arrow::Array> arrays(std::shared_ptr<arrow::Array> array, ColumnarField& field,
                                              std::int64_t& each) {
    for (std::int64_t& size : field.sizes) {
      check_values(*array, each);
      if (array->type_id() == arrow::Type::FIXED_SIZE_LIST) {
        array = flatten(static_cast<const arrow::FixedSizeListArray&>(*array), size, each);
      } else if (array->type_id() == arrow::Type::LIST) {
        array = flatten(static_cast<const arrow::ListArray&>(*array), size, each);
      } else {
        array = flatten(static_cast<const arrow::LargeListArray&>(*array), size, each);
      }
      if (size == 0) throw BadRow{0, "holds an array of nothing"};
      each *= std::max<std::int64_t>(size, 1);
    }
    return array;
  }

  // Bits as bytes.
  std::shared_ptr<arrow::Array> expanded(const arrow::BooleanArray& bits) const {
    arrow::UInt8Builder bytes(&pool_);
    check(bytes.Reserve(bits.length()));
    for (std::int64_t i = 0; i < bits.length(); ++i) bytes.UnsafeAppend(bits.Value(i) ? 1 : 0);
    return checked(bytes.Finish());
  }

  void take_texts(const arrow::Array& array, ColumnarRows::Column& column) const {
    column.missing = missing_values(array);
    if (array.type_id() == arrow::Type::DICTIONARY) {
      const auto& encoded = static_cast<const arrow::DictionaryArray&>(array);
      ColumnarRows::Column entries;
      if (encoded.dictionary()->null_count() > 0) refuse("a dictionary has entries without a value");
      take_texts(*encoded.dictionary(), entries);
      for (std::int64_t i = 0; i < array.length(); ++i) {
        column.texts.push_back(array.IsNull(i) ? std::string_view()
                                               : entries.texts.at(static_cast<std::size_t>(encoded.GetValueIndex(i))));
      }
    } else if (array.type_id() == arrow::Type::STRING) {
      const auto& texts = static_cast<const arrow::StringArray&>(array);
      for (std::int64_t i = 0; i < array.length(); ++i) column.texts.push_back(texts.GetView(i));
    } else {
      const auto& texts = static_cast<const arrow::LargeStringArray&>(array);
      for (std::int64_t i = 0; i < array.length(); ++i) column.texts.push_back(texts.GetView(i));
    }
  }

  lockstep::RandomAccessFile file_;
  std::string name_;
  std::uint64_t begin_;
  std::uint64_t size_;
  ColumnarKind kind_;
  mutable arrow::CappedMemoryPool pool_;
  std::int64_t stream_ = 0;  ///< where Arrow's stream begins
  std::unique_ptr<parquet::arrow::FileReader> parquet_{};
  std::int64_t batch_rows_ = 0;             ///< that are read at once
  std::vector<std::int64_t> group_ends_{};  ///< rows up to the end of each row group
  std::shared_ptr<arrow::Schema> schema_{};
  std::vector<ColumnarField> fields_{};
};

}  // namespace

}  // namespace lockstep

void lockstep_open_columnar_file(const lockstep::RandomAccessFile& file, lockstep::ColumnarKind kind,
                                 const lockstep::ColumnReadings& readings,
                                 std::vector<std::unique_ptr<lockstep::ColumnarFile>>& opened) {
  const auto tables = lockstep::tables_within(file, kind, arrow::system_memory_pool());
  std::uint64_t begin = 0;
  for (const lockstep::TableWithin& table : tables) {
    const std::string which = tables.size() == 1 ? "" : ", table " + std::to_string(opened.size() + 1);
    opened.push_back(std::make_unique<lockstep::ArrowFile>(file, file.name() + which, begin, table, kind, readings));
    begin = table.end;
  }
}

#include "engine/data/columnar/FlatColumn.h"

#include <parquet/column_reader.h>
#include <parquet/schema.h>

#include <stdexcept>

namespace lockstep {

namespace {

template <typename Type>
class TypedFlatColumn : public FlatColumn {
 public:
  TypedFlatColumn(parquet::ParquetFileReader& file, int leaf)
      : file_(file), leaf_(leaf), most_level_(file.metadata()->schema()->Column(leaf)->max_definition_level()) {}

  void read(std::int64_t rows) override {
    missing_.clear();
    values_.resize(static_cast<std::size_t>(rows));
    if (most_level_ > 0) levels_.resize(values_.size());
    for (std::int64_t have = 0; have < rows;) {
      while (left_ == 0) begin_group();
      have += read_some(have, std::min(rows - have, left_));
    }
  }
  std::span<const std::byte> numbers() const override { return std::as_bytes(std::span(values_)); }

 private:
  void begin_group() {
    if (reader_ && reader_->HasNext()) throw std::runtime_error("a row group has more values than rows");
    if (group_ == file_.metadata()->num_row_groups()) throw std::runtime_error("a column has fewer rows than the file");
    const auto group = file_.RowGroup(group_++);
    left_ = group->metadata()->num_rows();
    reader_ = std::static_pointer_cast<parquet::TypedColumnReader<Type>>(group->Column(leaf_));
  }

  // Of the row group, up to `most` rows, which are those from `at` on.
  std::int64_t read_some(std::int64_t at, std::int64_t most) {
    std::int64_t present = 0;
    auto* const values = values_.data() + at;
    const std::int16_t* const levels = most_level_ > 0 ? levels_.data() : nullptr;
    const std::int64_t read =
        reader_->HasNext() ? reader_->ReadBatch(most, levels_.data(), nullptr, values, &present) : 0;
    if (read <= 0 || read > most || present > read || (levels == nullptr && present < read)) {
      throw std::runtime_error("a row group has other values than rows");
    }
    left_ -= read;
    if (present == read) return read;
    missing_.resize(values_.size());
    for (std::int64_t row = read; row-- > 0;) {  // the values that are there stand at the beginning
      const bool there = levels[row] == most_level_;
      if (there && present == 0) throw std::runtime_error("a row group has other values than its levels say");
      if (there) values[row] = values[--present];
      missing_[static_cast<std::size_t>(at + row)] = !there;
    }
    return read;
  }

  parquet::ParquetFileReader& file_;
  const int leaf_;
  const std::int16_t most_level_;  ///< of a row with a value
  int group_ = 0;                  ///< the next one
  std::int64_t left_ = 0;          ///< rows of the one that is read
  std::shared_ptr<parquet::TypedColumnReader<Type>> reader_{};
  std::vector<typename Type::c_type> values_{};
  std::vector<std::int16_t> levels_{};
};

template <typename Type>
std::unique_ptr<FlatColumn> typed(parquet::ParquetFileReader& file, int leaf) {
  return std::make_unique<TypedFlatColumn<Type>>(file, leaf);
}

}  // namespace

std::unique_ptr<FlatColumn> flat_column(parquet::ParquetFileReader& file, int leaf, ElementType type) {
  const parquet::ColumnDescriptor& column = *file.metadata()->schema()->Column(leaf);
  if (column.max_repetition_level() > 0 || column.max_definition_level() > 1) return nullptr;
  const auto is_of = [&](parquet::Type::type stored, ElementType one, ElementType other) {
    return column.physical_type() == stored && (type == one || type == other);
  };
  if (is_of(parquet::Type::DOUBLE, ElementType::kDouble, ElementType::kDouble)) {
    return typed<parquet::DoubleType>(file, leaf);
  }
  if (is_of(parquet::Type::FLOAT, ElementType::kFloat, ElementType::kFloat)) {
    return typed<parquet::FloatType>(file, leaf);
  }
  if (is_of(parquet::Type::INT64, ElementType::kInt64, ElementType::kUint64)) {
    return typed<parquet::Int64Type>(file, leaf);
  }
  if (is_of(parquet::Type::INT32, ElementType::kInt32, ElementType::kUint32)) {
    return typed<parquet::Int32Type>(file, leaf);
  }
  return nullptr;
}

}  // namespace lockstep

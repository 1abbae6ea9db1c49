// Part of lockstep-arrow.so: Parquet files written by Apache Arrow (https://arrow.apache.org/docs/cpp/parquet.html).
#include <arrow/api.h>
#include <arrow/io/interfaces.h>
#include <parquet/arrow/writer.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>

#include "common/Error.h"
#include "common/File.h"
#include "engine/data/columnar/ParquetOutput.h"

namespace lockstep {

namespace {

constexpr std::size_t kGroupNumbers = std::size_t{1} << 22;  // of a row group

/// An OutputFile, as Arrow wants to see it.
class ArrowSink : public arrow::io::OutputStream {
 public:
  explicit ArrowSink(std::filesystem::path path) : file_(std::move(path)) {}

  using arrow::io::OutputStream::Write;
  arrow::Status Write(const void* data, std::int64_t count) override {
    return kept([&] {
      file_.write({static_cast<const std::byte*>(data), static_cast<std::size_t>(count)});
      at_ += count;
    });
  }
  arrow::Result<std::int64_t> Tell() const override { return at_; }
  arrow::Status Close() override {
    if (std::exchange(closed_, true)) return arrow::Status::OK();
    return kept([this] { file_.close(); });
  }
  bool closed() const override { return closed_; }

  /// What has gone wrong with the file, if anything has.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  template <typename Work>
  arrow::Status kept(const Work& work) {
    try {
      work();
      return arrow::Status::OK();
    } catch (...) {
      failure_ = std::current_exception();
      return arrow::Status::IOError("the file cannot be written");
    }
  }

  OutputFile file_;
  std::int64_t at_ = 0;
  bool closed_ = false;
  std::exception_ptr failure_;
};

class ArrowOutput : public TableOutput {
 public:
  ArrowOutput(const std::filesystem::path& path, const std::vector<OutputColumn>& columns)
      : columns_(columns), path_(path), sink_(std::make_shared<ArrowSink>(path)) {
    arrow::FieldVector fields;
    parquet::WriterProperties::Builder properties;
    properties.compression(arrow::Compression::SNAPPY);
    for (const OutputColumn& column : columns) {
      fields.push_back(arrow::field(column.name, type_of(column), /*nullable=*/false));
      if (is_real(column.type)) properties.disable_dictionary(column.name);  // hardly a number comes twice
    }
    schema_ = arrow::schema(std::move(fields));
    writer_ =
        checked(parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), sink_, properties.build()));
  }

  void write(std::span<const double> row) override {
    rows_.insert(rows_.end(), row.begin(), row.end());
    if (rows_.size() >= kGroupNumbers) write_group();
  }

  void close() override {
    if (!rows_.empty()) write_group();
    check(writer_->Close());
    check(sink_->Close());
  }

 private:
  static std::shared_ptr<arrow::DataType> type_of(const OutputColumn& column) {
    if (!column.texts.empty()) return arrow::utf8();
    if (column.type == ElementType::kInt64) return arrow::int64();
    if (column.type == ElementType::kFloat) return arrow::float32();
    if (column.type == ElementType::kDouble) return arrow::float64();
    throw InternalError("column " + column.name + " has a type that is not written: " + to_string(column.type));
  }

  void write_group() {
    const std::size_t rows = rows_.size() / columns_.size();
    arrow::ArrayVector arrays;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (!columns_[i].texts.empty()) {
        arrays.push_back(text_array(i, rows));
      } else if (columns_[i].type == ElementType::kInt64) {
        arrays.push_back(array<arrow::Int64Builder>(i, rows));
      } else if (columns_[i].type == ElementType::kFloat) {
        arrays.push_back(array<arrow::FloatBuilder>(i, rows));
      } else {
        arrays.push_back(array<arrow::DoubleBuilder>(i, rows));
      }
    }
    const auto count = static_cast<std::int64_t>(rows);
    check(writer_->WriteTable(*arrow::Table::Make(schema_, arrays, count), count));
    rows_.clear();
  }

  template <typename Builder>
  std::shared_ptr<arrow::Array> array(std::size_t column, std::size_t rows) const {
    Builder builder;
    check(builder.Reserve(static_cast<std::int64_t>(rows)));
    for (std::size_t row = 0; row < rows; ++row) {
      builder.UnsafeAppend(static_cast<typename Builder::value_type>(rows_[row * columns_.size() + column]));
    }
    return checked(builder.Finish());
  }

  std::shared_ptr<arrow::Array> text_array(std::size_t column, std::size_t rows) const {
    arrow::StringBuilder builder;
    for (std::size_t row = 0; row < rows; ++row) {
      check(builder.Append(columns_[column].text_of(rows_[row * columns_.size() + column])));
    }
    return checked(builder.Finish());
  }

  void check(const arrow::Status& status) const {
    if (status.ok()) return;
    sink_->rethrow();
    throw SystemError("cannot write " + path_.string() + " as Parquet: " + status.message());
  }
  template <typename Value>
  Value checked(arrow::Result<Value> result) const {
    check(result.status());
    return std::move(result).ValueUnsafe();
  }

  std::vector<OutputColumn> columns_;
  std::filesystem::path path_;
  std::shared_ptr<ArrowSink> sink_;
  std::shared_ptr<arrow::Schema> schema_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  std::vector<double> rows_;  ///< of the next row group, one behind the other
};

}  // namespace

}  // namespace lockstep

void lockstep_create_parquet_file(const std::filesystem::path& path, const std::vector<lockstep::OutputColumn>& columns,
                                  std::unique_ptr<lockstep::TableOutput>& created) {
  created = std::make_unique<lockstep::ArrowOutput>(path, columns);
}

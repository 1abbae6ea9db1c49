// Columnar files as a test wants them, written by Apache Arrow.
#pragma once

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/writer.h>
#include <parquet/arrow/writer.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep {

inline void must(const arrow::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

template <typename Value>
Value must(arrow::Result<Value> result) {
  must(result.status());
  return std::move(result).ValueUnsafe();
}

struct ArrowColumn {
  std::string name;
  std::shared_ptr<arrow::Array> values;
};

inline std::shared_ptr<arrow::Table> arrow_table(const std::vector<ArrowColumn>& columns) {
  std::vector<std::shared_ptr<arrow::Field>> fields;
  std::vector<std::shared_ptr<arrow::Array>> arrays;
  for (const ArrowColumn& column : columns) {
    fields.push_back(arrow::field(column.name, column.values->type()));
    arrays.push_back(column.values);
  }
  return arrow::Table::Make(arrow::schema(fields), arrays);
}

/// `Builder`: arrow::Int32Builder.
template <typename Builder, typename Value>
std::shared_ptr<arrow::Array> arrow_values(const std::vector<Value>& values) {
  Builder builder;
  for (const Value& value : values) must(builder.Append(value));
  return must(builder.Finish());
}

/// Lists of float32.
inline std::shared_ptr<arrow::Array> arrow_lists(const std::vector<std::vector<float>>& lists) {
  auto values = std::make_shared<arrow::FloatBuilder>();
  arrow::ListBuilder builder(arrow::default_memory_pool(), values);
  for (const std::vector<float>& list : lists) {
    must(builder.Append());
    must(values->AppendValues(list));
  }
  return must(builder.Finish());
}

/// As pandas writes it, but in row groups of so many rows.
inline std::string parquet_file(const arrow::Table& table, std::int64_t group_rows) {
  const auto sink = must(arrow::io::BufferOutputStream::Create());
  must(parquet::arrow::WriteTable(
      table, arrow::default_memory_pool(), sink, group_rows,
      parquet::WriterProperties::Builder().compression(parquet::Compression::SNAPPY)->build()));
  return must(sink->Finish())->ToString();
}

/// In record batches of so many rows.
inline std::string arrow_file(const arrow::Table& table, std::int64_t batch_rows, bool streamed) {
  const auto sink = must(arrow::io::BufferOutputStream::Create());
  const auto writer = must(streamed ? arrow::ipc::MakeStreamWriter(sink, table.schema())
                                    : arrow::ipc::MakeFileWriter(sink, table.schema()));
  must(writer->WriteTable(table, batch_rows));
  must(writer->Close());
  return must(sink->Finish())->ToString();
}

}  // namespace lockstep

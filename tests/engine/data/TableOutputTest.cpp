// Tables that are written, read back, and what a full disk is told.
#include "engine/data/table/TableOutput.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/File.h"
#include "engine/data/columnar/ColumnarFile.h"
#include "engine/data/columnar/ParquetOutput.h"
#include "engine/data/table/CsvOutput.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

const std::vector<OutputColumn> kColumns = {
    {"sample", ElementType::kInt64}, {"output_0", ElementType::kFloat}, {"output_1", ElementType::kDouble}};

std::vector<double> row(std::int64_t sample) {
  return {static_cast<double>(sample), static_cast<float>(std::sin(static_cast<double>(sample))),
          std::cos(static_cast<double>(sample))};
}

template <typename Number>
double number_at(std::span<const std::byte> bytes, std::int64_t place) {
  Number number{};
  std::memcpy(&number, bytes.data() + place * static_cast<std::int64_t>(sizeof number), sizeof number);
  return static_cast<double>(number);
}

// More numbers than a row group has.
TEST(ParquetOutput, IsReadBackAsItWasWritten) {
  constexpr std::int64_t kRows = 1500000;
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "table.parquet";
  const auto table = parquet_output()(path, kColumns);
  for (std::int64_t i = 0; i < kRows; ++i) table->write(row(i));
  table->close();

  const auto file = std::move(open_columnar_file(RandomAccessFile(path), ColumnarKind::kParquet).at(0));
  ASSERT_EQ(file->fields().size(), kColumns.size());
  for (std::size_t i = 0; i < kColumns.size(); ++i) {
    EXPECT_EQ(file->fields()[i].name, kColumns[i].name);
    EXPECT_EQ(file->fields()[i].type, kColumns[i].type);
  }
  std::int64_t rows = 0;
  std::int64_t wrong = 0;
  file->read({true, true, true}, [&](const ColumnarRows& found) {
    EXPECT_EQ(found.first, rows);
    for (std::int64_t i = 0; i < found.count; ++i) {
      const std::vector<double> wanted = row(rows++);
      const bool same = number_at<std::int64_t>(found.columns[0].numbers, i) == wanted[0] &&
                        number_at<float>(found.columns[1].numbers, i) == wanted[1] &&
                        number_at<double>(found.columns[2].numbers, i) == wanted[2];
      if (!same) ++wrong;
    }
  });
  EXPECT_EQ(rows, kRows);
  EXPECT_EQ(wrong, 0);
}

TEST(ParquetOutput, ATableWithoutRowsHasItsColumns) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "table.parquet";
  parquet_output()(path, kColumns)->close();
  const auto file = std::move(open_columnar_file(RandomAccessFile(path), ColumnarKind::kParquet).at(0));
  EXPECT_EQ(file->fields().size(), kColumns.size());
  file->read({true, true, true}, [](const ColumnarRows& rows) { EXPECT_EQ(rows.count, 0); });
}

TEST(CsvOutput, WritesTheShortestTextOfEachColumnsType) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "table.csv";
  CsvOutput table(path, kColumns);
  table.write(std::vector<double>{100000, 0.1F, 0.1});
  table.write(std::vector<double>{-1, 1e10, std::nan("")});
  table.close();
  EXPECT_EQ(read_file(path, 1 << 10), "sample,output_0,output_1\n100000,0.1,0.1\n-1,1e+10,nan\n");
}

const std::vector<OutputColumn> kNamed = {
    {"predicted", ElementType::kInt64},
    {"predicted_label", ElementType::kInt64, {"cat", "a \"good\", old\ndog", "ox"}}};

TEST(CsvOutput, QuotesTextsThatNeedIt) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "table.csv";
  CsvOutput table(path, kNamed);
  for (const double number : {0, 1, 3, -100}) table.write(std::vector<double>{number, number});
  table.close();
  EXPECT_EQ(read_file(path, 1 << 10),
            "predicted,predicted_label\n0,cat\n1,\"a \"\"good\"\", old\ndog\"\n3,3\n-100,-100\n");
}

TEST(ParquetOutput, HoldsTexts) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "table.parquet";
  const auto table = parquet_output()(path, kNamed);
  for (const double number : {2, 0, 3}) table->write(std::vector<double>{number, number});
  table->close();
  const auto file = std::move(open_columnar_file(RandomAccessFile(path), ColumnarKind::kParquet).at(0));
  std::vector<std::string> texts;
  file->read({true, true}, [&](const ColumnarRows& found) {
    for (std::int64_t i = 0; i < found.count; ++i)
      texts.emplace_back(found.columns[1].texts[static_cast<std::size_t>(i)]);
  });
  EXPECT_EQ(texts, (std::vector<std::string>{"ox", "cat", "3"}));
}

TEST(TableOutput, SaysThatTheDiskIsFull) {
  const auto fill = [](std::unique_ptr<TableOutput> table) {
    table->write(row(0));
    table->close();
  };
  EXPECT_ERROR(fill(std::make_unique<CsvOutput>("/dev/full", kColumns)), SystemError, "cannot write /dev/full");
  EXPECT_ERROR(fill(parquet_output()("/dev/full", kColumns)), SystemError, "cannot write /dev/full");
}

}  // namespace
}  // namespace lockstep

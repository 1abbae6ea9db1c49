// Tables as Parquet and as Arrow IPC: what columns become, and what a broken file is told.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "tests/support/ExpectError.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestColumnar.h"
#include "tests/support/TestReads.h"

namespace lockstep {
namespace {

using Strings = std::vector<std::string>;
using Reals = std::vector<double>;
using Sizes = std::vector<std::int64_t>;

ArrowColumn reals(const std::string& name, const Reals& values) {
  return {name, arrow_values<arrow::DoubleBuilder>(values)};
}
ArrowColumn integers(const std::string& name, const std::vector<std::int32_t>& values) {
  return {name, arrow_values<arrow::Int32Builder>(values)};
}
ArrowColumn texts(const std::string& name, const Strings& values) {
  return {name, arrow_values<arrow::StringBuilder>(values)};
}

std::shared_ptr<arrow::Table> some_table() {
  return arrow_table({reals("x", {1.5, -3, 100, 2, 0.25}),
                      integers("n", {1, 2, 3, -4, 5}),
                      texts("kind", {"b", "ä", "b", "a", "b"}),
                      {"v", arrow_lists({{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 0.5F}})},
                      {"flag", arrow_values<arrow::BooleanBuilder, bool>({true, false, false, true, true})},
                      {"y", arrow_values<arrow::UInt8Builder, std::uint8_t>({0, 1, 2, 1, 0})}});
}

/// A Parquet file with bytes before its footer that this does not tell of.
std::string with_gap(std::string parquet, std::size_t bytes) {
  std::uint32_t footer = 0;
  std::memcpy(&footer, &parquet[parquet.size() - 8], sizeof footer);
  return parquet.insert(parquet.size() - 8 - footer, bytes, 'g');
}

class Columnar : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  std::shared_ptr<const Dataset> open(const ChannelOptions& options = {}) {
    return Formats::builtin().open(directory_.path(), options).dataset;
  }
  /// Of all samples, the last one first.
  static Reals read(const Dataset& dataset, const std::string& field) {
    const std::size_t index = dataset.spec().find(field).value();
    const Field& stored = dataset.spec().fields[index];
    std::vector<std::int64_t> samples;
    for (std::int64_t i = dataset.size(); i-- > 0;) samples.push_back(i);
    std::vector<std::byte> bytes(samples.size() * stored.bytes());
    std::vector<std::byte*> places(dataset.spec().fields.size());
    places[index] = bytes.data();
    dataset.read(samples, places);
    Reals values;
    for (std::size_t i = 0; i < bytes.size(); i += size_of(stored.type)) {
      const auto as = [&](auto number) {
        std::memcpy(&number, &bytes[i], sizeof number);
        return static_cast<double>(number);
      };
      values.push_back(stored.type == ElementType::kDouble  ? as(double{})
                       : stored.type == ElementType::kFloat ? as(float{})
                                                            : as(std::int64_t{}));
    }
    return values;
  }
  void expect_some_table(const Dataset& data) {
    EXPECT_EQ(data.size(), 5);
    EXPECT_EQ(read(data, "x"), (Reals{0.25, 2, 100, -3, 1.5}));
    EXPECT_EQ(read(data, "n"), (Reals{5, -4, 3, 2, 1}));
    EXPECT_EQ(read(data, "kind"), (Reals{1, 0, 1, 2, 1}));
    EXPECT_EQ(read(data, "v"), (Reals{9, 0.5, 7, 8, 5, 6, 3, 4, 1, 2}));
    EXPECT_EQ(read(data, "flag"), (Reals{1, 1, 0, 0, 1}));
    EXPECT_EQ(read(data, "y"), (Reals{0, 1, 2, 1, 0}));
    EXPECT_EQ(read(data, "features"), (Reals{0.25, 5, 1, 2, -4, 1, 100, 3, 0, -3, 2, 0, 1.5, 1, 1}));
    EXPECT_EQ(data.spec().fields[2].categories, (Strings{"a", "b", "ä"}));
    EXPECT_EQ(data.spec().fields[3].type, ElementType::kFloat);
    EXPECT_EQ(data.spec().fields[3].sizes, (Sizes{2}));
    EXPECT_EQ(data.spec().fields[5].bound, 3);
    EXPECT_EQ(data.note(), "not among the features: kind (categories), v (arrays), y");
  }

  TemporaryDirectory directory_;
};

TEST_F(Columnar, ParquetOfAnyRowGroups) {
  for (const std::int64_t rows : {1, 2, 5, 100}) {
    write("data.parquet", parquet_file(*some_table(), rows));
    expect_some_table(*open());
  }
  EXPECT_EQ(open()->place(0, 3), (directory_ / "data.parquet").string() + ", row 4");
}

TEST_F(Columnar, ArrowFilesAndStreams) {
  for (const std::int64_t rows : {1, 2, 100}) {
    for (const bool streamed : {false, true}) {
      write("data.arrow", arrow_file(*some_table(), rows, streamed));
      expect_some_table(*open());
    }
  }
}

TEST_F(Columnar, FilesFollowOneAnother) {
  const auto table = some_table();
  std::filesystem::create_directories(directory_ / "day=1");
  write("day=1/a", parquet_file(*table->Slice(0, 2), 10));
  write("day=1/b.parquet", parquet_file(*table->Slice(0, 0), 10));  // no row
  write("day=2.parquet", parquet_file(*table->Slice(2, 3), 2));
  expect_some_table(*open());
  EXPECT_EQ(open()->place(0, 3), (directory_ / "day=2.parquet").string() + ", row 2");
  const std::string digest = open()->digest();
  EXPECT_EQ(open()->digest(), digest);
  write("day=2.parquet", parquet_file(*arrow_table({reals("x", {1})}), 2));
  EXPECT_ERROR(take_all(*open()), InputError, "day=2.parquet has 1 columns, and ", "has 6");
  const auto other = std::make_shared<arrow::ChunkedArray>(texts("x", {"1", "2", "3"}).values);
  const auto changed = must(table->Slice(2, 3)->SetColumn(0, arrow::field("x", arrow::utf8()), other));
  write("day=2.parquet", parquet_file(*changed, 2));
  EXPECT_EQ(read(*open(), "n"), (Reals{5, -4, 3, 2, 1}));
  EXPECT_ERROR(take_all(*open()), InputError, "day=2.parquet: column x holds another type than in ");
  write("day=2.parquet", parquet_file(*arrow_table({texts("z", {"1"})}), 2));
  EXPECT_ERROR(take_all(*open()), InputError, "day=2.parquet has the column \"z\"");
}

// As a stream makes one of several files. Of Parquet also with what a footer tells of besides columns (an index of
// pages), and with bytes that it does not tell of.
TEST_F(Columnar, TablesFollowOneAnotherInOneFile) {
  const auto table = some_table();
  const auto written = [&](const std::function<std::string(const arrow::Table&)>& write_one) {
    return write_one(*table->Slice(0, 2)) + write_one(*table->Slice(0, 0)) + write_one(*table->Slice(2, 3));
  };
  const auto with_pages = [](const arrow::Table& rows) {
    const auto sink = must(arrow::io::BufferOutputStream::Create());
    must(parquet::arrow::WriteTable(rows, arrow::default_memory_pool(), sink, 2,
                                    parquet::WriterProperties::Builder().enable_write_page_index()->build()));
    return must(sink->Finish())->ToString();
  };
  const std::vector<std::pair<std::string, std::string>> files = {
      {"data.parquet", written([](const arrow::Table& rows) { return parquet_file(rows, 2); })},
      {"data.parquet", written(with_pages)},
      {"data.parquet", written([](const arrow::Table& rows) { return with_gap(parquet_file(rows, 2), 100'000); })},
      {"data.parquet", written([](const arrow::Table& rows) { return with_gap(parquet_file(rows, 2), 4); })},
      {"data.arrow", written([](const arrow::Table& rows) { return arrow_file(rows, 2, false); })},
      {"data.arrow", written([](const arrow::Table& rows) { return arrow_file(rows, 2, true); })},
      {"data.arrow", arrow_file(*table->Slice(0, 2), 2, false) + arrow_file(*table->Slice(2, 3), 2, true)},
  };
  for (std::size_t i = 0; i < files.size(); ++i) {
    SCOPED_TRACE(i);
    const auto& [name, bytes] = files[i];
    write(name, bytes);
    expect_some_table(*open());
    const std::string which = i == 6 ? "2" : "3";
    EXPECT_EQ(open()->place(0, 3), (directory_ / name).string() + ", table " + which + ", row 2");
    // What is damaged is refused, wherever it stands.
    write(name, bytes.substr(0, bytes.size() - 1));
    EXPECT_THROW(open(), InputError);
    write(name, bytes.substr(1));
    EXPECT_THROW(open(), InputError);
    write(name, bytes + "and more");
    EXPECT_THROW(open(), InputError);
    std::filesystem::remove(directory_ / name);
  }
  // One that was cut before the other came.
  const std::string one = parquet_file(*table, 2);
  write("data.parquet", one.substr(0, one.size() - 1) + one);
  EXPECT_ERROR(take_all(*open()), InputError, "data.parquet, table 1 cannot be read as Parquet");
  for (std::size_t at = one.size(); at < one.size() + 4; ++at) {
    std::string changed = one + one;
    changed[at] = '?';
    write("data.parquet", changed);
    EXPECT_ERROR(take_all(*open()), InputError,
                 "data.parquet, table 2 cannot be read as Parquet: it does not begin with PAR1");
  }
}

// Tables that lie alike, so that one could be read in another's place. Whichever bit changes, no row is left out, and
// the rows of the tables that it is not in are read as they were written; or the file is refused.
TEST_F(Columnar, NoChangedBitLosesRows) {
  constexpr std::size_t kRows = 2;  // of a table
  const auto table = arrow_table({reals("x", {1, 2, 3, 4, 5, 6})});
  const std::pair<std::string, std::function<std::string(const arrow::Table&)>> writers[] = {
      {"data.parquet", [](const arrow::Table& rows) { return parquet_file(rows, 1); }},
      {"data.parquet", [](const arrow::Table& rows) { return with_gap(parquet_file(rows, 2), 30); }},
      {"data.arrow", [](const arrow::Table& rows) { return arrow_file(rows, 1, false); }},
      {"data.arrow", [](const arrow::Table& rows) { return arrow_file(rows, 1, true); }},
  };
  for (std::size_t i = 0; i < 3 * std::size(writers); ++i) {
    const auto& [name, write_one] = writers[i / 3];
    const std::size_t tables = 1 + i % 3;
    std::string bytes;
    std::vector<std::size_t> ends;
    for (std::size_t from = 0; from < tables * kRows; from += kRows) {
      bytes += write_one(*table->Slice(static_cast<std::int64_t>(from), kRows));
      ends.push_back(bytes.size());
    }
    std::size_t refused = 0;
    Strings wrong;
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      const bool near =
          std::ranges::any_of(ends, [&](std::size_t end) { return bit / 8 + 12 >= end && bit / 8 < end + 8; });
      if (bit % 9 != 3 && !near && i > 0 && !soaking()) continue;  // one of each byte
      const auto in = static_cast<std::size_t>(std::ranges::upper_bound(ends, bit / 8) - ends.begin());
      std::string changed = bytes;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      write(name, changed);
      try {
        const auto data = open();
        Reals read_rows = read(*data, data->spec().fields[0].name);
        std::ranges::reverse(read_rows);
        bool right = read_rows.size() == tables * kRows;
        for (std::size_t row = 0; right && row < read_rows.size(); ++row) {
          right = row / kRows == in || read_rows[row] == static_cast<double>(row + 1);
        }
        if (!right) {
          wrong.push_back("bit " + std::to_string(bit % 8) + " of byte " + std::to_string(bit / 8) + " in table " +
                          std::to_string(in + 1));
        }
      } catch (const InputError&) {
        ++refused;
      }
    }
    std::filesystem::remove(directory_ / name);
    EXPECT_EQ(wrong, Strings{}) << name << ", writer " << i / 3 << ", " << tables << " tables that end at "
                                << testing::PrintToString(ends);
    EXPECT_GT(refused, bytes.size() / 4);
  }
}

TEST_F(Columnar, TablesInAFileAreBounded) {
  const auto none = arrow_table({reals("x", {})});
  for (const auto& [name, one] : {std::pair<std::string, std::string>{"data.parquet", parquet_file(*none, 1)},
                                  {"data.arrow", arrow_file(*none, 1, true)}}) {
    std::string bytes;
    for (int i = 0; i < 65'537; ++i) bytes += one;
    write(name, bytes);
    EXPECT_ERROR(take_all(*open()), InputError,
                 name + " holds more than 65536 tables behind each other: write it as one table");
    std::filesystem::remove(directory_ / name);
  }
}

TEST_F(Columnar, EveryTypeOfNumber) {
  const auto lists = [](int size, std::vector<std::uint8_t> values) {
    auto bytes = std::make_shared<arrow::UInt8Builder>();
    arrow::FixedSizeListBuilder builder(arrow::default_memory_pool(), bytes, size);
    for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(size)) must(builder.Append());
    must(bytes->AppendValues(values));
    return must(builder.Finish());
  };
  const auto nested = must(arrow::FixedSizeListArray::FromArrays(lists(2, {1, 2, 3, 4, 5, 6, 7, 8}), 2));
  write("data.parquet",
        parquet_file(*arrow_table({{"a", arrow_values<arrow::Int8Builder, std::int8_t>({-128, 127})},
                                   {"b", arrow_values<arrow::UInt32Builder, std::uint32_t>({0, 4294967295U})},
                                   {"c", arrow_values<arrow::FloatBuilder, float>({0.1F, 2})},
                                   {"d", arrow_values<arrow::LargeStringBuilder, std::string>({"", "NA"})},
                                   {"e", arrow_values<arrow::UInt64Builder, std::uint64_t>({0, 9})},
                                   {"features", nested}}),
                     1));
  const auto data = open();
  EXPECT_EQ(read(*data, "a"), (Reals{127, -128}));
  EXPECT_EQ(read(*data, "b"), (Reals{4294967295.0, 0}));
  EXPECT_EQ(read(*data, "c"), (Reals{2, 0.1F}));
  EXPECT_EQ(read(*data, "d"), (Reals{1, 0}));
  EXPECT_EQ(data->spec().fields.size(), 6);  // what is called so is the features
  EXPECT_EQ(data->spec().fields[5].type, ElementType::kUint8);
  EXPECT_EQ(data->spec().fields[5].sizes, (Sizes{2, 2}));
}

TEST_F(Columnar, DictionariesAreTexts) {
  arrow::StringDictionaryBuilder builder;
  for (const char* text : {"b", "a", "b"}) must(builder.Append(text));
  const auto table = arrow_table({{"kind", must(builder.Finish())}, integers("y", {1, 2, 3})});
  for (const std::string& bytes :
       {parquet_file(*table, 2), arrow_file(*table, 2, false), arrow_file(*table, 2, true)}) {
    write("data.arrow", bytes);
    EXPECT_EQ(read(*open(), "kind"), (Reals{1, 0, 1}));
  }
}

TEST_F(Columnar, ValidationDataFollowsTheTrainingData) {
  write("data.parquet", parquet_file(*some_table(), 2));
  const auto train = open();
  const auto other = arrow_table({integers("y", {2}),
                                  texts("kind", {"ä"}),
                                  {"v", arrow_lists({{1, 2}})},
                                  integers("x", {3}),
                                  integers("n", {7}),
                                  integers("flag", {1})});
  write("data.parquet", parquet_file(*other, 2));
  const auto validation = open({.like = &train->spec()});
  EXPECT_EQ(validation->spec().fields[0].name, "x");
  EXPECT_EQ(validation->spec().fields[0].type, ElementType::kDouble);
  EXPECT_EQ(read(*validation, "kind"), (Reals{2}));
  EXPECT_EQ(read(*validation, "features"), (Reals{3, 7, 1}));
  const auto refuse = [&](int column, const ArrowColumn& changed, const std::string& why) {
    const auto table = must(other->SetColumn(column, arrow::field(changed.name, changed.values->type()),
                                             std::make_shared<arrow::ChunkedArray>(changed.values)));
    write("data.parquet", parquet_file(*table, 2));
    EXPECT_ERROR(take_all(*open({.like = &train->spec()})), InputError, "data.parquet", why);
  };
  refuse(1, texts("kind", {"c"}), "column kind holds \"c\", which is none of its 3 categories");
  refuse(0, reals("y", {0.5}), "column y holds \"real numbers\", which is no integer");
  refuse(2, {"v", arrow_lists({{1, 2, 3}})}, "an array of [3], and an array of [2] in the training channel");
}

TEST_F(Columnar, SaysWhatCannotBeRead) {
  const auto refuse = [&](const ArrowColumn& column, const std::string& why, const std::string& where = "data.arrow") {
    const auto table = arrow_table(
        {integers("y", std::vector<std::int32_t>(static_cast<std::size_t>(column.values->length()))), column});
    for (const std::string& bytes : {arrow_file(*table, 100, false), parquet_file(*table, 2)}) {
      write("data.arrow", bytes);
      EXPECT_ERROR(take_all(*open()), InputError, where, why);
      EXPECT_EQ(std::ssize(read(*open(), "y")), column.values->length());  // what does not take it is not hindered
    }
  };
  const auto null_of = [](const std::shared_ptr<arrow::DataType>& type) {
    return must(arrow::MakeArrayOfNull(type, 1));
  };
  refuse({"t", null_of(arrow::timestamp(arrow::TimeUnit::MICRO))}, "column t holds timestamp[us]: make numbers of it");
  refuse({"t", null_of(arrow::date32())}, "column t holds date32");
  refuse({"t", null_of(arrow::decimal128(9, 2))}, "column t holds decimal128(9, 2): cast it to float64");
  refuse({"t", null_of(arrow::struct_({arrow::field("a", arrow::int32())}))}, "make a column of each of its parts");
  refuse({"t", null_of(arrow::list(arrow::utf8()))}, "column t holds list<");
  refuse({"t", null_of(arrow::binary())}, "column t holds binary");
  refuse({"t", null_of(arrow::int32())}, "row 1");
  refuse({"t", null_of(arrow::utf8())}, "column t has no value");
  refuse({"t", null_of(arrow::list(arrow::int32()))}, "column t has no value");
  refuse({"t", arrow_lists({{1, 2}, {3, 4}, {5}})}, "column t holds an array of 1, and of 2 before: pad or cut");
  refuse({"t", arrow_lists({{}, {}})}, "column t holds an array of nothing");
  refuse({"t", arrow_values<arrow::UInt64Builder, std::uint64_t>({~0ULL})}, "column t holds an integer above 2^63 - 1",
         "data.arrow, row 1");
  refuse(reals("t", {1, std::numeric_limits<double>::quiet_NaN()}), "column t has no value", "data.arrow, row 2");
  refuse(reals("t", {1, std::numeric_limits<double>::infinity()}), "column t holds \"inf\", which is no finite number",
         "data.arrow, row 2");
  arrow::Int32Builder builder;
  must(builder.AppendValues({1, 2, 3}));
  must(builder.AppendNull());
  write("data.arrow", parquet_file(*arrow_table({{"t", must(builder.Finish())}}), 3));
  EXPECT_ERROR(take_all(*open()), InputError, "data.arrow, row 4, in row group 2: column t has no value");
  write("data.arrow", parquet_file(*arrow_table({integers("t", {})}), 3));
  EXPECT_ERROR(take_all(*open()), InputError, "data.arrow holds no row");
}

// As pandas writes it.
TEST_F(Columnar, AnIndexIsNoFeature) {
  auto table = arrow_table(
      {reals("x", {1, 2}), integers("id", {7, 8}), integers("__index_level_0__", {3, 4}), integers("y", {0, 1})});
  table = table->ReplaceSchemaMetadata(arrow::key_value_metadata(
      {{"pandas", R"({"index_columns": ["id", {"kind": "range", "name": null, "start": 0}], "columns": []})"}}));
  const auto sink = must(arrow::io::BufferOutputStream::Create());
  must(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), sink, 1, parquet::default_writer_properties(),
                                  parquet::ArrowWriterProperties::Builder().store_schema()->build()));
  for (const std::string& bytes :
       {must(sink->Finish())->ToString(), arrow_file(*table, 1, false), arrow_file(*table, 1, true)}) {
    write("data.arrow", bytes);
    const auto data = open();
    EXPECT_EQ(read(*data, "features"), (Reals{2, 1}));
    EXPECT_EQ(data->note(), "not among the features: id (index), __index_level_0__ (index), y");
    EXPECT_EQ(read(*data, "id"), (Reals{8, 7}));
    EXPECT_TRUE(data->spec().fields[*data->spec().find("id")].row_index);
  }
  table = table->ReplaceSchemaMetadata(arrow::key_value_metadata({{"pandas", "no JSON"}}));
  write("data.arrow", arrow_file(*table, 1, false));
  EXPECT_EQ(read(*open(), "features"), (Reals{2, 8, 1, 7}));
}

TEST_F(Columnar, RowsWithoutAValueAreLeftOut) {
  const auto nulls = [](auto builder, const auto& values) {
    for (const auto& value : values) must(value ? builder.Append(*value) : builder.AppendNull());
    return must(builder.Finish());
  };
  using Numbers = std::vector<std::optional<double>>;
  using Texts = std::vector<std::optional<std::string>>;
  const auto table = arrow_table(
      {{"x", nulls(arrow::DoubleBuilder(), Numbers{1, {}, 3, std::numeric_limits<double>::quiet_NaN(), 5, 6})},
       {"kind", nulls(arrow::StringBuilder(), Texts{"b", "only here", "a", "b", "a", {}})},
       {"y", arrow_values<arrow::Int64Builder>(std::vector<std::int64_t>{0, 9, 1, 0, 1, 0})}});
  const auto samples = [](const Dataset& data) {
    Sizes bad;
    const auto records = data.bad_records();
    for (const BadRecord& record : records.value()) bad.push_back(record.sample);
    return bad;
  };
  for (const std::int64_t rows : {1, 4, 100}) {
    write("a.parquet", parquet_file(*table->Slice(0, 3), rows));
    write("b.parquet", parquet_file(*table->Slice(3, 3), rows));
    const auto features = open({.inputs = {{"in"}}, .most_bad = 2});
    EXPECT_EQ(samples(*features), (Sizes{1, 3}));
    EXPECT_NE(features->bad_records()->at(1).why.find("b.parquet, row 1, in row group 1: column x has no value"),
              std::string::npos);
    EXPECT_EQ(features->size(), 6);
    EXPECT_FALSE(features->spec().fields[*features->spec().find("features")].fault);
    // What is left out says nothing of the columns.
    const auto texts = open({.columns = {{"in", "kind"}}, .inputs = {{"in", "x"}}, .most_bad = 3});
    EXPECT_EQ(samples(*texts), (Sizes{1, 3, 5}));
    EXPECT_EQ(texts->spec().fields[1].categories, (Strings{"a", "b"}));
    EXPECT_EQ(texts->spec().fields[2].bound, 2);
    EXPECT_EQ(read(*texts, "kind"), (Reals{0, 0, 0, 0, 0, 1}));
    EXPECT_EQ(samples(*open({.inputs = {{"y"}}, .most_bad = 1})), Sizes{});
    EXPECT_ERROR(open({.inputs = {{"in"}}, .most_bad = 1}), InputError, "column x has no value; skip_bad_records=1");
  }
}

TEST_F(Columnar, EveryTruncationIsRefused) {
  const std::string parquet = parquet_file(*some_table(), 2);
  const std::string arrow = arrow_file(*some_table(), 2, false);
  for (std::size_t size = 1; size < parquet.size(); size += 29) {
    write("data.parquet", parquet.substr(0, size));
    EXPECT_ERROR(take_all(*open()), InputError, "data.parquet cannot be read as Parquet");
  }
  std::filesystem::remove(directory_ / "data.parquet");
  for (std::size_t size = 1; size < arrow.size(); size += 29) {
    write("data.arrow", arrow.substr(0, size));
    EXPECT_ERROR(take_all(*open()), InputError, "data.arrow cannot be read as Arrow IPC");
  }
}

// Columns of numbers are read beside Arrow's arrays, over pages and row groups of any size.
TEST_F(Columnar, NumbersStayBesideTheirTexts) {
  constexpr int kRows = 30'000;
  arrow::DoubleBuilder x;
  arrow::FloatBuilder f;
  arrow::Int64Builder n;
  arrow::UInt32Builder u;
  arrow::StringBuilder kind;
  for (int i = 0; i < kRows; ++i) {
    must(i % 7 == 3 ? x.AppendNull() : x.Append(i + 0.5));
    must(f.Append(static_cast<float>(i)));
    must(n.Append(-i));
    must(u.Append(4'000'000'000U + static_cast<unsigned>(i % 5)));
    must(kind.Append(std::string(1, static_cast<char>('a' + i % 3))));
  }
  const auto table = arrow_table({{"x", must(x.Finish())},
                                  {"f", must(f.Finish())},
                                  {"kind", must(kind.Finish())},
                                  {"n", must(n.Finish())},
                                  {"u", must(u.Finish())}});
  ChannelOptions options;
  options.fields = {{"x", {FieldPart{.columns = {"x"}, .fill = Fill{.value = 0.0}}}}};
  for (const std::int64_t group : {701, 9'973, kRows}) {
    write("data.parquet", parquet_file(*table, group));
    const auto data = open(options);
    ASSERT_EQ(data->size(), kRows);
    const Reals columns[] = {read(*data, "x"), read(*data, "f"), read(*data, "kind"), read(*data, "n"),
                             read(*data, "u")};
    for (int row = 0; row < kRows; ++row) {
      const auto at = static_cast<std::size_t>(kRows - 1 - row);
      ASSERT_EQ(std::isnan(columns[0][at]), row % 7 == 3) << row;
      if (row % 7 != 3) {
        ASSERT_EQ(columns[0][at], row + 0.5);
      }
      ASSERT_EQ(columns[1][at], row);
      ASSERT_EQ(columns[2][at], row % 3);
      ASSERT_EQ(columns[3][at], -row);
      ASSERT_EQ(columns[4][at], 4'000'000'000.0 + row % 5);
    }
    EXPECT_ERROR(take_all(*open()), InputError, "data.parquet, row 4, in row group 1: column x has no value");
  }
}

}  // namespace
}  // namespace lockstep

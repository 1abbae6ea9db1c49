// Tables as CSV: how records are cut, what columns hold, and what a broken file is told.
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/data/Columns.h"
#include "engine/data/Formats.h"
#include "engine/data/table/CsvRecord.h"
#include "engine/data/table/TableColumns.h"
#include "engine/data/table/TextRecords.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestReads.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class Csv : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    fs::create_directories((directory_.path() / name).parent_path());
    std::ofstream(directory_.path() / name, std::ios::binary) << text;
  }
  std::shared_ptr<const Dataset> open(const ChannelOptions& options = {}) {
    return Formats::builtin().open(directory_.path(), options).dataset;
  }
  std::vector<std::string> records(const std::string& text) {
    write("records.csv", text);
    const auto file = open_input_file(directory_.path() / "records.csv");
    TextRecords records(*file, [](std::string_view text) { return end_of_csv_record(text, ','); });
    std::vector<std::string> found;
    while (records.next()) found.emplace_back(records.text());
    return found;
  }
  std::vector<double> reals(const Dataset& dataset, const std::string& field) {
    const std::size_t index = dataset.spec().find(field).value();
    const Field& stored = dataset.spec().fields[index];
    std::vector<std::int64_t> samples;
    for (std::int64_t i = dataset.size() - 1; i >= 0; --i) samples.push_back(i);  // in no order of the file
    std::vector<double> values(samples.size() * static_cast<std::size_t>(stored.numbers()));
    std::vector<std::byte*> places(dataset.spec().fields.size());
    places[index] = reinterpret_cast<std::byte*>(values.data());
    dataset.read(samples, places);
    std::vector<double> result;
    const auto each = static_cast<std::size_t>(stored.numbers());
    for (std::size_t sample = samples.size(); sample-- > 0;) {
      for (std::size_t i = 0; i < each; ++i) {
        const double* value = &values[sample * each + i];
        result.push_back(is_real(stored.type) ? *value
                                              : static_cast<double>(*reinterpret_cast<const std::int64_t*>(value)));
      }
    }
    return result;
  }

  TemporaryDirectory directory_;
};

using Strings = std::vector<std::string>;
using Reals = std::vector<double>;

TEST_F(Csv, RecordsEndAsPeopleEndThem) {
  EXPECT_EQ(records("a,b\nc,d\n"), (Strings{"a,b", "c,d"}));
  EXPECT_EQ(records("a,b\nc,d"), (Strings{"a,b", "c,d"}));
  EXPECT_EQ(records("a,b\r\nc,d\r\n\r\n\n"), (Strings{"a,b", "c,d"}));
  EXPECT_EQ(records("\xef\xbb\xbf"
                    "a,b\n"),
            (Strings{"a,b"}));
  EXPECT_EQ(records("\xef\xbb\xbf\"a\nb\",c\n"), (Strings{"\"a\nb\",c"}));  // the mark is no part of the first cell
  EXPECT_EQ(records("\xef\xbb\xbf"), Strings());
  EXPECT_EQ(records("\n\n"), Strings());
  EXPECT_EQ(records("a,\"x\ny\"\nb,\"\"\"\n\"\n"), (Strings{"a,\"x\ny\"", "b,\"\"\"\n\""}));
  EXPECT_EQ(records("a\"b\nc\n"), (Strings{"a\"b", "c"}));  // a quote within a cell opens nothing
}

TEST_F(Csv, ItsContentTypeSaysWhatTheFirstRowIs) {
  write("part-0000", "2020,2021\n1.5,2\n");
  const auto years = open({.content_type = "Text/CSV; header=present"});
  EXPECT_EQ(years->size(), 1);
  EXPECT_EQ(reals(*years, "2020"), Reals{1.5});
  EXPECT_EQ(open({.content_type = "text/csv"})->spec().fields[0].name, "target");
  EXPECT_EQ(open({.content_type = "text/csv;label_size=0"})->spec().fields[0].name, "0");
  write("part-0000", "red,blue\ngreen,red\n");
  EXPECT_EQ(open({.content_type = "text/csv"})->size(), 1);
  EXPECT_EQ(open({.content_type = "text/csv; header=\"absent\""})->size(), 2);
  EXPECT_ERROR(open({.content_type = "text/csv; header=maybe"}), InputError,
               "header: expected present or absent, found \"maybe\"");
  EXPECT_ERROR(open({.content_type = "text/csv;header=absent;label_size=2"}), InputError,
               "label_size: expected 0 or 1, found \"2\"");
}

TEST_F(Csv, WhatLiesBesideDataIsNoData) {
  write("train/part-0000", "1,2\n3,4\n");
  for (const char* name : {"train.manifest", "schema.json", "README", "README.md", "train/LICENSE", "notes.html"}) {
    write(name, "{\"about\": \"the data\"}\n");
  }
  const OpenedChannel channel = Formats::builtin().open(directory_.path(), {.content_type = "text/csv"});
  EXPECT_EQ(channel.dataset->size(), 2);
  EXPECT_EQ(channel.passed_over.names.size(), 6);
}

// Wherever a block of the file ends.
TEST_F(Csv, RecordsAreTheSameAtEveryEndOfABlock) {
  const std::string tail = "1,\"a\n\"\"b\",2\r\n3,c,4\n";
  for (std::size_t before = 0; before < tail.size() + 2; ++before) {
    const std::string filler((1 << 20) - before, 'x');
    const Strings found = records(filler + "\n" + tail);
    ASSERT_EQ(found.size(), 3) << before;
    EXPECT_EQ(found[0].size(), filler.size());
    EXPECT_EQ(found[1], "1,\"a\n\"\"b\",2") << before;
    EXPECT_EQ(found[2], "3,c,4") << before;
  }
}

TEST_F(Csv, CellsAreCutAndUnquoted) {
  std::vector<std::string_view> cells;
  std::string unquoted;
  const auto cut = [&](const std::string& record) {
    split_csv(record, ',', cells, unquoted);
    return Strings(cells.begin(), cells.end());
  };
  EXPECT_EQ(cut("a,b"), (Strings{"a", "b"}));
  EXPECT_EQ(cut(",b,"), (Strings{"", "b", ""}));
  EXPECT_EQ(cut(""), (Strings{""}));
  EXPECT_EQ(cut(R"("a,1","say ""no""",c)"), (Strings{"a,1", "say \"no\"", "c"}));
  EXPECT_EQ(cut(R"("","")"), (Strings{"", ""}));
  EXPECT_ERROR(cut(R"(a,"b)"), InputError, "nothing closes the quote of cell 2");
  EXPECT_ERROR(cut(R"("a"b,c)"), InputError, "text follows the closing quote of cell 1");
  EXPECT_EQ(delimiter_of("a;b;\"c,d,e,f\""), ';');
  EXPECT_EQ(delimiter_of("a\tb"), '\t');
  EXPECT_EQ(delimiter_of("alone"), ',');
}

TEST_F(Csv, AHeaderNamesTheColumns) {
  write("data.csv", "height,width,species,label\n1.5,2,cat,1\n-3e2,4,dog,0\n.25,6,cat,2\n");
  const auto data = open();
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(reals(*data, "height"), (Reals{1.5, -300, 0.25}));
  EXPECT_EQ(reals(*data, "width"), (Reals{2, 4, 6}));
  EXPECT_EQ(reals(*data, "label"), (Reals{1, 0, 2}));
  EXPECT_EQ(reals(*data, "species"), (Reals{0, 1, 0}));
  EXPECT_EQ(reals(*data, "features"), (Reals{1.5, 2, -300, 4, 0.25, 6}));
  const Field& species = data->spec().fields[2];
  EXPECT_EQ(species.categories, (Strings{"cat", "dog"}));
  EXPECT_EQ(species.bound, 2);
  EXPECT_EQ(data->spec().fields[3].bound, 3);
  EXPECT_EQ(
      data->note(),
      "cells end at \",\"; the first record names the columns; not among the features: species (categories), label");
}

// As SageMaker's built-in algorithms have it.
TEST_F(Csv, WithoutAHeaderTheFirstColumnIsTheTarget) {
  write("part-0.csv", "1,0.5,7\n0,1.5,8\n");
  write("more/part-1.csv", "1,2.5,9");
  const auto data = open();
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(reals(*data, "target"), (Reals{1, 1, 0}));  // more/ comes first
  EXPECT_EQ(reals(*data, "features"), (Reals{2.5, 9, 0.5, 7, 1.5, 8}));
  EXPECT_EQ(data->note(),
            "cells end at \",\"; no header, and so the first column is the target; not among the features: target");
  EXPECT_EQ(reals(*open({.columns = {{"target", "2"}}}), "features"), (Reals{1, 2.5, 1, 0.5, 0, 1.5}));
}

TEST_F(Csv, AnotherHeaderIsOtherData) {
  write("data.csv", "x,y\n1,2\n");
  const std::string digest = open()->digest();
  EXPECT_EQ(open()->digest(), digest);
  write("data.csv", "y,x\n1,2\n");
  EXPECT_NE(open()->digest(), digest);
}

TEST_F(Csv, WeightsThatHaveAnotherNameLeaveTheirNameToAFeature) {
  write("data.csv", "weight,importance,label\n1,2,3\n");
  EXPECT_EQ(reals(*open(), "features"), (Reals{2}));
  EXPECT_EQ(reals(*open({.columns = {{"weight", "importance"}}}), "features"), (Reals{1}));
}

TEST_F(Csv, EachFileHasTheHeader) {
  write("a.tsv", "x\ty\n1\t2\n");
  write("b.tsv", "x\ty\n3\t4\n");
  EXPECT_EQ(reals(*open(), "x"), (Reals{1, 3}));
  write("c.tsv", "x\tz\n5\t6\n");
  EXPECT_ERROR(take_all(*open()), InputError, "c.tsv, line 1", "expected the header of the channel's first file");
}

TEST_F(Csv, ValidationDataFollowsTheTrainingData) {
  write("data.csv", "x,kind,label\n0.5,b,1\n1,c,0\n");
  const auto train = open();
  write("data.csv", "x,kind,label\n1,c,0\n");
  const auto validation = open({.like = &train->spec()});
  EXPECT_EQ(reals(*validation, "kind"), (Reals{1}));
  EXPECT_EQ(reals(*validation, "x"), (Reals{1}));
  write("data.csv", "x,kind,label\n1,a,0\n");
  EXPECT_ERROR(take_all(*open({.like = &train->spec()})), InputError, "data.csv, line 2", "kind",
               "none of its 2 categories");
  write("data.csv", "x,kind,label\n1,b,0.5\n");
  EXPECT_ERROR(take_all(*open({.like = &train->spec()})), InputError, "data.csv, line 2", "label", "no integer");
  write("data.csv", "x,sort,label\n1,b,0\n");
  EXPECT_ERROR(take_all(*open({.like = &train->spec()})), InputError, "no column", "sort");
  for (const char* other : {"label,x,kind\n0,1,b\n", "x,kind\n1,b\n"}) {  // features would stand in another order
    write("data.csv", other);
    EXPECT_ERROR(take_all(*open({.like = &train->spec()})), InputError, "expected x, kind, label; found ");
  }
}

TEST_F(Csv, SaysWhereAFileIsBroken) {
  write("data.csv", "x,label\nb,2\n\"3\n\",4\n5\n");
  EXPECT_ERROR(take_all(*open()), InputError, "data.csv, line 5", "cells", "2", "found 1");
  write("data.csv", "x,label\n1,2\n,4\n");
  EXPECT_ERROR(take_all(*open()), InputError, "data.csv, line 3", "column x has no value");
  write("data.csv", "x,label\n1,2\nNA,4\n");
  EXPECT_ERROR(take_all(*open()), InputError, "data.csv, line 3", "column x has no value");
  write("data.csv", "x,label\n1,2\n3,\"4\n");
  EXPECT_ERROR(take_all(*open()), InputError, "data.csv, line 3", "nothing closes the quote");
  write("data.csv", "x,label\n1,2\n0.5,4\ntall,5\n");
  EXPECT_ERROR(take_all(*open()), InputError, "data.csv, line 4", "column x holds \"tall\", which is no number");
  write("data.csv", "x,label\na,2\n3,4\n");
  EXPECT_ERROR(take_all(*open()), InputError, "data.csv, line 3", "column x holds \"3\", a number, and texts before");
  write("data.csv", "x,label\n0.5,2\n-nan,4\n");
  EXPECT_ERROR(take_all(*open()), InputError, "data.csv, line 3", "column x holds \"-nan\", which is no finite number");
  write("data.csv", "features,label\n1,2\n");
  EXPECT_ERROR(take_all(*open()), InputError, "a column has the name features");
  write("data.csv", "x,x\n1,2\n");
  EXPECT_ERROR(take_all(*open()), InputError, "two columns have the name");
  write("data.csv", "x,label\n");
  EXPECT_ERROR(take_all(*open()), InputError, "data.csv holds no record");
  write("data.csv", "\r\n\n");
  EXPECT_ERROR(take_all(*open()), InputError, "blank");
}

// As pandas writes its index, and writes it again when it has read it.
TEST_F(Csv, AColumnWithoutANameIsNoFeature) {
  write("data.csv", ",Unnamed: 0,x,label\n7,8,1,2\n9,10,3,4\n");
  const auto data = open();
  EXPECT_EQ(reals(*data, "features"), (Reals{1, 3}));
  EXPECT_NE(data->note().find("not among the features: __index_level_0__ (index), Unnamed: 0 (index), label"),
            std::string::npos)
      << data->note();
  EXPECT_EQ(reals(*open({.columns = {{"x", "__index_level_0__"}}}), "__index_level_0__"), (Reals{7, 9}));
  const Columns chosen = choose_columns(data->spec(), {{.name = "in"}}, {});
  EXPECT_EQ(data->spec().fields[chosen.inputs[0].field].name, "features");
}

TEST_F(Csv, AColumnThatNothingTakesMayHoldAnything) {
  write("data.csv", "x,size,cabin,ticket,label\n1,,,7,0\n2,5,C1,A/5,1\n3,,3,8,0\n4,,,9,1\n");
  const auto data = open();
  const auto take = [&](const std::string& name) {
    return choose_columns(data->spec(), {{.name = name}}, {}).inputs.at(0).field;
  };
  EXPECT_EQ(take("x"), 0);
  EXPECT_EQ(reals(*data, "x"), (Reals{1, 2, 3, 4}));
  EXPECT_ERROR(take("size"), InputError,
               "data.csv, line 2: column size has no value (3 rows have none); fill it, as in fields: "
               "{\"column\": \"size\", \"fill\": \"mean\"}, or leave the rows out");
  EXPECT_ERROR(take("cabin"), InputError, "data.csv, line 4: column cabin holds \"3\", a number, and texts before");
  EXPECT_ERROR(take("ticket"), InputError, "data.csv, line 3: column ticket holds \"A/5\", which is no number");
  // Its numbers would be features; its texts would not.
  EXPECT_ERROR(take("in"), InputError, "data.csv, line 2: column size has no value");
  EXPECT_EQ(describe(data->spec()).find("x (int64), size (no value in 3 rows), cabin (values that cannot be used)"), 0);
  write("data.csv", "x,cabin,label\n1,,0\n2,C1,1\n3,,0\n");
  EXPECT_EQ(reals(*open(), "features"), (Reals{1, 2, 3}));
  EXPECT_NE(open()->note().find("cabin (no value in 2 rows)"), std::string::npos);
  EXPECT_ERROR(take_all(*open()), InputError, "{\"column\": \"cabin\", \"fill\": \"unknown\"}");
}

// Rows are bad for what the job takes of them, wherever it says first what a column holds.
TEST_F(Csv, RowsAreLeftOutForWhatIsTaken) {
  write("data.csv", "x,n,cabin,label\n1,1,,0\n2,,C1,1\n3,3,,0\n4,4,C2,\n5,,C3,1\n");
  const auto bad = [&](const ChannelOptions& options) {
    std::vector<std::int64_t> samples;
    const auto records = open(options)->bad_records();
    for (const BadRecord& record : records.value()) samples.push_back(record.sample);
    return samples;
  };
  using Samples = std::vector<std::int64_t>;
  EXPECT_EQ(bad({.inputs = {{"x"}}, .most_bad = 3}), (Samples{3}));
  EXPECT_EQ(bad({.inputs = {{"in"}}, .most_bad = 3}), (Samples{1, 3, 4}));
  EXPECT_EQ(bad({.inputs = {{"cabin"}}, .most_bad = 3}), (Samples{0, 2, 3}));
  EXPECT_EQ(bad({.columns = {{"target", "x"}}, .inputs = {{"n", "x"}}, .most_bad = 3}), (Samples{1, 4}));
  EXPECT_ERROR(bad({.inputs = {{"in"}}, .most_bad = 2}), InputError, "data.csv, line 6: column n has no value",
               "; skip_bad_records=2 leaves out as many before it");
  const auto data = open({.inputs = {{"in"}}, .most_bad = 3});
  EXPECT_FALSE(data->spec().fields[*data->spec().find("features")].fault);
}

TEST_F(Csv, AFileThatShrinksWhileItIsReadIsNamed) {
  write("data.csv", "x,label\n1,2\n3,4\n");
  const auto data = open();
  write("data.csv", "x,label\n1,2\n");
  EXPECT_ERROR(reals(*data, "x"), InputError, "data.csv is truncated: it ends at byte 12");
  write("data.csv", "x,label\n1,2\n\"\",\n");
  EXPECT_ERROR(reals(*data, "x"), InputError, "data.csv, record 2, at byte 12", "no integer");
}

TEST_F(Csv, ReadsPackedFiles) {
  const gzFile file = ::gzopen((directory_.path() / "data.csv.gz").c_str(), "wb");
  ::gzputs(file, "label,a\n1,0.5\n0,1.5\n");
  ::gzclose(file);
  EXPECT_EQ(reals(*open(), "a"), (Reals{0.5, 1.5}));
}

TEST(TableCells, AreNumbersOrNot) {
  EXPECT_EQ(integer_of(" +42 "), 42);
  EXPECT_EQ(integer_of("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(integer_of("9223372036854775808"), std::nullopt);
  EXPECT_EQ(real_of("9223372036854775808"), 9223372036854775808.0);
  EXPECT_EQ(real_of("1e-3"), 1e-3);
  for (const char* text : {"", " ", "1 2", "0x10", "1,5", "--1", "+-1", "1e", "a"}) {
    EXPECT_EQ(integer_of(text), std::nullopt) << text;
    EXPECT_EQ(real_of(text), std::nullopt) << text;
  }
  for (const char* text : {"", " ", "NA", "n/a", "NaN", "nan", "NULL"}) EXPECT_TRUE(is_missing(text)) << text;
  for (const char* text : {"0", "-", "none", "Nancy", "inf"}) EXPECT_FALSE(is_missing(text)) << text;
}

// However a row writes the same values.
TEST_F(Csv, PlainCellsAndOthersAreReadAlike) {
  const Strings rows = {"1.5,2,a,0",     "+1.5,2,a,0", " 1.5 ,2,a,0",     "\"1.5\",2,a,0", "1.5,\t2,a,0",
                        "1.5,\"2\",a,0", "1.5,2,a,+0", "1.5,2,\"a\",0\r", "15e-1,+2,a,0"};
  std::string text = "x,n,kind,label\n";
  for (const std::string& row : rows) text += row + "\n";
  write("data.csv", text);
  const auto data = open();
  Reals features;
  for (std::size_t i = 0; i < rows.size(); ++i) features.insert(features.end(), {1.5, 2});
  EXPECT_EQ(reals(*data, "features"), features);
  EXPECT_EQ(reals(*data, "x"), Reals(rows.size(), 1.5));
  EXPECT_EQ(reals(*data, "n"), Reals(rows.size(), 2));
  EXPECT_EQ(reals(*data, "kind"), Reals(rows.size(), 0));
  EXPECT_EQ(reals(*data, "label"), Reals(rows.size(), 0));
}

// Nothing of one row shows in another, whichever columns are asked for.
TEST_F(Csv, RowsThatChangeBehindTheIndexAreRefused) {
  const std::string header = "x,n,kind\n";
  write("data.csv", header + "1.5,2,a\n");
  const auto data = open();
  for (const char* row : {"1.5,2\n,a", "1.5,2,,", "1.5,2,z", "1.5,x,a", "1.5,,a ", "nan,2,a", "1.5,2 3a", "\"1.5,2a"}) {
    write("data.csv", header + row + "\n");
    std::vector<std::int64_t> memory(8);
    auto* const place = reinterpret_cast<std::byte*>(memory.data());
    const std::vector<std::byte*> fields = {place, place + 8, place + 16, place + 24};
    EXPECT_ERROR(data->read(std::vector<std::int64_t>{0}, fields), InputError, "data.csv, record 1, at byte 9");
  }
}

TEST_F(Csv, NeighboursAreReadAsOneByOne) {
  std::string text = "x,label\n";
  for (int i = 0; i < 30'000; ++i) text += std::to_string(i * 0.37) + "," + std::to_string(i % 7) + "\n";
  write("a.csv", text);
  write("b.csv", "x,label\n-1,6\n-2,5\n");
  const auto data = open();
  std::vector<std::int64_t> samples(static_cast<std::size_t>(data->size()));
  std::iota(samples.begin(), samples.end(), 0);
  const auto together = read_field<double>(*data, "x", samples);
  for (const std::int64_t sample : samples) {
    ASSERT_EQ(read_field<double>(*data, "x", {sample})[0], together[static_cast<std::size_t>(sample)]) << sample;
  }
  EXPECT_EQ(together[29'999], std::stod(std::to_string(29'999 * 0.37)));
  EXPECT_EQ(together[30'001], -2);
}

TEST_F(Csv, NamesAndTextsAreOfAnyScript) {
  write("d\xc3\xa4ten.csv", "gr\xc3\xb6\xc3\x9f\x65,\xe5\x90\x8d\xe5\x89\x8d,label\n1.5,\xe7\x8a\xac,0\n");
  const auto data = open();
  EXPECT_EQ(reals(*data, "gr\xc3\xb6\xc3\x9f\x65"), Reals{1.5});
  EXPECT_EQ(data->spec().fields[1].categories, Strings{"\xe7\x8a\xac"});
}

TEST_F(Csv, AsManyClassesAsAColumnMayHave) {
  std::string text = "kind,label\n";
  const auto most = static_cast<int>(TableColumns::kMostCategories);
  for (int i = 0; i < most; ++i) text += "k" + std::to_string(i) + "," + std::to_string(i) + "\n";
  write("data.csv", text);
  const auto data = open();
  EXPECT_EQ(data->spec().fields[0].bound, most);
  EXPECT_EQ(data->spec().fields[1].bound, most);
  EXPECT_EQ(reals(*data, "label").back(), most - 1);
  write("data.csv", text + "one more,0\n");
  EXPECT_ERROR(take_all(*open()), InputError, "line 65538", "more than 65536 different texts");
}

}  // namespace
}  // namespace lockstep

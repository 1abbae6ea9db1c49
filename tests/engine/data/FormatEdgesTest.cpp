// What lies at the edges of formats: names in other scripts, nothing, bytes behind the end, and files that end where a
// record does, or a byte before or behind it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "engine/data/images/EncodedImage.h"
#include "tests/support/ExpectError.h"
#include "tests/support/HostileFiles.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestReads.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

using Files = std::vector<std::pair<std::string, std::string>>;  // name → bytes
using Integers = std::vector<std::int64_t>;
using Floats = std::vector<float>;

class FormatEdges : public testing::Test {
 protected:
  OpenedChannel open(const Files& files, ChannelOptions options = {}) {
    fs::remove_all(channel_);
    fs::create_directories(channel_);
    for (const auto& [name, bytes] : files) {
      fs::create_directories((channel_ / name).parent_path());
      std::ofstream(channel_ / name, std::ios::binary) << bytes;
    }
    return Formats::builtin().open(channel_, options);
  }
  std::shared_ptr<const Dataset> data(const Files& files) { return open(files).dataset; }

  TemporaryDirectory directory_;
  const fs::path channel_ = directory_ / "channel";
};

const std::string kName = "größe μ 猫";
const std::string kPng = png_of(test_pixels(2, 3));

TEST_F(FormatEdges, ColumnsHaveNamesInUnicode) {
  const std::string x = bytes_of(Floats{1, 2, 3});
  const auto table = arrow_table({{kName, arrow_values<arrow::FloatBuilder, float>({1, 2, 3})},
                                  {"y", arrow_values<arrow::Int64Builder, std::int64_t>({0, 1, 2})}});
  std::string records;
  std::string dense;
  for (const float value : {1.F, 2.F, 3.F}) {
    records += tf_record(example(feature(kName, Floats{value})));
    dense += recordio(wire_entry(1, kName, wire_field(2, wire_numbers(1, Floats{value}))));
  }
  const std::string tensors =
      safetensors(R"({")" + kName + R"(":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})", x);
  for (const Files& files : {Files{{kName + ".npy", npy("<f4", "(3,)", x)}},
                             {{"a.npz", zip_file({{kName + ".npy", npy("<f4", "(3,)", x), true}})}},
                             {{"a.safetensors", tensors}},
                             {{"a.parquet", parquet_file(*table, 2)}},
                             {{"a.arrow", arrow_file(*table, 2, false)}},
                             {{"a.tfrecord", records}},
                             {{"a.pbr", dense}}}) {
    SCOPED_TRACE(files[0].first);
    const auto dataset = data(files);
    const std::size_t field = dataset->spec().find(kName).value();
    if (dataset->spec().fields[field].type == ElementType::kDouble) {
      EXPECT_EQ(read_field<double>(*dataset, kName, {0, 1, 2}), (std::vector<double>{1, 2, 3}));
    } else {
      EXPECT_EQ(read_field<float>(*dataset, kName, {0, 1, 2}), (Floats{1, 2, 3}));
    }
  }
}

TEST_F(FormatEdges, ImagesHaveNamesInUnicode) {
  const auto folder = data({{"猫/1.png", kPng}, {kName + "/" + kName + ".png", kPng}});
  EXPECT_EQ(folder->spec().fields[1].categories, (std::vector<std::string>{kName, "猫"}));
  EXPECT_EQ(read_field<std::int64_t>(*folder, "target", {0, 1}), (Integers{0, 1}));
  for (const Files& files :
       {Files{{"a.tar", tar_member(kName + "/é.png", kPng) + tar_member(kName + "/é.cls", "5") + tar_end()}},
        {{kName + ".png", kPng}, {"ä.lst", "0\t5\t" + kName + ".png\n"}},
        {{kName + ".png", kPng}, {"ä.manifest", R"({"source-ref": "s3://b/)" + kName + R"(.png", "é": 5})" + "\n"}},
        {{kName + ".png", kPng},
         {"a.manifest", R"({"source-ref": "s3://b/gr\u00f6\u00dfe \u03bc \u732b.png", "\u00e9": 5})" + "\n"s}}}) {
    SCOPED_TRACE(files.back().first);
    const auto dataset = data(files);
    EXPECT_EQ(read_field<std::int64_t>(*dataset, "target", {0}), Integers{5});
    EXPECT_EQ(read_field<std::uint8_t>(*dataset, "image", {0})[1], test_pixels(2, 3).bytes[3]);
  }
}

TEST_F(FormatEdges, WhatHoldsNoSampleIsRefused) {
  const std::vector<std::uint16_t> none;
  const auto table = arrow_table({{"x", arrow_values<arrow::DoubleBuilder>(std::vector<double>())}});
  for (const auto& [files, text] : std::vector<std::pair<Files, std::string>>{
           {{{"x.npy", npy("<f4", "(0, 3)", "")}}, "x.npy"},
           {{{"a.npz", zip_file({})}}, "holds no array"},
           {{{"a.npz", zip_file({{"x.npy", npy("<f4", "(0, 3)", ""), false}})}}, "a.npz"},
           {{{"a.safetensors", safetensors(R"({"x":{"dtype":"F32","shape":[0,2],"data_offsets":[0,0]}})", "")}},
            "a.safetensors"},
           {{{"a.bin", llmc_file(20240520, 1, none)}}, "a.bin"},
           {{{"a.bin", "\1\0"s}, {"a.idx", megatron_index(8, 2, {})}}, "a.idx"},
           {{{"a.parquet", parquet_file(*table, 2)}}, "holds no row"},
           {{{"a.arrow", arrow_file(*table, 2, false)}}, "holds no row"},
           {{{"a.arrows", arrow_file(*table, 2, true)}}, "holds no row"},
           {{{"a.lst", ""}, {"1.png", kPng}}, "1.png"},
           {{{"a.manifest", ""}, {"1.png", kPng}}, "1.png"},
           {{{"a.rec", ""}}, "a.rec (empty)"},
           {{{"data_batch_1.bin", ""}}, "data_batch_1.bin (empty)"}}) {
    SCOPED_TRACE(files[0].first);
    EXPECT_ERROR(open(files, {.window = 2}), InputError, channel_.string(), text);
  }
}

TEST_F(FormatEdges, AnImageOfNoBytesIsABadRecord) {
  const std::string tar = tar_member("1.png", "") + tar_member("1.cls", "0") + tar_member("2.png", kPng) +
                          tar_member("2.cls", "1") + tar_end();
  EXPECT_ERROR(open({{"a.tar", tar}}), InputError, "a.tar, image at byte 512: expected an image");
  const auto dataset = open({{"a.tar", tar}}, {.most_bad = 1}).dataset;
  const std::vector<BadRecord> bad = find_bad_records(*dataset, {0, 2}, 1, 1);
  ASSERT_EQ(bad.size(), 1);
  EXPECT_EQ(bad[0].sample, 0);
  EXPECT_EQ(read_field<std::int64_t>(*dataset, "target", {1}), Integers{1});
}

TEST_F(FormatEdges, AFeatureOfNoBytesIsPassedOver) {
  const std::string none = feature("b", std::vector{""s});
  const std::string records =
      tf_record(example(none + feature("x", Floats{1}))) + tf_record(example(none + feature("x", Floats{2})));
  const auto dataset = data({{"a.tfrecord", records}});
  ASSERT_EQ(dataset->spec().fields.size(), 1);
  EXPECT_EQ(read_field<float>(*dataset, "x", {0, 1}), (Floats{1, 2}));
  EXPECT_ERROR(data({{"a.tfrecord", tf_record(example(none))}}), InputError, channel_.string(),
               "b (bytes of no fixed length)");
}

TEST_F(FormatEdges, BytesBehindAnArchivesEndChangeNothing) {
  const std::string archive = zip_file({{"x.npy", npy("<f4", "(2,)", bytes_of(Floats{1, 2})), true}});
  EXPECT_EQ(read_field<float>(*data({{"a.npz", archive + "more"}}), "x", {0, 1}), (Floats{1, 2}));
  EXPECT_ERROR(data({{"a.npz", archive + archive}}), InputError, "a.npz", "several files behind each other");
}

TEST_F(FormatEdges, BytesBehindAnImagesEndChangeNothing) {
  const Pixels pixels = test_pixels(2, 3);
  for (const std::string& image : {png_of(pixels), webp_of(pixels)}) {
    for (const std::string& more : {"x"s, std::string(5000, '\0'), png_of(test_pixels(3, 3))}) {
      Pixels found;
      EncodedImage(image + more).decode(1, found);
      EXPECT_EQ(found.bytes, pixels.bytes);
    }
  }
}

/// All fields of the first `count` samples.
std::vector<std::vector<std::byte>> first_samples(const Dataset& dataset, std::int64_t count) {
  std::vector<std::vector<std::byte>> fields;
  std::vector<std::byte*> places;
  Integers samples(static_cast<std::size_t>(count));
  std::iota(samples.begin(), samples.end(), 0);
  for (const Field& field : dataset.spec().fields) fields.emplace_back(field.bytes() * samples.size());
  for (std::vector<std::byte>& field : fields) places.push_back(field.data());
  dataset.read(samples, places);
  return fields;
}

/// A file that may be cut.
struct CutFile {
  std::string name;
  std::vector<std::string> parts{};  ///< one behind the other; where one ends the file may
  std::size_t head = 0;              ///< parts before the first sample's
  std::size_t of_sample = 1;         ///< parts
  std::string end{};
};

class CutFormats : public FormatEdges {
 protected:
  /// How many samples a file that is cut has, which are the whole one's first; nothing where it is refused by its name.
  std::optional<std::int64_t> samples_of(const std::string& name, const std::string& bytes, const Dataset& whole) {
    try {
      const auto cut = data({{name, bytes}});
      EXPECT_LE(cut->size(), whole.size());
      EXPECT_EQ(first_samples(*cut, cut->size()), first_samples(whole, cut->size())) << name << ", " << bytes.size();
      return cut->size();
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
      return std::nullopt;
    }
  }
};

TEST_F(CutFormats, EndAtEveryRecordAndAByteBeforeAndBehind) {
  std::vector<CutFile> files = {{.name = "a.csv", .parts = {"a,kind\r\n"}, .head = 1},
                                {.name = "a.jsonl"},
                                {.name = "a.tar", .of_sample = 2, .end = tar_end()}};
  for (int i = 0; i < 6; ++i) {
    const std::string number = std::to_string(i);
    files[0].parts.push_back(i == 2 ? "2,\"x\ny\"\r\n" : number + ",x" + (i % 2 == 0 ? "\r\n" : "\n"));
    files[1].parts.push_back("{\"a\": " + number + ", \"b\": [1, 2]}" + (i % 2 == 0 ? "\r\n" : "\n"));
    files[2].parts.push_back(tar_member(number + ".png", kPng));
    files[2].parts.push_back(tar_member(number + ".cls", number));
  }
  for (const CutFile& file : files) {
    SCOPED_TRACE(file.name);
    const std::string all = std::accumulate(file.parts.begin(), file.parts.end(), ""s) + file.end;
    // `data` writes over what is open: a tar file's samples are read when they are asked for.
    fs::create_directories(directory_ / "whole");
    std::ofstream(directory_ / "whole" / file.name, std::ios::binary) << all;
    const auto whole = Formats::builtin().open(directory_ / "whole").dataset;
    ASSERT_EQ(whole->size(), 6);
    std::size_t end = 0;
    for (std::size_t i = 0; i < file.parts.size(); ++i) {
      end += file.parts[i].size();
      if (i < file.head) continue;
      const std::size_t parts = i + 1 - file.head;
      const auto samples = static_cast<std::int64_t>(parts / file.of_sample);
      const bool between = parts % file.of_sample != 0;
      const auto found = samples_of(file.name, all.substr(0, end), *whole);
      EXPECT_EQ(found, between ? std::nullopt : std::optional(samples)) << parts;
      // A line may lack its end, and a tar member what it is filled up with.
      const auto before = samples_of(file.name, all.substr(0, end - 1), *whole);
      EXPECT_TRUE(!before || (*before == samples && !between)) << parts;
      const auto behind = samples_of(file.name, all.substr(0, end + 1), *whole);
      if (parts < file.of_sample * 6) {
        EXPECT_EQ(behind, std::nullopt) << parts;
      }
    }
    fs::remove_all(directory_ / "whole");
  }
}

TEST_F(CutFormats, ColumnarFilesEndAnywhere) {
  const auto table = arrow_table({{"x", arrow_values<arrow::DoubleBuilder, double>({1, 2, 3, 4, 5, 6})},
                                  {"v", arrow_lists({{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}, {11, 12}})}});
  for (const auto& [name, bytes] : Files{{"a.parquet", parquet_file(*table, 2)},
                                         {"a.arrow", arrow_file(*table, 2, false)},
                                         {"a.arrows", arrow_file(*table, 2, true)}}) {
    SCOPED_TRACE(name);
    const auto whole = data({{name, bytes}});
    std::set<std::int64_t> sizes;
    const std::size_t step = soaking()            ? 1
                             : name == "a.arrows" ? 8
                                                  : 40;  // of a stream each part begins at such a byte
    for (std::size_t end = step; end < bytes.size(); end += step) {
      const auto found = samples_of(name, bytes.substr(0, end), *whole);
      if (!found || !sizes.insert(*found).second) continue;
      samples_of(name, bytes.substr(0, end - 1), *whole);
      samples_of(name, bytes.substr(0, end + 1), *whole);
    }
    // A stream ends behind any of its batches; the other formats say at their end what they hold.
    EXPECT_EQ(sizes, name == "a.arrows" ? (std::set<std::int64_t>{2, 4, 6}) : std::set<std::int64_t>());
  }
}

}  // namespace
}  // namespace lockstep

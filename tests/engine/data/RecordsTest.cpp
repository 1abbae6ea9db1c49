// Files of records: TFRecord of tf.train.Example and RecordIO of SageMaker's protobuf, how they are cut and decoded,
// and what a broken file is told.
#include <gtest/gtest.h>
#include <zlib.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <set>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/BadRecords.h"
#include "engine/data/Formats.h"
#include "engine/data/protobuf/Messages.h"
#include "engine/data/protobuf/WireReader.h"
#include "engine/data/records/HeaderWindow.h"
#include "engine/data/records/ImageMagic.h"
#include "engine/data/records/TfRecord.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PeakMemory.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestArrays.h"
#include "tests/support/TestImages.h"
#include "tests/support/TestReads.h"
#include "tests/support/TestRecords.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

using Sizes = std::vector<std::int64_t>;
using Floats = std::vector<float>;
using Integers = std::vector<std::int64_t>;

class Records : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) {
    fs::create_directories((directory_.path() / name).parent_path());
    std::ofstream(directory_.path() / name, std::ios::binary) << bytes;
  }
  void write_gzip(const std::string& name, const std::string& bytes, const char* mode) {
    const gzFile file = ::gzopen((directory_.path() / name).c_str(), mode);
    ::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    ::gzclose(file);
  }
  OpenedChannel channel(const ChannelOptions& options = {}) {
    return Formats::builtin().open(directory_.path(), options);
  }
  std::shared_ptr<const Dataset> open(const ChannelOptions& options = {}) { return channel(options).dataset; }

  TemporaryDirectory directory_;
};

std::vector<std::string> names(const Dataset& dataset) {
  std::vector<std::string> names;
  for (const Field& field : dataset.spec().fields) names.push_back(field.name);
  return names;
}

const Field& field(const Dataset& dataset, const std::string& name) {
  return dataset.spec().fields[dataset.spec().find(name).value()];
}

/// Of all samples, read from the last to the first.
template <typename Number>
std::vector<Number> all(const Dataset& dataset, const std::string& name) {
  const std::size_t index = dataset.spec().find(name).value();
  const auto each = static_cast<std::size_t>(dataset.spec().fields[index].numbers());
  EXPECT_EQ(size_of(dataset.spec().fields[index].type), sizeof(Number));
  std::vector<std::int64_t> samples(static_cast<std::size_t>(dataset.size()));
  std::iota(samples.rbegin(), samples.rend(), 0);
  std::vector<Number> backwards(samples.size() * each);
  std::vector<std::byte*> places(dataset.spec().fields.size());
  places[index] = reinterpret_cast<std::byte*>(backwards.data());
  dataset.read(samples, places);
  std::vector<Number> values;
  for (std::size_t sample = samples.size(); sample-- > 0;) {
    const auto first = backwards.begin() + static_cast<std::ptrdiff_t>(sample * each);
    values.insert(values.end(), first, first + static_cast<std::ptrdiff_t>(each));
  }
  return values;
}

std::string labelled(float x, std::int64_t label) {
  return tf_record(example(feature("x", Floats{x, -x}) + feature("label", Integers{label})));
}

TEST_F(Records, FeaturesAreFieldsByName) {
  const std::string pixels = "\x00\xff\x10"s;
  for (const bool packed : {true, false}) {
    std::string file;
    for (std::int64_t i = 0; i < 40; ++i) {
      file += tf_record(example(feature("words", Integers{i, -i, std::int64_t{1} << 62}, packed) +
                                feature("text", std::vector{std::string(static_cast<std::size_t>(i), 'a')}) +
                                feature("none", std::vector<std::string>()) + feature("pixels", std::vector{pixels}) +
                                feature("scale", Floats{0.5F * static_cast<float>(i)}, packed)));
    }
    write("data.tfrecord", file);
    const auto data = open();
    EXPECT_EQ(data->size(), 40);
    EXPECT_EQ(names(*data), (std::vector<std::string>{"pixels", "scale", "words"}));
    EXPECT_EQ(field(*data, "words").type, ElementType::kInt64);
    EXPECT_EQ(field(*data, "words").sizes, Sizes{3});
    EXPECT_EQ(field(*data, "words").bound, 0);
    EXPECT_EQ(field(*data, "scale").type, ElementType::kFloat);
    EXPECT_EQ(field(*data, "scale").sizes, Sizes());
    EXPECT_EQ(field(*data, "pixels").type, ElementType::kUint8);
    EXPECT_EQ(field(*data, "pixels").sizes, Sizes{3});
    const Integers words = all<std::int64_t>(*data, "words");
    const Floats scale = all<float>(*data, "scale");
    const auto bytes = all<char>(*data, "pixels");
    for (std::size_t i = 0; i < 40; ++i) {
      EXPECT_EQ(words[3 * i], static_cast<std::int64_t>(i));
      EXPECT_EQ(words[3 * i + 1], -static_cast<std::int64_t>(i));
      EXPECT_EQ(words[3 * i + 2], std::int64_t{1} << 62);
      EXPECT_EQ(scale[i], 0.5F * static_cast<float>(i));
      EXPECT_EQ(std::string(bytes.data() + 3 * i, 3), pixels);
    }
  }
}

TEST_F(Records, AreRecognisedByNameAndByContent) {
  for (const char* name :
       {"a.tfrecord", "a.tfrecords", "more/a-train.tfrecord-00000-of-00010", "anything", "a.npy.bin"}) {
    write(name, labelled(1, 2));
    const OpenedChannel found = channel();
    EXPECT_EQ(found.format, "TFRecord") << name;
    EXPECT_EQ(all<float>(*found.dataset, "x"), (Floats{1, -1})) << name;
    fs::remove_all(directory_.path() / fs::path(name).begin()->string());
  }
  write("a.tfrecord", "damaged from its first byte on");
  EXPECT_ERROR(open(), InputError, "a.tfrecord, record 1, at byte 0", "the checksum of its length does not fit");
  fs::remove(directory_ / "a.tfrecord");
  write("a.tfrecord.idx", "0 56\n");
  EXPECT_ERROR(open(), InputError, "holds no data, but other files: a.tfrecord.idx.", "TFRecord, ");
}

// The length of a record of 17 MB begins as IDX files do.
TEST_F(Records, ALengthMayLookLikeIdx) {
  std::string data = example(feature("x", Floats{1}));
  data += wire_field(2, std::string(0x01080000 - data.size() - 5, 'x'));  // a field of no schema
  ASSERT_EQ(data.size(), 0x01080000);
  write("data", tf_record(data));
  EXPECT_EQ(channel().format, "TFRecord");
}

TEST_F(Records, GzipIsUnpacked) {
  write_gzip("a.tfrecord.gz", labelled(1, 2) + labelled(3, 4), "wb");
  write_gzip("b.tfrecord", labelled(5, 6), "wb");
  write_gzip("b.tfrecord", labelled(7, 8), "ab");  // another member
  write("c.tfrecord", labelled(9, 10));
  EXPECT_EQ(all<std::int64_t>(*open(), "label"), (Integers{2, 4, 6, 8, 10}));
}

TEST_F(Records, EncodedImagesAreMadePictures) {
  const auto record = [](const std::string& image, std::int64_t label) {
    return tf_record(example(feature("image/encoded", std::vector{image}) +
                             feature("image/class/label", Integers{label}) +
                             feature("image/format", std::vector{"png"s})));
  };
  const std::string png = png_of(test_pixels(4, 6));
  write("data.tfrecord", record(png, 3) + record(png_of(test_pixels(8, 12, 1)), 4));
  const auto data = open();
  EXPECT_EQ(names(*data), (std::vector<std::string>{"image/class/label", "image/encoded", "image/format"}));
  EXPECT_EQ(field(*data, "image/encoded").sizes, (Sizes{3, 4, 6}));
  EXPECT_TRUE(field(*data, "image/encoded").large);
  EXPECT_TRUE(data->crops());
  const std::vector<std::uint8_t> pixels = all<std::uint8_t>(*data, "image/encoded");
  EXPECT_EQ(pixels[24 + 1], test_pixels(4, 6).bytes[3 + 1]);
  EXPECT_TRUE(std::equal(pixels.begin() + 72, pixels.begin() + 96, pixels.begin() + 96));  // it is grey
  // As the program takes them, and varied where they are to be.
  const auto made = Formats::builtin()
                        .open(directory_.path(), {.image = {.shape = ImageShape{1, 3, 3}, .crop = ImageCrop::kRandom}})
                        .dataset;
  EXPECT_EQ(field(*made, "image/encoded").sizes, (Sizes{1, 3, 3}));
  std::set<std::vector<std::uint8_t>> found;
  for (std::int64_t epoch = 0; epoch < 9; ++epoch) {
    std::vector<std::uint8_t> image(9);
    made->read_varied(Integers{1},
                      std::vector<std::byte*>{nullptr, reinterpret_cast<std::byte*>(image.data()), nullptr},
                      {.seed = 1, .epoch = epoch});
    found.insert(image);
  }
  EXPECT_GT(found.size(), 5);
  write("data.tfrecord", record(png, 3) + record(png.substr(0, png.size() / 2), 4));
  EXPECT_ERROR(all<std::uint8_t>(*open(), "image/encoded"), InputError, "record 2, at byte",
               "the PNG image is damaged");
  write("data.tfrecord", record(png, 3) + record(std::string(72, 'x'), 4));
  EXPECT_EQ(names(*open()), (std::vector<std::string>{"image/class/label", "image/format"}));
}

TEST_F(Records, OtherImagesAreNoNumbers) {
  const std::string gif = "GIF89a"s + std::string(20, 'j');
  write("data.tfrecord",
        tf_record(example(feature("image", std::vector{gif}) + feature("two", std::vector{"a"s, "b"s}))));
  EXPECT_ERROR(open(), InputError, directory_.path().string(), "hold no numbers",
               "image (encoded images, no JPEG, PNG or WebP)", "two (bytes of no fixed length)");
  write("data.tfrecord", tf_record(example(feature("image", std::vector{gif}) + feature("label", Integers{1}))));
  EXPECT_EQ(names(*open()), std::vector<std::string>{"label"});
  EXPECT_TRUE(begins_image("\x89PNG\r\n\x1a\nrest"));
  EXPECT_TRUE(begins_image("RIFF\x10\x20\x30\x40WEBPVP8 "));
  EXPECT_TRUE(begins_image("GIF89a"));
  EXPECT_TRUE(begins_image("BM\x0a\x00\x00\x00rest"s));
  EXPECT_FALSE(begins_image("BM\x0b\x00\x00\x00rest"s));
  EXPECT_FALSE(begins_image("RIFF"));
  EXPECT_FALSE(begins_image(""));
}

TEST_F(Records, SomeRecordsOfAllSayWhatThereIs) {
  std::string file = tf_record(example(feature("late", Floats{})));  // none here
  for (int i = 0; i < 99; ++i) {
    file += tf_record(
        example(feature("late", Floats{1, 2}) + feature("name", std::vector{std::string(i < 50 ? 3 : 4, 'n')})));
  }
  write("data.tfrecord", file);
  const auto data = open();
  EXPECT_EQ(names(*data), std::vector<std::string>{"late"});
  EXPECT_EQ(field(*data, "late").sizes, Sizes{2});
  EXPECT_ERROR(all<float>(*data, "late"), InputError, "data.tfrecord, record 1, at byte 0",
               "\"late\" is float32 [0]; expected float32 [2]");
}

TEST_F(Records, ValidationDataHasTheFieldsOfTheTrainingData) {
  write("data.tfrecord", labelled(1, 2));
  const auto train = open();
  write("data.tfrecord", tf_record(example(feature("x", Floats{1, 2}) + feature("label", Integers{0}) +
                                           feature("id", std::vector{"a"s}))));
  EXPECT_EQ(names(*open()), (std::vector<std::string>{"id", "label", "x"}));
  EXPECT_EQ(names(*open({.like = &train->spec()})), (std::vector<std::string>{"label", "x"}));
  write("data.tfrecord", tf_record(example(feature("id", Floats{1}))));
  EXPECT_ERROR(open({.like = &train->spec()}), InputError, "id (which the training channel has not)");
}

TEST_F(Records, ARecordThatIsNotLikeTheOthersIsNamed) {
  std::vector<std::string> records(100, labelled(1, 2));
  const std::string at = std::to_string(50 * labelled(1, 2).size());
  const auto expect = [&](const std::string& record, const std::string& text) {
    records[50] = record;
    write("data.tfrecord", std::accumulate(records.begin(), records.end(), ""s));
    const auto data = open();
    EXPECT_ERROR(all<float>(*data, "x"), InputError, "data.tfrecord, record 51, at byte " + at, text);
    EXPECT_EQ(all<std::int64_t>(*data, "label").size(), 100u);  // nobody asks for x
  };
  const std::string label = feature("label", Integers{1});
  expect(tf_record(example(label)), "it has no \"x\", which other records have");
  expect(tf_record(example(label + feature("x", Floats{1}))), "\"x\" is float32 [1]; expected float32 [2]");
  expect(tf_record(example(label + feature("x", Floats{1, 2, 3}, false))),
         "\"x\" is float32 [3]; expected float32 [2]");
  expect(tf_record(example(label + feature("x", Integers{1, 2}))), "\"x\" is int64; expected float32 [2]");
  expect(tf_record(example(label + wire_entry(1, "x", wire_field(2, wire_field(1, "12345"))))), "no list of numbers");
  records[50] = tf_record(example(label + feature("x", Floats{3, 4}) + feature("x", Floats{5, 6})));
  write("data.tfrecord", std::accumulate(records.begin(), records.end(), ""s));
  EXPECT_EQ(all<float>(*open(), "x")[100], 5);  // the last of a name is what counts
}

TEST_F(Records, ChecksumsAreChecked) {
  const std::string one = labelled(1, 2);
  std::string file;
  for (int i = 0; i < 100; ++i) file += one;
  const std::string place = "data.tfrecord, record 41, at byte " + std::to_string(40 * one.size());
  for (const std::size_t at : {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{11}}) {
    std::string changed = file;
    changed[40 * one.size() + at] ^= 4;
    write("data.tfrecord", changed);
    EXPECT_ERROR(open(), InputError, place, "the checksum of its length does not fit");
  }
  for (const std::size_t at : {std::size_t{12}, one.size() - 5, one.size() - 4, one.size() - 1}) {
    std::string changed = file;
    changed[40 * one.size() + at] ^= 4;
    write("data.tfrecord", changed);
    const auto data = open();  // the data is not read yet
    EXPECT_ERROR(all<std::int64_t>(*data, "label"), InputError, place, "the checksum of its data is");
  }
}

TEST_F(Records, ALengthThatWrapsAroundIsRefused) {
  for (const std::uint64_t length : {~std::uint64_t{3}, ~std::uint64_t{15}, ~std::uint64_t{0}, std::uint64_t{1}}) {
    const std::string header = little_endian(length) + little_endian(masked_crc(little_endian(length)));
    EXPECT_ERROR(tf_record_data(header), InputError, "has changed");
    EXPECT_ERROR(tf_record_data(header + "1234"), InputError, "has changed");
  }
}

TEST_F(Records, WhatFollowsADamagedHeaderIsNotRead) {
  const std::string good = tf_record(example(feature("x", Floats{1})));
  write("a.tfrecord", good + good + "no header, and then");
  fs::resize_file(directory_ / "a.tfrecord", std::uintmax_t{5} << 30);  // sparse
  EXPECT_ERROR(open(), InputError, "a.tfrecord, record 3, at byte", "checksum of its length");
  const auto dataset = open({.most_bad = 1});
  const std::vector<BadRecord> bad = find_bad_records(*dataset, {0, dataset->size()}, 1, 1);
  ASSERT_EQ(bad.size(), 1);
  EXPECT_EQ(bad[0].sample, 2);
  EXPECT_NE(bad[0].why.find("a.tfrecord, record 3, at byte"), std::string::npos) << bad[0].why;
  EXPECT_NE(bad[0].why.find("checksum of its length does not fit"), std::string::npos) << bad[0].why;
}

TEST_F(Records, TruncationIsNamed) {
  const std::string one = labelled(1, 2);
  for (std::size_t records = 0; records <= 3; ++records) {
    for (const std::size_t off : {one.size() - 1, one.size(), one.size() + 1}) {
      const std::size_t size = records * one.size() + off;
      const std::string place = "data.tfrecord, record " + std::to_string(size / one.size() + 1) + ", at byte " +
                                std::to_string(size / one.size() * one.size());
      write("data.tfrecord", (one + one + one + one + one).substr(0, size));
      if (off == one.size()) {
        EXPECT_EQ(open()->size(), static_cast<std::int64_t>(records + 1));
      } else if (off < one.size()) {
        EXPECT_ERROR(open(), InputError, place, "the file ends at byte " + std::to_string(size));
      } else {
        EXPECT_ERROR(open(), InputError, place, "the file ends in its header, after 1 of 12 bytes");
      }
    }
  }
}

TEST_F(Records, EdgesOfFiles) {
  write_gzip("a.tfrecord.gz", "", "wb");
  EXPECT_ERROR(open(), InputError, "a.tfrecord.gz holds no record");
  write("b.tfrecord", labelled(1, 2));
  EXPECT_EQ(open()->size(), 1);
  write("empty.tfrecord", "");  // passed over
  EXPECT_EQ(open()->size(), 1);
  write("c.tfrecord", tf_record(""));
  EXPECT_EQ(open()->size(), 2);
  EXPECT_ERROR(all<float>(*open(), "x"), InputError, "c.tfrecord, record 1, at byte 0", "it has no \"x\"");
  fs::remove(directory_ / "b.tfrecord");
  EXPECT_ERROR(open(), InputError, "its records hold no numbers; they hold nothing");
  const std::string long_header = little_endian(std::uint64_t{1} << 40U);
  write("c.tfrecord", long_header + little_endian(masked_crc(long_header)));
  EXPECT_ERROR(open(), InputError, "c.tfrecord, record 1, at byte 0", "its length is 1099511627776");
  write("c.tfrecord", labelled(1, 2) + "and more than a header");
  EXPECT_ERROR(open(), InputError, "c.tfrecord, record 2", "checksum of its length");
}

TEST_F(Records, TheDigestIsOfWhatIsThere) {
  const auto digest = [&](const std::string& bytes) {
    write("data.tfrecord", bytes);
    return open()->digest();
  };
  const std::string one = labelled(1, 2);
  const std::string first = digest(one + one + one);
  EXPECT_EQ(digest(one + one + one), first);
  EXPECT_NE(digest(one + one), first);
  EXPECT_NE(digest(one + one + labelled(1, 3)), first);
  EXPECT_NE(digest(labelled(2, 2) + one + one), first);
}

TEST_F(Records, AFileThatChangesWhileItIsReadIsNamed) {
  write("data.tfrecord", labelled(1, 2) + labelled(3, 4));
  auto data = open();
  write("data.tfrecord", labelled(1, 2));
  EXPECT_ERROR(all<float>(*data, "x"), InputError, "data.tfrecord is truncated: it ends at byte");
  write("data.tfrecord", tf_record("") + tf_record("") + labelled(1, 2) + labelled(3, 4));
  EXPECT_ERROR(all<float>(*data, "x"), InputError, "data.tfrecord, record 2", "has changed");
}

// Headers are read; what lies between is not.
TEST_F(Records, DataMayBeLargerThanMemory) {
  constexpr std::size_t kEach = 4 << 20;
  std::string file;
  for (int i = 0; i < 24; ++i) file += tf_record(example(feature("x", std::vector{std::string(kEach, 'x')})));
  write("data.tfrecord", file);
  std::string().swap(file);
  EXPECT_LT(peak_memory([&] { EXPECT_EQ(open()->size(), 24); }), 3 * kEach);
}

// By several threads.
TEST_F(Records, OfManyFilesComeInTheirOrder) {
  Integers labels;
  for (int file = 0; file < 23; ++file) {
    std::string records;
    for (int i = 0; i < file % 5; ++i) {
      records += labelled(1, std::ssize(labels));
      labels.push_back(std::ssize(labels));
    }
    write(format("part-%02d.tfrecord", file), records);
  }
  EXPECT_EQ(all<std::int64_t>(*open(), "label"), labels);
  write("part-08.tfrecord", labelled(1, 2).substr(0, 20));
  write("part-19.tfrecord", "nothing that is a record");
  EXPECT_ERROR(open(), InputError, "part-08.tfrecord, record 1, at byte 0");
}

TEST_F(Records, AnIndexOfThemIsKept) {
  write("data.tfrecord", labelled(1, 0) + labelled(2, 1));
  const TemporaryDirectory indexes;
  const auto kept = [&] {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(indexes.path())) {
      if (entry.path().extension() == ".index") found.push_back(entry.path());
    }
    return found;
  };
  const ChannelOptions options{.index_dir = indexes.path()};
  EXPECT_EQ(open(options)->digest(), open()->digest());
  ASSERT_EQ(kept().size(), 1);
  fs::last_write_time(kept()[0], fs::file_time_type(std::chrono::seconds(7)));
  EXPECT_EQ(all<std::int64_t>(*open(options), "label"), (Integers{0, 1}));
  EXPECT_EQ(fs::last_write_time(kept()[0]), fs::file_time_type(std::chrono::seconds(7)));  // found, not written again
  write("data.tfrecord", labelled(3, 2));
  EXPECT_EQ(all<std::int64_t>(*open(options), "label"), Integers{2});
  EXPECT_EQ(kept().size(), 2);
}

TEST_F(Records, AWindowShowsWhatIsThere) {
  std::string bytes;
  for (int i = 0; i < 100'000; ++i) bytes += static_cast<char>(i * 31 + i / 256);
  write("bytes", bytes);
  const RandomAccessFile file(directory_ / "bytes");
  for (const std::size_t step : {1, 7, 12, 1000, 4096, 5000, 33'000}) {
    HeaderWindow window(file);
    for (std::size_t offset = 0; offset < bytes.size() + step; offset += step) {
      const auto found = window.at(offset, 12);
      const std::size_t expected = offset < bytes.size() ? std::min<std::size_t>(12, bytes.size() - offset) : 0;
      ASSERT_EQ(found.size(), expected);
      ASSERT_EQ(std::memcmp(found.data(), bytes.data() + offset, expected), 0) << offset;
    }
  }
}

std::string value(const std::vector<float>& values, const std::string& rest = "") {
  return wire_field(2, wire_numbers(1, values) + rest);
}
std::string keys(const std::vector<std::int64_t>& keys) { return wire_numbers(2, keys); }
std::string shape(const std::vector<std::int64_t>& sizes) { return wire_numbers(3, sizes); }
std::string features(const std::string& value) { return wire_entry(1, "values", value); }
std::string label(const std::string& value) { return wire_entry(2, "values", value); }

// As MXNet packs it.
std::string packed_image(const std::string& image, float label, const std::vector<float>& labels = {}) {
  return little_endian(static_cast<std::uint32_t>(labels.size())) + bytes_of(std::vector{label}) +
         std::string(16, 'i') + bytes_of(labels) + image;
}

TEST_F(Records, MxnetsImagesAreImagesAndTargets) {
  const std::string png = png_of(test_pixels(4, 6));
  const std::string jpeg = jpeg_of(test_pixels(9, 9));
  const std::string magic = little_endian(0xced7230aU);
  std::string masked = packed_image(png, 9, {2});  // the magic number among its numbers, where it is left out
  masked.replace(8, 4, magic);
  write("a.rec", recordio(packed_image(png, 7)) + recordio(packed_image(jpeg, 0, {5})) +
                     recordio(masked.substr(0, 8), 1) + recordio(masked.substr(12), 3));
  write("a.lst", "0\t7\ta.png\n");
  const OpenedChannel found = channel();
  EXPECT_EQ(found.format, "image RecordIO");
  EXPECT_EQ(found.passed_over.names, std::vector<std::string>{"a.lst"});
  EXPECT_EQ(all<std::int64_t>(*found.dataset, "target"), (Integers{7, 5, 2}));
  const std::vector<std::uint8_t> pixels = all<std::uint8_t>(*found.dataset, "image");
  EXPECT_EQ(pixels[1], test_pixels(4, 6).bytes[3]);
  EXPECT_TRUE(std::equal(pixels.begin(), pixels.begin() + 72, pixels.end() - 72));
  EXPECT_NE(found.dataset->place(0, 1).find("a.rec, record 2, at byte"), std::string::npos);
  const std::string one = recordio(packed_image(png, 7));
  for (const auto& [record, text] : {std::pair(packed_image(png, 0.5), "the label 0.5; expected an integer"),
                                     {packed_image(png, -1), "the label -1"},
                                     {packed_image(png, std::nanf("")), "the label"},
                                     {packed_image(png, 0, {1, 2}), "2 labels; expected one"},
                                     {packed_image("", 1).substr(0, 23), "found 23 bytes"}}) {
    write("a.rec", one + recordio(record));
    EXPECT_ERROR(open(), InputError, "a.rec, record 2, at byte", text);
  }
  for (const std::string& image : {""s, "no image"s, png.substr(0, 50)}) {
    write("a.rec", one + recordio(packed_image(image, 1)));
    EXPECT_ERROR(all<std::uint8_t>(*open(), "image"), InputError, "a.rec, record 2, at byte");
  }
  for (std::size_t size = one.size() + 1; size < 2 * one.size(); size += 7) {
    write("a.rec", (one + one).substr(0, size));
    EXPECT_ERROR(open(), InputError, "a.rec, record 2, at byte");
  }
}

TEST_F(Records, SageMakersRecordsAreFeaturesAndTarget) {
  std::string file;
  for (int i = 0; i < 5; ++i) {
    const auto x = static_cast<float>(i);
    file += recordio(
        features(value({x, x + 0.5F, -x})) + label(wire_field(7, wire_numbers<std::int32_t>(1, {-i}))) +
        wire_entry(1, "more", wire_field(3, wire_numbers<double>(1, {i * 0.1}, false))) +
        wire_entry(1, "picture", wire_field(9, wire_field(1, "GIF89a and more") + wire_field(2, "image/gif"))) +
        wire_entry(1, "bytes", wire_field(9, wire_field(1, "ab"s + static_cast<char>(i)))) +
        wire_field(3, std::string(static_cast<std::size_t>(i), 'u')));
  }
  write("data.pbr", file);
  const OpenedChannel found = channel();
  EXPECT_EQ(found.format, "RecordIO");
  const Dataset& data = *found.dataset;
  EXPECT_EQ(names(data), (std::vector<std::string>{"bytes", "features", "more", "target"}));
  EXPECT_EQ(field(data, "features").sizes, Sizes{3});
  EXPECT_EQ(field(data, "target").type, ElementType::kInt32);
  EXPECT_EQ(field(data, "target").sizes, Sizes());
  EXPECT_EQ(all<float>(data, "features"), (Floats{0, 0.5, 0, 1, 1.5, -1, 2, 2.5, -2, 3, 3.5, -3, 4, 4.5, -4}));
  EXPECT_EQ(all<std::int32_t>(data, "target"), (std::vector<std::int32_t>{0, -1, -2, -3, -4}));
  EXPECT_EQ(all<double>(data, "more"), (std::vector<double>{0, 0.1, 0.2, 3 * 0.1, 0.4}));
  EXPECT_EQ(all<char>(data, "bytes")[5], 1);
}

TEST_F(Records, SparseTensorsAreExpanded) {
  write("data.pbr", recordio(features(value({1, 2}, keys({4, 0}) + shape({5})))) +
                        recordio(features(value({}, shape({5})))) +
                        recordio(features(value({1, 2, 3, 4, 5}, shape({5})))) +
                        recordio(features(value({7}, keys({2}) + shape({5})))));
  EXPECT_EQ(all<float>(*open(), "features"),
            (Floats{2, 0, 0, 0, 1, /**/ 0, 0, 0, 0, 0, /**/ 1, 2, 3, 4, 5, /**/ 0, 0, 7, 0, 0}));
  write("data.pbr", recordio(features(value({1, 2, 3, 4, 5, 6}, shape({2, 3})))));
  EXPECT_EQ(field(*open(), "features").sizes, (Sizes{2, 3}));
  const auto refused = [&](const std::string& of_tensor, const std::string& text) {
    write("data.pbr", recordio(features(value({1, 2}, of_tensor))));
    EXPECT_ERROR(all<float>(*open(), "features"), InputError, "data.pbr, record 1, at byte 0", "\"features\"", text);
  };
  refused(keys({4, 0}), "says no shape");
  refused(keys({4, 5}) + shape({5}), "a number at place 5 of 5");
  refused(keys({-1, 0}) + shape({5}), "a number at place 18446744073709551615 of 5");
  refused(keys({1}) + shape({5}), "2 numbers and 1 places for them, and its shape [5] has room for 5");
  refused(shape({3}), "2 numbers and 0 places");
  refused(keys({0, 1}) + shape({1 << 20, 1 << 10}), "at most 16777216");
  refused(keys({0, 1}) + shape({std::int64_t{1} << 30, std::int64_t{1} << 30}), "impossible shape");
  refused(keys({0, 1}) + shape({-1}), "impossible shape");
  write("data.pbr", recordio(features(value({1, 2}))) + recordio(features(value({1, 2}, keys({0, 1}) + shape({3})))));
  EXPECT_ERROR(all<float>(*open(), "features"), InputError, "record 2, at byte", "float32 [3]; expected float32 [2]");
}

TEST_F(Records, RecordsInPartsAreJoined) {
  // The magic number within the data is what dmlc's writer cuts at.
  float magic = 0;
  std::memcpy(&magic, "\x0a\x23\xd7\xce", sizeof magic);
  const std::string whole = features(value({1, magic, 2, magic, 3}));
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t at = 0; (at = whole.find("\x0a\x23\xd7\xce", begin)) != std::string::npos; begin = at + 4) {
    parts.push_back(whole.substr(begin, at - begin));
  }
  parts.push_back(whole.substr(begin));
  ASSERT_EQ(parts.size(), 3u);
  const std::string one = recordio(features(value({1, 2, 3, 4, 5})));
  const std::string joined = recordio(parts[0], 1) + recordio(parts[1], 2) + recordio(parts[2], 3);
  write("data.pbr", one + joined + one);
  const auto data = open();
  EXPECT_EQ(data->size(), 3);
  const Floats found = all<float>(*data, "features");
  EXPECT_EQ(Floats(found.begin() + 5, found.begin() + 10), (Floats{1, magic, 2, magic, 3}));
  const std::string at = std::to_string(one.size());
  const auto refused = [&](const std::string& bytes, const std::string& text) {
    write("data.pbr", one + bytes);
    EXPECT_ERROR(open(), InputError, "data.pbr, record 2, at byte " + at, text);
  };
  refused(recordio(parts[1], 2), "no RecordIO header is at byte " + at);
  refused(recordio(parts[1], 3), "no RecordIO header");
  refused(recordio(parts[0], 1) + one, "no RecordIO header is at byte");
  refused(recordio(parts[0], 1), "the file ends at byte");
  refused(recordio(parts[0], 4), "no RecordIO header");
}

TEST_F(Records, BrokenRecordIoIsNamed) {
  const std::string one = recordio(features(value({1, 2})) + wire_field(3, "u"));
  const std::string two = "data.pbr, record 2, at byte " + std::to_string(one.size());
  for (std::size_t size = one.size() + 1; size < 2 * one.size(); ++size) {
    write("data.pbr", (one + one).substr(0, size));
    EXPECT_ERROR(open(), InputError, two, "the file ends at byte " + std::to_string(size));
  }
  write("data.pbr", one + one + "\n");
  EXPECT_ERROR(open(), InputError, "record 3", "bytes follow the last record");
  write("data.pbr", one + "123456789");
  EXPECT_ERROR(open(), InputError, two, "no RecordIO header is at byte");
  write("data.pbr", one + recordio(""));
  EXPECT_ERROR(all<float>(*open(), "features"), InputError, two, "it has no \"features\"");
  write("data.pbr", one + recordio("\x0a\x7f"));
  EXPECT_ERROR(open(), InputError, two, "its message is damaged: field 1 has 127 bytes; 0 are left");
  write("data.pbr", one + recordio(std::string(24, '\0') + "\xff\xd8\xff\xe0 an image"));
  EXPECT_ERROR(open(), InputError, two, "an image, as MXNet packs them");
  write("data.pbr", "not at all");
  EXPECT_ERROR(open({.content_type = "application/x-recordio-protobuf"}), InputError, "record 1, at byte 0",
               "no RecordIO header");
}

TEST(WireReader, RefusesWhatIsNoMessage) {
  const auto refused = [](const std::string& message, const std::string& text) {
    EXPECT_ERROR(for (WireReader reader(message); reader.next();), InputError, text);
  };
  refused("\x08", "a number reaches beyond its end");
  refused("\x80", "a number reaches beyond its end");
  refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "more than 64 bits");
  refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "more than 64 bits");
  refused("\x02\x01", "a field has the number 0");
  refused("\x0b", "field 1 is of wire type 3");
  refused("\x0e", "field 1 is of wire type 6");
  refused(
      "\x0a\x05"
      "1234",
      "field 1 has 5 bytes; 4 are left");
  refused("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "field 1 has 18446744073709551615 bytes");
  refused(
      "\x09"
      "1234567",
      "field 1 has 8 bytes; 7 are left");
  refused(
      "\x0d"
      "123",
      "field 1 has 4 bytes; 3 are left");
  refused("\xff\xff\xff\xff\x7f\x01", "a field has the number");
  const std::string most = "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
  WireReader reader(most);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.varint(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_ERROR(reader.bytes(), InputError, "field 1 is of wire type 0; expected 2");
  EXPECT_FALSE(reader.next());
  EXPECT_ERROR(read_one_of(wire_field(1, "a") + wire_field(2, "b")), InputError, "several values");
}

// As protobuf allows it: in several pieces, packed and not.
TEST(WireReader, NumbersComeInPieces) {
  const std::string message = wire_numbers<float>(1, {1, 2}) + wire_numbers<float>(1, {3}, false) +
                              wire_field(2, "other") + wire_numbers<float>(1, {4, 5});
  for (std::size_t most = 0; most <= 6; ++most) {
    Floats found(6, -1);
    EXPECT_EQ(read_numbers<float>(message, 1, reinterpret_cast<std::byte*>(found.data()), most), 5u);
    for (std::size_t i = 0; i < 6; ++i)
      EXPECT_EQ(found[i], i < std::min<std::size_t>(most, 5) ? static_cast<float>(i + 1) : -1);
  }
  EXPECT_ERROR(read_numbers<std::int64_t>(message, 1, nullptr, 0), InputError, "no list of numbers");
}

FieldDescriptions texts_of(const std::string& column, std::int64_t buckets = 0, const char* fill = nullptr) {
  FieldPart part{.columns = {column}, .type = FieldPart::Type::kText, .hash_buckets = buckets};
  if (fill != nullptr) part.fill = Fill{.value = fill};
  return {{"x", {std::move(part)}}};
}

TEST_F(Records, TextsAreCategoriesOrHashedWhereTheyAreDescribed) {
  std::string file;
  const std::vector<std::string> kinds = {"dog", "cat", "dog", "\xc3\xa4"};
  for (std::size_t i = 0; i < 40; ++i) {
    const std::string kind = i == 25 ? "rare" : kinds[i % kinds.size()];  // in no record that is looked at first
    file += tf_record(
        example(feature("kind", std::vector{kind}) + feature("zip", Integers{static_cast<std::int64_t>(i % 3) - 1})));
  }
  write("data.tfrecord", file);
  const auto categories = open({.fields = texts_of("kind")});
  EXPECT_EQ(field(*categories, "kind").categories, (std::vector<std::string>{"cat", "dog", "rare", "\xc3\xa4"}));
  EXPECT_EQ(field(*categories, "kind").bound, 4);
  const Integers numbers = all<std::int64_t>(*categories, "kind");
  EXPECT_EQ((Integers{numbers[0], numbers[1], numbers[2], numbers[3], numbers[25]}), (Integers{1, 0, 1, 3, 2}));
  const auto hashed = open({.fields = texts_of("kind", 1000)});
  EXPECT_EQ(field(*hashed, "kind").bound, 1000);
  EXPECT_EQ(all<std::int64_t>(*hashed, "kind")[3], text_bucket("\xc3\xa4", 1000));
  const auto zips = open({.fields = texts_of("zip")});
  EXPECT_EQ(field(*zips, "zip").categories, (std::vector<std::string>{"-1", "0", "1"}));
  EXPECT_EQ(all<std::int64_t>(*open({.fields = texts_of("zip", 50)}), "zip")[0], text_bucket("-1", 50));
  EXPECT_EQ(names(*open()), std::vector<std::string>{"zip"});
  EXPECT_NE(categories->digest(), hashed->digest());
}

TEST_F(Records, TextsOfAnotherChannelAreTheTrainingChannels) {
  const auto kind = [](const std::string& text) { return tf_record(example(feature("kind", std::vector{text}))); };
  write("data.tfrecord", kind("a") + kind("b"));
  const SampleSpec train = open({.fields = texts_of("kind")})->spec();
  write("data.tfrecord", kind("b") + kind("c"));
  const auto other = open({.fields = texts_of("kind"), .like = &train});
  EXPECT_EQ(read_field<std::int64_t>(*other, "kind", {0}), Integers{1});
  EXPECT_ERROR(read_field<std::int64_t>(*other, "kind", {1}), InputError, "record 2", "\"c\", which is none of its 2");
}

TEST_F(Records, TextsThatAreNoneAreRefusedOrFilled) {
  const std::string one = tf_record(example(feature("kind", std::vector{"a"s}) + feature("y", Integers{1})));
  const std::string none = tf_record(example(feature("y", Integers{1})));
  write("data.tfrecord", one + none);
  EXPECT_ERROR(all<std::int64_t>(*open({.fields = texts_of("kind")}), "kind"), InputError, "it has no \"kind\"");
  const auto filled = open({.fields = texts_of("kind", 0, "?")});
  EXPECT_EQ(field(*filled, "kind").categories, (std::vector<std::string>{"?", "a"}));
  EXPECT_EQ(all<std::int64_t>(*filled, "kind"), (Integers{1, 0}));
  write("data.tfrecord", one + tf_record(example(feature("kind", std::vector{"a"s, "b"s}))));
  EXPECT_ERROR(open({.fields = texts_of("kind")}), InputError, "record 2", "holds 2 values; expected one");
  write("data.tfrecord", one + tf_record(example(feature("kind", Floats{1}))));
  EXPECT_ERROR(open({.fields = texts_of("kind")}), InputError, "holds real numbers");
}

}  // namespace
}  // namespace lockstep

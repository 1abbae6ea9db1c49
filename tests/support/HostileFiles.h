// A file of each format, and what a job does to a channel before its first step.
#pragma once

#include <zlib.h>
#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/data/BadRecords.h"
#include "engine/data/Formats.h"
#include "engine/data/KeptSamples.h"
#include "engine/data/ProgramSamples.h"
#include "tests/support/TestArrays.h"
#include "tests/support/TestColumnar.h"
#include "tests/support/TestImages.h"
#include "tests/support/TestRecords.h"
#include "tests/support/TestTar.h"
#include "tests/support/TestZip.h"

namespace lockstep {

/// A file of some format, to be damaged.
struct HostileFile {
  const char* file;
  std::string bytes;  ///< intact
  /// What is written of it when it has been changed.
  std::string (*framed)(const std::string& changed) = [](const std::string& changed) { return changed; };
  const char* beside = "";  ///< a file that stays as it is
  std::string bytes_beside{};
};

inline std::string zstd(const std::string& content) {
  std::string packed(::ZSTD_compressBound(content.size()), '\0');
  packed.resize(::ZSTD_compress(packed.data(), packed.size(), content.data(), content.size(), 3));
  return packed;
}

inline std::string gzip(std::string content) {
  std::string packed(::compressBound(content.size()) + 32, '\0');
  z_stream stream{};
  stream.next_in = reinterpret_cast<Bytef*>(content.data());
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  ::deflate(&stream, Z_FINISH);
  ::deflateEnd(&stream);
  packed.resize(stream.total_out);
  return packed;
}

inline std::vector<HostileFile> hostile_files() {
  const std::string x = npy("<f4", "(3, 2)", bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6}));
  const std::vector<std::uint16_t> text = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::string y = npy(">i8", "(3,)", bytes_of(std::vector<std::int64_t>{0, 0, 0}));
  const std::string features = feature("x", std::vector<float>{1, 2}) +
                               feature("y", std::vector<std::int64_t>{1}, false) +
                               feature("z", std::vector<std::string>{"three"});
  const auto record = [](const std::string& more) {
    const std::string values = wire_field(2, wire_numbers(1, std::vector<float>{1, 2}) + more);
    return wire_entry(1, "x", values) + wire_entry(2, "y", wire_field(7, wire_numbers<std::int32_t>(1, {-1})));
  };
  const std::string dense = record(wire_numbers(3, std::vector<std::int64_t>{2}));
  const std::string sparse =
      record(wire_numbers(2, std::vector<std::int64_t>{1, 0}) + wire_numbers(3, std::vector<std::int64_t>{2}));
  const auto table = arrow_table({{"x", arrow_values<arrow::DoubleBuilder, double>({1, 2, 3})},
                                  {"kind", arrow_values<arrow::StringBuilder, std::string>({"a", "b", "a"})},
                                  {"v", arrow_lists({{1, 2}, {3, 4}, {5, 6}})},
                                  {"y", arrow_values<arrow::Int64Builder, std::int64_t>({0, 1, 2})}});
  const std::string cut = varint(3U << 3U | 2U) + varint(4);  // before the magic number, which is then left out
  return {{"x.npy", x},
          {"stored.npz", zip_file({{"x.npy", x, false}, {"y.npy", y, false}})},
          {"deflated.npz", zip_file({{"x.npy", x, true}, {"y.npy", y, true}})},
          {"data.safetensors", safetensors(R"({"x":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},)"
                                           R"("y":{"dtype":"I64","shape":[3],"data_offsets":[24,48]}})",
                                           bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6}) + std::string(24, '\0'))},
          {"c.bin", llmc_file(20240520, 1, text)},
          {"raw.bin", bytes_of(text)},
          {.file = "m.idx", .bytes = megatron_index(8, 2, {4, 4}), .beside = "m.bin", .bytes_beside = bytes_of(text)},
          {.file = "m.bin", .bytes = bytes_of(text), .beside = "m.idx", .bytes_beside = megatron_index(8, 2, {4, 4})},
          {"test_batch.bin", std::string(2 * 3073, '\3')},
          {.file = "train.bin",
           .bytes = std::string(2 * 3074, '\3'),
           .beside = "fine_label_names.txt",
           .bytes_beside = "apple\n"},
          {.file = "images-idx3-ubyte",
           .bytes = std::string("\0\0\10\3\0\0\0\2\0\0\0\2\0\0\0\2", 16) + "abcdefgh",
           .beside = "labels-idx1-ubyte",
           .bytes_beside = std::string("\0\0\10\1\0\0\0\2\0\1", 10)},
          {"data.csv", "x,label,kind\r\n1.5,2,a\r\n\"-3e1\",4,\"b \"\"c\"\"\"\r\n"},
          {"packed.csv.zst", zstd("x,label\n1.5,2\n") + zstd("-3e1,4\n")},
          {"packed.csv.gz", gzip("x,label\n1.5,2\n") + gzip("-3e1,4\n")},
          {"data.jsonl",
           "{\"x\":1.5,\"kind\":\"a\",\"v\":[[1,2],[3,4]],\"y\":2}\r\n"
           "{\"kind\":\"\\u00fc\",\"y\":4,\"x\":-3e1,\"v\":[[1,2],[0.5,4]]}\n"},
          {"data.parquet", parquet_file(*table, 2)},
          {"data.arrow", arrow_file(*table, 2, false)},
          {"data.arrows", arrow_file(*table, 2, true)},
          {"tables.parquet", parquet_file(*table, 2) + parquet_file(*table, 3)},
          {"tables.arrow", arrow_file(*table, 2, false) + arrow_file(*table, 3, true)},
          {"data.tfrecord", tf_record(example(features)) + tf_record(example(features))},
          {"a/sequential", jpeg_of(test_pixels(20, 17))},
          {"a/progressive", jpeg_of(test_pixels(20, 17), TJFLAG_PROGRESSIVE)},
          {"a/png", png_of(test_pixels(20, 17))},
          {.file = "a/images.lst",
           .bytes = "0\t1\tx.png\r\n1\t0.0\tx.png\n",
           .beside = "a/x.png",
           .bytes_beside = png_of(test_pixels(2, 3))},
          {.file = "a/train.manifest",
           .bytes = "{\"source-ref\": \"s3://b/y.png\", \"y\": 1, \"y-metadata\": {\"class-name\": \"cow\"}}\n"
                    "{\"source-ref\": \"y.png\", \"y\": \"0\"}\r\n",
           .beside = "a/y.png",
           .bytes_beside = png_of(test_pixels(2, 3))},
          {"a/webp", webp_of(test_pixels(20, 17))},
          {"shard.tar", tar_member("1.png", png_of(test_pixels(2, 3))) + tar_member("1.cls", "0") + tar_end()},
          {"images.rec", recordio(little_endian(0U) + bytes_of(std::vector{1.0F}) + std::string(16, 'i') +
                                  jpeg_of(test_pixels(2, 3)))},
          // With checksums that fit.
          {"message.tfrecord", example(features),
           [](const std::string& changed) { return tf_record(changed) + tf_record(changed); }},
          {"data.pbr", recordio(dense) + recordio(sparse) + recordio(dense + cut, 1) + recordio("", 3)},
          {"message.pbr", sparse, [](const std::string& changed) { return recordio(changed) + recordio(changed); }}};
}

/// Opens a channel, leaves out the records that cannot be read where so many may be, joins it to a program's inputs and
/// reads its last sample.
inline void read_hostile_channel(const std::filesystem::path& directory, std::int64_t most_bad) {
  std::shared_ptr<const Dataset> dataset =
      Formats::builtin()
          .open(directory, {.window = 2, .image = {.shape = ImageShape{3, 9, 8}}, .most_bad = most_bad})
          .dataset;
  if (most_bad > 0) {
    std::vector<BadRecord> bad = dataset->bad_records() ? *dataset->bad_records()
                                                        : find_bad_records(*dataset, {0, dataset->size()}, most_bad, 1);
    std::vector<std::int64_t> samples;
    for (const BadRecord& record : bad) samples.push_back(record.sample);
    if (!bad.empty() && (std::ssize(bad) > most_bad || std::ssize(bad) == dataset->size()))
      throw InputError(bad[0].why);
    if (!bad.empty()) dataset = std::make_shared<KeptSamples>(dataset, samples, "");
  }
  const std::string target = dataset->spec().fields.back().name;
  const ProgramSamples samples(dataset, {{.name = "x"}}, {.names = {{kTargetColumn, target}}});
  std::vector<std::vector<double>> memory;
  std::vector<std::byte*> columns;
  for (const Column& column : samples.columns()) memory.emplace_back(column.bytes() / sizeof(double) + 1);
  for (std::vector<double>& column : memory) columns.push_back(reinterpret_cast<std::byte*>(column.data()));
  samples.read(std::vector<std::int64_t>{samples.size() - 1}, columns);
}

}  // namespace lockstep

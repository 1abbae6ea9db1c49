// Files of arrays that were changed at random, and what a job does to a channel before its first step: each is refused
// or read. `make soak` tries many.
#include <gtest/gtest.h>
#include <zstd.h>

#include <fstream>
#include <iostream>
#include <random>

#include "engine/data/Formats.h"
#include "engine/data/ProgramSamples.h"
#include "tests/support/HostileCases.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestArrays.h"
#include "tests/support/TestColumnar.h"
#include "tests/support/TestImages.h"
#include "tests/support/TestRecords.h"
#include "tests/support/TestTar.h"
#include "tests/support/TestZip.h"

namespace lockstep {
namespace {

struct Base {
  const char* file;
  std::string bytes;
  std::string (*framed)(const std::string& changed) = [](const std::string& changed) { return changed; };
  const char* beside = "";  ///< a file that stays as it is
  std::string bytes_beside{};
};

std::string zstd(const std::string& content) {
  std::string packed(::ZSTD_compressBound(content.size()), '\0');
  packed.resize(::ZSTD_compress(packed.data(), packed.size(), content.data(), content.size(), 3));
  return packed;
}

std::vector<Base> bases() {
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
          {"data.csv", "x,label,kind\r\n1.5,2,a\r\n\"-3e1\",4,\"b \"\"c\"\"\"\r\n"},
          {"packed.csv.zst", zstd("x,label\n1.5,2\n") + zstd("-3e1,4\n")},
          {"data.jsonl",
           "{\"x\":1.5,\"kind\":\"a\",\"v\":[[1,2],[3,4]],\"y\":2}\r\n"
           "{\"kind\":\"\\u00fc\",\"y\":4,\"x\":-3e1,\"v\":[[1,2],[0.5,4]]}\n"},
          {"data.parquet", parquet_file(*table, 2)},
          {"data.arrow", arrow_file(*table, 2, false)},
          {"data.arrows", arrow_file(*table, 2, true)},
          {"data.tfrecord", tf_record(example(features)) + tf_record(example(features))},
          {"a/sequential", jpeg_of(test_pixels(20, 17))},
          {"a/progressive", jpeg_of(test_pixels(20, 17), TJFLAG_PROGRESSIVE)},
          {"a/png", png_of(test_pixels(20, 17))},
          {.file = "a/images.lst",
           .bytes = "0\t1\tx.png\r\n1\t0.0\tx.png\n",
           .beside = "a/x.png",
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

// A few bytes become others, digits above all; or a part is cut out, doubled or moved to the end.
std::string changed(std::string bytes, std::mt19937& random) {
  const auto below = [&](std::size_t most) { return random() % std::max<std::size_t>(most, 1); };
  for (std::size_t changes = 1 + below(4); changes-- > 0 && !bytes.empty();) {
    const std::size_t at = below(bytes.size());
    switch (below(6)) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = "0123456789-,'()[]{}<>|fiubTF:"[below(29)];
        break;
      case 2:
        bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(1U << below(8)));
        break;
      case 3:
        bytes.erase(at, below(32));
        break;
      case 4:
        bytes.insert(at, bytes.substr(below(bytes.size()), below(32)));
        break;
      default:
        bytes.insert(at, std::string(1 + below(16), '9'));
    }
  }
  return bytes;
}

TEST(HostileArrays, AreRefusedOrRead) {
  const int count = soaking() ? 400'000 : 8'000;
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "a");
  const std::vector<Base> all = bases();
  const auto base = [&](int i) -> const Base& { return all[static_cast<std::size_t>(i) % all.size()]; };
  const auto run = [&](int i) {
    std::mt19937 random(static_cast<unsigned>(i));
    for (const Base& other : all) {
      std::filesystem::remove(directory / other.file);
      if (other.beside[0] != '\0') std::filesystem::remove(directory / other.beside);
    }
    if (base(i).beside[0] != '\0') std::ofstream(directory / base(i).beside, std::ios::binary) << base(i).bytes_beside;
    std::ofstream(directory / base(i).file, std::ios::binary) << base(i).framed(changed(base(i).bytes, random));
    const std::shared_ptr<const Dataset> dataset =
        Formats::builtin().open(directory.path(), {.window = 2, .image = {.shape = ImageShape{3, 9, 8}}}).dataset;
    const std::string target = dataset->spec().fields.back().name;
    const ProgramSamples samples(dataset, {{.name = "x"}}, {.names = {{kTargetColumn, target}}});
    std::vector<std::vector<double>> memory;
    std::vector<std::byte*> columns;
    for (const Column& column : samples.columns()) memory.emplace_back(column.bytes() / sizeof(double) + 1);
    for (std::vector<double>& column : memory) columns.push_back(reinterpret_cast<std::byte*>(column.data()));
    samples.read(std::vector<std::int64_t>{samples.size() - 1}, columns);
  };
  const CaseResults results = run_hostile_cases(count, run, [&](int i) { return std::string(base(i).file); });
  for (const std::string& failure : results.failures) ADD_FAILURE() << failure;
  std::cout << results.accepted << " accepted, " << results.refused << " refused\n";
  EXPECT_GT(results.accepted, count / 100);
  EXPECT_GT(results.refused, count / 4);
}

}  // namespace
}  // namespace lockstep

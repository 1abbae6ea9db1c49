// A small channel of each format.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/HostileFiles.h"

namespace lockstep {

/// A format's files, and which of their fields are the program's.
struct FormatCase {
  using Files = std::vector<std::pair<std::string, std::string>>;  ///< name → bytes
  enum class Kind { kNumbers, kImages, kTokens };

  static constexpr std::int64_t kWindow = 2;  ///< tokens of a sample

  std::string name;
  Files files;
  Kind kind = Kind::kNumbers;
  std::string input = "x";
  std::string target = "y";

  void write(const std::filesystem::path& directory) const {
    for (const auto& [file, bytes] : files) {
      std::filesystem::create_directories((directory / file).parent_path());
      std::ofstream(directory / file, std::ios::binary) << bytes;
    }
  }
  /// For names of tests and directories.
  std::string plain_name() const {
    std::string plain = name;
    std::ranges::replace_if(
        plain, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
    return plain;
  }
};

inline void PrintTo(const FormatCase& format, std::ostream* out) { *out << format.name; }

/// Makes channels of so many samples, at most 127.
class FormatCases {
 public:
  static constexpr int kSamples = 101;

  explicit FormatCases(int samples = kSamples) : samples_(samples) {}
  std::vector<FormatCase> all() const {
    std::vector<FormatCase> all = tables();
    for (const std::vector<FormatCase>& more : {arrays(), tokens(), records(), images()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }

 private:
  using Files = FormatCase::Files;
  using Kind = FormatCase::Kind;

  static std::string repeated(const std::function<std::string(int)>& sample, int first, int last) {
    std::string all;
    for (int i = first; i < last; ++i) all += sample(i);
    return all;
  }
  std::string repeated(const std::function<std::string(int)>& sample) const { return repeated(sample, 0, samples_); }
  int most() const { return samples_ * 2 / 3; }  ///< that are in the first of two files
  static int kind_of(int i) { return (i + 1) % 3; }
  static std::vector<float> numbers(int i) { return {static_cast<float>(i), 0.5F * static_cast<float>(i)}; }
  static std::vector<std::int64_t> label(int i) { return {kind_of(i)}; }
  static Pixels pixels(int i) {
    Pixels made = test_pixels(6, 5);
    made.bytes[0] = static_cast<std::uint8_t>(i);
    return made;
  }
  static std::string swapped(std::string bytes, std::size_t width) {
    for (auto at = bytes.begin(); at != bytes.end(); at += static_cast<std::ptrdiff_t>(width)) {
      std::reverse(at, at + static_cast<std::ptrdiff_t>(width));
    }
    return bytes;
  }

  static std::string csv_row(int i) {
    return std::to_string(i) + (i % 5 == 0 ? ",\"" : ",") + std::to_string(0.5 * i) + (i % 5 == 0 ? "\"," : ",") +
           std::to_string(kind_of(i)) + (i % 2 == 0 ? "\r\n" : "\n");
  }
  std::shared_ptr<arrow::Table> arrow_samples() const {
    std::vector<double> a;
    std::vector<std::string> b;
    std::vector<std::vector<float>> lists;
    std::vector<std::int64_t> labels;
    for (int i = 0; i < samples_; ++i) {
      a.push_back(i);
      b.push_back(std::to_string(i % 7));
      lists.push_back(numbers(i));
      labels.push_back(kind_of(i));
    }
    return arrow_table({{"a", arrow_values<arrow::DoubleBuilder>(a)},
                        {"b", arrow_values<arrow::StringBuilder>(b)},
                        {"v", arrow_lists(lists)},
                        {"label", arrow_values<arrow::Int64Builder>(labels)}});
  }
  std::vector<FormatCase> tables() const {
    const std::string header = "a,b,label\n";
    const Files csv = {{"1.csv", header + repeated(csv_row, 0, most())},
                       {"2.csv.gz", gzip(header + repeated(csv_row, most(), samples_))}};
    const std::string lines = repeated([](int i) {
      return "{\"v\": [" + std::to_string(i) + ", 0.5], \"kind\": \"" + std::to_string(i % 7) +
             "\", \"label\": " + std::to_string(kind_of(i)) + "}\n";
    });
    const auto table = arrow_samples();
    return {{"CSV", csv, Kind::kNumbers, "features", "label"},
            {"JSON lines", {{"a.jsonl", lines}}, Kind::kNumbers, "v", "label"},
            {"Parquet", {{"a.parquet", parquet_file(*table, 17)}}, Kind::kNumbers, "features", "label"},
            {"Arrow", {{"a.arrow", arrow_file(*table, 17, false)}}, Kind::kNumbers, "v", "label"},
            {"Arrow stream", {{"a.arrows", arrow_file(*table, 17, true)}}, Kind::kNumbers, "v", "label"}};
  }

  std::vector<FormatCase> arrays() const {
    const std::string x_bytes = repeated([](int i) { return bytes_of(numbers(i)); });
    const std::string y_bytes = repeated([](int i) { return bytes_of(label(i)); });
    const std::string count = std::to_string(samples_);
    const std::string x = npy("<f4", "(" + count + ", 2)", x_bytes);
    const std::string y = npy("<i8", "(" + count + ",)", y_bytes);
    const std::string bytes = std::to_string(x_bytes.size());
    const std::string all_bytes = std::to_string(x_bytes.size() + y_bytes.size());
    const std::string header = R"({"x":{"dtype":"F32","shape":[)" + count + R"(,2],"data_offsets":[0,)" + bytes +
                               R"(]},"y":{"dtype":"I64","shape":[)" + count + R"(],"data_offsets":[)" + bytes + "," +
                               all_bytes + "]}}";
    const std::string size(1, static_cast<char>(samples_));
    const std::string images = std::string("\0\0\10\3\0\0\0", 7) + size + std::string("\0\0\0\6\0\0\0\5", 8) +
                               repeated([](int i) { return std::string(30, static_cast<char>(i)); });
    const std::string labels = std::string("\0\0\10\1\0\0\0", 7) + size +
                               repeated([](int i) { return std::string(1, static_cast<char>(kind_of(i))); });
    const auto cifar = [](int i) { return std::string(3072, static_cast<char>(i)); };
    const auto ten = [&](int i) { return std::string(1, static_cast<char>(kind_of(i))) + cifar(i); };
    const auto hundred = [&](int i) {
      return std::string(1, static_cast<char>(i % 20)) + std::string(1, static_cast<char>(i % 5)) + cifar(i);
    };
    return {{"NumPy", {{"x.npy.zst", zstd(x)}, {"y.npy", y}}},
            {"NumPy of the other byte order",
             {{"x.npy", npy(">f4", "(" + count + ", 2)", swapped(x_bytes, sizeof(float)))},
              {"y.npy", npy(">i8", "(" + count + ",)", swapped(y_bytes, sizeof(std::int64_t)))}}},
            {"NumPy archive", {{"a.npz", zip_file({{"x.npy", x, true}, {"y.npy", y, false}})}}},
            {"safetensors", {{"a.safetensors", safetensors(header, x_bytes + y_bytes)}}},
            {"IDX", {{"images-idx3-ubyte", images}, {"labels-idx1-ubyte", labels}}, Kind::kImages, "inputs", "targets"},
            {"CIFAR", {{"data_batch_1.bin", repeated(ten)}}, Kind::kImages, "inputs", "targets"},
            {"CIFAR of a hundred",
             {{"train.bin", repeated(hundred)}, {"fine_label_names.txt", "apple\n"}},
             Kind::kImages,
             "inputs",
             "targets"}};
  }

  std::vector<FormatCase> tokens() const {
    const auto count = static_cast<std::size_t>(FormatCase::kWindow * samples_ + 1);
    std::vector<std::uint16_t> text(count);
    for (std::size_t i = 0; i < count; ++i) text[i] = static_cast<std::uint16_t>(i * 7 % 50);
    const std::string raw = bytes_of(text);
    return {{"tokens of llm c", {{"a.bin", llmc_file(20240520, 1, text)}}, Kind::kTokens, "tokens", "targets"},
            {"tokens of Megatron",
             {{"a.bin", raw},
              {"a.idx", megatron_index(8, 2, {static_cast<int>(count - count / 2), static_cast<int>(count / 2)})}},
             Kind::kTokens,
             "tokens",
             "targets"},
            {"tokens alone", {{"a.bin", raw}}, Kind::kTokens, "tokens", "targets"}};
  }

  std::vector<FormatCase> records() const {
    const auto record = [](int i) { return tf_record(example(feature("x", numbers(i)) + feature("y", label(i)))); };
    const auto picture = [](int i) {
      return tf_record(example(feature("image", std::vector{png_of(pixels(i))}) + feature("y", label(i))));
    };
    const auto dense = [](int i) {
      const std::string values = wire_field(2, wire_numbers(1, numbers(i)));
      const std::string target = wire_field(7, wire_numbers<std::int32_t>(1, {kind_of(i)}));
      return recordio(wire_entry(1, "x", values) + wire_entry(2, "y", target));
    };
    return {
        {"TFRecord",
         {{"1.tfrecord", repeated(record, 0, most())}, {"2.tfrecord.gz", gzip(repeated(record, most(), samples_))}}},
        {"TFRecord of images", {{"1.tfrecord", repeated(picture)}}, Kind::kImages, "image", "y"},
        {"RecordIO", {{"a.pbr", repeated(dense)}}}};
  }

  Files image_files(const std::string& directory, const std::string& end, std::string (*encode)(const Pixels&)) const {
    Files files;
    for (int i = 0; i < samples_; ++i) {
      const std::string place = directory.empty() ? std::string(1, static_cast<char>('a' + kind_of(i))) : directory;
      files.emplace_back(place + "/" + std::to_string(i) + end, encode(pixels(i)));
    }
    return files;
  }
  std::vector<FormatCase> images() const {
    Files listed = image_files("all", ".png", png_of);
    Files in_manifest = listed;
    listed.emplace_back("list.lst", repeated([](int i) {
                          const std::string number = std::to_string(i);
                          return number + "\t" + std::to_string(kind_of(i)) + "\tall/" + number + ".png\n";
                        }));
    in_manifest.emplace_back("train.manifest", repeated([](int i) {
                               return "{\"source-ref\": \"s3://bucket/all/" + std::to_string(i) +
                                      ".png\", \"target\": " + std::to_string(kind_of(i)) +
                                      ", \"target-metadata\": {}}\n";
                             }));
    const auto packed = [](int i) {
      return recordio(little_endian(0U) + bytes_of(std::vector{static_cast<float>(kind_of(i))}) + std::string(16, 'i') +
                      png_of(pixels(i)));
    };
    const auto members = [](int i) {
      const std::string number = std::to_string(i);
      return tar_member(number + ".webp", webp_of(pixels(i))) + tar_member(number + ".cls", std::to_string(kind_of(i)));
    };
    const auto jpeg = [](const Pixels& each) { return jpeg_of(each); };
    return {{"image folder", image_files("", ".jpg", jpeg), Kind::kImages, "image", "target"},
            {"image list", std::move(listed), Kind::kImages, "image", "target"},
            {"image manifest", std::move(in_manifest), Kind::kImages, "image", "target"},
            {"WebDataset", {{"a.tar", repeated(members) + tar_end()}}, Kind::kImages, "image", "target"},
            {"image RecordIO", {{"a.rec", repeated(packed)}}, Kind::kImages, "image", "target"}};
  }

  int samples_;
};

}  // namespace lockstep

// What holds of samples whatever format they come in: the same epoch for any number of ranks and threads, and from any
// step on.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/Loader.h"
#include "tests/support/HostileFiles.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr int kSamples = 101;

using Files = std::vector<std::pair<std::string, std::string>>;  ///< name → bytes

/// A format's files, and which of their fields are the program's.
struct Case {
  const char* name;
  Files files;
  const char* input = "x";
  const char* target = "y";
};

std::string repeated(const std::function<std::string(int)>& sample, int first = 0, int last = kSamples) {
  std::string all;
  for (int i = first; i < last; ++i) all += sample(i);
  return all;
}

std::vector<float> numbers(int i) { return {static_cast<float>(i), 0.5F * static_cast<float>(i)}; }
std::vector<std::int64_t> label(int i) { return {i % 3}; }

Pixels pixels(int i) {
  Pixels made = test_pixels(6, 5);
  made.bytes[0] = static_cast<std::uint8_t>(i);
  return made;
}

std::string csv_row(int i) {
  return std::to_string(i) + (i % 5 == 0 ? ",\"" : ",") + std::to_string(0.5 * i) + (i % 5 == 0 ? "\"," : ",") +
         std::to_string(i % 3) + (i % 2 == 0 ? "\r\n" : "\n");
}

Files images(const std::string& directory, const std::string& end, std::string (*encode)(const Pixels&)) {
  Files files;
  for (int i = 0; i < kSamples; ++i) {
    const std::string kind = directory.empty() ? std::string(1, static_cast<char>('a' + i % 3)) : directory;
    files.emplace_back(kind + "/" + std::to_string(i) + end, encode(pixels(i)));
  }
  return files;
}

Files tables() {
  const std::string table = "a,b,label\n" + repeated(csv_row, 0, 60);
  const std::string rest = "a,b,label\n" + repeated(csv_row, 60);
  return {{"1.csv", table}, {"2.csv.gz", gzip(rest)}};
}

std::shared_ptr<arrow::Table> arrow_samples() {
  std::vector<double> a;
  std::vector<std::string> b;
  std::vector<std::vector<float>> lists;
  std::vector<std::int64_t> labels;
  for (int i = 0; i < kSamples; ++i) {
    a.push_back(i);
    b.push_back(std::to_string(i % 7));
    lists.push_back(numbers(i));
    labels.push_back(i % 3);
  }
  return arrow_table({{"a", arrow_values<arrow::DoubleBuilder>(a)},
                      {"b", arrow_values<arrow::StringBuilder>(b)},
                      {"v", arrow_lists(lists)},
                      {"label", arrow_values<arrow::Int64Builder>(labels)}});
}

std::string x_bytes() {
  return repeated([](int i) { return bytes_of(numbers(i)); });
}
std::string y_bytes() {
  return repeated([](int i) { return bytes_of(label(i)); });
}

std::vector<Case> formats() {
  std::vector<Case> all;
  const auto add = [&](const char* name, Files files, const char* input = "x", const char* target = "y") {
    all.push_back({name, std::move(files), input, target});
  };
  add("CSV", tables(), "features", "label");
  add("JSON lines", {{"a.jsonl", repeated([](int i) {
                        return "{\"v\": [" + std::to_string(i) + ", 0.5], \"kind\": \"" + std::to_string(i % 7) +
                               "\", \"label\": " + std::to_string(i % 3) + "}\n";
                      })}},
      "v", "label");
  add("Parquet", {{"a.parquet", parquet_file(*arrow_samples(), 17)}}, "features", "label");
  add("Arrow", {{"a.arrow", arrow_file(*arrow_samples(), 17, false)}}, "v", "label");
  const std::string count = std::to_string(kSamples);
  const std::string x = npy("<f4", "(" + count + ", 2)", x_bytes());
  const std::string y = npy("<i8", "(" + count + ",)", y_bytes());
  add("NumPy", {{"x.npy.zst", zstd(x)}, {"y.npy", y}});
  add("NumPy archive", {{"a.npz", zip_file({{"x.npy", x, true}, {"y.npy", y, false}})}});
  const std::size_t bytes = x_bytes().size();
  add("safetensors",
      {{"a.safetensors",
        safetensors(R"({"x":{"dtype":"F32","shape":[)" + count + R"(,2],"data_offsets":[0,)" + std::to_string(bytes) +
                        R"(]},"y":{"dtype":"I64","shape":[)" + count + R"(],"data_offsets":[)" + std::to_string(bytes) +
                        "," + std::to_string(2 * bytes) + "]}}",
                    x_bytes() + y_bytes())}});
  const std::string size(1, static_cast<char>(kSamples));
  add("IDX",
      {{"images-idx3-ubyte", std::string("\0\0\10\3\0\0\0", 7) + size + std::string("\0\0\0\6\0\0\0\5", 8) +
                                 repeated([](int i) { return std::string(30, static_cast<char>(i)); })},
       {"labels-idx1-ubyte", std::string("\0\0\10\1\0\0\0", 7) + size +
                                 repeated([](int i) { return std::string(1, static_cast<char>(i % 3)); })}},
      "inputs", "targets");
  add("CIFAR", {{"data_batch_1.bin", repeated([](int i) {
                   return std::string(1, static_cast<char>(i % 3)) + std::string(3072, static_cast<char>(i));
                 })}},
      "inputs", "targets");
  std::vector<std::uint16_t> text(2 * kSamples + 1);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<std::uint16_t>(i * 7 % 50);
  add("tokens of llm.c", {{"a.bin", llmc_file(20240520, 1, text)}}, "tokens", "targets");
  add("tokens of Megatron", {{"a.bin", bytes_of(text)}, {"a.idx", megatron_index(8, 2, {103, 100})}}, "tokens",
      "targets");
  const auto record = [](int i) { return tf_record(example(feature("x", numbers(i)) + feature("y", label(i)))); };
  add("TFRecord", {{"1.tfrecord", repeated(record, 0, 70)}, {"2.tfrecord.gz", gzip(repeated(record, 70))}});
  add("TFRecord of images",
      {{"1.tfrecord", repeated([](int i) {
          return tf_record(example(feature("image", std::vector{png_of(pixels(i))}) + feature("y", label(i))));
        })}},
      "image", "y");
  add("RecordIO", {{"a.pbr", repeated([](int i) {
                      const std::string values = wire_field(2, wire_numbers(1, numbers(i)));
                      const std::string target = wire_field(7, wire_numbers<std::int32_t>(1, {i % 3}));
                      return recordio(wire_entry(1, "x", values) + wire_entry(2, "y", target));
                    })}});
  add("image folder", images("", ".jpg", [](const Pixels& each) { return jpeg_of(each); }), "image", "target");
  Files list = images("all", ".png", png_of);
  list.emplace_back("list.lst", repeated([](int i) {
                      const std::string number = std::to_string(i);
                      return number + "\t" + std::to_string(i % 3) + "\tall/" + number + ".png\n";
                    }));
  add("image list", std::move(list), "image", "target");
  add("WebDataset", {{"a.tar", repeated([](int i) {
                                 return tar_member(std::to_string(i) + ".webp", webp_of(pixels(i))) +
                                        tar_member(std::to_string(i) + ".cls", std::to_string(i % 3));
                               }) + tar_end()}},
      "image", "target");
  add("image RecordIO", {{"a.rec", repeated([](int i) {
                            return recordio(little_endian(0U) + bytes_of(std::vector{static_cast<float>(i % 3)}) +
                                            std::string(16, 'i') + png_of(pixels(i)));
                          })}},
      "image", "target");
  return all;
}

/// Varied in every way that its format has.
ProgramSamples open(const fs::path& directory, const Case& format) {
  const std::shared_ptr<const Dataset> dataset =
      Formats::builtin()
          .open(directory, {.window = 2, .image = {.shape = ImageShape{3, 4, 4}, .crop = ImageCrop::kRandom}})
          .dataset;
  const ProgramSamples samples(dataset, {{.name = "in"}},
                               {.names = {{kTargetColumn, format.target}, {"in", format.input}}});
  const bool pictures = is_picture(dataset->spec().fields[*dataset->spec().find(format.input)]);
  return samples.varied(pictures ? Variation{.seed = 3, .flip = 0.5, .padding = 1, .brightness = 0.3} : Variation());
}

/// The bytes of the steps of an epoch from one on, of all ranks in their order: what a step computes on.
std::vector<std::string> steps_of(const ProgramSamples& samples, int ranks, int threads, LoaderPosition from,
                                  std::int64_t batch) {
  const BatchPlan plan(samples.size(), batch, 2, ranks);
  std::vector<std::vector<std::string>> columns(static_cast<std::size_t>(plan.steps()));  // by step and column
  for (auto& step : columns) step.resize(samples.columns().size());
  for (int rank = 0; rank < ranks; ++rank) {
    Loader loader(samples, Order(7, samples.size(), true), plan, rank, threads, from);
    for (std::int64_t step = from.step; step < plan.steps();) {
      const MicroBatch batch_of_rank = loader.next();
      EXPECT_EQ(batch_of_rank.position.step, step);
      for (std::size_t i = 0; i < batch_of_rank.columns.size(); ++i) {
        columns[static_cast<std::size_t>(step)][i].append(
            reinterpret_cast<const char*>(batch_of_rank.columns[i].get()),
            samples.columns()[i].bytes() * static_cast<std::size_t>(batch_of_rank.size));
      }
      if (batch_of_rank.last_of_step) ++step;
    }
  }
  std::vector<std::string> steps;
  for (const std::vector<std::string>& each : columns) {
    steps.emplace_back();
    for (const std::string& bytes : each) steps.back() += bytes;
  }
  return steps;
}

void PrintTo(const Case& format, std::ostream* out) { *out << format.name; }

class EveryFormat : public testing::TestWithParam<Case> {
 protected:
  EveryFormat() {
    for (const auto& [name, bytes] : GetParam().files) {
      fs::create_directories((directory_ / name).parent_path());
      std::ofstream(directory_ / name, std::ios::binary) << bytes;
    }
  }

  TemporaryDirectory directory_;
};

TEST_P(EveryFormat, GivesAnEpochThatRanksAndThreadsDoNotChange) {
  const ProgramSamples samples = open(directory_.path(), GetParam());
  EXPECT_EQ(samples.size(), kSamples);
  const std::vector<std::string> alone = steps_of(samples, 1, 1, {.epoch = 1}, 8);
  EXPECT_EQ(std::set<std::string>(alone.begin(), alone.end()).size(), alone.size());
  EXPECT_NE(steps_of(samples, 1, 1, {.epoch = 2}, 8), alone);
  for (const int ranks : {1, 2, 3, 4}) {
    for (const int threads : {1, 4}) {
      EXPECT_EQ(steps_of(samples, ranks, threads, {.epoch = 1}, 8), alone) << ranks << " ranks, " << threads;
    }
  }
}

// Opened anew each time, as a job that goes on does.
TEST_P(EveryFormat, GoesOnAtAnyStep) {
  std::vector<std::string> undisturbed = steps_of(open(directory_.path(), GetParam()), 2, 2, {.epoch = 1}, 1);
  int ranks = 0;
  for (const std::int64_t step : {1, 50, 99}) {
    const std::vector<std::string> rest =
        steps_of(open(directory_.path(), GetParam()), ++ranks, 2, {.epoch = 1, .step = step}, 1);
    EXPECT_TRUE(std::equal(rest.begin() + step, rest.end(), undisturbed.begin() + step, undisturbed.end())) << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Data, EveryFormat, testing::ValuesIn(formats()), [](const auto& info) {
  std::string name;
  for (const char c : std::string(info.param.name)) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

}  // namespace
}  // namespace lockstep

// A format is added by one file and one registration: this file is all of it, and a job that is trained on it.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/ArrayDataset.h"
#include "engine/data/Formats.h"
#include "engine/data/ProgramSamples.h"
#include "engine/device/CpuDevice.h"
#include "engine/session/TrainingSession.h"
#include "tests/support/EventRecorder.h"
#include "tests/support/ExpectError.h"
#include "tests/support/RankAlone.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

/// Texts of numbers with a line of names: each column is a field.
Format pairs_format() {
  const auto open = [](const ChannelFiles& channel) -> std::unique_ptr<Dataset> {
    std::vector<Array> arrays;
    for (const fs::path& path : channel.files) {
      std::ifstream file(path);
      std::string line;
      std::getline(file, line);
      for (const std::string& name : split(line, ',')) {
        arrays.push_back({.field = {.name = name, .sizes = {1}, .origin = path.string() + " (" + name + ")"}});
      }
      while (std::getline(file, line)) {
        const std::vector<std::string> cells = split(line, ',');
        if (cells.size() != arrays.size()) throw InputError(path.string() + ": a line of other columns");
        for (std::size_t i = 0; i < cells.size(); ++i) {
          const float number = std::stof(cells[i]);
          arrays[i].bytes.resize(arrays[i].bytes.size() + sizeof number);
          std::memcpy(arrays[i].bytes.data() + arrays[i].bytes.size() - sizeof number, &number, sizeof number);
          ++arrays[i].samples;
        }
      }
    }
    return std::make_unique<ArrayDataset>(channel.origin(), std::move(arrays));
  };
  return {
      .name = "pairs", .recognises = [](const FileHead& head) { return head.name.ends_with(".pairs"); }, .open = open};
}

TEST(Formats, AnotherIsAddedByItsRegistration) {
  Formats formats = Formats::builtin();
  formats.add(pairs_format());
  const TemporaryDirectory directory;
  EXPECT_ERROR(formats.open(directory.path()), InputError, "holds no data: it is empty.", "tokens, pairs");
  std::ofstream(directory / "table.pairs") << "x,y\n1,10\n2,20\n3,30\n";
  const ProgramSamples samples(formats.open(directory.path()).dataset, {{.name = "x"}}, {});
  EXPECT_EQ(samples.size(), 3);
  std::vector<float> x(2);
  std::vector<float> y(2);
  samples.read(std::vector<std::int64_t>{2, 1},
               std::vector<std::byte*>{reinterpret_cast<std::byte*>(x.data()), reinterpret_cast<std::byte*>(y.data())});
  EXPECT_EQ(x, (std::vector<float>{3, 2}));
  EXPECT_EQ(y, (std::vector<float>{30, 20}));
}

TEST(Formats, AJobIsTrainedOnWhatItsSessionIsGiven) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "train");
  std::ofstream(directory / "train/table.pairs") << "x,y\n1,10\n2,20\n3,30\n";
  std::ofstream(directory / "train/notes.txt") << "about the table";
  JobConfig job;
  job.channels = {{"train", directory / "train"}};
  job.output_dir = directory.path();
  job.model_dir = directory / "model";
  job.output_data_dir = directory / "data";
  job.hyperparameters.model = "mlp";
  job.hyperparameters.model_hidden = {4};
  job.hyperparameters.loss = "mse";
  job.hyperparameters.batch_size = 2;
  job.hyperparameters.epochs = 1;
  job.hyperparameters.export_formats = {};
  CpuDevice device(1);
  RankAlone alone;
  const RankContext context = {.device = device, .communicator = alone, .host = alone};
  EventRecorder events;
  Registries registries;
  registries.formats.add(pairs_format());
  TrainingSession session(job, context, {}, events, registries);
  session.prepare();
  EXPECT_EQ(session.run().steps, 2);
  EXPECT_ERROR(TrainingSession(job, context, {}, events).prepare(), CollectiveError,
               "other files: notes.txt, table.pairs");
  // What does not fit names what else is there: the column may be in it.
  job.hyperparameters.columns = {{"target", "z"}};
  EXPECT_ERROR(TrainingSession(job, context, {}, events, registries).prepare(), CollectiveError, "\"z\"",
               "The channel holds other files: notes.txt, too");
}

}  // namespace
}  // namespace lockstep

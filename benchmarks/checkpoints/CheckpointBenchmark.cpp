// checkpoint_benchmark MIB DIRECTORY REPEATS: a model with so much state, half of it parameters and half momentum, on
// one thread. Three lines, each a name, the bytes of the state, and two medians in seconds of turns, then the same in
// seconds of CPU time: `stall`, copying the state for a save beside training, and a memcpy of as many bytes; `resume`,
// going on from a checkpoint of it, and reading its files into new memory, all at once; `cold`, the same when the
// system has them no longer in memory.
#include <ATen/Parallel.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "common/RegularFile.h"
#include "engine/checkpoint/CheckpointWriter.h"
#include "engine/collectives/LoneCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/session/Resume.h"
#include "engine/train/ParameterStorage.h"
#include "engine/train/SnapshotBuffer.h"
#include "engine/train/TrainedModel.h"

namespace {

using namespace lockstep;

constexpr std::int64_t kWidth = 2048;  // of layers: 16 MiB of parameters each

struct Times {
  std::vector<double> seconds;
  std::vector<double> cpu_seconds;

  void add(const std::function<void()>& work) {
    const std::clock_t cpu_start = std::clock();
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    cpu_seconds.push_back(static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC);
  }
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Both by turns, each after `before`.
void compare(const char* name, std::size_t bytes, int repeats, const std::function<void()>& before,
             const std::function<void()>& ours, const std::function<void()>& plain) {
  Times times[2];
  for (int i = 0; i < repeats; ++i) {
    before();
    times[0].add(ours);
    before();
    times[1].add(plain);
  }
  std::printf("%s %zu %.6f %.6f %.6f %.6f\n", name, bytes, median(times[0].seconds), median(times[1].seconds),
              median(times[0].cpu_seconds), median(times[1].cpu_seconds));
  std::fflush(stdout);
}

class Model : public Resumable {
 public:
  Model(const Hyperparameters& options, const Program& program, const RankContext& context)
      : model_(options, program, program, make_bucket_plan(options, program, 1), context) {}

  void check(const SavedCheckpoint& checkpoint) override { model_.check(checkpoint); }
  void restore(const SavedCheckpoint& checkpoint) override { model_.restore(checkpoint); }
  Snapshot snapshot() {
    Checkpoint checkpoint{.state = {.step = 1}, .model = {}, .optimizer = {}, .statistics = {}, .best = {}};
    model_.save(checkpoint, /*writes=*/true);
    return Snapshot(std::move(checkpoint));
  }

 private:
  TrainedModel model_;
};

void for_each_file(const std::filesystem::path& directory, const std::function<void(int)>& visit) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) visit(open_regular_file(entry.path()).get());
  }
}

std::unique_ptr<std::byte[]> read_all(int file) {
  const auto bytes = static_cast<std::size_t>(::lseek(file, 0, SEEK_END));
  auto memory = std::make_unique_for_overwrite<std::byte[]>(bytes);
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t count = ::pread(file, memory.get() + done, bytes - done, static_cast<off_t>(done));
    if (count <= 0) std::abort();
    done += static_cast<std::size_t>(count);
  }
  return memory;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::fprintf(stderr, "checkpoint_benchmark MIB DIRECTORY REPEATS\n");
    return 2;
  }
  at::set_num_threads(1);
  const auto layers = static_cast<std::size_t>(std::max(1L, std::atol(arguments[1]) / 32));
  const int repeats = std::atoi(arguments[3]);
  JobConfig config;
  const Program program = build_builtin_program(
      "mlp", {.input_shape = {kWidth}, .classes = 10, .hidden = std::vector<std::int64_t>(layers, kWidth)});
  CpuDevice device(1);
  LoneCommunicator alone;
  const RankContext context{.device = device, .communicator = alone, .host = alone};
  Model model(config.hyperparameters, program, context);
  const CheckpointDirectory checkpoints(arguments[2], {});
  const Snapshot live = model.snapshot();

  SnapshotBuffer buffer(device);
  buffer.reserve(live.contents());
  const auto bytes = static_cast<std::size_t>(buffer.bytes());
  {
    const std::vector<std::byte> from(bytes, std::byte{1});
    std::vector<std::byte> to(bytes);
    compare(
        "stall", bytes, repeats, [] {}, [&] { buffer.copy(live); },
        [&] { std::memcpy(to.data(), from.data(), bytes); });
  }

  CheckpointWriter(checkpoints, 1).write(live);
  const auto resumed = [&] {
    EventSink events;
    if (resume(config, checkpoints, model, context, events) != 1) std::abort();
  };
  const auto read = [&] {
    std::vector<std::unique_ptr<std::byte[]>> files;  // all of them, as one has them who goes on from there
    for_each_file(checkpoints.path_of(1), [&](int file) { files.push_back(read_all(file)); });
  };
  compare("resume", bytes, repeats, read, resumed, read);
  const auto forget = [&] {
    for_each_file(checkpoints.path_of(1), [](int file) { ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED); });
  };
  compare("cold", bytes, repeats, forget, resumed, read);
  return 0;
}

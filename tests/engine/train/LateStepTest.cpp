// Steps and evaluations on a device that executes late, whose memory is counted.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/device/CpuDevice.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "engine/train/Evaluator.h"
#include "engine/train/ParameterStorage.h"
#include "engine/train/TrainingStep.h"
#include "tests/support/ExpectError.h"
#include "tests/support/LateDevice.h"
#include "tests/support/PlainSamples.h"
#include "tests/support/RankAlone.h"

namespace lockstep {
namespace {

constexpr std::int64_t kBatch = 1024;
constexpr std::int64_t kLast = 1000;
constexpr std::int64_t kSteps = 5;  ///< of an epoch; the last is short

class Waves : public Dataset {
 public:
  Waves() {
    spec_.fields = {{.name = "x", .sizes = {1, 4, 4}}, {.name = "y", .type = ElementType::kInt64, .bound = 6}};
  }
  std::int64_t size() const override { return (kSteps - 1) * kBatch + kLast; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return "waves"; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    auto* pixels = reinterpret_cast<float*>(fields[0]);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      for (std::int64_t pixel = 0; pixel < 16; ++pixel) {
        *pixels++ = std::sin(static_cast<float>(samples[i] * 16 + pixel));
      }
      reinterpret_cast<std::int64_t*>(fields[1])[i] = samples[i] % 6;
    }
  }

 private:
  SampleSpec spec_;
};

/// Of one rank.
class Job {
 public:
  explicit Job(Device& device)
      : device_(device),
        program_(
            build_builtin_program("mlp", {.input_shape = {1, 4, 4}, .classes = 6, .channels = {}, .hidden = {64, 64}})
                .on(device.place())),
        executor_(program_),
        parameters_(make_bucket_plan({}, program_), trained_tensors(program_), kRiders),
        reducer_(parameters_, communicator_, communicator_),
        optimizer_(make_optimizer({}, parameters_)),
        step_(device, executor_, make_objective({}, device.place()), parameters_, reducer_, *optimizer_, communicator_,
              communicator_, {.clip_norm = 0.5, .capture = device.asynchronous()}),
        loader_(samples_, Order(0, samples_.size(), false), BatchPlan(samples_.size(), kBatch, 0, 1), 0, 1, {}, 2,
                Prefetcher::buffers_for(device)),
        inputs_(loader_, samples_, device, communicator_),
        evaluator_(device, program_.with_graph(eval_form(program_.graph())), make_objective({}, device.place()),
                   Precision::kFp32, kBatch, 1, communicator_, communicator_) {}

  void start() {
    const bool last = next_ % kSteps == kSteps - 1;
    step_.start(inputs_,
                {.batch_size = last ? kLast : kBatch, .global_step = next_++, .learning_rate = 0.1, .full = !last});
  }
  double finish() { return step_.finish().loss; }
  Evaluation evaluate() {
    std::optional<Evaluation> evaluation;
    step_.beside([&] { evaluation = evaluator_.evaluate(samples_, [] { return false; }); });
    return evaluation.value();
  }
  at::Tensor parameters() { return parameters_.flat_parameters().cpu(); }
  RankAlone& communicator() { return communicator_; }
  bool captured() const { return step_.captured(); }

 private:
  Device& device_;
  ProgramSamples samples_ = plain_samples(std::make_shared<Waves>());
  RankAlone communicator_;
  Program program_;
  Executor executor_;
  FlatParameters parameters_;
  GradientReducer reducer_;
  std::unique_ptr<Optimizer> optimizer_;
  TrainingStep step_;
  Loader loader_;
  Prefetcher inputs_;
  Evaluator evaluator_;
  std::int64_t next_ = 0;
};

// In either order of the streams: eager steps, captured ones, short ones and evaluations between them.
TEST(LateStep, ComputesWhatACpuComputes) {
  for (const LateDevice::Eager eager : {LateDevice::Eager::kCopy, LateDevice::Eager::kCompute}) {
    CpuDevice cpu(1);
    LateDevice device(eager);
    Job expected(cpu);
    Job late(device);
    for (int i = 0; i < 2 * kSteps + 2; ++i) {
      expected.start();
      const double loss = expected.finish();
      late.start();
      EXPECT_EQ(late.finish(), loss) << i;
      if (i % kSteps < kSteps - 1) continue;
      const Evaluation wanted = expected.evaluate();
      const Evaluation found = late.evaluate();
      EXPECT_EQ(found.values(), wanted.values());
      EXPECT_EQ(found.values().size(), 3);
    }
    EXPECT_TRUE(late.captured());
    EXPECT_TRUE(at::equal(late.parameters(), expected.parameters()));
  }
}

// What a captured step computes in lies idle between replays: the short last step and the evaluation of an epoch find
// their memory there, so that the first epoch's end is not the end of the job.
TEST(LateStep, AnEpochsEndNeedsNoMoreMemoryThanItsCapturedSteps) {
  LateDevice device;
  Job job(device);
  for (int i = 0; i < kSteps - 1; ++i) {
    job.start();
    job.finish();
  }
  ASSERT_TRUE(job.captured());
  const std::int64_t before = device.peak_memory();
  job.start();
  job.finish();
  job.evaluate();
  EXPECT_LE(static_cast<double>(device.peak_memory()), 1.1 * static_cast<double>(before));
}

// What lies idle is given back before a capture, which waits for the device, which may wait for a rank that is silent.
TEST(LateStep, ACaptureDoesNotWaitForEver) {
  LateDevice device;
  Job job(device);
  for (int i = 0; i < 3; ++i) job.start();
  LateDevice::get_stuck();
  job.communicator().fail_after(20);
  EXPECT_ERROR(job.start(), PeerError, "gone");
}

// Each read would keep the host from enqueuing the next batch, and wait without a deadline.
TEST(LateStep, AnEvaluationReadsItsSumsOnce) {
  LateDevice device;
  Job job(device);
  job.start();
  job.finish();
  static std::atomic<int> reads;
  reads = 0;
  const auto handle = at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction& function) {
    if (function.name() == std::string("aten::item")) ++reads;
    return std::unique_ptr<at::ObserverContext>();
  }));
  job.evaluate();
  at::removeCallback(handle);
  EXPECT_EQ(reads, 0);
}

}  // namespace
}  // namespace lockstep

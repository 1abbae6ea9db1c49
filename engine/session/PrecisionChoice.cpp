#include "engine/session/PrecisionChoice.h"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "common/Seconds.h"
#include "common/Text.h"
#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/checkpoint/ResumeChoice.h"
#include "engine/collectives/DeviceWait.h"
#include "engine/session/FirstSamples.h"
#include "engine/session/JobIdentity.h"
#include "engine/session/KeptBuffers.h"
#include "engine/session/SetUpPhase.h"
#include "engine/train/Forward.h"
#include "engine/train/ParameterStorage.h"
#include "engine/train/StepQueue.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 4;            // in the first memory is allocated and code is loaded
constexpr double kEnoughSeconds = 2;  // after which no other round begins
constexpr double kMilliseconds = 1e3;
constexpr double kNever = std::numeric_limits<double>::infinity();

// Whether a step in bfloat16 is worth trying: on x86 without AVX-512 PyTorch's convolutions in it take minutes.
bool has_bf16(const c10::Device& place) {
#if defined(__x86_64__)
  return !place.is_cpu() || __builtin_cpu_supports("avx512bw");
#else
  static_cast<void>(place);
  return true;
#endif
}

/// Times forward and backward of a micro-batch.
class MeasuredSteps {
 public:
  MeasuredSteps(const Hyperparameters& options, const LoadedJob& job, const Program& program,
                const RankContext& context, std::int64_t samples)
      : objective_(job.objective),
        executor_(program, /*trains=*/true, nullptr, recomputation_plan(options, program, context)),
        parameters_(trained_tensors(program)),
        batch_(first_batch(*job.data.training().samples, samples, context)),
        context_(context) {}

  double seconds(Precision precision) {
    wait();
    const Clock::time_point start = Clock::now();
    const std::vector<at::Tensor> outputs = forward(executor_, batch_.inputs, precision);
    const at::Tensor loss = objective_.loss_of(outputs, batch_.targets, batch_.weights, batch_.size).terms.sum;
    torch::autograd::grad({loss}, parameters_, {}, std::nullopt, false, /*allow_unused=*/true);
    wait();
    return seconds_since(start);
  }

 private:
  void wait() { await_device(context_.communicator, context_.device.place()); }

  const Objective& objective_;
  Executor executor_;
  std::vector<at::Tensor> parameters_;
  Batch batch_;
  RankContext context_;
};

// Of a full step; fewer where this host has no more.
std::int64_t samples_at_once(const Hyperparameters& options, const LoadedJob& job, const RankContext& context) {
  std::int64_t samples = std::max<std::int64_t>(1, options.batch_size / context.host.size());
  if (options.micro_batch_size > 0) samples = std::min(samples, options.micro_batch_size);
  return std::min(samples, job.data.training().samples->dataset()->readable());
}

// Of this rank; the least of some rounds, in which the two take turns.
PrecisionTimes times_of_rank(MeasuredSteps& steps) {
  const Clock::time_point start = Clock::now();
  PrecisionTimes times{.fp32 = kNever, .bf16 = kNever};
  try {
    for (int round = 0; round < kRounds && (round == 0 || seconds_since(start) < kEnoughSeconds); ++round) {
      times.fp32 = std::min(times.fp32, steps.seconds(Precision::kFp32));
      times.bf16 = std::min(times.bf16, steps.seconds(Precision::kBf16));
    }
  } catch (const c10::Error&) {  // an operator that there is in float32 only
  } catch (const InputError&) {  // the same, where the program runs it
  }
  return times;
}

PrecisionTimes measure(const Hyperparameters& options, const LoadedJob& job, const Program& rewritten,
                       const RankContext& context) {
  std::array<double, 2> seconds{};
  set_up_phase(context.host, [&] {
    const std::int64_t samples = samples_at_once(options, job, context);
    if (samples == 0) return;
    if (!has_bf16(context.device.place())) {
      seconds[1] = kNever;
      return;
    }
    const KeptBuffers kept(rewritten);
    MeasuredSteps steps(options, job, rewritten, context, samples);
    const PrecisionTimes times = times_of_rank(steps);
    seconds = {times.fp32, times.bf16};
  });
  context.host.all_reduce(seconds.data(), seconds.size(), DataType::kFloat64, ReduceOp::kSum)->wait();
  return {.fp32 = seconds[0], .bf16 = seconds[1]};
}

/// A checkpoint of this job, and what it was computed in.
struct Written {
  std::int64_t step = -1;
  Precision precision = Precision::kFp32;
};

// The newest of all ranks'. A collective.
std::optional<Written> written(const JobConfig& config, const LoadedJob& job, const RankContext& context) {
  if (config.checkpoint_dir.empty() || config.hyperparameters.resume == Resume::kNever) return std::nullopt;
  Written newest;
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    Hyperparameters options = config.hyperparameters;
    options.precision = precision;
    const CheckpointDirectory checkpoints(config.checkpoint_dir, checkpoint_identity(options, job));
    for (const Listing& listing : list_on_all_ranks(context.host, checkpoints)) {
      for (const auto& [step, checkpoint] : listing) {
        if (checkpoint.job == checkpoints.job_digest() && checkpoint.problem.empty() && step > newest.step) {
          newest = {.step = step, .precision = precision};
        }
      }
    }
  }
  return newest.step < 0 ? std::nullopt : std::optional(newest);
}

std::string describe(const PrecisionTimes& times, const Hyperparameters& options, const LoadedJob& job,
                     const RankContext& context) {
  const double share = kMilliseconds / context.host.size();
  const std::string samples = std::to_string(samples_at_once(options, job, context));
  if (times.bf16 == kNever) return "a rank's processor has no fast bf16, or the program cannot be computed in it";
  return "forward and backward of " + samples + (samples == "1" ? " sample take " : " samples take ") +
         format("%.3g ms in bf16 and %.3g ms in fp32", times.bf16 * share, times.fp32 * share);
}

}  // namespace

std::optional<Note> choose_precision(JobConfig& config, const LoadedJob& job, const Program& rewritten,
                                     const RankContext& context) {
  Hyperparameters& options = config.hyperparameters;
  if (options.precision == Precision::kAuto) {
    if (const auto found = written(config, job, context)) {
      options.precision = found->precision;
      return Note{.text = "precision=auto: " + to_string(options.precision) + ", in which " +
                          checkpoint_name(found->step) + " was written"};
    }
    const PrecisionTimes times = measure(options, job, rewritten, context);
    options.precision = times.faster();
    return Note{.text =
                    "precision=auto: " + to_string(options.precision) + "; " + describe(times, options, job, context)};
  }
  if (options.precision != Precision::kBf16 || !context.device.place().is_cpu()) return std::nullopt;
  const PrecisionTimes times = measure(options, job, rewritten, context);
  if (!times.bf16_is_slower()) return std::nullopt;
  return Note{.text = "precision=bf16 is slower here than fp32, which is more exact: " +
                      describe(times, options, job, context) + "; precision=auto takes what is faster",
              .warning = true};
}

}  // namespace lockstep

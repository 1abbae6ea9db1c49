#include "engine/session/PrecisionChoice.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "common/Error.h"
#include "common/Seconds.h"
#include "common/Text.h"
#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/checkpoint/ResumeChoice.h"
#include "engine/collectives/DeviceWait.h"
#include "engine/session/FirstSamples.h"
#include "engine/session/JobIdentity.h"
#include "engine/session/KeptBuffers.h"
#include "engine/session/SetUpPhase.h"
#include "engine/session/TrialStep.h"
#include "engine/train/StepQueue.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 4;            // in the first memory is allocated and code is loaded
constexpr double kEnoughSeconds = 2;  // after which no other round begins
constexpr std::int64_t kFew = 2;      // samples that are tried before many are: with one there are no batch statistics
constexpr double kMilliseconds = 1e3;
constexpr double kNever = std::numeric_limits<double>::infinity();

// Whether a step in bfloat16 is worth trying: PyTorch asks the same of an x86 processor before it leaves bfloat16 to
// oneDNN, and has slow code besides (docs/limits.md).
bool has_bf16(const c10::Device& place) {
#if defined(__x86_64__)
  return !place.is_cpu() || (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                             __builtin_cpu_supports("avx512dq"));
#else
  static_cast<void>(place);
  return true;
#endif
}

/// Times forward and backward of some samples.
class MeasuredSteps {
 public:
  MeasuredSteps(const Hyperparameters& options, const LoadedJob& job, const Program& program,
                const RankContext& context, std::int64_t samples)
      : program_(program),
        objective_(job.objective),
        executor_(program, /*trains=*/true, nullptr, recomputation_plan(options, program, context)),
        batch_(first_batch(*job.data.training().samples, samples, context)),
        context_(context) {}

  double seconds(Precision precision) {
    wait();
    const Clock::time_point start = Clock::now();
    try_step(program_, executor_, objective_, batch_, precision);
    wait();
    return seconds_since(start);
  }

 private:
  void wait() { await_device(context_.communicator, context_.device.place()); }

  const Program& program_;
  const Objective& objective_;
  Executor executor_;
  Batch batch_;
  RankContext context_;
};

// Infinite where the program has an operator that there is not in this precision, or there is no memory for it.
double seconds_or_never(const std::function<double(Precision)>& seconds, Precision precision) {
  try {
    return seconds(precision);
  } catch (const c10::Error&) {
  } catch (const InputError&) {
  } catch (const OutOfMemoryError&) {
  }
  return kNever;
}

PrecisionTimes measure(const Hyperparameters& options, const LoadedJob& job, const Program& rewritten,
                       const RankContext& context) {
  std::array<double, 2> times{kNever, kNever};
  set_up_phase(context.host, [&] {
    const auto times_of = [&](std::int64_t samples, int rounds) {
      const KeptBuffers kept(rewritten);
      MeasuredSteps steps(options, job, rewritten, context, samples);
      const PrecisionTimes found = least_times(rounds, [&](Precision precision) { return steps.seconds(precision); });
      const auto count = static_cast<double>(samples);
      times = {found.fp32 / count, found.bf16 / count};
      return found;
    };
    if (!has_bf16(context.device.place())) {
      times[0] = 0;  // nothing is measured
      return;
    }
    const std::int64_t samples =
        measured_samples(options, context.host.size(), job.data.training().samples->dataset()->readable());
    // On a GPU a first round loads and tunes what the others run. On a CPU that is very slow in bfloat16 a few samples
    // say so in time.
    const bool cpu = context.device.place().is_cpu();
    const PrecisionTimes first = times_of(cpu ? std::min(kFew, samples) : samples, 1);
    if (!cpu || first.bf16 <= kEnoughSeconds) times_of(samples, kRounds);
  });
  context.host.all_reduce(times.data(), times.size(), DataType::kFloat64, ReduceOp::kSum)->wait();
  return {.fp32 = times[0], .bf16 = times[1]};
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

std::string describe(const PrecisionTimes& times, const RankContext& context) {
  if (times.bf16 == kNever && times.fp32 == kNever) return "a rank could measure neither bf16 nor fp32";
  if (times.bf16 == kNever) return "a rank's processor has no fast bf16, or a measured step in bf16 failed";
  if (times.fp32 == kNever) return "a measured step in fp32 failed";
  const double share = kMilliseconds / context.host.size();
  return format("forward and backward of a sample take %.3g ms in bf16 and %.3g ms in fp32", times.bf16 * share,
                times.fp32 * share);
}

}  // namespace

std::int64_t measured_samples(const Hyperparameters& options, int ranks, std::int64_t readable) {
  std::int64_t samples = options.batch_size / ranks;
  if (options.micro_batch_size > 0) samples = std::min(samples, options.micro_batch_size);
  if (options.precision != Precision::kAuto) samples /= 2;
  return std::min(std::max<std::int64_t>(options.sync_batch_norm ? 2 : 1, samples), readable);
}

PrecisionTimes least_times(int rounds, const std::function<double(Precision)>& seconds) {
  const Clock::time_point start = Clock::now();
  PrecisionTimes times{.fp32 = kNever, .bf16 = kNever};
  for (int round = 0; round < rounds && (round == 0 || seconds_since(start) < kEnoughSeconds); ++round) {
    times.fp32 = std::min(times.fp32, seconds_or_never(seconds, Precision::kFp32));
    times.bf16 = std::min(times.bf16, seconds_or_never(seconds, Precision::kBf16));
    if (times.fp32 == kNever || times.bf16 == kNever) break;
  }
  return times;
}

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
    return Note{.text = "precision=auto: " + to_string(options.precision) + "; " + describe(times, context)};
  }
  if (options.precision != Precision::kBf16 || !context.device.place().is_cpu()) return std::nullopt;
  const PrecisionTimes times = measure(options, job, rewritten, context);
  if (!times.bf16_is_slower()) return std::nullopt;
  return Note{.text = "precision=bf16 is slower here than fp32, which is more exact: " + describe(times, context) +
                      "; precision=auto takes what is faster",
              .warning = true};
}

}  // namespace lockstep

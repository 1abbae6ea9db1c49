// Whether a job computes in float32 or in bfloat16.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "engine/program/Program.h"
#include "engine/report/Events.h"
#include "engine/session/LoadedJob.h"
#include "engine/train/RankContext.h"
#include "job/JobConfig.h"

namespace lockstep {

/// What forward and backward of a sample take in each precision, summed over the ranks.
struct PrecisionTimes {
  double fp32 = 0;  ///< seconds; infinite where a rank could not measure it
  double bf16 = 0;  ///< seconds; infinite likewise

  /// bfloat16 is less exact, and has to be worth it: it must spare a twentieth of the time.
  Precision faster() const { return bf16 < 0.95 * fp32 ? Precision::kBf16 : Precision::kFp32; }
  bool bf16_is_slower() const { return bf16 > 1.05 * fp32; }
};

/// How many samples a rank measures at once: those of a full micro-batch, at most `readable`. Half of them where the
/// precision is given, for such a job need not fit into memory in the other. Two or more with sync_batch_norm, for
/// statistics are of the rank's own samples.
std::int64_t measured_samples(const Hyperparameters& options, int ranks, std::int64_t readable);

/// The least that `seconds` returns in each precision, in up to so many rounds, in which the two take turns. A
/// precision in which it throws an error of the program or of memory is infinite; the other is measured in that round,
/// too.
PrecisionTimes least_times(int rounds, const std::function<double(Precision)>& seconds);

/// With precision=auto, puts what the job computes in into `config`: what the newest checkpoint of this job was written
/// in, of whichever rank has it, or else what is faster in a step that is measured. With precision=bf16 on CPUs it
/// measures too, and changes nothing. Returns what there is to tell. `rewritten` is on the device, and the job has
/// passed its checks; running statistics stay as they are. A collective: all ranks come to the same.
std::optional<Note> choose_precision(JobConfig& config, const LoadedJob& job, const Program& rewritten,
                                     const RankContext& context);

}  // namespace lockstep

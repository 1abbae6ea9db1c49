// Whether a job computes in float32 or in bfloat16.
#pragma once

#include <optional>

#include "engine/program/Program.h"
#include "engine/report/Events.h"
#include "engine/session/LoadedJob.h"
#include "engine/train/RankContext.h"
#include "job/JobConfig.h"

namespace lockstep {

/// What forward and backward of a rank's micro-batch take in each precision, summed over the ranks.
struct PrecisionTimes {
  double fp32 = 0;  ///< seconds
  double bf16 = 0;  ///< infinite where the program cannot be computed in it

  /// bfloat16 is less exact, and has to be worth it: it must spare a twentieth of the time.
  Precision faster() const { return bf16 < 0.95 * fp32 ? Precision::kBf16 : Precision::kFp32; }
  bool bf16_is_slower() const { return bf16 > 1.05 * fp32; }
};

/// With precision=auto, puts what the job computes in into `config`: what the newest checkpoint of this job was written
/// in, of whichever rank has it, or else what is faster in a step that is measured. With precision=bf16 on CPUs it
/// measures too, and changes nothing. Returns what there is to tell. `rewritten` is on the device, and the job has
/// passed its checks; running statistics stay as they are. A collective: all ranks come to the same.
std::optional<Note> choose_precision(JobConfig& config, const LoadedJob& job, const Program& rewritten,
                                     const RankContext& context);

}  // namespace lockstep

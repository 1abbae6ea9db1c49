// The schedules that the hyperparameter `schedule` may name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "job/Hyperparameters.h"

namespace lockstep {

/// What a schedule's formula is made of.
struct ScheduleTerms {
  double base = 0;                         ///< the rate that the warm-up has risen to
  double final = 0;                        ///< `final_learning_rate`
  std::int64_t steps = 1;                  ///< T: of the job, behind the warm-up
  const Hyperparameters& hyperparameters;  ///< what else it reads
};

/// A row. `rate`: in step t behind the warm-up, 0 … T - 1, in PyTorch's terms (torch.optim.lr_scheduler of 2.11).
struct ScheduleKind {
  std::string name;
  double (*rate)(const ScheduleTerms& terms, std::int64_t t);
};

/// Those that builtin_schedules() of job/BuiltinChoices.h lists, in its order.
const std::vector<ScheduleKind>& built_in_schedules();

}  // namespace lockstep

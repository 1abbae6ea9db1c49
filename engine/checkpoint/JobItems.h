// What a checkpoint's job and the one that goes on from it must have in common.
#pragma once

#include <map>
#include <string>

#include "job/Hyperparameters.h"

namespace lockstep {

/// What a job is, by name: hyperparameters, data, program.
using JobItems = std::map<std::string, std::string>;

/// The hyperparameters that must stay (HyperparameterRow::may_change). Those may change that say where and how the work
/// is spread (ranks, threads, micro-batches, buckets, device, passes), what is shown, written and kept, and when the
/// job ends: patience; epochs and max_steps too, as long as the schedule of the learning rate does not depend on the
/// last step.
///
/// A checkpoint's manifest holds a digest of these, so what an older Lockstep wrote is found again only where the same
/// items come out to the letter. Hence one that was added since is no item where its value is what it was before there
/// was a choice (HyperparameterRow::unnamed); it is one where it is anything else, also where that has become the
/// default. All others are items whatever their value. A default may therefore change: jobs that take the new one do
/// not go on from checkpoints of the old one.
JobItems items_of(const Hyperparameters& hyperparameters);

/// The first item that differs, with both values, or ""; the program only where no other does.
std::string difference(const JobItems& saved, const JobItems& now);

}  // namespace lockstep

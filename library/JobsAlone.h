// Hyperparameters that do nothing for a program with a loop of its own.
#pragma once

#include "job/Hyperparameters.h"

namespace lockstep {

/// Throws InputError, with what to do, for one that only `lockstep train` heeds. `channels`: whether there is one to
/// train on; without, those of its batches and epochs do nothing either.
void refuse_those_of_jobs(const RawHyperparameters& given, bool channels);

}  // namespace lockstep

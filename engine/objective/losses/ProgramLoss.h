// The loss that a program computes itself.
#pragma once

#include <memory>

#include "engine/objective/Loss.h"

namespace lockstep {

/// What the program returns as its loss is what is minimized; targets are inputs of the program. The output is
/// - [], a mean over the samples that the program was given at once, each of which counts the same; or
/// - [batch, …], the loss of each sample, or of each of its positions: exact for any split of a batch.
/// With a weight, which the program returns beside it, a mean is one over that weight (the number of tokens that count,
/// say), and each of several losses counts as its weight of the same sizes says: both are exact, too, and so are uneven
/// ranks and micro-batches. Where a micro-batch weighs 0, the program must return a finite loss all the same.
///
/// `terms` takes no targets, and as sample weights the weight that the program returned. A mean without a weight is
/// handed over once for each sample (see Objective::measure).
std::shared_ptr<const Loss> make_program_loss();

}  // namespace lockstep

// How sure the program is of what is right.
#pragma once

#include <memory>

#include "engine/objective/Metric.h"

namespace lockstep {

/// log_loss of scikit-learn (which never takes a probability to be 0): the mean of -log p over the positions, by their
/// weights, where p is the probability of the label (softmax), or of the answer of yes or no (sigmoid). The loss itself
/// may have smoothed labels or weigh positives.
std::shared_ptr<const Metric> make_log_loss();

}  // namespace lockstep

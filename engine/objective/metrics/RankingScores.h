// How well scores put what is true before what is not.
#pragma once

#include <memory>

#include "engine/objective/Metric.h"

namespace lockstep {

/// roc_auc_score and average_precision_score of scikit-learn, exact, ties included. Of two classes, or of one answer of
/// yes or no at each position, by the logit; of several labels, the mean over the labels; of more classes, the mean
/// over the classes, each against all others by its probability (softmax).
///
/// They keep the scores of all positions: two float64 for each class (one of two classes) or label, in the memory of
/// each rank at the end.
///
/// The area is not a number, as scikit-learn has it or refuses, where a class or label is true at all positions or
/// nowhere. The precision of one that is true nowhere is 0, with a note.
std::shared_ptr<const Metric> make_roc_auc();
std::shared_ptr<const Metric> make_average_precision();

}  // namespace lockstep

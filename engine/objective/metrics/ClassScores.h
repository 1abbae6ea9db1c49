// How well classes are found.
#pragma once

#include <memory>

#include "engine/objective/Metric.h"

namespace lockstep {

/// Of a class, from what positions weigh: those where it is predicted and true (t), where it is predicted (p), and
/// where it is true (a). 0 where that is 0 / 0.
enum class ClassScore {
  kPrecision,  ///< t / p
  kRecall,     ///< t / a
  kF1,         ///< 2t / (p + a); Dice's coefficient of masks is the same
  kIou,        ///< t / (p + a - t): Jaccard's
};

/// As scikit-learn's `average`.
enum class ClassAverage {
  kBinary,    ///< of yes: of two classes the second; several labels or more classes are unfit
  kMicro,     ///< of all classes' sums
  kMacro,     ///< the mean over the classes that are predicted or true somewhere, or over all labels
  kPerClass,  ///< a table of one row: of each class, or label
};

/// precision_score, recall_score, f1_score and jaccard_score of scikit-learn, with zero_division=0, of Decisions. With
/// yes and no at each position there are two classes; with several labels a sample, [batch, labels], only each label's
/// yes is one.
std::shared_ptr<const Metric> make_class_score(ClassScore score, ClassAverage average);

}  // namespace lockstep

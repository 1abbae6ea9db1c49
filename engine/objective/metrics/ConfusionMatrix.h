// Which classes are taken for which.
#pragma once

#include <memory>

#include "engine/objective/Metric.h"

namespace lockstep {

/// confusion_matrix of scikit-learn, of Decisions: what positions weigh, in a row for each true class, 0 first, and a
/// column for each predicted one. Of at most 1,024 classes.
std::shared_ptr<const Metric> make_confusion_matrix();

}  // namespace lockstep

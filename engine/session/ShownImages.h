// Pictures of a job's training data, to look at.
#pragma once

#include <optional>

#include "engine/report/Events.h"
#include "engine/session/JobData.h"

namespace lockstep {

/// A few samples of the training channel, as they are stored, with their classes. Nothing where no input is a picture,
/// or the data set does not read these samples.
std::optional<ImagesShown> images_to_show(const JobData& data);

}  // namespace lockstep

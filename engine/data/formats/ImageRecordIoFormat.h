// Images in RecordIO files, as MXNet's im2rec packs them and SageMaker's image classification takes them.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// A sample is an image and its label, an integer ≥ 0 (MxnetImage.h). Images are read where they lie, by an index.
Format image_recordio_format();

}  // namespace lockstep

// RecordIO files of SageMaker's protobuf records.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Files that begin with RecordIO's magic number, or all of a channel whose ContentType is
/// application/x-recordio-protobuf. Features and labels are fields (SageMakerForm, RecordFields): of numbers, dense or
/// sparse, and of bytes of one length.
Format recordio_format();

}  // namespace lockstep

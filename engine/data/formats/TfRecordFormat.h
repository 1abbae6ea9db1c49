// TFRecord files of tf.train.Example.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Files that begin with a length and its checksum, or whose names say that they are TFRecords: x.tfrecord,
/// x.tfrecords, x.tfrecord-00000-of-00010. Each feature of numbers, or of bytes of one length, is a field
/// (RecordFields).
Format tf_record_format();

}  // namespace lockstep

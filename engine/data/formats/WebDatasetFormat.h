// Images in tar files, in WebDataset's form.
//
// Source: webdataset/webdataset, README: files of the same name up to its first dot follow one another and are one
// sample; what comes behind the dot says what they are.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// A sample is an image (.jpg, .jpeg, .png or .webp) and a label ≥ 0 in digits (.cls, or .txt); other files of it are
/// passed over. Images are read where they lie, by an index.
Format webdataset_format();

}  // namespace lockstep

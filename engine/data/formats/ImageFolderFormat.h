// Images, a directory for each class.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// JPEG, PNG and WebP files, told by their content, in DIR/CLASS/ or in directories within that. The labels are the
/// classes' places in the order of the bytes of their names; of other channels than the one that is trained on, in that
/// one's order, and each of their classes must be one of its.
///
/// Where there are lists of images (ImageList.h) beside them, as NAME.lst, those say which images there are and what
/// their labels are; the directories' names then mean nothing.
Format image_folder_format();

}  // namespace lockstep

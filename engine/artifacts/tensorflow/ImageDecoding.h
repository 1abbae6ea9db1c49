// From an encoded image to bytes of one size, as a function of TensorFlow's. Only for sources that include protobuf's
// headers.
//
// It does what engine/data/images does of samples that are not varied: decodes, cuts the largest part of the
// proportions from the middle, scales by a triangle, rounds to bytes, and then makes grey of colours. Not in it: that
// images are turned upright as their Exif data say, WebP, and that large JPEGs are decoded at a part of their size.
//
// Sources: the operator definitions and CPU kernels of TensorFlow 2.21: DecodeJpeg, which also decodes PNG, and
// ScaleAndTranslate, whose weights with `antialias` are those of Pillow, which resizes in training.
#pragma once

#include <optional>
#include <string>

#include "engine/artifacts/tensorflow/TensorflowFunction.h"
#include "engine/artifacts/tensorflow/saved_model.pb.h"

namespace lockstep {

/// What the function is called: it says all of the decoding.
std::string name_of(const TensorflowDecoding& decoding);
/// Nothing for the name of another function.
std::optional<TensorflowDecoding> decoding_of_name(const std::string& name);
/// Adds the function: of one text, an encoded image, it makes bytes [height, width, channels].
void add_image_decoding(const TensorflowDecoding& decoding, tensorflow::FunctionDefLibrary& library);

}  // namespace lockstep

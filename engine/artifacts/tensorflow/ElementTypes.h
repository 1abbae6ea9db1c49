// Types of elements in TensorFlow's messages. Only for sources that include protobuf's headers.
#pragma once

#include "engine/artifacts/TensorView.h"
#include "engine/artifacts/tensorflow/saved_model.pb.h"

namespace lockstep {

tensorflow::DataType to_tensorflow(ElementType type);
/// Throws InputError for a type that we do not write.
ElementType from_tensorflow(tensorflow::DataType type);

tensorflow::TensorShapeProto shape_to_tensorflow(const std::vector<std::int64_t>& sizes);
std::vector<std::int64_t> shape_from_tensorflow(const tensorflow::TensorShapeProto& shape);

}  // namespace lockstep

#include "engine/artifacts/tensorflow/ElementTypes.h"

#include <map>
#include <string>

#include "common/Error.h"

namespace lockstep {

namespace {

const std::map<ElementType, tensorflow::DataType>& types() {
  static const std::map<ElementType, tensorflow::DataType> table = {
      {ElementType::kUint8, tensorflow::DT_UINT8},   {ElementType::kInt8, tensorflow::DT_INT8},
      {ElementType::kInt16, tensorflow::DT_INT16},   {ElementType::kInt32, tensorflow::DT_INT32},
      {ElementType::kInt64, tensorflow::DT_INT64},   {ElementType::kHalf, tensorflow::DT_HALF},
      {ElementType::kFloat, tensorflow::DT_FLOAT},   {ElementType::kDouble, tensorflow::DT_DOUBLE},
      {ElementType::kBool, tensorflow::DT_BOOL},     {ElementType::kBFloat16, tensorflow::DT_BFLOAT16},
      {ElementType::kUint16, tensorflow::DT_UINT16}, {ElementType::kUint32, tensorflow::DT_UINT32},
      {ElementType::kUint64, tensorflow::DT_UINT64}};
  return table;
}

}  // namespace

tensorflow::DataType to_tensorflow(ElementType type) { return types().at(type); }

ElementType from_tensorflow(tensorflow::DataType type) {
  for (const auto& [ours, theirs] : types()) {
    if (theirs == type) return ours;
  }
  throw InputError("TensorFlow's data type " + std::to_string(type) + " is none that Lockstep writes");
}

tensorflow::TensorShapeProto shape_to_tensorflow(const std::vector<std::int64_t>& sizes) {
  tensorflow::TensorShapeProto shape;
  for (const std::int64_t size : sizes) shape.add_dim()->set_size(size);
  return shape;
}

std::vector<std::int64_t> shape_from_tensorflow(const tensorflow::TensorShapeProto& shape) {
  std::vector<std::int64_t> sizes;
  for (const auto& dim : shape.dim()) sizes.push_back(dim.size());
  return sizes;
}

}  // namespace lockstep

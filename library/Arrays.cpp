#include "library/Arrays.h"

#include <ATen/Functions.h>

#include <cstring>

#include "common/Error.h"
#include "engine/program/Program.h"

namespace lockstep {

namespace {

at::Tensor tensor_over(void* data, v1::Type type, const std::vector<std::int64_t>& sizes, const std::string& what) {
  std::int64_t numbers = 1;
  for (const std::int64_t size : sizes) {
    if (size < 0) throw InputError(what + ": a size of an array is " + std::to_string(size));
    if (__builtin_mul_overflow(numbers, size, &numbers)) throw InputError(what + ": its sizes are no array's");
  }
  if (data == nullptr && numbers > 0) throw InputError(what + ": the array has no memory: its data is null");
  return at::from_blob(data, sizes, scalar_type_from_archive(static_cast<int>(element_type(type))));
}

}  // namespace

ElementType element_type(v1::Type type) {
  switch (type) {
    case v1::Type::kFloat32:
      return ElementType::kFloat;
    case v1::Type::kFloat64:
      return ElementType::kDouble;
    case v1::Type::kInt32:
      return ElementType::kInt32;
    case v1::Type::kInt64:
      return ElementType::kInt64;
    case v1::Type::kUint8:
      return ElementType::kUint8;
    case v1::Type::kBool:
      return ElementType::kBool;
  }
  throw InputError("an array's type is " + std::to_string(static_cast<int>(type)) +
                   "; expected 1 (float32), 2 (float64), 3 (int32), 4 (int64), 5 (uint8) or 6 (bool)");
}

v1::Type array_type(at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return v1::Type::kFloat64;
    case at::kInt:
      return v1::Type::kInt32;
    case at::kByte:
      return v1::Type::kUint8;
    case at::kBool:
      return v1::Type::kBool;
    default:
      return at::isIntegralType(type, false) ? v1::Type::kInt64 : v1::Type::kFloat32;
  }
}

at::Tensor tensor_of(const v1::ArrayView& array, const std::string& what) {
  return tensor_over(const_cast<void*>(array.data), array.type, array.sizes, what);
}

at::Tensor tensor_of(const v1::MutableArrayView& array, const std::string& what) {
  return tensor_over(array.data, array.type, array.sizes, what);
}

v1::ArrayView array_view_of(const at::Tensor& tensor) {
  return {.data = tensor.const_data_ptr(), .type = array_type(tensor.scalar_type()), .sizes = tensor.sizes().vec()};
}

v1::MutableArrayView mutable_array_view_of(const at::Tensor& tensor) {
  return {.data = tensor.mutable_data_ptr(), .type = array_type(tensor.scalar_type()), .sizes = tensor.sizes().vec()};
}

at::Tensor on_host(const at::Tensor& tensor) {
  const auto type = static_cast<int>(element_type(array_type(tensor.scalar_type())));
  return tensor.detach().to(at::kCPU).to(scalar_type_from_archive(type)).contiguous();
}

v1::Array array_of(const at::Tensor& tensor) {
  const at::Tensor host = on_host(tensor);
  v1::Array array = {.type = array_type(host.scalar_type()), .sizes = host.sizes().vec(), .bytes = {}};
  array.bytes.resize(host.nbytes());
  if (!array.bytes.empty()) std::memcpy(array.bytes.data(), host.const_data_ptr(), array.bytes.size());
  return array;
}

}  // namespace lockstep

#include "engine/artifacts/tensorflow/TensorflowPrimitives.h"

namespace lockstep {

TensorflowInteger PrimitiveCall::integer(const Integer& integer) {
  if (const auto* number = std::get_if<std::int64_t>(&integer)) return *number;
  return writer_.value(std::get<ValueId>(integer));
}

std::vector<TensorflowInteger> PrimitiveCall::integers(const Integers& integers) {
  std::vector<TensorflowInteger> result;
  for (const Integer& each : integers) result.push_back(integer(each));
  return result;
}

}  // namespace lockstep

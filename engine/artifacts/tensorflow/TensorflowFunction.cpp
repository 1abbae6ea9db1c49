#include "engine/artifacts/tensorflow/TensorflowFunction.h"

#include "common/Error.h"

namespace lockstep {

const std::string& output_name(const std::string& op) {
  static const std::map<std::string, std::string> names = {{"AddV2", "z"},
                                                           {"AvgPool", "output"},
                                                           {"BatchMatMulV2", "output"},
                                                           {"BiasAdd", "output"},
                                                           {"Const", "output"},
                                                           {"Conv2D", "output"},
                                                           {"FusedBatchNormV3", "y"},
                                                           {"MatMul", "product"},
                                                           {"MaxPool", "output"},
                                                           {"Mean", "output"},
                                                           {"Mul", "z"},
                                                           {"PadV2", "output"},
                                                           {"ReadVariableOp", "value"},
                                                           {"Relu", "activations"},
                                                           {"Reshape", "output"},
                                                           {"Rsqrt", "y"},
                                                           {"Sub", "z"},
                                                           {"Transpose", "y"}};
  const auto found = names.find(op);
  if (found == names.end()) throw InternalError("TensorFlow operator " + op + " has no entry in output_name");
  return found->second;
}

}  // namespace lockstep

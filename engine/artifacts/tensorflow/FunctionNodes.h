// Adds nodes to a function of TensorFlow's. Only for sources that include protobuf's headers.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/artifacts/tensorflow/TensorflowFunction.h"
#include "engine/artifacts/tensorflow/saved_model.pb.h"

namespace lockstep {

tensorflow::AttrValue to_message(const TensorflowAttribute& attribute);

/// Keeps a reference to the function.
class FunctionNodes {
 public:
  using Types = std::vector<tensorflow::DataType>;
  using Attributes = std::vector<std::pair<std::string, tensorflow::AttrValue>>;

  explicit FunctionNodes(tensorflow::FunctionDef& function) : function_(function) {}

  void add(const std::string& name, const std::string& op, const std::vector<std::string>& inputs,
           const Attributes& attributes);
  // Constants: what is returned is how other nodes name them.
  std::string scalar(const std::string& name, std::int32_t number);
  std::string vector(const std::string& name, const std::vector<std::int32_t>& numbers);
  std::string vector(const std::string& name, const std::vector<float>& numbers);
  std::string vector(const std::string& name, const std::vector<double>& numbers);
  std::string vector(const std::string& name, const std::vector<std::string>& texts);

  static tensorflow::AttrValue type(tensorflow::DataType type);
  static tensorflow::AttrValue types(const Types& types);
  static tensorflow::AttrValue shape(const std::vector<std::int64_t>& sizes);  ///< a list of one
  static tensorflow::AttrValue function(const std::string& name);

 private:
  std::string constant(const std::string& name, const tensorflow::AttrValue& value);

  tensorflow::FunctionDef& function_;
};

}  // namespace lockstep

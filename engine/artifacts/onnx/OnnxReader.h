// What the nodes of an ONNX graph mean, as primitive operations. Only for sources that include protobuf's headers.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "engine/artifacts/onnx/onnx.pb.h"
#include "engine/artifacts/primitives/PrimitiveBuilder.h"

namespace lockstep {

/// Holds the graph so far, and which of its values the names of the ONNX graph are.
class OnnxReader {
 public:
  /// The operators that OnnxWriter writes, by their definitions in ONNX. Throws InputError for anything else, and for
  /// operators that do not take their inputs.
  PrimitiveGraph read(const onnx::GraphProto& graph) &&;

  // For the functions that read operators.

  PrimitiveBuilder& builder() { return builder_; }
  ValueId value(const std::string& name) const;
  /// The elements of a vector of type int64, as far as they are known. Throws InputError for a value that is none.
  const Integers& elements(const std::string& name) const;
  /// The same, or nullptr.
  const Integers* find_elements(const std::string& name) const;
  /// A constant scalar. Throws InputError for a value that is none.
  double number(const std::string& name) const;
  void name(const std::string& name, ValueId value);
  void name_elements(const std::string& name, Integers elements) { elements_[name] = std::move(elements); }
  void name_number(const std::string& name, double number) { numbers_[name] = number; }

 private:
  void read_interface(const onnx::GraphProto& graph);

  PrimitiveBuilder builder_;
  std::map<std::string, ValueId> values_;
  std::map<std::string, Integers> elements_;
  std::map<std::string, double> numbers_;
};

/// Adds what a node means. Throws Error.
void read_onnx_node(OnnxReader& reader, const onnx::NodeProto& node);

}  // namespace lockstep

// Writes a PrimitiveGraph as an ONNX graph. Only for sources that include protobuf's headers.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/artifacts/onnx/OnnxRefusal.h"
#include "engine/artifacts/onnx/onnx.pb.h"
#include "engine/artifacts/primitives/PrimitiveGraph.h"

namespace lockstep {

/// A value of the ONNX graph.
struct OnnxValue {
  std::string name;
  ElementType type = ElementType::kFloat;
};

using OnnxAttribute = std::variant<std::int64_t, float, std::string, Ints>;
using OnnxAttributes = std::vector<std::pair<std::string, OnnxAttribute>>;

/// Holds the graph so far, and what each value of the primitive graph is called in it. Names are the program's for
/// inputs, outputs and parameters, as far as they differ from each other.
class OnnxWriter {
 public:
  explicit OnnxWriter(const PrimitiveGraph& graph);
  /// The whole graph. Its initializers have names, types and sizes, and no data: they are the primitive graph's state,
  /// in its order. To be called once. Throws OnnxRefusal.
  onnx::GraphProto write();

  // For the functions that write operations; they write one node at a time.

  const PrimitiveNode& node() const { return *node_; }
  OnnxValue input(std::size_t i) const { return value(node_->inputs.at(i)); }
  const PrimitiveValue& described(ValueId id) const { return graph_.values.at(id.index); }
  const std::vector<Dimension>& sizes(std::size_t input) const { return described(node_->inputs.at(input)).sizes; }
  const std::vector<Dimension>& result_sizes() const { return described(node_->outputs.at(0)).sizes; }

  /// The node that makes a value, or nullptr for inputs and state.
  const PrimitiveNode* producer(ValueId id) const;
  const OnnxValue& value(ValueId id) const { return values_.at(id.index); }

  /// Adds a node, with one output for each of `types`.
  std::vector<OnnxValue> add(const std::string& op, const std::vector<OnnxValue>& inputs,
                             const OnnxAttributes& attributes, const std::vector<ElementType>& types);
  OnnxValue add(const std::string& op, const std::vector<OnnxValue>& inputs, const OnnxAttributes& attributes,
                ElementType type) {
    return add(op, inputs, attributes, std::vector{type}).at(0);
  }
  /// A node whose inputs are all of one type, and converted where ONNX Runtime does not compute with it. The output is
  /// of that type again, or of `result`.
  OnnxValue run(const std::string& op, std::vector<OnnxValue> inputs, const OnnxAttributes& attributes = {},
                std::optional<ElementType> result = {});
  OnnxValue cast(const OnnxValue& value, ElementType type);
  OnnxValue constant(const primitive::Constant& constant);
  OnnxValue number(double value, ElementType type);  ///< a scalar
  /// A vector of type int64.
  OnnxValue integers(const Integers& elements);
  OnnxValue integers(const Ints& known) { return integers(Integers(known.begin(), known.end())); }

  /// Output `i` of the node.
  void bind(const OnnxValue& made, std::size_t i = 0);
  /// The same, of a scalar, as a vector.
  void bind_vector(const OnnxValue& vector) { vectors_[node_->outputs.at(0)] = vector; }
  [[noreturn]] void refuse(const std::string& why) const { throw OnnxRefusal(why, node_->origin); }

 private:
  std::string unique(const std::string& name);
  void add_interface();
  void add_outputs();
  void remove_unused();

  const PrimitiveGraph graph_;
  const PrimitiveNode* node_ = nullptr;
  int first_ = 0;  ///< the first of its nodes
  onnx::GraphProto result_;
  std::set<std::string> names_;
  std::map<std::string, std::string> dimensions_;      ///< what the sizes of inputs are called
  std::vector<OnnxValue> values_;                      ///< by ValueId
  std::map<ValueId, std::string> wanted_;              ///< names of outputs that nodes make
  std::map<ValueId, OnnxValue> vectors_;               ///< scalars as vectors of one element
  std::map<ValueId, const PrimitiveNode*> producers_;  ///< by their outputs
  std::map<std::string, OnnxValue> constants_;         ///< by type, sizes and bytes
};

/// Adds the nodes of the writer's present node.
void write_onnx_operation(OnnxWriter& writer);

}  // namespace lockstep

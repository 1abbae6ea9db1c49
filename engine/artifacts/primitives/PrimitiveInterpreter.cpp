#include "engine/artifacts/primitives/PrimitiveInterpreter.h"

#include <c10/core/GradMode.h>

#include <map>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/primitives/PrimitiveBuilder.h"
#include "engine/artifacts/primitives/PrimitiveEvaluation.h"
#include "engine/program/Program.h"

namespace lockstep {

namespace {

/// The values of a run, each held against what the graph says of it.
class Values {
 public:
  explicit Values(const PrimitiveGraph& graph) : graph_(graph), tensors_(graph.values.size()) {}

  const at::Tensor& get(ValueId id) const {
    if (!tensors_.at(id.index).defined()) throw InternalError(name(id) + " is read before it is there");
    return tensors_[id.index];
  }
  void set(ValueId id, at::Tensor tensor) {
    const PrimitiveValue& stated = graph_.values.at(id.index);
    if (tensor.scalar_type() != scalar_type_from_archive(static_cast<int>(stated.type))) {
      throw InternalError(name(id) + " is of type " + c10::toString(tensor.scalar_type()) + ", and the graph says " +
                          to_string(stated.type));
    }
    bool same = std::cmp_equal(tensor.dim(), stated.sizes.size());
    for (std::size_t i = 0; same && i < stated.sizes.size(); ++i) {
      const std::int64_t size = tensor.size(static_cast<std::int64_t>(i));
      const auto* number = std::get_if<std::int64_t>(&stated.sizes[i]);
      same =
          size == (number ? *number : named_.try_emplace(std::get<std::string>(stated.sizes[i]), size).first->second);
    }
    if (!same) {
      throw InternalError(name(id) + " has the sizes [" + join(tensor.sizes(), ", ") + "], and the graph says " +
                          sizes_text(stated.sizes));
    }
    tensors_[id.index] = std::move(tensor);
  }
  void drop(std::size_t index) { tensors_[index].reset(); }
  std::int64_t integer(const Integer& integer) const {
    const auto* id = std::get_if<ValueId>(&integer);
    return id ? get(*id).item<std::int64_t>() : std::get<std::int64_t>(integer);
  }

 private:
  static std::string name(ValueId id) { return "value " + std::to_string(id.index) + " of a graph of primitives"; }
  static std::string sizes_text(const std::vector<Dimension>& sizes) {
    std::vector<std::string> parts;
    for (const Dimension& size : sizes) {
      const auto* number = std::get_if<std::int64_t>(&size);
      parts.push_back(number ? std::to_string(*number) : std::get<std::string>(size));
    }
    return "[" + join(parts, ", ") + "]";
  }

  const PrimitiveGraph& graph_;
  std::vector<at::Tensor> tensors_;
  std::map<std::string, std::int64_t> named_;  // sizes by name
};

}  // namespace

PrimitiveInterpreter::PrimitiveInterpreter(PrimitiveGraph graph, std::vector<at::Tensor> state)
    : graph_(std::move(graph)), state_(std::move(state)), last_reads_(graph_.nodes.size()) {
  if (state_.size() != graph_.state.size())
    throw InternalError("a graph of primitives is given other state than its own");
  std::vector<bool> read(graph_.values.size());
  for (const PrimitiveInterface& output : graph_.outputs) read.at(output.value.index) = true;
  for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
    const auto note = [&](ValueId id) {
      if (!read.at(id.index)) last_reads_[i].push_back(id.index);
      read[id.index] = true;
    };
    for (const ValueId input : graph_.nodes[i].inputs) note(input);
    for (const ValueId output : graph_.nodes[i].outputs) note(output);
    for (const Integer& integer : integers_of(graph_.nodes[i].operation)) {
      if (const auto* id = std::get_if<ValueId>(&integer)) note(*id);
    }
  }
}

std::vector<at::Tensor> PrimitiveInterpreter::run(const std::vector<at::Tensor>& inputs) const {
  const c10::NoGradGuard no_grad;
  if (inputs.size() != graph_.inputs.size()) throw InternalError("a graph of primitives is given other inputs");
  Values values(graph_);
  for (std::size_t i = 0; i < inputs.size(); ++i) values.set(graph_.inputs[i].value, inputs[i]);
  for (std::size_t i = 0; i < state_.size(); ++i) values.set(graph_.state[i].value, state_[i]);
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const PrimitiveNode& node = graph_.nodes[i];
    std::vector<at::Tensor> read;
    for (const ValueId input : node.inputs) read.push_back(values.get(input));
    Ints integers;
    for (const Integer& integer : integers_of(node.operation)) integers.push_back(values.integer(integer));
    std::vector<at::Tensor> made = evaluate(node.operation, read, integers);
    if (made.size() != node.outputs.size()) throw InternalError("a primitive operation has other outputs");
    for (std::size_t j = 0; j < made.size(); ++j) values.set(node.outputs[j], std::move(made[j]));
    for (const std::size_t index : last_reads_[i]) values.drop(index);
  }
  std::vector<at::Tensor> outputs;
  for (const PrimitiveInterface& output : graph_.outputs) outputs.push_back(values.get(output.value));
  return outputs;
}

}  // namespace lockstep

#include "engine/artifacts/tensorflow/SavedModelMessages.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/artifacts/tensorflow/ElementTypes.h"
#include "engine/artifacts/tensorflow/SavedModelBuilder.h"
#include "engine/artifacts/tensorflow/TensorflowSignatures.h"

namespace lockstep {

namespace tf = tensorflow;

namespace {

TensorflowAttribute from_message(const tf::AttrValue& message) {
  switch (message.value_case()) {
    case tf::AttrValue::kB:
      return message.b();
    case tf::AttrValue::kF:
      return message.f();
    case tf::AttrValue::kI:
      return std::int64_t{message.i()};
    case tf::AttrValue::kS:
      return message.s();
    case tf::AttrValue::kType:
      return from_tensorflow(message.type());
    case tf::AttrValue::kList:
      return std::vector<std::int64_t>(message.list().i().begin(), message.list().i().end());
    case tf::AttrValue::kTensor:
      return TensorflowConstant{from_tensorflow(message.tensor().dtype()),
                                shape_from_tensorflow(message.tensor().tensor_shape()),
                                message.tensor().tensor_content()};
    default:
      throw InputError("a node has an attribute of a kind that Lockstep does not write");
  }
}

// Under which names the object graph knows its variables; by a variable's node there.
std::map<int, std::vector<std::string>> variable_names(const tf::SavedObjectGraph& graph) {
  const auto& objects = graph.nodes();
  std::map<int, std::vector<std::string>> names;
  std::vector<std::string> prefixes(static_cast<std::size_t>(objects.size()));
  for (int i = 0; i < objects.size(); ++i) {
    for (const auto& child : objects[i].children()) {
      // Written so that every object comes after those that refer to it.
      if (child.node_id() <= i || child.node_id() >= objects.size()) throw InputError("its object graph is not valid");
      const std::string name = prefixes[static_cast<std::size_t>(i)] + child.local_name();
      if (objects[child.node_id()].has_variable()) {
        names[child.node_id()].push_back(name);
      } else {
        prefixes[static_cast<std::size_t>(child.node_id())] = name + ".";
      }
    }
  }
  return names;
}

// The variables in the order of the object graph, which is that of the function's arguments behind its inputs.
void add_variables(const tf::MetaGraphDef& graph, TensorflowFunction& function) {
  const auto& objects = graph.object_graph_def().nodes();
  const tf::FunctionDef& made = graph.graph_def().library().function(0);
  const int arguments = made.signature().input_arg_size();
  for (const auto& [id, found] : variable_names(graph.object_graph_def())) {
    const tf::SavedVariable& variable = objects[id].variable();
    const int at = static_cast<int>(function.inputs.size() + function.variables.size());
    if (at >= arguments) throw InputError("its function has fewer arguments than it has variables");
    TensorflowVariable read{{variable.name()},
                            from_tensorflow(variable.dtype()),
                            shape_from_tensorflow(variable.shape()),
                            variable.trainable(),
                            made.signature().input_arg(at).name()};
    for (const std::string& name : found) {
      if (name != variable.name()) read.names.push_back(name);
    }
    std::sort(read.names.begin() + 1, read.names.end());
    function.variables.push_back(std::move(read));
  }
}

}  // namespace

tf::SavedModel saved_model_message(const TensorflowFunction& function) { return SavedModelBuilder(function).build(); }

tf::TrackableObjectGraph checkpoint_objects(const TensorflowFunction& function, const tf::SavedModel& model) {
  tf::TrackableObjectGraph graph;
  const tf::SavedObjectGraph& objects = model.meta_graphs(0).object_graph_def();
  std::size_t next = 0;
  for (const tf::SavedObject& object : objects.nodes()) {
    auto& made = *graph.add_nodes();
    *made.mutable_children() = object.children();
    if (!object.has_variable()) continue;
    const TensorflowVariable& variable = function.variables.at(next++);
    auto& value = *made.add_attributes();
    value.set_name("VARIABLE_VALUE");
    value.set_full_name(variable.names.at(0));
    value.set_checkpoint_key(checkpoint_key(variable));
    made.mutable_has_checkpoint_values()->set_value(true);
  }
  return graph;
}

TensorflowFunction function_of_message(const tf::SavedModel& model) {
  if (model.meta_graphs_size() != 1) throw InputError("it does not hold one graph");
  const tf::MetaGraphDef& graph = model.meta_graphs(0);
  auto signature = graph.signature_def().find(TensorflowSignatures::kPixels);
  if (signature == graph.signature_def().end()) signature = graph.signature_def().find(TensorflowSignatures::kDefault);
  if (signature == graph.signature_def().end() || graph.graph_def().library().function_size() == 0) {
    throw InputError("it holds no function behind the signature serving_default");
  }
  const tf::FunctionDef& made = graph.graph_def().library().function(0);
  TensorflowFunction function;
  const auto describe = [](const tf::TensorInfo& info, const std::string& name, const std::string& reference) {
    return TensorflowTensor{name, from_tensorflow(info.dtype()), shape_from_tensorflow(info.tensor_shape()), reference};
  };
  std::map<std::string, tf::TensorInfo> inputs(signature->second.inputs().begin(), signature->second.inputs().end());
  const int arguments = made.signature().input_arg_size();
  for (const auto& [name, info] : inputs) {
    const int at = static_cast<int>(function.inputs.size());
    if (at >= arguments) throw InputError("its function has fewer arguments than its signature");
    function.inputs.push_back(describe(info, name, made.signature().input_arg(at).name()));
  }
  for (const tf::OpDef::ArgDef& output : made.signature().output_arg()) {
    const auto info = signature->second.outputs().find(output.name());
    const auto returned = made.ret().find(output.name());
    if (info == signature->second.outputs().end() || returned == made.ret().end()) {
      throw InputError("its signature and its function return different things");
    }
    function.outputs.push_back(describe(info->second, output.name(), returned->second));
  }
  for (const tf::NodeDef& node : made.node_def()) {
    TensorflowNode step{node.name(), node.op(), {node.input().begin(), node.input().end()}, {}};
    for (const auto& [name, value] : node.attr()) step.attributes[name] = from_message(value);
    function.nodes.push_back(std::move(step));
  }
  add_variables(graph, function);
  function.labels = graph.asset_file_def_size() > 0;
  function.classes = TensorflowSignatures::classes_of(graph.graph_def().library());
  return function;
}

std::string checkpoint_key(const TensorflowVariable& variable) {
  std::string key;
  for (const char c : variable.names.at(0)) key += c == '.' ? "/" : c == '/' ? ".S" : std::string(1, c);
  return key + "/.ATTRIBUTES/VARIABLE_VALUE";
}

std::string serialize(const google::protobuf::MessageLite& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  if (!message.SerializeToCodedStream(&coded)) throw InternalError("a SavedModel's graph is larger than 2 GiB");
  coded.Trim();
  return bytes;
}

}  // namespace lockstep

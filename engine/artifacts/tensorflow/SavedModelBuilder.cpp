#include "engine/artifacts/tensorflow/SavedModelBuilder.h"

#include <optional>
#include <utility>

#include "common/Text.h"
#include "engine/artifacts/tensorflow/ElementTypes.h"
#include "engine/artifacts/tensorflow/SavedModelMessages.h"

namespace lockstep {

namespace tf = tensorflow;

namespace {

constexpr const char* kTag = "serve";
constexpr const char* kCall = "StatefulPartitionedCall";
constexpr const char* kTensorflowVersion = "2.21.0";  // whose formats these are
constexpr int kProducer = 1882;                       // the GraphDef version of that TensorFlow
constexpr int kMinConsumer = 12;
// Nodes of the object graph that every model has.
constexpr int kRoot = 0;
constexpr int kSignatureMap = 1;

template <typename T>
auto& entry(google::protobuf::Map<std::string, T>* map, const std::string& key) {
  return (*map)[key];
}

}  // namespace

tf::NodeDef& SavedModelBuilder::node(const std::string& name, const std::string& op,
                                     const std::vector<std::string>& inputs) {
  tf::NodeDef& node = *graph_.mutable_graph_def()->add_node();
  node.set_name(name);
  node.set_op(op);
  for (const std::string& input : inputs) node.add_input(input);
  return node;
}

tf::SavedModel SavedModelBuilder::build() {
  model_.set_saved_model_schema_version(1);
  graph_.mutable_meta_info_def()->add_tags(kTag);
  graph_.mutable_meta_info_def()->set_tensorflow_version(kTensorflowVersion);
  graph_.mutable_graph_def()->mutable_versions()->set_producer(kProducer);
  graph_.mutable_graph_def()->mutable_versions()->set_min_consumer(kMinConsumer);
  for (const TensorflowVariable& variable : function_.variables) {
    tf::NodeDef& made = node(handle(variable), "VarHandleOp");
    entry(made.mutable_attr(), "dtype").set_type(to_tensorflow(variable.type));
    *entry(made.mutable_attr(), "shape").mutable_shape() = shape_to_tensorflow(variable.sizes);
    // TensorFlow Lite takes it for the node's name.
    entry(made.mutable_attr(), "shared_name").set_s(handle(variable));
    entry(made.mutable_attr(), "container").set_s("");
  }
  add_calls();
  add_saver();
  add_objects();
  return std::move(model_);
}

// The outer graph calls the functions on placeholders: what a session that serves runs.
void SavedModelBuilder::add_calls() {
  for (const TensorflowSignature& each : signatures_.all()) {
    tf::SignatureDef& signature = entry(graph_.mutable_signature_def(), each.name);
    signature.set_method_name("tensorflow/serving/predict");
    std::vector<std::string> arguments;
    tf::AttrValue::ListValue types;
    const auto describe = [](tf::TensorInfo& info, const SignatureTensor& tensor, const std::string& name) {
      info.set_name(name);
      info.set_dtype(tensor.type);
      *info.mutable_tensor_shape() = shape_to_tensorflow(tensor.sizes);
    };
    for (const SignatureTensor& input : each.inputs) {
      const std::string name = each.name + "_" + input.reference;
      tf::NodeDef& placeholder = node(name, "Placeholder");
      entry(placeholder.mutable_attr(), "dtype").set_type(input.type);
      *entry(placeholder.mutable_attr(), "shape").mutable_shape() = shape_to_tensorflow(input.sizes);
      describe(entry(signature.mutable_inputs(), input.name), input, name + ":0");
      arguments.push_back(name);
      types.add_type(input.type);
    }
    for (const TensorflowVariable& variable : function_.variables) {
      arguments.push_back(handle(variable));
      types.add_type(tf::DT_RESOURCE);
    }
    const std::string name = each.name == TensorflowSignatures::kDefault ? kCall : kCall + ("_" + each.name);
    tf::NodeDef& call = node(name, kCall, arguments);
    *entry(call.mutable_attr(), "Tin").mutable_list() = types;
    entry(call.mutable_attr(), "f").mutable_func()->set_name(each.function);
    tf::AttrValue::ListValue& returned = *entry(call.mutable_attr(), "Tout").mutable_list();
    for (const char* empty : {"config", "config_proto", "executor_type"}) entry(call.mutable_attr(), empty).set_s("");
    for (std::size_t i = 0; i < each.outputs.size(); ++i) {
      const SignatureTensor& output = each.outputs[i];
      returned.add_type(output.type);
      describe(entry(signature.mutable_outputs(), output.name), output, name + ":" + std::to_string(i));
    }
  }
}

// The operators by which a session restores and saves the variables.
void SavedModelBuilder::add_saver() {
  tf::AttrValue types;
  types.mutable_list();
  std::vector<std::string> keys;
  std::vector<std::string> saved = {"save/Const", "save/tensor_names", "save/shape_and_slices"};
  for (const TensorflowVariable& variable : function_.variables) {
    types.mutable_list()->add_type(to_tensorflow(variable.type));
    keys.push_back(checkpoint_key(variable));
    const std::string read = "save/" + variable.argument + "/read";
    entry(node(read, "ReadVariableOp", {handle(variable)}).mutable_attr(), "dtype")
        .set_type(to_tensorflow(variable.type));
    saved.push_back(read);
  }
  const auto constant = [&](const std::string& name, const std::vector<std::int64_t>& sizes,
                            const std::vector<std::string>& values) {
    tf::NodeDef& made = node(name, "Const");
    entry(made.mutable_attr(), "dtype").set_type(tf::DT_STRING);
    tf::TensorProto& tensor = *entry(made.mutable_attr(), "value").mutable_tensor();
    tensor.set_dtype(tf::DT_STRING);
    *tensor.mutable_tensor_shape() = shape_to_tensorflow(sizes);
    for (const std::string& value : values) tensor.add_string_val(value);
  };
  constant("save/default_filename", {}, {"model"});
  tf::NodeDef& file_name = node("save/Const", "PlaceholderWithDefault", {"save/default_filename"});
  entry(file_name.mutable_attr(), "dtype").set_type(tf::DT_STRING);
  entry(file_name.mutable_attr(), "shape").mutable_shape();
  const auto count = static_cast<std::int64_t>(keys.size());
  constant("save/tensor_names", {count}, keys);
  constant("save/shape_and_slices", {count}, std::vector<std::string>(keys.size()));
  entry(node("save/SaveV2", "SaveV2", saved).mutable_attr(), "dtypes") = types;
  entry(node("save/control_dependency", "Identity", {"save/Const", "^save/SaveV2"}).mutable_attr(), "T")
      .set_type(tf::DT_STRING);
  entry(
      node("save/RestoreV2", "RestoreV2", {"save/Const", "save/tensor_names", "save/shape_and_slices"}).mutable_attr(),
      "dtypes") = types;
  std::vector<std::string> assigned;
  for (std::size_t i = 0; i < function_.variables.size(); ++i) {
    const TensorflowVariable& variable = function_.variables[i];
    const std::string name = "save/" + variable.argument + "/assign";
    const std::string restored = "save/RestoreV2" + (i == 0 ? "" : ":" + std::to_string(i));
    entry(node(name, "AssignVariableOp", {handle(variable), restored}).mutable_attr(), "dtype")
        .set_type(to_tensorflow(variable.type));
    assigned.push_back("^" + name);
  }
  node("save/restore_all", "NoOp", assigned);
  tf::SaverDef& saver = *graph_.mutable_saver_def();
  saver.set_filename_tensor_name("save/Const:0");
  saver.set_save_tensor_name("save/control_dependency:0");
  saver.set_restore_op_name("save/restore_all");
  saver.set_max_to_keep(1);
  saver.set_version(tf::SaverDef::V2);
}

int SavedModelBuilder::user_object(const std::string& identifier) {
  tf::SavedObjectGraph& objects = *graph_.mutable_object_graph_def();
  tf::SavedUserObject& user = *objects.add_nodes()->mutable_user_object();
  user.set_identifier(identifier);
  user.mutable_version()->set_producer(1);
  user.mutable_version()->set_min_consumer(1);
  return objects.nodes_size() - 1;
}

void SavedModelBuilder::refer(int from, const std::string& name, int to) {
  auto& reference = *graph_.mutable_object_graph_def()->mutable_nodes(from)->add_children();
  reference.set_node_id(to);
  reference.set_local_name(name);
}

// The object of the module at a path; made, with those above it, when it is not there yet.
int SavedModelBuilder::module_object(const std::vector<std::string>& path) {
  int object = kRoot;
  for (auto end = path.begin(); end != path.end();) {
    const std::string& name = *end++;
    const auto [module, is_new] = modules_.try_emplace({path.begin(), end});
    if (is_new) {
      module->second = user_object("_generic_user_object");
      refer(object, name, module->second);
    }
    object = module->second;
  }
  return object;
}

tf::StructuredValue SavedModelBuilder::specifications(const std::vector<SignatureTensor>& tensors, bool named) {
  tf::StructuredValue value;
  auto& fields = *value.mutable_dict_value()->mutable_fields();
  for (const SignatureTensor& tensor : tensors) {
    tf::TensorSpecProto& specification = *fields[tensor.name].mutable_tensor_spec_value();
    if (named) specification.set_name(tensor.name);
    *specification.mutable_shape() = shape_to_tensorflow(tensor.sizes);
    specification.set_dtype(tensor.type);
  }
  return value;
}

// A loader feeds the path of the file to the node; in Python it is `model.labels.asset_path`, unless the program has a
// module of that name.
void SavedModelBuilder::add_labels() {
  const std::string name = "assets/labels";
  tf::NodeDef& made = node(name, "Const");
  entry(made.mutable_attr(), "dtype").set_type(tf::DT_STRING);
  tf::TensorProto& tensor = *entry(made.mutable_attr(), "value").mutable_tensor();
  tensor.set_dtype(tf::DT_STRING);
  tensor.mutable_tensor_shape();
  tensor.add_string_val(kLabelsFile);
  tf::AssetFileDef& asset = *graph_.add_asset_file_def();
  asset.mutable_tensor_info()->set_name(name + ":0");
  asset.set_filename(kLabelsFile);
  for (const TensorflowVariable& variable : function_.variables) {
    for (const std::string& each : variable.names) {
      if (split(each, '.')[0] == kLabels) return;
    }
  }
  tf::SavedObjectGraph& objects = *graph_.mutable_object_graph_def();
  objects.add_nodes()->mutable_asset()->set_asset_file_def_index(0);
  refer(kRoot, kLabels, objects.nodes_size() - 1);
}

void SavedModelBuilder::add_objects() {
  tf::SavedObjectGraph& objects = *graph_.mutable_object_graph_def();
  user_object("_generic_user_object");
  user_object("signature_map");
  refer(kRoot, "signatures", kSignatureMap);
  for (const TensorflowSignature& signature : signatures_.all()) {
    tf::SavedBareConcreteFunction& bare = *objects.add_nodes()->mutable_bare_concrete_function();
    bare.set_concrete_function_name(signature.function);
    for (const SignatureTensor& input : signature.inputs) bare.add_argument_keywords(input.name);
    // As TensorFlow does: a lone input may come without its name, two have no order among themselves.
    bare.set_allowed_positional_arguments(signature.inputs.size() == 1 ? 1 : 0);
    refer(kSignatureMap, signature.name, objects.nodes_size() - 1);
  }
  if (function_.labels) add_labels();

  const auto refer_by_name = [&](const std::string& name, std::optional<int> object) {
    std::vector<std::string> path = split(name, '.');
    const std::string last = std::move(path.back());
    path.pop_back();
    const int module = module_object(path);
    if (object) refer(module, last, *object);
  };
  // Modules first: an object comes after all that refer to it, also where parameters are tied.
  for (const TensorflowVariable& variable : function_.variables) {
    for (const std::string& name : variable.names) refer_by_name(name, std::nullopt);
  }
  std::vector<int> bound;
  for (const TensorflowVariable& variable : function_.variables) {
    const int object = objects.nodes_size();
    tf::SavedVariable& saved = *objects.add_nodes()->mutable_variable();
    saved.set_dtype(to_tensorflow(variable.type));
    *saved.mutable_shape() = shape_to_tensorflow(variable.sizes);
    saved.set_trainable(variable.trainable);
    saved.set_name(variable.names.at(0));
    for (const std::string& name : variable.names) refer_by_name(name, object);
    bound.push_back(object);
  }
  for (const TensorflowSignature& signature : signatures_.all()) {
    tf::SavedConcreteFunction& concrete = entry(objects.mutable_concrete_functions(), signature.function);
    concrete.mutable_bound_inputs()->Add(bound.begin(), bound.end());
    tf::TupleValue& arguments = *concrete.mutable_canonicalized_input_signature()->mutable_tuple_value();
    arguments.add_values()->mutable_tuple_value();
    *arguments.add_values() = specifications(signature.inputs, true);
    *concrete.mutable_output_signature() = specifications(signature.outputs, false);
  }
}

}  // namespace lockstep

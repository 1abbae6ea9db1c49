#include "engine/artifacts/tensorflow/TensorflowSignatures.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/Error.h"
#include "engine/artifacts/tensorflow/ElementTypes.h"
#include "engine/artifacts/tensorflow/FunctionNodes.h"
#include "engine/artifacts/tensorflow/ImageDecoding.h"

namespace lockstep {

namespace tf = tensorflow;

namespace {

constexpr const char* kPrefix = "__inference_signature_";
constexpr const char* kLabel = "label";
// Nodes: no argument has a name with a slash.
constexpr const char* kCall = "serving/call";
constexpr const char* kDecoded = "serving/decoded";
constexpr const char* kProbabilities = "serving/probabilities";
constexpr const char* kLikeliest = "serving/label";
constexpr const char* kLabelText = "serving/label_text";
constexpr const char* kLabelNames = "serving/label_names";

SignatureTensor signature_tensor(const TensorflowTensor& tensor) {
  return {tensor.name, to_tensorflow(tensor.type), tensor.sizes, tensor.reference};
}

std::string output_of(const std::string& node, const char* output = "output", std::size_t place = 0) {
  return node + ":" + output + ":" + std::to_string(place);
}

}  // namespace

TensorflowSignatures::TensorflowSignatures(const TensorflowFunction& function, tf::FunctionDefLibrary& library)
    : function_(function), library_(library) {
  require_fitting_classes();
  add_function();
  const bool named = function.classes && !function.classes->labels.empty();
  const bool decodes = function.classes && function.classes->decoding;
  const bool scores = function.classes && !function.classes->scores.empty();
  if (decodes) add_caller(kDefault, true, false);
  if (named && !scores) {
    add_caller(decodes ? kPixels : kDefault, false, false);
  } else {
    all_.push_back({decodes ? kPixels : kDefault, kFunction, {}, {}});
    std::ranges::transform(function.inputs, std::back_inserter(all_.back().inputs), signature_tensor);
    std::ranges::transform(function.outputs, std::back_inserter(all_.back().outputs), signature_tensor);
  }
  if (scores) add_caller(kClassify, false, true);
  if (decodes) add_image_decoding(*function.classes->decoding, library);
}

void TensorflowSignatures::require_fitting_classes() const {
  if (!function_.classes) return;
  const TensorflowClasses& classes = *function_.classes;
  const std::string output = classes.scores.empty() ? kLabel : classes.scores;
  const auto found = std::ranges::find(function_.outputs, output, &TensorflowTensor::name);
  const bool images = function_.inputs.size() == 1 && !function_.inputs[0].sizes.empty() && classes.scores.empty();
  if (found != function_.outputs.end() && !found->sizes.empty() && (!classes.decoding || images)) return;
  throw InputError("a SavedModel's signatures are not those of its function");
}

// A function of these inputs and outputs, which takes the model's variables.
tf::FunctionDef& TensorflowSignatures::begin(const TensorflowSignature& signature) {
  tf::FunctionDef& made = *library_.add_function();
  made.mutable_signature()->set_name(signature.function);
  made.mutable_signature()->set_is_stateful(true);
  for (const SignatureTensor& input : signature.inputs) {
    tf::OpDef::ArgDef& argument = *made.mutable_signature()->add_input_arg();
    argument.set_name(input.reference);
    argument.set_type(input.type);
    // tf2onnx knows no other place for it. With it TensorFlow's own optimizer knows the sizes of values, and makes
    // (x + 1) - 1 into x: nothing that is written may need such a rounding.
    const auto place = static_cast<std::uint32_t>(made.signature().input_arg_size() - 1);
    (*(*made.mutable_arg_attr())[place].mutable_attr())["_output_shapes"] = FunctionNodes::shape(input.sizes);
  }
  for (const TensorflowVariable& variable : function_.variables) {
    tf::OpDef::ArgDef& argument = *made.mutable_signature()->add_input_arg();
    argument.set_name(variable.argument);
    argument.set_type(tf::DT_RESOURCE);
    tf::ResourceHandleProto::DtypeAndShape& held = *argument.add_handle_data();
    held.set_dtype(to_tensorflow(variable.type));
    *held.mutable_shape() = shape_to_tensorflow(variable.sizes);
  }
  for (const SignatureTensor& output : signature.outputs) {
    tf::OpDef::ArgDef& argument = *made.mutable_signature()->add_output_arg();
    argument.set_name(output.name);
    argument.set_type(output.type);
    (*made.mutable_ret())[output.name] = output.reference;
  }
  return made;
}

void TensorflowSignatures::add_function() {
  TensorflowSignature signature{kDefault, kFunction, {}, {}};
  std::ranges::transform(function_.inputs, std::back_inserter(signature.inputs), signature_tensor);
  std::ranges::transform(function_.outputs, std::back_inserter(signature.outputs), signature_tensor);
  FunctionNodes nodes(begin(signature));
  for (const TensorflowNode& step : function_.nodes) {
    FunctionNodes::Attributes attributes;
    for (const auto& [name, value] : step.attributes) attributes.emplace_back(name, to_message(value));
    nodes.add(step.name, step.op, step.inputs, attributes);
  }
}

void TensorflowSignatures::add_caller(const std::string& name, bool decodes, bool classifies) {
  const TensorflowClasses& classes = *function_.classes;
  TensorflowSignature signature{name, kPrefix + name, {}, {}};
  std::vector<std::string> arguments;
  FunctionNodes::Types types;
  for (const TensorflowTensor& input : function_.inputs) {
    signature.inputs.push_back(signature_tensor(input));
    arguments.push_back(input.reference);
    types.push_back(to_tensorflow(input.type));
  }
  if (decodes) {
    std::string argument = kImageBytes;
    while (std::ranges::count(function_.variables, argument, &TensorflowVariable::argument) > 0) argument += "_";
    signature.inputs = {{kImageBytes, tf::DT_STRING, {function_.inputs.at(0).sizes.at(0)}, argument}};
    arguments = {output_of(kDecoded)};
  }
  for (const TensorflowVariable& variable : function_.variables) {
    arguments.push_back(variable.argument);
    types.push_back(tf::DT_RESOURCE);
  }
  FunctionNodes::Types returned;
  std::string label;
  std::string scores;
  std::int64_t batch = -1;
  for (std::size_t i = 0; i < function_.outputs.size(); ++i) {
    const TensorflowTensor& output = function_.outputs[i];
    returned.push_back(to_tensorflow(output.type));
    const std::string reference = output_of(kCall, "output", i);
    if (!classifies) signature.outputs.push_back({output.name, to_tensorflow(output.type), output.sizes, reference});
    if (output.name != (classifies ? classes.scores : kLabel)) continue;
    batch = output.sizes.at(0);
    label = classifies ? output_of(kLikeliest) : reference;
    if (!classifies) continue;
    scores = reference;
    signature.outputs.push_back({kLabel, tf::DT_INT64, {batch}, label});
    signature.outputs.push_back(
        {"probabilities", to_tensorflow(output.type), output.sizes, output_of(kProbabilities, "softmax")});
  }
  if (!classes.labels.empty()) {
    signature.outputs.push_back({"label_text", tf::DT_STRING, {batch}, output_of(kLabelText)});
  }
  std::ranges::sort(signature.outputs, {}, &SignatureTensor::name);

  FunctionNodes nodes(begin(signature));
  if (decodes) {
    const TensorflowDecoding& decoding = *classes.decoding;
    nodes.add(kDecoded, "MapDefun", {signature.inputs.at(0).reference},
              {{"Targuments", FunctionNodes::types({tf::DT_STRING})},
               {"Tcaptured", FunctionNodes::types({})},
               {"output_types", FunctionNodes::types({tf::DT_UINT8})},
               {"output_shapes", FunctionNodes::shape({decoding.height, decoding.width, decoding.channels})},
               {"f", FunctionNodes::function(name_of(decoding))},
               {"max_intra_op_parallelism", to_message(std::int64_t{1})}});
  }
  nodes.add(kCall, "StatefulPartitionedCall", arguments,
            {{"Tin", FunctionNodes::types(types)},
             {"Tout", FunctionNodes::types(returned)},
             {"f", FunctionNodes::function(kFunction)},
             {"config", to_message(std::string())},
             {"config_proto", to_message(std::string())},
             {"executor_type", to_message(std::string())}});
  if (classifies) {
    const auto found = std::ranges::find(function_.outputs, classes.scores, &TensorflowTensor::name);
    nodes.add(kProbabilities, "Softmax", {scores}, {{"T", to_message(found->type)}});
    nodes.add(kLikeliest, "ArgMax", {scores, nodes.scalar("serving/last", -1)},
              {{"T", to_message(found->type)},
               {"Tidx", to_message(ElementType::kInt32)},
               {"output_type", to_message(ElementType::kInt64)}});
  }
  if (!classes.labels.empty()) {
    nodes.add(kLabelText, "GatherV2",
              {nodes.vector(kLabelNames, classes.labels), label, nodes.scalar("serving/first", 0)},
              {{"Tparams", FunctionNodes::type(tf::DT_STRING)},
               {"Tindices", to_message(ElementType::kInt64)},
               {"Taxis", to_message(ElementType::kInt32)},
               {"batch_dims", to_message(std::int64_t{0})}});
  }
  all_.push_back(std::move(signature));
}

std::optional<TensorflowClasses> TensorflowSignatures::classes_of(const tf::FunctionDefLibrary& library) {
  if (library.function_size() <= 1) return std::nullopt;
  TensorflowClasses classes;
  for (const tf::FunctionDef& function : library.function()) {
    if (const auto decoding = decoding_of_name(function.signature().name())) classes.decoding = decoding;
    if (!function.signature().name().starts_with(kPrefix)) continue;
    for (const tf::NodeDef& node : function.node_def()) {
      if (node.name() == kLabelNames) {
        const auto value = node.attr().find("value");
        if (value == node.attr().end()) throw InputError("its labels are not there");
        const auto& texts = value->second.tensor().string_val();
        classes.labels.assign(texts.begin(), texts.end());
      } else if (node.op() == "Softmax") {
        const auto& outputs = library.function(0).signature().output_arg();
        for (int i = 0; i < outputs.size(); ++i) {
          if (node.input_size() == 1 && node.input(0) == output_of(kCall, "output", static_cast<std::size_t>(i)))
            classes.scores = outputs[i].name();
        }
      }
    }
  }
  return classes;
}

}  // namespace lockstep

#include "engine/artifacts/TritonConfig.h"

#include <algorithm>
#include <map>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/tensorflow/TensorflowWriter.h"

namespace lockstep {

namespace {

constexpr int kMostBatch = 128;

const char* platform(Export format) {
  switch (format) {
    case Export::kSavedModel:
      return "tensorflow_savedmodel";
    case Export::kOnnx:
      return "onnxruntime_onnx";
    case Export::kTorchscript:
      return "pytorch_libtorch";
    default:
      throw InternalError("a format that Triton does not read");
  }
}

std::string type_of(const ModelCard::Tensor& tensor) {
  static const std::map<std::string, std::string> names = {
      {"bool", "TYPE_BOOL"},    {"uint8", "TYPE_UINT8"},  {"int8", "TYPE_INT8"},    {"int16", "TYPE_INT16"},
      {"int32", "TYPE_INT32"},  {"int64", "TYPE_INT64"},  {"float16", "TYPE_FP16"}, {"float32", "TYPE_FP32"},
      {"float64", "TYPE_FP64"}, {"bfloat16", "TYPE_BF16"}};
  const auto found = names.find(tensor.type);
  if (found == names.end()) {
    throw InputError("Triton has no type for " + in_quotes(tensor.name) + ", which is " + tensor.type);
  }
  return found->second;
}

bool has_batch(const ModelCard::Tensor& tensor, const Dimension& batch) {
  return !tensor.sizes.empty() && tensor.sizes[0] == batch;
}

// The dimension that all tensors begin with, when it is the batch's.
bool is_batched(const ModelCard& card) {
  if (card.inputs.empty() || card.inputs[0].sizes.empty()) return false;
  const Dimension batch = card.inputs[0].sizes[0];
  const auto begins = [&](const ModelCard::Tensor& tensor) { return has_batch(tensor, batch); };
  return std::holds_alternative<std::string>(batch) && std::ranges::all_of(card.inputs, begins) &&
         std::ranges::all_of(card.outputs, begins);
}

// What the backend calls the outputs.
std::vector<std::string> output_names(Export format, const ModelCard& card) {
  std::vector<std::string> names;
  for (const ModelCard::Tensor& output : card.outputs) names.push_back(output.name);
  if (format == Export::kSavedModel) return tensorflow_output_names(names);
  if (format == Export::kTorchscript) {  // a tuple: by its places, which follow two underscores
    for (std::size_t i = 0; i < names.size(); ++i) names[i] = "OUTPUT__" + std::to_string(i);
    return names;
  }
  for (std::string& name : names) {  // as OnnxWriter: an output has no input's name
    while (std::ranges::find(card.inputs, name, &ModelCard::Tensor::name) != card.inputs.end()) name += "_1";
  }
  return names;
}

std::string quoted(const std::string& text) {
  std::string escaped = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped + "\"";
}

// Triton has no tensors without dimensions: it shows one element, and reshapes.
std::string described(const ModelCard::Tensor& tensor, const std::string& name, bool batched, bool labelled) {
  std::vector<std::string> dims;
  for (std::size_t i = batched ? 1 : 0; i < tensor.sizes.size(); ++i) {
    const auto* known = std::get_if<std::int64_t>(&tensor.sizes[i]);
    dims.push_back(known ? std::to_string(*known) : "-1");
  }
  std::string text = "  {\n    name: " + quoted(name) + "\n    data_type: " + type_of(tensor) + "\n    dims: [ " +
                     (dims.empty() ? "1" : join(dims, ", ")) + " ]\n";
  if (dims.empty()) text += "    reshape: { shape: [ ] }\n";
  if (labelled) text += "    label_filename: " + quoted(kTritonLabels) + "\n";
  return text + "  }";
}

}  // namespace

std::string triton_config(const std::string& name, Export format, const ModelCard& card, std::size_t classes) {
  const bool batched = is_batched(card);
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  for (const ModelCard::Tensor& input : card.inputs) inputs.push_back(described(input, input.name, batched, false));
  const std::vector<std::string> names = output_names(format, card);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const ModelCard::Tensor& output = card.outputs[i];
    const bool labelled = classes > 0 && batched && output.sizes.size() == 2 &&
                          output.sizes[1] == Dimension(static_cast<std::int64_t>(classes));
    outputs.push_back(described(output, names[i], batched, labelled));
  }
  return "name: " + quoted(name) + "\nplatform: " + quoted(platform(format)) +
         "\nmax_batch_size: " + std::to_string(batched ? kMostBatch : 0) + "\ninput [\n" + join(inputs, ",\n") +
         "\n]\noutput [\n" + join(outputs, ",\n") + "\n]\n" + (batched ? "dynamic_batching { }\n" : "");
}

}  // namespace lockstep

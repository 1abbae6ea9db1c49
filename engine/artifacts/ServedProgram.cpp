#include "engine/artifacts/ServedProgram.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/WeightQuantization.h"

namespace lockstep {

namespace {

constexpr int kByteType = 1;  // as the archive numbers types
constexpr int kInt64Type = 5;

// Adds nodes in front of a program's, and behind them, that have its state and its names.
class ServedGraph {
 public:
  ServedGraph(const Program& program, const ServedForm& form)
      : program_(program), form_(form), graph_(program.graph()) {
    for (const GraphInput& input : graph_.inputs) names_.insert(input.value);
    for (const Node& node : graph_.nodes) {
      const std::vector<std::string> made = node.results();
      names_.insert(made.begin(), made.end());
      for (const Argument& output : node.outputs) {
        if (const auto* integer = std::get_if<SymInt>(&output)) {
          if (const auto* name = std::get_if<std::string>(integer)) names_.insert(*name);
        }
      }
    }
    for (const StateTensor& entry : program.state()) state_[entry.name] = entry.tensor;
  }

  Program with_pixels() {
    const PixelNormalization& normalization = *form_.pixels;
    const std::size_t scores = form_.scores;
    GraphInput& input = image_input();
    const std::string image = input.value;
    require_scores(scores);
    if (names_.contains(kPixels) && image != kPixels) refuse("it has a value that is called pixels already");
    const std::int64_t channels = std::get<std::int64_t>(graph_.sizes(image).at(1));
    if (form_.decoded && channels != 1 && channels != 3) {
      refuse("it has " + std::to_string(channels) + " channels, and encoded images become 3, or 1 of grey");
    }
    const std::string inner = image == kPixels ? rename_input(image) : image;
    const int type = graph_.scalar_type(image);
    graph_.describe_as(kPixels, inner, kByteType, {0, 2, 3, 1});
    input.value = kPixels;

    std::string last = add("permute.default", kPixels, {{"dims", std::vector<std::int64_t>{0, 3, 1, 2}}});
    graph_.describe_as(last, inner, kByteType, {0, 1, 2, 3});
    const auto as_image = [&](const std::string& op, NamedArgument other) {
      last = add(op, last, {std::move(other)});
      graph_.describe_as(last, inner);
    };
    as_image("to.dtype", {"dtype", ScalarTypeNumber{type}});
    as_image("div.Tensor", {"other", 255.0});
    as_image("sub.Tensor", {"other", TensorName{constant("serving_mean", normalization.mean, channels, type)}});
    add("div.Tensor", last, {{"other", TensorName{constant("serving_std", normalization.std, channels, type)}}}, inner);
    graph_.nodes.insert(graph_.nodes.begin(), std::make_move_iterator(nodes_.begin()),
                        std::make_move_iterator(nodes_.end()));
    nodes_.clear();

    const std::string logits = graph_.outputs[scores];
    const std::string probabilities = add("softmax.int", logits, {{"dim", std::int64_t{-1}}});
    const std::string label = add("argmax.default", logits, {{"dim", std::int64_t{-1}}});
    graph_.describe_as(probabilities, logits);
    graph_.describe_as(label, logits, kInt64Type, {0});
    graph_.nodes.insert(graph_.nodes.end(), std::make_move_iterator(nodes_.begin()),
                        std::make_move_iterator(nodes_.end()));
    graph_.outputs = {probabilities, label};
    graph_.name_outputs({"probabilities", "label"});
    return Program(program_.name(), std::move(graph_), std::move(state_));
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw InputError(form_.preprocessing() + ": the program " + program_.name() +
                     " takes no image of known size and returns scores of classes: " + why);
  }

  GraphInput& image_input() {
    GraphInput* found = nullptr;
    for (GraphInput& input : graph_.inputs) {
      if (input.kind != InputKind::kUserInput) continue;
      if (found) refuse("it has several inputs");
      found = &input;
    }
    if (!found) refuse("it has no input");
    const std::vector<Dimension> sizes = graph_.sizes(found->value);
    const auto known = [](const Dimension& size) { return std::holds_alternative<std::int64_t>(size); };
    if (sizes.size() != 4 || !std::ranges::all_of(sizes.begin() + 1, sizes.end(), known) ||
        !c10::isFloatingType(scalar_type_from_archive(graph_.scalar_type(found->value)))) {
      refuse("its input " + in_quotes(found->value) + " is no [batch, channels, height, width] of real numbers");
    }
    return *found;
  }

  void require_scores(std::size_t scores) const {
    const std::string& name = graph_.outputs.at(scores);
    if (graph_.sizes(name).size() == 2 && c10::isFloatingType(scalar_type_from_archive(graph_.scalar_type(name)))) {
      return;
    }
    refuse("its output " + in_quotes(graph_.output_names().at(scores)) + " is no [batch, classes] of real numbers");
  }

  // The program's own image is called otherwise where the bytes have its name.
  std::string rename_input(const std::string& name) {
    const std::string inner = unused(name);
    graph_.describe_as(inner, name);
    for (Node& node : graph_.nodes) {
      for (NamedArgument& argument : node.inputs) {
        if (auto* tensor = std::get_if<TensorName>(&argument.value); tensor && tensor->name == name)
          tensor->name = inner;
        if (auto* list = std::get_if<TensorNames>(&argument.value))
          std::ranges::replace(list->names, std::optional(name), std::optional(inner));
      }
    }
    std::ranges::replace(graph_.outputs, name, inner);
    return inner;
  }

  std::string unused(std::string name) {
    do name += "_served";
    while (!names_.insert(name).second);
    return name;
  }

  std::string add(const std::string& op, const std::string& self, std::vector<NamedArgument> others,
                  std::string result = {}) {
    if (result.empty()) result = unused(op.substr(0, op.find('.')));
    others.insert(others.begin(), NamedArgument{"self", TensorName{self}});
    nodes_.push_back({.target = "torch.ops.aten." + op,
                      .inputs = std::move(others),
                      .outputs = {TensorName{result}},
                      .name = result});
    return result;
  }

  // [channels, 1, 1], or one number for all of them.
  std::string constant(std::string name, const std::vector<double>& numbers, std::int64_t channels, int type) {
    if (numbers.size() != 1 && std::ssize(numbers) != channels) {
      refuse(std::to_string(numbers.size()) + " means are no one for each of " + std::to_string(channels) +
             " channels");
    }
    while (state_.contains(name)) name += "_";
    state_[name] = at::tensor(numbers, at::kDouble).to(scalar_type_from_archive(type)).view({-1, 1, 1});
    const std::string value = unused("b_" + name);
    const auto users = std::ranges::find(graph_.inputs, InputKind::kUserInput, &GraphInput::kind);
    graph_.describe(value, type, state_[name].sizes().vec());
    graph_.inputs.insert(users, {InputKind::kBuffer, value, name, true});
    return value;
  }

  const Program& program_;
  const ServedForm& form_;
  Graph graph_;
  std::map<std::string, at::Tensor> state_;
  std::set<std::string> names_;
  std::vector<Node> nodes_;
};

}  // namespace

Program served_program(const Program& program, const ServedForm& form) {
  const Program rounded = form.int8_weights ? with_rounded_weights(program) : program;
  return form.pixels ? ServedGraph(rounded, form).with_pixels() : rounded;
}

void require_decoding(const ServedForm& form, const std::vector<Export>& formats, Layout layout) {
  if (!form.decoded) return;
  const auto refuse = [&](const std::string& why) { throw InputError(form.preprocessing() + ": " + why); };
  const auto holds = [&](Export format) { return std::ranges::find(formats, format) != formats.end(); };
  if (!holds(Export::kSavedModel)) refuse("saved_model is not in export, and no other format holds it");
  if (holds(Export::kOnnx)) {
    refuse(
        "onnx cannot hold it: ONNX Runtime decodes no images without extensions. Leave onnx out of export, or take "
        "serve_preprocessing=pixels");
  }
  if (layout == Layout::kTriton) {
    refuse("layout=triton describes tensors of bytes to the server. Take serve_preprocessing=pixels");
  }
}

Probe::Inputs served_inputs(const Program& served, const ServedForm& form, const Probe::Inputs& inputs) {
  if (!form.pixels) return inputs;
  std::vector<std::int64_t> sizes = {inputs.at(0).size(0)};
  const std::vector<Dimension> known = served.graph().sizes(kPixels);
  for (std::size_t i = 1; i < known.size(); ++i) sizes.push_back(std::get<std::int64_t>(known[i]));
  return {at::randint(256, sizes, at::detail::createCPUGenerator(1), at::kByte)};
}

}  // namespace lockstep

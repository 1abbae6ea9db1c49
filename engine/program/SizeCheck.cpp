#include "engine/program/SizeCheck.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <exception>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/OperatorTraits.h"

namespace lockstep {

namespace {

at::Tensor without_memory(const at::Tensor& tensor) {
  return tensor.defined() && tensor.layout() == c10::kStrided
             ? at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(c10::kMeta))
             : tensor;
}

c10::IValue without_memory(const c10::IValue& value) {
  if (value.isTensor()) return without_memory(value.toTensor());
  if (value.isDevice()) return c10::Device(c10::kMeta);
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(without_memory(tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector()) {
      list.push_back(tensor ? std::optional(without_memory(*tensor)) : std::nullopt);
    }
    return list;
  }
  return value;
}

// `symbols`: what is known of sizes without a number.
std::string text(const std::vector<Dimension>& sizes, const std::map<std::string, std::int64_t>& symbols) {
  std::vector<std::string> parts;
  for (const Dimension& size : sizes) {
    const auto* symbol = std::get_if<std::string>(&size);
    const auto found = symbol ? symbols.find(*symbol) : symbols.end();
    parts.push_back(!symbol                  ? std::to_string(std::get<std::int64_t>(size))
                    : found == symbols.end() ? "any"
                                             : std::to_string(found->second));
  }
  return "[" + join(parts, ", ") + "]";
}

}  // namespace

SizeCheck::SizeCheck(const Graph& graph) : graph_(graph), judged_(graph.outputs.begin(), graph.outputs.end()) {
  for (const Node& node : graph.nodes) {
    for (const std::string& read : node.tensors()) judged_.insert(read);
  }
  std::set<std::string> misstated;
  for (const Node& node : graph.nodes) {
    const std::vector<std::string> reads = node.tensors();
    const bool follows = std::ranges::any_of(reads, [&](const std::string& read) { return misstated.contains(read); });
    const std::optional<std::size_t> wrong = operator_traits(node).misstated_results;
    const std::vector<std::string> results = node.results();
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (follows || (wrong && i >= *wrong)) misstated.insert(results[i]);
    }
  }
  for (const std::string& value : misstated) judged_.erase(value);
}

void SizeCheck::found(const std::string& value, const at::Tensor& tensor) {
  const auto stated = tensor.defined() && judged_.contains(value) ? graph_.find_sizes(value) : std::nullopt;
  if (!stated) return;
  bool same = stated->size() == static_cast<std::size_t>(tensor.dim());
  for (std::size_t i = 0; same && i < stated->size(); ++i) {
    const std::int64_t size = tensor.size(static_cast<std::int64_t>(i));
    const auto* number = std::get_if<std::int64_t>(&(*stated)[i]);
    same = size == (number ? *number : symbols_.try_emplace(std::get<std::string>((*stated)[i]), size).first->second);
  }
  if (same) return;
  const auto inputs = graph_.user_inputs();
  const bool is_input = std::ranges::any_of(inputs, [&](const GraphInput* input) { return input->value == value; });
  throw InputError((is_input ? "its input " : "its value ") + in_quotes(value) + " has the sizes [" +
                   join(tensor.sizes(), ", ") + "]; the program says " + text(*stated, symbols_));
}

std::optional<std::int64_t> SizeCheck::most_elements(const std::string& value) const {
  const auto stated = judged_.contains(value) ? graph_.find_sizes(value) : std::nullopt;
  if (!stated) return std::nullopt;
  std::int64_t elements = 1;
  for (const Dimension& size : *stated) {
    const auto* number = std::get_if<std::int64_t>(&size);
    if (!number) {
      const auto symbol = symbols_.find(std::get<std::string>(size));
      if (symbol == symbols_.end()) return std::nullopt;
      number = &symbol->second;
    }
    if (__builtin_mul_overflow(elements, *number, &elements)) return std::nullopt;
  }
  return elements;
}

void SizeCheck::judge_size(const std::string& value, const at::Tensor& inferred) const {
  const std::optional<std::int64_t> most = inferred.defined() ? most_elements(value) : std::nullopt;
  if (!most || inferred.numel() <= *most) return;
  throw InputError("its value " + in_quotes(value) + " would have the sizes [" + join(inferred.sizes(), ", ") +
                   "]; the program says " + text(graph_.sizes(value), symbols_));
}

void SizeCheck::before(const c10::OperatorHandle& handle, const std::vector<c10::IValue>& arguments,
                       const std::vector<std::vector<std::string>>& results) const {
  // Operators of ours compute with memory wherever their tensors are.
  if (!handle.schema().name().starts_with("aten::") ||
      !handle.hasComputedKernelForDispatchKey(c10::DispatchKey::Meta)) {
    return;
  }
  std::vector<c10::IValue> stack;
  try {
    const c10::NoGradGuard no_grad;
    for (const c10::IValue& argument : arguments) stack.push_back(without_memory(argument));
    handle.callBoxed(&stack);
  } catch (const std::exception&) {  // sizes that depend on values, or arguments that do not fit: the run tells
    return;
  }
  for (std::size_t i = 0; i < std::min(results.size(), stack.size()); ++i) {
    if (stack[i].isTensor() && results[i].size() == 1) judge_size(results[i][0], stack[i].toTensor());
    if (!stack[i].isTensorList()) continue;
    const std::vector<at::Tensor> list = stack[i].toTensorVector();
    for (std::size_t j = 0; j < std::min(list.size(), results[i].size()); ++j) judge_size(results[i][j], list[j]);
  }
}

}  // namespace lockstep

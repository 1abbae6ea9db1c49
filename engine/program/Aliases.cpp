#include "engine/program/Aliases.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "common/Text.h"

namespace lockstep {

namespace {

// How an operator's outputs lie in the memory of its inputs.
enum class Sharing { kNone, kAlways, kByStrides };

std::set<std::string> words(const std::string& text) {
  const std::vector<std::string> all = split(text, ' ');
  return {all.begin(), all.end()};
}

// Operators whose schema lets them return a view, and those that return their input when they have nothing to do.
Sharing sharing(const Node& node) {
  static const std::set<std::string> always = words(
      "H T adjoint alias alpha_dropout as_strided atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_to "
      "chunk conj detach diagonal dropout dsplit expand expand_as feature_alpha_dropout feature_dropout hsplit imag "
      "lift_fresh linalg_diagonal mH mT matrix_H moveaxis movedim narrow numpy_T permute positive real resolve_conj "
      "resolve_neg select slice split split_with_sizes squeeze swapaxes swapdims t tensor_split to transpose "
      "type_as unbind unfold unsqueeze view_as_complex view_as_real vsplit");
  static const std::set<std::string> by_strides =
      words("_reshape_alias _unsafe_view contiguous flatten ravel reshape reshape_as unflatten view view_as");
  if (node.in_place()) return Sharing::kAlways;
  const std::size_t last = node.target.rfind('.');
  const std::size_t before =
      last == std::string::npos || last == 0 ? std::string::npos : node.target.rfind('.', last - 1);
  if (before == std::string::npos) return Sharing::kNone;
  const std::string name = node.target.substr(before + 1, last - before - 1);
  return always.contains(name) ? Sharing::kAlways : by_strides.contains(name) ? Sharing::kByStrides : Sharing::kNone;
}

std::vector<std::string> results(const Node& node) {
  std::vector<std::string> names;
  for (const Argument& output : node.outputs) {
    if (const auto* one = std::get_if<TensorName>(&output)) names.push_back(one->name);
    if (const auto* many = std::get_if<TensorNames>(&output)) {
      for (const auto& name : many->names) {
        if (name) names.push_back(*name);
      }
    }
  }
  return names;
}

/// Sets of names that grow together.
class Sets {
 public:
  std::string of(const std::string& name) {
    std::string root = name;
    for (auto next = parents_.find(root); next != parents_.end(); next = parents_.find(root)) root = next->second;
    return root;
  }
  void join(const std::string& a, const std::string& b) {
    const std::string root = of(a);
    if (const std::string other = of(b); other != root) parents_[other] = root;
  }

 private:
  std::map<std::string, std::string> parents_;
};

}  // namespace

std::vector<AliasedWrite> aliased_writes(const Graph& graph) {
  constexpr std::size_t kNextRun = std::numeric_limits<std::size_t>::max();
  struct Life {
    std::size_t defined = 0;  // by this node, counted from 1; 0: given to the program
    std::size_t last_read = 0;
  };
  std::map<std::string, Life> lives;
  Sets sharing_always;
  Sets sharing_perhaps;
  std::set<std::string> state;
  for (const GraphInput& input : graph.inputs) {
    lives[input.value].last_read = input.kind == InputKind::kUserInput ? 0 : kNextRun;
    if (input.kind != InputKind::kUserInput) state.insert(input.value);
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (const std::string& read : node.tensors()) {
      std::size_t& last = lives[read].last_read;
      last = std::max(last, i + 1);
    }
    const Sharing kind = sharing(node);
    const std::vector<std::string> sources = node.in_place() ? std::vector{node.tensor("self")} : node.tensors();
    for (const std::string& result : results(node)) {
      lives[result].defined = i + 1;
      if (kind == Sharing::kNone) continue;
      for (const std::string& source : sources) {
        sharing_perhaps.join(source, result);
        if (kind == Sharing::kAlways) sharing_always.join(source, result);
      }
    }
  }
  for (const std::string& output : graph.outputs) lives[output].last_read = kNextRun;

  std::vector<AliasedWrite> writes;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!node.in_place()) continue;
    const std::string self = node.tensor("self");
    for (const auto& [name, life] : lives) {
      // A name that is defined later is made of one that is read later.
      if (life.defined > i || life.last_read <= i + 1 || (name == self && !state.contains(name))) continue;
      if (sharing_perhaps.of(name) != sharing_perhaps.of(self)) continue;
      writes.push_back({&node, name, sharing_always.of(name) != sharing_always.of(self)});
    }
  }
  return writes;
}

}  // namespace lockstep

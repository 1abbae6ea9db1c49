// What a graph says of the sizes of its values, held against what a run finds.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// For one run of an Executor. A symbol (`s77`) or an expression must stand for the same size wherever the graph writes
/// it. Not judged are values of which the graph says nothing, those that nothing reads, which the exporter and the
/// operators of another device may see otherwise (EmbeddingBag's), and the last states of an LSTM and what is made of
/// them: PyTorch 2.11's exporter gives them a dimension too many.
class SizeCheck {
 public:
  /// The graph must outlive the check.
  explicit SizeCheck(const Graph& graph);

  /// Throws InputError when the value has other sizes than the graph says.
  void found(const std::string& value, const at::Tensor& tensor);
  /// To be called before a node runs. Where PyTorch can tell sizes without computing, throws InputError for a result
  /// that would be larger than the graph says, which may be larger than memory.
  /// `results`: the names of what it returns; a list for each returned value.
  void before(const c10::OperatorHandle& handle, const std::vector<c10::IValue>& arguments,
              const std::vector<std::vector<std::string>>& results) const;

 private:
  void judge_size(const std::string& value, const at::Tensor& inferred) const;
  /// The largest number of elements that the graph allows a value to have, or nothing where it does not know.
  std::optional<std::int64_t> most_elements(const std::string& value) const;

  const Graph& graph_;
  std::set<std::string> judged_;
  std::map<std::string, std::int64_t> symbols_;
};

}  // namespace lockstep

// Normalization by the mean and variance of what a program is given at once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "common/Error.h"
#include "engine/program/Graph.h"

namespace lockstep {

/// A node that normalizes its first input by the input's own statistics, as batch norm and instance norm do while they
/// are trained.
struct BatchStatistics {
  bool over_batch = true;  ///< of a channel over all samples; else of a channel of each sample
  bool running = false;    ///< it updates running statistics, in inference unless its form says otherwise

  /// How many numbers each mean is taken over, of an input of these sizes; 0 for an empty one.
  std::int64_t values(std::span<const std::int64_t> sizes) const;
};

std::optional<BatchStatistics> batch_statistics(const Node& node);

/// "layer stem.norm, operator …": by what the node's parameters and buffers are called.
std::string describe_with_layer(const Node& node, const Graph& graph);

/// Throws InputError unless the graph has a node that takes statistics over samples, and a BatchNormalizer can compute
/// all of these.
void require_batch_norms(const Graph& graph);

/// A node takes statistics over a single number: the variance is 0, and its unbiased form, which goes into the running
/// statistics, is 0/0. PyTorch's modules refuse it too.
class SingleValueError : public InputError {
 public:
  SingleValueError(const std::string& node, const BatchStatistics& statistics, std::span<const std::int64_t> sizes);
  bool over_batch() const { return over_batch_; }  ///< more samples at once would help

 private:
  bool over_batch_;
};

}  // namespace lockstep

#include "engine/program/ActivationBytes.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/program/Aliases.h"

namespace lockstep {

namespace {

// By the archive's numbers: uint8, int8, int16, int32, int64, half, float, double, complex half, float and double,
// bool, bfloat16.
double element_bytes(int type) {
  constexpr double kBytes[] = {4, 1, 1, 2, 4, 8, 2, 4, 8, 4, 8, 16, 1, 2};
  return type >= 0 && type < static_cast<int>(std::size(kBytes)) ? kBytes[type] : 1;
}

}  // namespace

double bytes_of(const Graph& graph, const std::string& value) {
  try {
    const std::vector<std::int64_t> sizes = graph.example_sizes(value);
    return std::accumulate(sizes.begin(), sizes.end(), element_bytes(graph.scalar_type(value)), std::multiplies<>());
  } catch (const InputError&) {
    return 0;
  }
}

double samples_of(const Graph& graph) {
  try {
    const std::vector<const GraphInput*> inputs = graph.user_inputs();
    const std::vector<std::int64_t> sizes =
        inputs.empty() ? std::vector<std::int64_t>() : graph.example_sizes(inputs[0]->value);
    return sizes.empty() ? 1 : static_cast<double>(std::max<std::int64_t>(sizes[0], 1));
  } catch (const InputError&) {
    return 1;
  }
}

double forward_bytes(const Graph& graph) {
  const std::map<std::string, std::string> memory = shared_memory(graph);
  struct Life {
    std::size_t last = 0;  // the node that touches it last
    double bytes = 0;
  };
  std::map<std::string, Life> lives;  // by memory
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& read : graph.nodes[i].tensors()) lives[memory.at(read)].last = i;
    for (const std::string& result : graph.nodes[i].results()) lives[memory.at(result)].last = i;
  }
  for (const std::string& output : graph.outputs) lives[memory.at(output)].last = graph.nodes.size();
  for (const GraphInput& input : graph.inputs) lives.erase(memory.at(input.value));  // there all the time
  std::vector<double> freed(graph.nodes.size() + 1);
  double live = 0;
  double most = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& result : graph.nodes[i].results()) {
      const auto life = lives.find(memory.at(result));
      if (life == lives.end() || life->second.bytes > 0) continue;
      life->second.bytes = bytes_of(graph, result);
      live += life->second.bytes;
      freed[life->second.last] += life->second.bytes;
    }
    most = std::max(most, live);
    live -= freed[i];
  }
  return most / samples_of(graph);
}

}  // namespace lockstep

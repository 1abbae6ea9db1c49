#include "engine/session/SampleSizes.h"

#include <variant>

namespace lockstep {

std::optional<std::vector<std::int64_t>> sample_sizes(const Graph& graph, const std::string& value) {
  const auto stated = graph.find_sizes(value);
  if (!stated || stated->empty()) return std::nullopt;
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 1; i < stated->size(); ++i) {
    const auto* size = std::get_if<std::int64_t>(&(*stated)[i]);
    if (size == nullptr) return std::nullopt;
    sizes.push_back(*size);
  }
  return sizes;
}

}  // namespace lockstep

#include "engine/artifacts/tensorflow/TensorflowFunction.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace lockstep {

int broadcast_runs(const std::vector<std::int64_t>& first, const std::vector<std::int64_t>& second) {
  if (first == second) return 0;
  const auto is_one = [](const std::vector<std::int64_t>& sizes, std::size_t from_the_end) {
    return from_the_end >= sizes.size() || sizes[sizes.size() - 1 - from_the_end] == 1;
  };
  int runs = 0;
  std::optional<std::pair<bool, bool>> last;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    const std::pair ones(is_one(first, i), is_one(second, i));
    if (ones == std::pair(true, true) || ones == last) continue;
    last = ones;
    ++runs;
  }
  return runs;
}

}  // namespace lockstep

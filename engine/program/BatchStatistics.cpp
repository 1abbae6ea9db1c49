#include "engine/program/BatchStatistics.h"

#include <variant>

#include "common/Text.h"
#include "engine/program/OperatorTraits.h"

namespace lockstep {

std::int64_t BatchStatistics::values(std::span<const std::int64_t> sizes) const {
  std::int64_t values = 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (i == 1 || (i == 0 && !over_batch)) continue;
    values *= sizes[i];
  }
  return values;
}

std::optional<BatchStatistics> batch_statistics(const Node& node) {
  const std::optional<StatisticsForm>& form = operator_traits(node).statistics;
  if (!form) return std::nullopt;
  if (!form->flag.empty()) {
    const Argument* flag = node.find(form->flag);
    const bool* on = flag ? std::get_if<bool>(flag) : nullptr;
    if (!on || !*on) return std::nullopt;
  }
  return BatchStatistics{.over_batch = form->over_batch, .running = !node.tensor("running_var").empty()};
}

SingleValueError::SingleValueError(const std::string& node, const BatchStatistics& statistics,
                                   std::span<const std::int64_t> sizes)
    : InputError(node + " is given [" + join(sizes, ", ") + "]: one number in each channel" +
                 (statistics.over_batch ? "" : " of a sample") + ", and a single number has no variance"),
      over_batch_(statistics.over_batch) {}

}  // namespace lockstep

#include "engine/program/BatchStatistics.h"

#include <map>

#include "common/Text.h"

namespace lockstep {

namespace {

struct Form {
  const char* flag;  ///< the argument that says so; "" when it always does
  bool over_batch;
};

const std::map<std::string, Form>& forms() {
  static const std::map<std::string, Form> forms = {
      {"batch_norm", {"training", true}},
      {"native_batch_norm", {"training", true}},
      {"cudnn_batch_norm", {"training", true}},
      {"miopen_batch_norm", {"training", true}},
      {"_native_batch_norm_legit", {"training", true}},
      {"_native_batch_norm_legit_functional", {"training", true}},
      {"_batch_norm_with_update", {"", true}},
      {"_batch_norm_with_update_functional", {"", true}},
      {"instance_norm", {"use_input_stats", false}},
  };
  return forms;
}

}  // namespace

std::int64_t BatchStatistics::values(std::span<const std::int64_t> sizes) const {
  std::int64_t values = 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (i == 1 || (i == 0 && !over_batch)) continue;
    values *= sizes[i];
  }
  return values;
}

std::optional<BatchStatistics> batch_statistics(const Node& node) {
  const auto form = forms().find(node.aten_name());
  if (form == forms().end()) return std::nullopt;
  if (*form->second.flag != '\0') {
    const Argument* flag = node.find(form->second.flag);
    const bool* on = flag ? std::get_if<bool>(flag) : nullptr;
    if (!on || !*on) return std::nullopt;
  }
  return BatchStatistics{.over_batch = form->second.over_batch, .running = !node.tensor("running_var").empty()};
}

SingleValueError::SingleValueError(const std::string& node, const BatchStatistics& statistics,
                                   std::span<const std::int64_t> sizes)
    : InputError(node + " is given [" + join(sizes, ", ") + "]: one number in each channel" +
                 (statistics.over_batch ? "" : " of a sample") + ", and a single number has no variance"),
      over_batch_(statistics.over_batch) {}

}  // namespace lockstep

#include "engine/session/JobData.h"

#include <cstdint>
#include <variant>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/IdxDataset.h"
#include "engine/data/SyntheticDataset.h"
#include "engine/train/FittingSamples.h"

namespace lockstep {

namespace {

std::string channel_names(const JobConfig& config) {
  std::vector<std::string> names;
  for (const auto& [name, path] : config.channels) names.push_back(name);
  return names.empty() ? "there is none" : "there is " + join(names, ", ");
}

std::unique_ptr<Dataset> load_channel(const JobConfig& config, const std::string& channel, bool class_labels) {
  const Hyperparameters& options = config.hyperparameters;
  return std::make_unique<IdxDataset>(config.channels.at(channel), Normalization{options.input_mean, options.input_std},
                                      !class_labels);
}

}  // namespace

JobData load_channels(const JobConfig& config, bool class_labels) {
  const auto has = [&](const char* name) { return config.channels.contains(name); };
  if (!has("train") && !has("training")) {
    throw InputError("no data to train on: a channel named train (or training) is needed; " + channel_names(config));
  }
  JobData data;
  data.train = has("train") ? "train" : "training";
  if (has("validation")) data.evaluation = "validation";
  if (has("test")) (data.evaluation.empty() ? data.evaluation : data.test) = "test";
  for (const std::string& channel : {data.train, data.evaluation, data.test}) {
    if (!channel.empty()) data.datasets[channel] = load_channel(config, channel, class_labels);
  }
  return data;
}

JobData synthetic_data(const Hyperparameters& hyperparameters, const Graph& graph, bool class_labels) {
  JobData data;
  data.train = "synthetic";
  data.datasets[data.train] = std::make_unique<SyntheticDataset>(
      fitting_samples(graph, class_labels), hyperparameters.synthetic_samples, hyperparameters.seed);
  return data;
}

void fit_inputs(const JobData& data, const Graph& graph) {
  const auto stated = graph.find_sizes(graph.user_inputs().at(0)->value);
  if (!stated || stated->empty()) return;
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 1; i < stated->size(); ++i) {
    const auto* size = std::get_if<std::int64_t>(&(*stated)[i]);
    if (!size) return;  // of any size
    sizes.push_back(*size);
  }
  for (const auto& [channel, dataset] : data.datasets) dataset->fit_inputs(sizes);
}

}  // namespace lockstep

#include "engine/session/JobData.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Variation.h"
#include "engine/session/FittingSamples.h"
#include "engine/session/ProgramInputs.h"
#include "engine/session/SharedChannel.h"

namespace lockstep {

namespace {

std::string channel_names(const JobConfig& config) {
  std::vector<std::string> names;
  for (const auto& [name, path] : config.channels) names.push_back(name);
  return names.empty() ? "there is none" : "there is " + join(names, ", ");
}

void check_tokens(ProgramSamples& samples, const Graph& graph) {
  for (std::size_t i = 0; i < samples.inputs(); ++i) {
    const Column& input = samples.input(i);
    if (!is_integer(input.transform.to())) continue;
    if (const auto vocabulary = find_vocabulary(graph, input.name)) {
      samples.require_tokens(input, *vocabulary,
                             "the program takes " + std::to_string(*vocabulary) + " different ones");
    }
  }
}

// As a host of a sharded channel may have it, which has got no files: the directory need not be there then.
bool holds_nothing(const std::filesystem::path& directory) {
  std::error_code error;
  return std::filesystem::status(directory, error).type() == std::filesystem::file_type::not_found ||
         list_channel(directory).files.empty();
}

// Positions of a text that the program takes at once: the length of its first input of integers that is a row of them.
std::optional<std::int64_t> window_of(const Graph& graph) {
  for (const ProgramInput& input : program_inputs(graph)) {
    if (is_integer(input.type) && input.sizes && input.sizes->size() == 1) return input.sizes->front();
  }
  return std::nullopt;
}

std::optional<ImageShape> image_shape_of(std::vector<std::int64_t> sizes) {
  if (sizes.size() == 2) sizes.insert(sizes.begin(), 1);
  if (sizes.size() != 3 || (sizes[0] != 1 && sizes[0] != 3)) return std::nullopt;
  return ImageShape{.channels = static_cast<int>(sizes[0]), .height = sizes[1], .width = sizes[2]};
}

// What the program takes of images: its first input of real numbers or bytes in rows and columns.
std::optional<ImageShape> image_shape_of(const Graph& graph) {
  for (const ProgramInput& input : program_inputs(graph)) {
    if ((!is_real(input.type) && input.type != ElementType::kUint8) || !input.sizes) continue;
    if (const auto shape = image_shape_of(*input.sizes)) return shape;
  }
  return std::nullopt;
}

// What a program that is built for this data set takes of them.
std::optional<ImageShape> image_shape_of(const Dataset& train) {
  for (const Field& field : train.spec().fields) {
    if (train.crops() && is_picture(field)) return image_shape_of(field.sizes);
  }
  return std::nullopt;
}

}  // namespace

JobData choose_channels(const JobConfig& config) {
  const auto has = [&](const char* name) { return config.channels.contains(name); };
  if (!has("train") && !has("training")) {
    throw InputError("no data to train on: a channel named train (or training) is needed; " + channel_names(config));
  }
  JobData data;
  data.train = has("train") ? "train" : "training";
  if (has("validation")) data.evaluation = "validation";
  if (has("test")) (data.evaluation.empty() ? data.evaluation : data.test) = "test";
  return data;
}

Channels open_channels(const JobConfig& config, const JobData& chosen, const Formats& formats, const Graph* graph,
                       const RankContext& context) {
  const std::optional<std::int64_t> window = graph == nullptr ? std::nullopt : window_of(*graph);
  ImageOptions image = {.shape = graph == nullptr ? std::nullopt : image_shape_of(*graph),
                        .crop = config.hyperparameters.image_crop};
  Channels channels;
  for (const std::string& channel : {chosen.train, chosen.evaluation, chosen.test}) {
    if (channel.empty()) continue;
    const std::filesystem::path& directory = config.channels.at(channel);
    const auto type = config.content_types.find(channel);
    const bool sharded = std::ranges::count(config.hyperparameters.sharded, channel) > 0;
    const auto open = [&](const SampleSpec* like) {
      if (sharded && context.hosts > 1 && holds_nothing(directory)) return OpenedChannel();
      return formats.open(directory, {.content_type = type == config.content_types.end() ? "" : type->second,
                                      .columns = config.hyperparameters.columns,
                                      .window = window,
                                      .image = image,
                                      .like = like});
    };
    channels[channel] =
        share_channel({.name = channel,
                       .host = config.host,
                       .sharded = sharded,
                       .open = open,
                       .like = channel == chosen.train ? nullptr : &channels.at(chosen.train).dataset->spec()},
                      context);
    if (channel == chosen.train && !image.shape) image.shape = image_shape_of(*channels[channel].dataset);
  }
  return channels;
}

void share_classes(ProgramSamples& samples, Communicator& communicator) {
  if (!samples.dataset()->shards()) return;
  std::int64_t classes = samples.classes();
  communicator.all_reduce(&classes, 1, DataType::kInt64, ReduceOp::kMax)->wait();
  samples.widen_classes(classes);
}

ColumnOptions column_options(const Hyperparameters& hyperparameters, bool class_labels) {
  return {.names = hyperparameters.columns,
          .real = hyperparameters.precision == Precision::kFp64 ? ElementType::kDouble : ElementType::kFloat,
          .real_targets = !class_labels,
          .normalization = {hyperparameters.input_mean, hyperparameters.input_std},
          .ignored_label = hyperparameters.ignore_index};
}

void check_variation(const JobData& data, const Hyperparameters& hyperparameters) {
  const ProgramSamples& train = data.samples.at(data.train);
  (void)train.varied(variation_of(hyperparameters, hyperparameters.seed));
  if (hyperparameters.image_crop != ImageCrop::kCenter && !train.dataset()->crops()) {
    throw InputError("image_crop is for encoded images, and the training channel holds none: leave it out");
  }
}

InputError does_not_fit(const std::string& channel, const Program& program, const InputError& error) {
  return InputError("channel " + channel + " does not fit the program " + program.name() + ": " + error.what());
}

ProgramSamples join_columns(const OpenedChannel& channel, const std::vector<ProgramInput>& inputs,
                            const ColumnOptions& options) {
  try {
    return {channel.dataset, inputs, options};
  } catch (const InputError& error) {
    if (channel.passed_over.none()) throw;
    throw InputError(std::string(error.what()) + ". The channel holds " + channel.passed_over.text() + ", too");
  }
}

void add_samples(JobData& data, const std::string& channel, const OpenedChannel& opened, const Program& program,
                 const ColumnOptions& options) {
  const Graph& graph = program.graph();
  try {
    ProgramSamples samples = join_columns(opened, program_inputs(graph), options);
    check_tokens(samples, graph);
    data.samples.emplace(channel, std::move(samples));
  } catch (const InputError& error) {
    throw does_not_fit(channel, program, error);
  }
}

}  // namespace lockstep

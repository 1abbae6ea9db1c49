#include "engine/session/JobData.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/MadeUpTargets.h"
#include "engine/data/MixedDataset.h"
#include "engine/data/Variation.h"
#include "engine/session/BuiltinFit.h"
#include "engine/session/FittingSamples.h"
#include "engine/session/ProgramInputs.h"
#include "engine/session/SetUpPhase.h"
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

// The same of a program that is built for its data.
std::optional<std::int64_t> window_of(const Hyperparameters& options) {
  return options.model_length > 0 ? std::optional(options.model_length) : std::nullopt;
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

ChannelOpening opening_of(const JobConfig& config, const std::string& channel, const Formats& formats,
                          ChannelOptions how, int hosts) {
  const std::filesystem::path& directory = config.channels.at(channel);
  const Hyperparameters& options = config.hyperparameters;
  const bool sharded = std::ranges::count(options.sharded, channel) > 0;
  const auto type = config.content_types.find(channel);
  how.content_type = type != config.content_types.end() ? type->second : options.content_type;
  how.shard = sharded && hosts > 1;
  return {.name = channel,
          .host = config.host,
          .sharded = sharded,
          .open =
              [=, &formats, &directory](const SampleSpec* like) mutable {
                if (how.shard && holds_nothing(directory)) return OpenedChannel();
                how.like = like;
                return formats.open(directory, how);
              },
          .like = how.like,
          .most_bad = how.most_bad,
          .threads = static_cast<int>(options.loader_threads)};
}

// Of a channel that need not have targets and weights: as the training channel has its fields, but for those.
ChannelOpening for_predictions(ChannelOpening opening, const SampleSpec& train, const Hyperparameters& options) {
  std::set<std::string> optional;
  const ColumnRoles roles = column_roles(train, options.columns);
  for (const auto& [name, column] : {std::pair(kTargetColumn, roles.target), {kWeightColumn, roles.weight}}) {
    optional.insert(column);
    const auto described = options.fields.find(name);
    if (described == options.fields.end()) continue;
    for (const FieldPart& part : described->second) optional.insert(part.columns.begin(), part.columns.end());
  }
  opening.open = [open = std::move(opening.open), optional](const SampleSpec* like) {
    OpenedChannel own = open(nullptr);
    if (!own.dataset) return own;
    SampleSpec fields = *like;
    std::erase_if(fields.fields, [&](const Field& field) {
      return optional.contains(field.name) && !own.dataset->spec().find(field.name);
    });
    return open(&fields);
  };
  return opening;
}

}  // namespace

PredictRequest predict_request(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {.channel = text, .format = "csv"};
  const std::string format = text.substr(colon + 1);
  if (format != "csv" && format != "parquet") {
    throw InputError("hyperparameter predict: expected CHANNEL, CHANNEL:csv or CHANNEL:parquet; found " +
                     in_quotes(text));
  }
  return {.channel = text.substr(0, colon), .format = format};
}

JobData choose_channels(const JobConfig& config) {
  const auto has = [&](const std::string& name) { return config.channels.contains(name); };
  JobData data;
  data.train = config.hyperparameters.mixture.empty() ? has("train") ? "train" : "training" : "mixture";
  if (has("validation")) data.evaluation = "validation";
  if (has("test")) (data.evaluation.empty() ? data.evaluation : data.test) = "test";
  for (const auto& [channel, share] : config.hyperparameters.mixture) {
    if (!has(channel)) {
      throw InputError("mixture names the channel " + in_quotes(channel) + ", and " + channel_names(config));
    }
    if (channel == data.evaluation || channel == data.test) {
      throw InputError("mixture names the channel " + channel + ", which is evaluated: it cannot be trained on, too");
    }
  }
  if (config.hyperparameters.mixture.empty() && !has(data.train)) {
    throw InputError("no data to train on: a channel named train (or training) is needed; " + channel_names(config));
  }
  std::vector<std::string> predict;
  for (const std::string& text : config.hyperparameters.predict) predict.push_back(predict_request(text).channel);
  for (const std::string& channel : predict) {
    if (std::ranges::count(predict, channel) > 1) {
      throw InputError("hyperparameter predict: expected each channel once; found " + in_quotes(channel) + " again");
    }
    const bool held_back = config.hyperparameters.validation_share > 0 && channel == kHeldBackChannel;
    if (!has(channel) && !held_back) {
      throw InputError("hyperparameter predict: no channel is named " + in_quotes(channel) + "; " +
                       channel_names(config));
    }
    if (channel.find('/') != std::string::npos) {
      throw InputError("hyperparameter predict: the channel's name becomes that of a file, which " +
                       in_quotes(channel) + " cannot be");
    }
  }
  return data;
}

std::string describe_unused_channels(const JobConfig& config, const JobData& data) {
  const Hyperparameters& options = config.hyperparameters;
  std::vector<std::string> unused;
  for (const auto& [channel, directory] : config.channels) {
    const auto holds = [&directory](const std::string& path) { return path.starts_with(directory.string() + "/"); };
    const bool used = channel == data.train || channel == data.evaluation || channel == data.test ||
                      options.mixture.contains(channel) || data.predicted.contains(channel) || holds(options.model) ||
                      holds(options.initial_weights);
    if (!used) unused.push_back(channel);
  }
  if (unused.empty()) return "";
  const bool one = unused.size() == 1;
  return (one ? "channel " : "channels ") + join(unused, ", ") + (one ? " is" : " are") +
         " not used: train (or training) is trained on, validation and test are evaluated, and others are read where "
         "mixture or predict names them";
}

Channels open_channels(const JobConfig& config, const JobData& chosen, const Formats& formats, const Graph* graph,
                       const RankContext& context) {
  const Hyperparameters& options = config.hyperparameters;
  std::optional<std::vector<std::string>> inputs;
  if (graph != nullptr) {
    inputs.emplace();
    for (const ProgramInput& input : program_inputs(*graph)) inputs->push_back(input.name);
  }
  ChannelOptions how = {
      .columns = named_columns(options),
      .inputs = std::move(inputs),
      .fields = options.fields,
      .window = graph != nullptr ? window_of(*graph) : window_of(options),
      .image = {.shape = graph == nullptr ? std::nullopt : image_shape_of(*graph), .crop = options.image_crop},
      .most_bad = options.skip_bad_records,
      .index_dir = options.data_index_dir};
  const auto open = [&](const std::string& channel) {
    OpenedChannel opened = share_channel(opening_of(config, channel, formats, how, context.hosts), context);
    if (how.like == nullptr) {  // the first channel says what the others must be like
      how.like = &opened.dataset->spec();
      if (!how.image.shape) how.image.shape = image_shape_of(*opened.dataset);
    }
    return opened;
  };
  Channels channels;
  if (options.mixture.empty()) {
    channels[chosen.train] = open(chosen.train);
  } else {
    std::vector<MixturePart> parts;
    for (const auto& [channel, share] : options.mixture) {
      OpenedChannel opened = open(channel);
      channels[chosen.train].without_index |= opened.without_index;
      parts.push_back({.channel = channel, .share = share, .dataset = std::move(opened.dataset)});
    }
    set_up_phase(context.host,
                 [&] { channels[chosen.train].dataset = std::make_shared<MixedDataset>(std::move(parts)); });
  }
  for (const std::string& channel : {chosen.evaluation, chosen.test}) {
    if (!channel.empty()) channels[channel] = open(channel);
  }
  for (const std::string& text : options.predict) {
    const std::string channel = predict_request(text).channel;
    if (channels.contains(channel) || !config.channels.contains(channel)) continue;  // what is held back comes later
    const ChannelOpening opening = opening_of(config, channel, formats, how, context.hosts);
    channels[channel] = share_channel(for_predictions(opening, *how.like, options), context);
  }
  return channels;
}

void share_classes(ProgramSamples& samples, Communicator& communicator) {
  if (!samples.dataset()->shards()) return;
  std::int64_t classes = samples.classes();
  communicator.all_reduce(&classes, 1, DataType::kInt64, ReduceOp::kMax)->wait();
  samples.widen_classes(classes);
}

ColumnOptions column_options(const Hyperparameters& hyperparameters, const Loss& loss) {
  std::map<std::string, std::string> names = named_columns(hyperparameters);
  for (const auto& [name, parts] : hyperparameters.fields) names.emplace(name, name);
  return {.names = std::move(names),
          .real = hyperparameters.precision == Precision::kFp64 ? ElementType::kDouble : ElementType::kFloat,
          .targets = loss.takes_targets(),
          .real_targets = !loss.class_labels(),
          .normalization = {.mean = {hyperparameters.input_mean}, .std = {hyperparameters.input_std}},
          .ignored_label = hyperparameters.ignore_index};
}

void check_variation(const JobData& data, const Hyperparameters& hyperparameters) {
  const ProgramSamples& train = data.samples.at(data.train);
  (void)train.varied(variation_of(hyperparameters, hyperparameters.seed));
  if (hyperparameters.image_crop != ImageCrop::kCenter && !train.dataset()->crops()) {
    throw InputError("image_crop is for encoded images, and the training channel holds none: leave it out");
  }
}

namespace {

// What the program says of one sample, where it says all.
void check_sizes(const ProgramSamples& samples, const std::vector<ProgramInput>& inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<std::int64_t>& sizes = samples.input(i).sizes;
    if (!inputs[i].sizes || *inputs[i].sizes == sizes) continue;
    throw InputError("its input " + in_quotes(inputs[i].name) + " takes [" + join(*inputs[i].sizes, ", ") +
                     "] of each sample, and the column " +
                     samples.dataset()->spec().fields[samples.input(i).field].name + " has [" + join(sizes, ", ") +
                     "]");
  }
}

ProgramSamples fitting_samples(const OpenedChannel& channel, const Graph& graph, const ColumnOptions& options) {
  const std::vector<ProgramInput> inputs = program_inputs(graph);
  ProgramSamples samples = join_columns(channel, inputs, options);
  check_sizes(samples, inputs);
  check_tokens(samples, graph);
  return samples;
}

}  // namespace

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

void add_predicted(JobData& data, const std::string& channel, const OpenedChannel& opened, const Program& program,
                   const ColumnOptions& options) {
  const auto known = data.samples.find(channel);
  if (known != data.samples.end()) {
    data.predicted.emplace(channel, Predicted{.samples = known->second});
    return;
  }
  const ColumnRoles roles = column_roles(data.samples.at(data.train).dataset()->spec(), options.names);
  const SampleSpec& own = opened.dataset->spec();
  const bool has_targets = !options.targets || own.find(roles.target).has_value();
  OpenedChannel channel_of_samples = opened;
  ColumnOptions own_options = options;
  if (!has_targets) {
    channel_of_samples.dataset = std::make_shared<MadeUpTargets>(opened.dataset);
    own_options.names[kTargetColumn] = MadeUpTargets::kField;
  }
  if (!own.find(roles.weight)) own_options.names.erase(kWeightColumn);
  try {
    ProgramSamples samples = fitting_samples(channel_of_samples, program.graph(), own_options);
    data.predicted.emplace(channel, Predicted{.samples = std::move(samples), .has_targets = has_targets});
  } catch (const InputError& error) {
    throw does_not_fit(channel, program, error);
  }
}

void add_samples(JobData& data, const std::string& channel, const OpenedChannel& opened, const Program& program,
                 const ColumnOptions& options) {
  try {
    data.samples.emplace(channel, fitting_samples(opened, program.graph(), options));
  } catch (const InputError& error) {
    throw does_not_fit(channel, program, error);
  }
}

}  // namespace lockstep

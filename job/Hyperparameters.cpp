#include "job/Hyperparameters.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "job/Json.h"
#include "job/RawValue.h"

namespace lockstep {

using nlohmann::json;

namespace {

/// One hyperparameter. `set` throws InputError saying what is accepted; the caller adds the name and the value found.
struct Row {
  std::string name;
  std::string type;
  std::string help;
  std::function<void(Hyperparameters&, const RawValue&)> set;
  std::function<json(const Hyperparameters&)> get;
  /// Why a value given for it does nothing in this job; "" when it does something.
  std::function<std::string(const Hyperparameters&)> idle;

  Row&& unless(std::function<std::string(const Hyperparameters&)> reason) && {
    idle = std::move(reason);
    return std::move(*this);
  }
};

constexpr std::int64_t kMany = std::int64_t{1} << 40;

template <typename T>
using Member = T Hyperparameters::*;

template <typename T>
const std::vector<std::pair<T, std::string>>& choices();
template <>
const std::vector<std::pair<OptimizerKind, std::string>>& choices() {
  static const std::vector<std::pair<OptimizerKind, std::string>> all = {
      {OptimizerKind::kSgd, "sgd"}, {OptimizerKind::kAdamW, "adamw"}, {OptimizerKind::kLamb, "lamb"}};
  return all;
}
template <>
const std::vector<std::pair<ScheduleKind, std::string>>& choices() {
  static const std::vector<std::pair<ScheduleKind, std::string>> all = {{ScheduleKind::kConstant, "constant"},
                                                                        {ScheduleKind::kStep, "step"},
                                                                        {ScheduleKind::kLinear, "linear"},
                                                                        {ScheduleKind::kCosine, "cosine"}};
  return all;
}
template <>
const std::vector<std::pair<Precision, std::string>>& choices() {
  static const std::vector<std::pair<Precision, std::string>> all = {
      {Precision::kFp32, "fp32"}, {Precision::kBf16, "bf16"}, {Precision::kFp16, "fp16"}, {Precision::kFp64, "fp64"}};
  return all;
}
template <>
const std::vector<std::pair<DeviceKind, std::string>>& choices() {
  static const std::vector<std::pair<DeviceKind, std::string>> all = {
      {DeviceKind::kAuto, "auto"}, {DeviceKind::kCpu, "cpu"}, {DeviceKind::kCuda, "cuda"}};
  return all;
}
template <>
const std::vector<std::pair<Export, std::string>>& choices() {
  static const std::vector<std::pair<Export, std::string>> all = {
      {Export::kPt2, "pt2"}, {Export::kSafetensors, "safetensors"}, {Export::kSavedModel, "saved_model"}};
  return all;
}
template <>
const std::vector<std::pair<Data, std::string>>& choices() {
  static const std::vector<std::pair<Data, std::string>> all = {{Data::kFiles, "files"},
                                                                {Data::kSynthetic, "synthetic"}};
  return all;
}
template <>
const std::vector<std::pair<ArtifactState, std::string>>& choices() {
  static const std::vector<std::pair<ArtifactState, std::string>> all = {{ArtifactState::kBest, "best"},
                                                                         {ArtifactState::kLast, "last"}};
  return all;
}
template <>
const std::vector<std::pair<Pass, std::string>>& choices() {
  static const std::vector<std::pair<Pass, std::string>> all = {
      {Pass::kChannelsLast, "channels_last"},         {Pass::kReluAfterMaxPool, "relu_after_max_pool"},
      {Pass::kFuseMaxPoolRelu, "fuse_max_pool_relu"}, {Pass::kFuseBiasGelu, "fuse_bias_gelu"},
      {Pass::kFuseLayerNorm, "fuse_layer_norm"},      {Pass::kFuseEmbedding, "fuse_embedding"}};
  return all;
}
template <>
const std::vector<std::pair<Resume, std::string>>& choices() {
  static const std::vector<std::pair<Resume, std::string>> all = {{Resume::kAuto, "auto"}, {Resume::kNever, "never"}};
  return all;
}
template <>
const std::vector<std::pair<Norm, std::string>>& choices() {
  static const std::vector<std::pair<Norm, std::string>> all = {{Norm::kBatch, "batch"}, {Norm::kNone, "none"}};
  return all;
}

template <typename T>
std::string name_of(T value) {
  for (const auto& [candidate, name] : choices<T>()) {
    if (candidate == value) return name;
  }
  throw InternalError("a choice without a name");
}

template <typename T>
std::vector<std::string> choice_names() {
  std::vector<std::string> names;
  for (const auto& [value, name] : choices<T>()) names.push_back(name);
  return names;
}

template <typename T>
T choose(const std::string& text) {
  for (const auto& [value, name] : choices<T>()) {
    if (name == text) return value;
  }
  const std::string meant = nearest(text, choice_names<T>());
  throw InputError("expected " + join(choice_names<T>(), ", ") +
                   (meant.empty() ? "" : "; did you mean " + meant + "?"));
}

Row integer(std::string name, Member<std::int64_t> member, std::int64_t least, std::int64_t most, std::string help) {
  const bool any = least == std::numeric_limits<std::int64_t>::lowest();
  const std::string type = any ? "integer" : "integer ≥ " + std::to_string(least);
  return {.name = std::move(name),
          .type = type,
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto value = raw.integer();
                if (!value || *value < least || *value > most) {
                  throw InputError("expected an integer from " + std::to_string(least) + " to " + std::to_string(most));
                }
                hyperparameters.*member = *value;
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

/// What a number may be.
struct Range {
  double least = 0;
  double below = std::numeric_limits<double>::infinity();
  bool least_excluded = false;

  bool contains(double value) const {
    return std::isfinite(value) && (least_excluded ? value > least : value >= least) && value < below;
  }
  std::string text() const {
    if (least == std::numeric_limits<double>::lowest()) return "number";
    return std::string("number ") + (least_excluded ? "> " : "≥ ") + format("%g", least) +
           (std::isfinite(below) ? format(" and < %g", below) : "");
  }
};
constexpr Range kPositive{.least = 0, .least_excluded = true};
constexpr Range kNotNegative{.least = 0};
constexpr Range kShare{.least = 0, .below = 1};

Row real(std::string name, Member<double> member, Range range, std::string help) {
  return {.name = std::move(name),
          .type = range.text(),
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto value = raw.number();
                if (!value || !range.contains(*value)) throw InputError("expected a " + range.text());
                hyperparameters.*member = *value;
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

Row boolean(std::string name, Member<bool> member, std::string help) {
  return {.name = std::move(name),
          .type = "true | false",
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto value = raw.boolean();
                if (!value) throw InputError("expected true or false");
                hyperparameters.*member = *value;
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

template <typename T>
// NOLINTNEXTLINE(performance-unnecessary-value-param): clang-tidy 14 does not see the moves in a template
Row choice(std::string name, Member<T> member, std::string help) {
  return {.name = std::move(name),
          .type = join(choice_names<T>(), " | "),
          .help = std::move(help),
          .set = [=](Hyperparameters& hyperparameters,
                     const RawValue& raw) { hyperparameters.*member = choose<T>(raw.text()); },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return name_of(hyperparameters.*member); },
          .idle = {}};
}

Row integers(std::string name, Member<std::vector<std::int64_t>> member, std::string help) {
  return {.name = std::move(name),
          .type = "list of integers ≥ 1",
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::vector<std::int64_t> values;
                for (const RawValue& item : raw.items()) {
                  const auto value = item.integer();
                  if (!value || *value < 1 || *value > kMany) throw InputError("expected integers ≥ 1, as in 64,128");
                  values.push_back(*value);
                }
                hyperparameters.*member = std::move(values);
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

Row texts(std::string name, Member<std::vector<std::string>> member, std::string help) {
  return {.name = std::move(name),
          .type = "list of texts",
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::vector<std::string> values;
                for (const RawValue& item : raw.items()) values.push_back(item.text());
                hyperparameters.*member = std::move(values);
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

Row reals(std::string name, Member<std::vector<double>> member, Range range, std::string help) {
  return {.name = std::move(name),
          .type = "list of numbers " + range.text().substr(std::string("number ").size()),
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::vector<double> values;
                for (const RawValue& item : raw.items()) {
                  const auto value = item.number();
                  if (!value || !range.contains(*value)) {
                    throw InputError("expected a list of which each is a " + range.text() + ", as in 1,0.5");
                  }
                  values.push_back(*value);
                }
                hyperparameters.*member = std::move(values);
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

// Of something that the engine knows by name; here it need only look like one.
bool is_name(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}

Row name_row(std::string name, Member<std::string> member, const std::string& known, std::string help) {
  return {.name = std::move(name),
          .type = known,
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                if (!is_name(raw.text())) throw InputError("expected a name: " + known);
                hyperparameters.*member = raw.text();
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

Row metrics_row() {
  return {
      .name = "metrics",
      .type = "list of metrics",
      .help =
          "What is measured besides loss, accuracy and top5, where those fit, and the monitored metric: perplexity, "
          "mean_absolute_error.",
      .set =
          [](Hyperparameters& hyperparameters, const RawValue& raw) {
            std::vector<std::string> names;
            for (const RawValue& item : raw.items()) {
              names.push_back(item.text());
              if (!is_name(names.back())) throw InputError("expected names of metrics, as in perplexity");
              if (std::ranges::count(names, names.back()) > 1) throw InputError("expected each of them once");
            }
            hyperparameters.metrics = std::move(names);
          },
      .get = [](const Hyperparameters& hyperparameters) -> json { return hyperparameters.metrics; },
      .idle = {}};
}

Row path_row(std::string name, Member<std::string> member, std::string help) {
  return {.name = std::move(name),
          .type = "path",
          .help = std::move(help),
          .set = [=](Hyperparameters& hyperparameters, const RawValue& raw) { hyperparameters.*member = raw.text(); },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return hyperparameters.*member; },
          .idle = {}};
}

Row model_row() {
  return {.name = "model",
          .type = "mlp | cnn | path to a .pt2 file",
          .help = "The program to train: a built-in one, or one that torch.export.save wrote.",
          .set =
              [](Hyperparameters& hyperparameters, const RawValue& raw) {
                hyperparameters.model = raw.text();
                if (hyperparameters.model != "mlp" && hyperparameters.model != "cnn" &&
                    !hyperparameters.model.ends_with(".pt2")) {
                  throw InputError("expected mlp, cnn, or the path of a .pt2 file");
                }
              },
          .get = [](const Hyperparameters& hyperparameters) -> json { return hyperparameters.model; },
          .idle = {}};
}

Row seed_row() {
  return {.name = "seed",
          .type = "integer ≥ 0",
          .help = "Seeds initial values, the order of samples, synthetic samples and dropout.",
          .set =
              [](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto value = raw.integer();
                if (!value || *value < 0) throw InputError("expected an integer from 0 to 2^63-1");
                hyperparameters.seed = static_cast<std::uint64_t>(*value);
              },
          .get = [](const Hyperparameters& hyperparameters) -> json { return hyperparameters.seed; },
          .idle = {}};
}

Row monitor_row() {
  return {.name = "monitor",
          .type = "metric and min or max (loss:min, accuracy:max, top5:max, perplexity:min)",
          .help = "The evaluation metric that decides which state is best, and whether less or more of it is better.",
          .set =
              [](Hyperparameters& hyperparameters, const RawValue& raw) {
                const std::string text = raw.text();
                const std::size_t colon = text.find(':');
                const std::string metric = text.substr(0, colon);
                const std::string direction = colon == std::string::npos ? "" : text.substr(colon + 1);
                if (!is_name(metric) || (direction != "min" && direction != "max")) {
                  throw InputError(
                      "expected a metric (loss, accuracy, top5, perplexity, mean_absolute_error) and min or max, as in "
                      "accuracy:max");
                }
                hyperparameters.monitor = {.metric = metric, .maximize = direction == "max"};
              },
          .get = [](const Hyperparameters& hyperparameters) -> json {
            return hyperparameters.monitor.metric + (hyperparameters.monitor.maximize ? ":max" : ":min");
          },
          .idle = {}};
}

// In seconds; as text it has its unit behind it.
std::optional<double> duration(const std::string& text) {
  for (const auto& [unit, seconds] : {std::pair{'s', 1.0}, {'m', 60.0}, {'h', 3600.0}}) {
    if (!text.ends_with(unit)) continue;
    const auto count = RawValue(text.substr(0, text.size() - 1)).number();
    if (count && kPositive.contains(*count)) return *count * seconds;
  }
  return std::nullopt;
}

std::string duration_text(double seconds) { return format("%.15gs", seconds); }

Row hosts_timeout_row() {
  return {.name = "hosts_timeout",
          .type = "time (30s, 10m, 1h)",
          .help = "How long hosts, and then ranks, wait for each other at the start.",
          .set =
              [](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto seconds = duration(raw.text());
                constexpr double kDays = 30 * 24 * 3600.0;
                if (!seconds || *seconds > kDays)
                  throw InputError("expected a time of at most 30 days, as in 30s, 10m or 1h");
                hyperparameters.hosts_timeout = *seconds;
              },
          .get = [](const Hyperparameters& hyperparameters) -> json {
            return duration_text(hyperparameters.hosts_timeout);
          },
          .idle = {}};
}

// Steps are a plain number, a time is not.
std::optional<CheckpointEvery> checkpoint_interval(const RawValue& raw) {
  if (const auto steps = raw.integer()) {
    return *steps < 0 || *steps > kMany ? std::nullopt : std::optional(CheckpointEvery{.steps = *steps});
  }
  const std::string text = raw.text();
  if (text == "none") return CheckpointEvery{};
  if (const auto seconds = duration(text)) return CheckpointEvery{.seconds = *seconds};
  return std::nullopt;
}

Row checkpoint_every_row() {
  return {.name = "checkpoint_every",
          .type = "steps (500), time (30s, 10m, 1h), or none",
          .help = "When a checkpoint is written, besides at the end of training and when the job is stopped.",
          .set =
              [](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto interval = checkpoint_interval(raw);
                if (!interval) throw InputError("expected steps, as in 500, a time, as in 30s, 10m or 1h, or none");
                hyperparameters.checkpoint_every = *interval;
              },
          .get = [](const Hyperparameters& hyperparameters) -> json {
            const CheckpointEvery& every = hyperparameters.checkpoint_every;
            if (every.never()) return "none";
            return every.steps > 0 ? std::to_string(every.steps) : duration_text(every.seconds);
          },
          .idle = {}};
}

// A list of choices, each at most once; `none` is the empty list.
template <typename T>
Row list_row(const std::string& name, const std::string& help, std::vector<T> Hyperparameters::*field) {
  return {.name = name,
          .type = "list of " + join(choice_names<T>(), ", ") + "; or none",
          .help = help,
          .set =
              [field](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::vector<T> chosen;
                if (raw.text() != "none") {
                  for (const RawValue& item : raw.items()) {
                    const auto value = choose<T>(item.text());
                    if (std::ranges::count(chosen, value) > 0) throw InputError("expected each of them once");
                    chosen.push_back(value);
                  }
                }
                hyperparameters.*field = std::move(chosen);
              },
          .get = [field](const Hyperparameters& hyperparameters) -> json {
            std::vector<std::string> names;
            for (const T value : hyperparameters.*field) names.push_back(name_of(value));
            return names.empty() ? "none" : join(names, ",");
          },
          .idle = {}};
}

Row parameter_groups_row() {
  const char* expected =
      "expected a list of objects such as {\"match\": \"*.bias\", \"weight_decay\": 0, \"learning_rate_factor\": 1}";
  return {.name = "parameter_groups",
          .type = "list of objects",
          .help =
              "Parameters, by name pattern, with a weight decay or a learning rate factor of their own; the first "
              "match counts.",
          .set =
              [expected](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::vector<ParameterGroup> groups;
                const json list = raw.structure();
                if (!list.is_array()) throw InputError(expected);
                for (const json& entry : list) {
                  if (!entry.is_object() || !entry.contains("match")) throw InputError(expected);
                  ParameterGroup group;
                  for (const auto& [key, value] : entry.items()) {
                    if (key == "match" && value.is_string()) {
                      group.match = value;
                    } else if (key == "weight_decay" && value.is_number() && value >= 0) {
                      group.weight_decay = value.get<double>();
                    } else if (key == "learning_rate_factor" && value.is_number() && value >= 0) {
                      group.learning_rate_factor = value;
                    } else {
                      throw InputError(std::string(expected) + "; found " + in_quotes(key) + ": " + excerpt(value));
                    }
                  }
                  groups.push_back(group);
                }
                hyperparameters.parameter_groups = std::move(groups);
              },
          .get = [](const Hyperparameters& hyperparameters) -> json {
            json list = json::array();
            for (const ParameterGroup& group : hyperparameters.parameter_groups) {
              json object = {{"match", group.match}, {"learning_rate_factor", group.learning_rate_factor}};
              if (group.weight_decay) object["weight_decay"] = *group.weight_decay;
              list.push_back(object);
            }
            return list;
          },
          .idle = {}};
}

using H = Hyperparameters;

std::string only_with_optimizer(const H& h, OptimizerKind kind) {
  return h.optimizer == kind ? "" : "optimizer=" + name_of(h.optimizer) + " does not use it";
}
std::string only_with_builtin(const H& h) {
  return h.model.ends_with(".pt2") ? "the program comes from " + h.model : "";
}
std::string only_with_cnn(const H& h) { return h.model == "mlp" ? "mlp does not use it" : only_with_builtin(h); }

std::string on_cpu(const H& h) { return h.device == DeviceKind::kCpu ? "device=cpu" : ""; }
std::string only_with_fp16(const H& h) {
  return h.precision == Precision::kFp16 ? "" : "precision=" + name_of(h.precision) + " does not use it";
}

const std::vector<Row>& table() {
  static const auto sgd = [](const H& h) { return only_with_optimizer(h, OptimizerKind::kSgd); };
  static const auto moments = [](const H& h) {
    return h.optimizer == OptimizerKind::kLamb ? std::string() : only_with_optimizer(h, OptimizerKind::kAdamW);
  };
  static const auto stepwise = [](const H& h) {
    return h.schedule == ScheduleKind::kStep ? std::string() : "schedule=" + name_of(h.schedule) + " does not use it";
  };
  static const auto to_final = [](const H& h) {
    return h.schedule == ScheduleKind::kLinear || h.schedule == ScheduleKind::kCosine
               ? std::string()
               : "schedule=" + name_of(h.schedule) + " does not use it";
  };
  static const auto classes = [](const H& h) { return h.loss == "mse" ? "loss=mse does not use it" : ""; };
  static const auto stored = [](const H& h) {
    return h.data == Data::kSynthetic ? "data=synthetic does not use it" : "";
  };
  static const std::vector<Row> rows = [] {
    std::vector<Row> all;
    all.push_back(model_row());
    all.push_back(
        integers("model_channels", &H::model_channels, "cnn: channels of each conv block.").unless(only_with_cnn));
    all.push_back(integers("model_hidden", &H::model_hidden, "mlp, cnn: widths of the hidden linear layers.")
                      .unless(only_with_builtin));
    all.push_back(
        choice("model_norm", &H::model_norm, "cnn: normalization after each convolution.").unless(only_with_cnn));
    all.push_back(real("model_dropout", &H::model_dropout, kShare, "mlp, cnn: probability of dropping an activation.")
                      .unless(only_with_builtin));
    all.push_back(
        texts("allow_operators", &H::allow_operators,
              "Operators of a .pt2 program, as in aten.foo.default, that run although Lockstep does not know "
              "that they only compute on tensors.")
            .unless([](const H& h) { return h.model.ends_with(".pt2") ? "" : "a built-in program does not use it"; }));
    all.push_back(integer("epochs", &H::epochs, 1, kMany, "Passes over the training data."));
    all.push_back(integer("max_steps", &H::max_steps, 0, kMany,
                          "Ends the job after so many steps; 0: when the epochs are done."));
    all.push_back(integer("batch_size", &H::batch_size, 1, 1 << 30, "Samples of one step over all ranks."));
    all.push_back(integer("micro_batch_size", &H::micro_batch_size, 0, 1 << 30,
                          "Samples a rank runs at once; 0: its whole share of the step."));
    all.push_back(integer("eval_batch_size", &H::eval_batch_size, 0, 1 << 30,
                          "Samples a rank evaluates at once; 0: as in training, at least 256."));
    all.push_back(
        name_row("loss", &H::loss, "cross_entropy | mse", "What training minimizes; the mean over the global batch."));
    all.push_back(real("label_smoothing", &H::label_smoothing, kShare,
                       "cross_entropy: the share of each label that is spread over all classes.")
                      .unless(classes));
    all.push_back(integer("ignore_index", &H::ignore_index, std::numeric_limits<std::int64_t>::lowest(),
                          std::numeric_limits<std::int64_t>::max(),
                          "cross_entropy: labels of this value do not count, in the loss and in metrics.")
                      .unless(classes));
    all.push_back(
        reals("class_weights", &H::class_weights, kNotNegative,
              "cross_entropy: what each class counts, one number a class, as PyTorch's weight; []: all alike.")
            .unless(classes));
    all.push_back(choice("optimizer", &H::optimizer,
                         "As torch.optim.SGD and torch.optim.AdamW define them; lamb as You et al. 2020."));
    all.push_back(real("learning_rate", &H::learning_rate, kPositive, "The base learning rate."));
    all.push_back(real("momentum", &H::momentum, kShare, "sgd: momentum.").unless(sgd));
    all.push_back(boolean("nesterov", &H::nesterov, "sgd: Nesterov's form of momentum.").unless([](const H& h) {
      return h.nesterov && h.momentum == 0 ? "it needs a momentum" : only_with_optimizer(h, OptimizerKind::kSgd);
    }));
    all.push_back(real("beta1", &H::beta1, kShare, "adamw, lamb: decay of the first moment.").unless(moments));
    all.push_back(real("beta2", &H::beta2, kShare, "adamw, lamb: decay of the second moment.").unless(moments));
    all.push_back(real("epsilon", &H::epsilon, kPositive, "adamw, lamb: added to the denominator.").unless(moments));
    all.push_back(real("weight_decay", &H::weight_decay, kNotNegative,
                       "Weight decay: added to the gradient (sgd) or decoupled (adamw, lamb)."));
    all.push_back(parameter_groups_row());
    all.push_back(real("clip_norm", &H::clip_norm, kNotNegative, "Largest norm of a step's gradient; 0: no clipping."));
    all.push_back(choice("schedule", &H::schedule, "How the learning rate changes after the warm-up."));
    all.push_back(
        integer("warmup_steps", &H::warmup_steps, 0, kMany, "Steps in which the learning rate rises from 0."));
    all.push_back(
        integer("schedule_step_size", &H::schedule_step_size, 0, kMany, "schedule=step: steps between two decays.")
            .unless(stepwise));
    all.push_back(real("schedule_gamma", &H::schedule_gamma, kPositive, "schedule=step: what a decay multiplies by.")
                      .unless(stepwise));
    all.push_back(real("final_learning_rate", &H::final_learning_rate, kNotNegative,
                       "schedule=linear, cosine: reached after the last step.")
                      .unless(to_final));
    all.push_back(
        choice("data", &H::data,
               "Where samples come from: files of the channels, or random ones that fit the program; built-in "
               "programs then take 1×28×28 and return 10 numbers."));
    all.push_back(boolean("shuffle", &H::shuffle, "Visits the samples in a new order in every epoch."));
    all.push_back(integer("synthetic_samples", &H::synthetic_samples, 1, kMany, "data=synthetic: samples of an epoch.")
                      .unless([](const H& h) { return h.data == Data::kFiles ? "data=files does not use it" : ""; }));
    all.push_back(real("input_mean", &H::input_mean, {.least = std::numeric_limits<double>::lowest()},
                       "Subtracted from inputs (from bytes after division by 255).")
                      .unless(stored));
    all.push_back(real("input_std", &H::input_std, kPositive, "Inputs are divided by it.").unless(stored));
    all.push_back(integer("loader_threads", &H::loader_threads, 1, 1024, "Threads of a rank that prepare data."));
    all.push_back(integer("eval_every", &H::eval_every, 1, kMany, "Epochs between two evaluations."));
    all.push_back(monitor_row());
    all.push_back(metrics_row());
    all.push_back(integer("patience", &H::patience, 0, kMany,
                          "Evaluations without improvement after which the job ends; 0: never."));
    all.push_back(list_row<Export>("export", "The artifacts to write into the model directory.",
                                   &Hyperparameters::export_formats));
    all.push_back(
        choice("artifact_state", &H::artifact_state, "Whether artifacts hold the best or the last state.")
            .unless([](const H& h) { return h.export_formats.empty() ? "export=none writes no artifact" : ""; }));
    all.push_back(checkpoint_every_row());
    all.push_back(integer("checkpoint_keep", &H::checkpoint_keep, 1, kMany,
                          "How many of the newest checkpoints of this job are kept."));
    all.push_back(choice("resume", &H::resume,
                         "auto: goes on from the newest complete checkpoint of this job, if there is one; never: "
                         "starts anew."));
    all.push_back(choice("precision", &H::precision,
                         "Of arithmetic. bf16, fp16: as PyTorch's autocast, parameters and gradients stay fp32."));
    all.push_back(real("loss_scale", &H::loss_scale, kPositive, "fp16: what multiplies the loss in the first step.")
                      .unless(only_with_fp16));
    all.push_back(integer("loss_scale_growth_interval", &H::loss_scale_growth_interval, 1, kMany,
                          "fp16: steps without overflow after which the loss scale doubles.")
                      .unless(only_with_fp16));
    all.push_back(seed_row());
    all.push_back(texts("instance_groups", &H::instance_groups,
                        "SageMaker: the names of the instance groups whose hosts train; []: all hosts do."));
    all.push_back(choice("device", &H::device, "Where to compute; auto: on the host's GPUs when it has any."));
    all.push_back(boolean("cuda_graph", &H::cuda_graph,
                          "GPU: captures a full step as a CUDA graph, which spares the host's work in the next ones.")
                      .unless(on_cpu));
    all.push_back(boolean("tf32", &H::tf32,
                          "GPU: float32 matrix products and convolutions in TensorFloat-32, faster and less exact.")
                      .unless(on_cpu));
    all.push_back(
        boolean("share_gpus", &H::share_gpus, "GPU: lets several ranks use one GPU, for tests.").unless(on_cpu));
    all.push_back(list_row<Pass>("passes", "Rewritings of the program for speed; what it computes stays the same.",
                                 &Hyperparameters::passes));
    all.push_back(integer("ranks_per_host", &H::ranks_per_host, 0, 4096,
                          "Processes on each host; 0: one per GPU, on a CPU one."));
    all.push_back(integer("threads_per_rank", &H::threads_per_rank, 0, 4096,
                          "Compute threads of a rank; 0: the host's cores divided by its ranks."));
    all.push_back(hosts_timeout_row());
    all.push_back(integer("hosts_port", &H::hosts_port, 1, 65535,
                          "Several hosts: the TCP port at which the first one waits for the others."));
    all.push_back(path_row("secret_file", &H::secret_file,
                           "Several hosts: a file with the secret that every host of the job must have; it may lie in "
                           "a channel. Without it, LOCKSTEP_JOB_SECRET is the secret if it is set."));
    all.push_back(boolean("allow_tcp", &H::allow_tcp,
                          "GPU: lets hosts that have EFA train over TCP, which is slower, when NCCL does not use EFA.")
                      .unless(on_cpu));
    all.push_back(integer("exit_code_when_stopped", &H::exit_code_when_stopped, 0, 255,
                          "The exit code of a job that stopped on request and saved its state."));
    all.push_back(real("bucket_cap_mb", &H::bucket_cap_mb, kPositive, "MiB of gradients that are reduced at once."));
    all.push_back(real("log_every", &H::log_every, kPositive, "Seconds between two progress lines."));
    return all;
  }();
  return rows;
}

bool belongs_to_others(const std::string& name) {
  return name.starts_with("sagemaker_") || name.starts_with("_tuning") || name == "default_user_module_name";
}

const Row& row_of(const std::string& name, const std::vector<std::string>& other_names = {}) {
  const auto found = std::ranges::find(table(), name, &Row::name);
  if (found != table().end()) return *found;
  std::vector<std::string> names = other_names;
  for (const Row& row : table()) names.push_back(row.name);
  const std::string meant = nearest(name, names);
  throw InputError("unknown hyperparameter " + in_quotes(name) +
                   (meant.empty() ? "; `lockstep train --help` lists them" : "; did you mean " + meant + "?"));
}

void set(Hyperparameters& hyperparameters, const Row& row, const json& value) {
  try {
    row.set(hyperparameters, RawValue(value));
  } catch (const InputError& error) {
    throw InputError("hyperparameter " + row.name + ": " + error.what() + "; found " +
                     (value.is_string() ? in_quotes(value.get<std::string>()) : excerpt(value)));
  }
}

// What no single row can see.
void check_together(const Hyperparameters& h) {
  if (h.schedule == ScheduleKind::kStep && h.schedule_step_size == 0) {
    throw InputError("schedule=step needs schedule_step_size: the steps between two decays");
  }
  const std::int64_t stopped = h.exit_code_when_stopped;
  if ((stopped >= kExitInternal && stopped <= kExitNotStarted) || stopped >= 126) {
    throw InputError("exit_code_when_stopped=" + std::to_string(stopped) +
                     " has another meaning (`lockstep --help`); take 0, or a number from " +
                     std::to_string(kExitNotStarted + 1) + " to 125");
  }
  const bool of_classes = h.monitor.metric == "accuracy" || h.monitor.metric == "top5";
  if (h.loss == "mse" && of_classes) {
    throw InputError("monitor=" + h.monitor.metric + ": with loss=mse there are no class labels to measure it by");
  }
}

}  // namespace

std::vector<HyperparameterDescription> describe_hyperparameters() {
  const Hyperparameters defaults;
  std::vector<HyperparameterDescription> descriptions;
  for (const Row& row : table()) {
    json value = row.get(defaults);
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (row.type.starts_with("list of integers")) text = text.substr(1, text.size() - 2);
    descriptions.push_back({row.name, row.type, text, row.help});
  }
  return descriptions;
}

Hyperparameters parse_hyperparameters(const RawHyperparameters& raw, const std::vector<std::string>& other_names) {
  Hyperparameters hyperparameters;
  std::vector<const Row*> given;
  for (const auto& [name, value] : raw) {
    if (belongs_to_others(name)) continue;
    const Row& row = row_of(name, other_names);
    if (RawValue(value).is_null()) continue;
    set(hyperparameters, row, value);
    given.push_back(&row);
  }
  for (const Row* row : given) {
    const std::string reason = row->idle ? row->idle(hyperparameters) : "";
    if (!reason.empty()) {
      throw InputError("hyperparameter " + row->name + " does nothing in this job: " + reason + "; leave it out");
    }
  }
  check_together(hyperparameters);
  return hyperparameters;
}

json to_json(const Hyperparameters& hyperparameters) {
  json object = json::object();
  for (const Row& row : table()) object[row.name] = row.get(hyperparameters);
  return object;
}

Hyperparameters hyperparameters_from_json(const json& object) {
  Hyperparameters hyperparameters;
  for (const auto& [name, value] : object.items()) set(hyperparameters, row_of(name), value);
  return hyperparameters;
}

std::string to_string(OptimizerKind value) { return name_of(value); }
std::string to_string(ScheduleKind value) { return name_of(value); }
std::string to_string(Precision value) { return name_of(value); }
std::string to_string(DeviceKind value) { return name_of(value); }
std::string to_string(Export value) { return name_of(value); }
std::string to_string(Data value) { return name_of(value); }
std::string to_string(ArtifactState value) { return name_of(value); }
std::string to_string(Norm value) { return name_of(value); }
std::string to_string(Resume value) { return name_of(value); }
std::string to_string(Pass value) { return name_of(value); }

}  // namespace lockstep

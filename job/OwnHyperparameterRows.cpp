#include "job/OwnHyperparameterRows.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "job/BuiltinChoices.h"
#include "job/BuiltinNames.h"
#include "job/ContentType.h"
#include "job/HyperparameterKinds.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

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

// Steps are a plain number, a time is not.
std::optional<CheckpointEvery> checkpoint_interval(const RawValue& raw) {
  if (const auto steps = raw.integer()) {
    return *steps < 0 || *steps > kMany ? std::nullopt : std::optional(CheckpointEvery{.steps = *steps});
  }
  const std::string text = raw.text();
  if (text == "none") return CheckpointEvery{};
  if (text == "continuous") return CheckpointEvery{.seconds = CheckpointEvery::kContinuous};
  if (const auto seconds = duration(text)) return CheckpointEvery{.seconds = *seconds};
  return std::nullopt;
}

// Of an object, or of a list of name=value.
std::vector<std::pair<std::string, json>> named_values(const RawValue& raw) {
  std::vector<std::pair<std::string, json>> values;
  if (const json object = raw.structure(); object.is_object()) {
    for (const auto& [name, value] : object.items()) values.emplace_back(name, value);
    return values;
  }
  for (const RawValue& item : raw.items()) {
    const std::string text = item.text();
    const std::size_t equals = std::min(text.find('='), text.size());
    values.emplace_back(text.substr(0, equals), text.substr(std::min(equals + 1, text.size())));
  }
  return values;
}

// "4", "12x4", or "", which says nothing.
std::optional<EmbeddedColumn> embedded_column(const std::string& text) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  const auto size = [](const std::string& digits) {
    const auto number = RawValue(digits).integer();
    return number && *number >= 0 && *number <= kMost ? number : std::nullopt;
  };
  if (text.empty()) return EmbeddedColumn{};
  const std::size_t cross = text.find('x');
  const auto count = cross == std::string::npos ? std::optional(std::int64_t{0}) : size(text.substr(0, cross));
  const auto width = size(cross == std::string::npos ? text : text.substr(cross + 1));
  if (!count || !width) return std::nullopt;
  return EmbeddedColumn{.count = *count, .width = *width};
}

}  // namespace

HyperparameterRow model_row() {
  return {.name = "model",
          .type = join(names_of(builtin_programs()), " | ") + " | path to a .pt2 file",
          .help = "The program to train: a built-in one, or one that torch.export.save wrote.",
          .set =
              [](Hyperparameters& hyperparameters, const RawValue& raw) {
                const std::vector<std::string> names = names_of(builtin_programs());
                const std::string text = raw.text();
                if (std::ranges::count(names, text) == 0 && !text.ends_with(".pt2")) {
                  throw InputError("expected " + join(names, ", ") + ", or the path of a .pt2 file");
                }
                hyperparameters.model = text;
              },
          .get = [](const Hyperparameters& hyperparameters) -> json { return hyperparameters.model; },
          .idle = {}};
}

HyperparameterRow embeddings_row() {
  return {.name = "model_embeddings",
          .type = "list of column, column=width or column=COUNTxWIDTH, or an object",
          .help =
              "columns of categories or integers that become learnt vectors beside the columns of numbers, as in "
              "color,city=8; without a width it follows from the count, which is the training channel's if not given.",
          .set =
              [](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::map<std::string, EmbeddedColumn> columns;
                for (const auto& [name, value] : named_values(raw)) {
                  const auto sizes = embedded_column(RawValue(value).text());
                  if (name.empty() || !sizes || !columns.emplace(name, *sizes).second) {
                    throw InputError(
                        "expected each column once, with the width of its vectors or COUNTxWIDTH, as in "
                        "color=4,city=1000x16, or alone, as in color,city");
                  }
                }
                hyperparameters.model_embeddings = std::move(columns);
              },
          .get = [](const Hyperparameters& hyperparameters) -> json {
            json list = json::array();
            for (const auto& [name, sizes] : hyperparameters.model_embeddings) {
              list.push_back(name + "=" + std::to_string(sizes.count) + "x" + std::to_string(sizes.width));
            }
            return list;
          },
          .idle = {}};
}

HyperparameterRow seed_row() {
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

HyperparameterRow monitor_row() {
  return {.name = "monitor",
          .type = "name of a metric, and :min or :max",
          .help =
              "The evaluation metric that decides which state is best, and whether less or more of it is better, as "
              "in accuracy:max: " +
              join(builtin_metric_names(), ", ") + ".",
          .set =
              [](Hyperparameters& hyperparameters, const RawValue& raw) {
                const std::string text = raw.text();
                const std::size_t colon = text.find(':');
                const std::string metric = text.substr(0, colon);
                const std::string direction = colon == std::string::npos ? "" : text.substr(colon + 1);
                if (!is_name(metric) || (direction != "min" && direction != "max")) {
                  throw InputError("expected a metric (" + join(builtin_metric_names(), ", ") +
                                   ") and min or max, as in accuracy:max");
                }
                hyperparameters.monitor = {.metric = metric, .maximize = direction == "max"};
              },
          .get = [](const Hyperparameters& hyperparameters) -> json {
            return hyperparameters.monitor.metric + (hyperparameters.monitor.maximize ? ":max" : ":min");
          },
          .idle = {}};
}

HyperparameterRow metrics_row() {
  return {.name = "metrics",
          .type = "list of names of metrics",
          .help =
              "What is measured besides the monitored metric and what always is where it fits (loss, accuracy, top5, "
              "binary_accuracy), as in f1_macro,confusion_matrix; top5 may be any number, as in top3.",
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

HyperparameterRow time_row(std::string name, double Hyperparameters::*member, std::string help) {
  return {.name = std::move(name),
          .type = "time (30s, 10m, 1h)",
          .help = std::move(help),
          .set =
              [=](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto seconds = duration(raw.text());
                constexpr double kDays = 30 * 24 * 3600.0;
                if (!seconds || *seconds > kDays)
                  throw InputError("expected a time of at most 30 days, as in 30s, 10m or 1h");
                hyperparameters.*member = *seconds;
              },
          .get = [=](const Hyperparameters& hyperparameters) -> json { return duration_text(hyperparameters.*member); },
          .idle = {}};
}

HyperparameterRow checkpoint_every_row() {
  return {.name = "checkpoint_every",
          .type = "steps (500), time (30s, 10m, 1h), continuous, or none",
          .help =
              "When a checkpoint is written, besides at the end of training and when the job is stopped; continuous: "
              "when the one before is written.",
          .set =
              [](Hyperparameters& hyperparameters, const RawValue& raw) {
                const auto interval = checkpoint_interval(raw);
                if (!interval) {
                  throw InputError("expected steps, as in 500, a time, as in 30s, 10m or 1h, continuous, or none");
                }
                hyperparameters.checkpoint_every = *interval;
              },
          .get = [](const Hyperparameters& hyperparameters) -> json {
            const CheckpointEvery& every = hyperparameters.checkpoint_every;
            if (every.never()) return "none";
            if (every.continuous()) return "continuous";
            return every.steps > 0 ? std::to_string(every.steps) : duration_text(every.seconds);
          },
          .idle = {}};
}

HyperparameterRow trace_steps_row() {
  constexpr std::int64_t kMost = 100;
  const char* expected =
      "expected a step, as in 20, or the first and the last of at most 100 steps, as in 20-24, or none";
  return {.name = "trace_steps",
          .type = "steps (20-24), or none",
          .help = "Steps of which each rank's spans are written to trace.json, for Perfetto.",
          .set =
              [expected](Hyperparameters& hyperparameters, const RawValue& raw) {
                const std::vector<std::string> ends = split(raw.text(), '-');
                if (raw.text() == "none") {
                  hyperparameters.trace_steps = {};
                  return;
                }
                const auto first = RawValue(ends.front()).integer();
                const auto last = RawValue(ends.back()).integer();
                if (ends.size() > 2 || !first || !last || *first < 1 || *last < *first || *last - *first >= kMost) {
                  throw InputError(expected);
                }
                hyperparameters.trace_steps = {.first = *first, .last = *last};
              },
          .get = [](const Hyperparameters& hyperparameters) -> json {
            const auto& [first, last] = hyperparameters.trace_steps;
            if (first == 0) return "none";
            return std::to_string(first) + (last > first ? "-" + std::to_string(last) : "");
          },
          .idle = {}};
}

HyperparameterRow parameter_groups_row() {
  const char* expected =
      "expected a list of objects such as {\"match\": \"*.bias\", \"weight_decay\": 0, \"learning_rate_factor\": 1}";
  return {.name = "parameter_groups",
          .type = "list of objects",
          .help =
              "Parameters, by name pattern, with a weight decay or a learning rate factor of their own, or with "
              "\"optimizer\": \"adamw\" beside optimizer=muon; the first match counts.",
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
                    } else if (key == "optimizer" && value == "adamw") {
                      group.optimizer = value;
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
              if (!group.optimizer.empty()) object["optimizer"] = group.optimizer;
              list.push_back(object);
            }
            return list;
          },
          .idle = {}};
}

HyperparameterRow fields_row() {
  return {.name = "fields",
          .type = "object",
          .help =
              "What becomes of columns on their way to an input of the program, to target or weight, as in "
              "{\"x\": {\"columns\": [\"age\", \"height\"], \"normalize\": \"standard\"}}: docs/data.md.",
          .set = [](Hyperparameters& hyperparameters,
                    const RawValue& raw) { hyperparameters.fields = read_field_descriptions(raw.structure()); },
          .get = [](const Hyperparameters& hyperparameters) -> json {
            return write_field_descriptions(hyperparameters.fields);
          },
          .idle = {}};
}

HyperparameterRow jitter_row() {
  return {
      .name = "image_jitter",
      .type = "list of numbers ≥ 0 and < 1",
      .help =
          "The same: in training, brightness, contrast and saturation are each multiplied by a number from 1 - j to "
          "1 + j, as in 0.4,0.4,0.2; []: they are left.",
      .set =
          [](Hyperparameters& hyperparameters, const RawValue& raw) {
            std::vector<double> values;
            for (const RawValue& item : raw.items()) {
              const auto value = item.number();
              if (!value || !kShare.contains(*value)) throw InputError("expected numbers ≥ 0 and < 1");
              values.push_back(*value);
            }
            if (!values.empty() && values.size() != 3) {
              throw InputError("expected three numbers, for brightness, contrast and saturation, as in 0.4,0.4,0.2");
            }
            hyperparameters.image_jitter = std::move(values);
          },
      .get = [](const Hyperparameters& hyperparameters) -> json { return hyperparameters.image_jitter; },
      .idle = {}};
}

HyperparameterRow columns_row() {
  return {.name = "columns",
          .type = "list of name=column, or an object",
          .help =
              "Which column of the channels feeds which input of the program, where their names differ, as in "
              "image=pixels,target=digit,weight=importance.",
          .set =
              [](Hyperparameters& hyperparameters, const RawValue& raw) {
                std::map<std::string, std::string> columns;
                for (const auto& [name, column] : named_values(raw)) {
                  const std::string text = column.is_string() ? column.get<std::string>() : "";
                  if (name.empty() || text.empty() || !columns.emplace(name, text).second) {
                    throw InputError("expected each name once with its column, as in image=pixels,target=digit");
                  }
                }
                hyperparameters.columns = std::move(columns);
              },
          .get = [](const Hyperparameters& hyperparameters) -> json {
            json list = json::array();
            for (const auto& [name, column] : hyperparameters.columns)
              list.push_back(std::string(name).append("=").append(column));
            return list;
          },
          .idle = {}};
}

HyperparameterRow content_type_row() {
  return {
      .name = "content_type",
      .type = "media type",
      .help = "What files hold whose names do not say it, in channels of which SageMaker says no ContentType: " +
              join(std::vector<std::string>(kContentTypes.begin(), kContentTypes.end()), ", ") +
              ". text/csv; header=absent says that the first row is data, header=present that it names the columns, "
              "and label_size=0 that without a header the first column is no target.",
      .set =
          [](Hyperparameters& hyperparameters, const RawValue& raw) {
            const ContentType content = parse_content_type(raw.text());
            if (!content.type.empty() && std::ranges::find(kContentTypes, content.type) == kContentTypes.end()) {
              throw InputError("expected one of " +
                               join(std::vector<std::string>(kContentTypes.begin(), kContentTypes.end()), ", "));
            }
            for (const auto& [name, value] : content.parameters) {
              const bool known = content.type == kCsvType &&
                                 (name == "header" ? value == "present" || value == "absent"
                                                   : name == "label_size" && (value == "0" || value == "1"));
              if (!known) {
                throw InputError("expected header=present or absent, and label_size=0 or 1, of text/csv; found " +
                                 in_quotes(name + "=" + value));
              }
            }
            hyperparameters.content_type = raw.text();
          },
      .get = [](const Hyperparameters& hyperparameters) -> json { return hyperparameters.content_type; },
      .idle = {}};
}

HyperparameterRow mixture_row() {
  return {
      .name = "mixture",
      .type = "list of channel=share, or an object",
      .help =
          "Channels that are trained on together, and their shares of the samples, as in train=0.7,more=0.3. An epoch "
          "is over when each sample has come at least once.",
      .set =
          [](Hyperparameters& hyperparameters, const RawValue& raw) {
            std::map<std::string, double> mixture;
            for (const auto& [channel, share] : named_values(raw)) {
              const auto number = RawValue(share).number();
              if (channel.empty() || !number || !kPositive.contains(*number) ||
                  !mixture.emplace(channel, *number).second) {
                throw InputError("expected each channel once with its share, a number > 0, as in train=0.7,more=0.3");
              }
            }
            if (mixture.size() == 1) throw InputError("expected at least two channels");
            hyperparameters.mixture = std::move(mixture);
          },
      .get = [](const Hyperparameters& hyperparameters) -> json {
        json list = json::array();
        for (const auto& [channel, share] : hyperparameters.mixture) {
          list.push_back(channel + "=" + format("%.17g", share));
        }
        return list;
      },
      .idle = {}};
}

HyperparameterRow served_name_row() {
  return {
      .name = "served_name",
      .type = "letters, digits, _ and -",
      .help = "What Triton calls the model; the program's name if it is not given.",
      .set =
          [](Hyperparameters& hyperparameters, const RawValue& raw) {
            const std::string text = raw.text();
            if (!std::ranges::all_of(text, [](char c) { return c == '-' || (c != '.' && is_name({c})); })) {
              throw InputError("expected letters, digits, _ and -");
            }
            hyperparameters.served_name = text;
          },
      .get = [](const Hyperparameters& hyperparameters) -> json { return hyperparameters.served_name; },
      .idle = [](const Hyperparameters& h) { return h.layout == Layout::kTriton ? "" : "only layout=triton uses it"; }};
}

HyperparameterRow output_row() {
  return {
      .name = "output",
      .type = "name of an output of the program",
      .help =
          "What the loss compares with the targets, or with loss=program the loss itself; when it is not given, the "
          "one named logits, with loss=program loss, or else the first.",
      .set = [](Hyperparameters& hyperparameters, const RawValue& raw) { hyperparameters.output = raw.text(); },
      .get = [](const Hyperparameters& hyperparameters) -> json { return hyperparameters.output; },
      .idle =
          [](const Hyperparameters& h) {
            return h.model.ends_with(".pt2") ? "" : "a built-in program has one output";
          }};
}

HyperparameterRow weight_names_row() {
  return {
      .name = "weight_names",
      .type = "list of name=stored name",
      .help =
          "What parameters and buffers of the program are called in initial_weights, where their names differ; a * "
          "on each side stands for the same text, and the first match counts, as in backbone.*=model.*,head.bias=b.",
      .set =
          [](Hyperparameters& hyperparameters, const RawValue& raw) {
            std::vector<WeightName> names;
            for (const RawValue& item : raw.items()) {
              const std::string text = item.text();
              const std::size_t equals = std::min(text.find('='), text.size());
              const WeightName pair = {.name = text.substr(0, equals),
                                       .stored = text.substr(std::min(equals + 1, text.size()))};
              const auto stars = std::ranges::count(pair.name, '*');
              if (pair.name.empty() || pair.stored.empty() || stars > 1 ||
                  std::ranges::count(pair.stored, '*') != stars) {
                throw InputError(
                    "expected name=stored name, with at most one * in each or in none, as in "
                    "backbone.*=model.*");
              }
              names.push_back(pair);
            }
            hyperparameters.weight_names = std::move(names);
          },
      .get = [](const Hyperparameters& hyperparameters) -> json {
        json list = json::array();
        for (const auto& [name, stored] : hyperparameters.weight_names) list.push_back(name + "=" + stored);
        return list;
      },
      .idle = {}};
}

}  // namespace lockstep

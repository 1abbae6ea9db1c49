#include "engine/checkpoint/CheckpointState.h"

#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "job/Json.h"
#include "job/JsonNumber.h"

namespace lockstep {

using nlohmann::json;

namespace {

std::int64_t count_in(const json& value) { return read_int(value, 0); }

double weight_in(const json& value) {
  const double weight = number_in(value);
  if (!(weight >= 0)) throw InputError("expected a weight, found " + value.dump());
  return weight;
}

json evaluation(const std::optional<SavedEvaluation>& saved) {
  if (!saved) return nullptr;
  json metrics = json::object();
  for (const auto& [name, value] : saved->metrics) metrics[name] = json_number(value);
  json document = {{"step", saved->step}, {"metrics", metrics}};
  for (const auto& [name, rows] : saved->tables) {
    json& table = document["tables"][name] = json::array();
    for (const std::vector<double>& row : rows) {
      json& numbers = table.emplace_back(json::array());
      for (const double number : row) numbers.push_back(json_number(number));
    }
  }
  return document;
}

std::optional<SavedEvaluation> evaluation_in(const json& value) {
  if (value.is_null()) return std::nullopt;
  SavedEvaluation saved{.step = count_in(value.at("step"))};
  for (const auto& [name, metric] : value.at("metrics").items()) saved.metrics[name] = number_in(metric);
  if (!value.contains("tables")) return saved;  // none was measured
  for (const auto& [name, rows] : value.at("tables").items()) {
    auto& table = saved.tables[name];
    for (const json& row : rows) {
      std::vector<double>& numbers = table.emplace_back();
      for (const json& number : row) numbers.push_back(number_in(number));
    }
  }
  return saved;
}

}  // namespace

std::string write_state(const CheckpointState& state) {
  json document = {{"step", state.step},
                   {"epoch", state.position.epoch},
                   {"epoch_step", state.position.step},
                   {"epoch_loss", json_number(state.epoch_loss)},
                   {"epoch_samples", json_number(state.epoch_weight)},
                   {"evaluated_step", state.evaluated_step},
                   {"evaluations_since_best", state.evaluations_since_best},
                   {"best", evaluation(state.best)},
                   {"last", evaluation(state.last)},
                   {"loss_scale", nullptr},
                   {"optimizer_steps", state.optimizer_steps},
                   {"ranks", state.samples_since_average.size()},
                   {"samples_since_average", state.samples_since_average},
                   {"job", state.job}};
  if (state.loss_scale) {
    document["loss_scale"] = {{"value", state.loss_scale->value},
                              {"steps_since_change", state.loss_scale->steps_since_change},
                              {"overflows", state.loss_scale->overflows}};
  }
  if (state.plateau) {
    document["plateau"] = {{"rate", json_number(state.plateau->rate)},
                           {"best", json_number(state.plateau->best)},
                           {"bad_evaluations", state.plateau->bad_evaluations},
                           {"cooldown", state.plateau->cooldown}};
  }
  if (state.average_updates > 0) document["average_updates"] = state.average_updates;
  return document.dump(1);
}

CheckpointState read_state(const std::string& text, const std::string& origin) {
  const json document = parse_json(text, origin);
  try {
    CheckpointState state{.step = count_in(document.at("step")),
                          .position = {count_in(document.at("epoch")), count_in(document.at("epoch_step"))},
                          .epoch_loss = number_in(document.at("epoch_loss")),
                          .epoch_weight = weight_in(document.at("epoch_samples")),
                          .evaluated_step = count_in(document.at("evaluated_step")),
                          .evaluations_since_best = count_in(document.at("evaluations_since_best")),
                          .best = evaluation_in(document.at("best")),
                          .last = evaluation_in(document.at("last"))};
    if (const json& scale = document.at("loss_scale"); !scale.is_null()) {
      state.loss_scale = {.value = scale.at("value"),
                          .steps_since_change = count_in(scale.at("steps_since_change")),
                          .overflows = count_in(scale.at("overflows"))};
    }
    if (document.contains("plateau")) {
      const json& plateau = document.at("plateau");
      state.plateau = {.rate = number_in(plateau.at("rate")),
                       .best = number_in(plateau.at("best")),
                       .bad_evaluations = count_in(plateau.at("bad_evaluations")),
                       .cooldown = count_in(plateau.at("cooldown"))};
    }
    if (document.contains("average_updates")) state.average_updates = count_in(document.at("average_updates"));
    for (const auto& [name, steps] : document.at("optimizer_steps").items()) {
      state.optimizer_steps[name] = count_in(steps);
    }
    for (const json& samples : document.at("samples_since_average")) {
      state.samples_since_average.push_back(count_in(samples));
    }
    state.job = document.at("job").get<JobItems>();
    return state;
  } catch (const json::exception& error) {
    throw InputError(origin + " is not the state of a checkpoint: " + error.what());
  } catch (const InputError& error) {
    throw InputError(origin + " is not the state of a checkpoint: " + error.what());
  }
}

}  // namespace lockstep

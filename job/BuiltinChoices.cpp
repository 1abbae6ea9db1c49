#include "job/BuiltinChoices.h"

#include <algorithm>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

std::vector<Reading> of_texts() {
  return {{"model_layers"},     {"model_heads"},  {"model_width"},         {"model_mlp_width"},
          {"model_vocabulary"}, {"model_length"}, {"model_dropout", "0.1"}};
}

}  // namespace

const BuiltinChoices& builtin_programs() {
  static const BuiltinChoices all = {
      {.name = "mlp", .reads = {{"model_hidden"}, {"model_embeddings"}, {"model_dropout"}}},
      {.name = "cnn", .reads = {{"model_channels"}, {"model_hidden"}, {"model_norm"}, {"model_dropout"}}},
      {.name = "resnet18", .reads = {{"model_small_images"}}},
      {.name = "resnet34", .reads = {{"model_small_images"}}},
      {.name = "resnet50", .reads = {{"model_small_images"}}},
      {.name = "resnet101", .reads = {{"model_small_images"}}},
      {.name = "vit",
       .reads = {{"model_patch_size"},
                 {"model_layers"},
                 {"model_heads"},
                 {"model_width"},
                 {"model_mlp_width"},
                 {"model_dropout", "0"}}},
      {.name = "gpt", .reads = of_texts()},
      {.name = "bert", .reads = of_texts()},
  };
  return all;
}

const BuiltinChoices& builtin_optimizers() {
  static const BuiltinChoices all = {
      {.name = "sgd", .reads = {{"momentum"}, {"nesterov"}}},
      {.name = "adamw", .reads = {{"beta1"}, {"beta2"}, {"epsilon"}}},
      {.name = "lamb", .reads = {{"beta1"}, {"beta2"}, {"epsilon"}}},
      {.name = "adam", .reads = {{"beta1"}, {"beta2"}, {"epsilon"}}},
      {.name = "rmsprop", .reads = {{"momentum", "0"}, {"beta2", "0.99"}, {"epsilon"}, {"centered"}}},
      {.name = "adagrad", .reads = {{"epsilon", "1e-10"}}},
      {.name = "lion", .reads = {{"beta1"}, {"beta2", "0.99"}}},
      {.name = "muon",
       .reads =
           {{"momentum", "0.95"}, {"nesterov", "true"}, {"beta1"}, {"beta2"}, {"epsilon"}, {"adamw_learning_rate"}}},
  };
  return all;
}

const BuiltinChoices& builtin_schedules() {
  static const BuiltinChoices all = {
      {.name = "constant"},
      {.name = "step", .reads = {{"schedule_step_size"}, {"schedule_gamma"}}},
      {.name = "linear", .reads = {{"final_learning_rate"}}, .has_end = true},
      {.name = "cosine", .reads = {{"final_learning_rate"}}, .has_end = true},
      {.name = "polynomial", .reads = {{"final_learning_rate"}, {"schedule_power"}}, .has_end = true},
      {.name = "exponential", .reads = {{"schedule_gamma", "0.999"}}},
      {.name = "one_cycle",
       .reads = {{"final_learning_rate"}, {"schedule_pct_start"}, {"schedule_div_factor"}},
       .has_end = true},
      {.name = "wsd", .reads = {{"final_learning_rate"}, {"schedule_decay_steps"}}, .has_end = true},
      {.name = "plateau",
       .reads = {{"schedule_gamma"},
                 {"final_learning_rate"},
                 {"schedule_patience"},
                 {"schedule_threshold"},
                 {"schedule_cooldown"}}},
  };
  return all;
}

const Reading* BuiltinChoice::reading(const std::string& hyperparameter) const {
  const auto found = std::ranges::find(reads, hyperparameter, &Reading::name);
  return found == reads.end() ? nullptr : &*found;
}

const BuiltinChoice& builtin_choice(const BuiltinChoices& choices, const std::string& name) {
  const auto found = std::ranges::find(choices, name, &BuiltinChoice::name);
  if (found == choices.end()) throw InternalError("nothing named " + in_quotes(name) + " is built in");
  return *found;
}

std::vector<std::string> names_of(const BuiltinChoices& choices) {
  std::vector<std::string> names;
  for (const BuiltinChoice& choice : choices) names.push_back(choice.name);
  return names;
}

std::string readers_of(const BuiltinChoices& choices, const std::string& hyperparameter) {
  std::vector<std::string> readers;
  for (const BuiltinChoice& choice : choices) {
    const Reading* reading = choice.reading(hyperparameter);
    if (reading == nullptr) continue;
    readers.push_back(choice.name + (reading->own_default ? " (" + *reading->own_default + ")" : ""));
  }
  return join(readers, ", ");
}

}  // namespace lockstep

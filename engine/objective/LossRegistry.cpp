#include "engine/objective/LossRegistry.h"

#include "engine/objective/losses/AbsoluteError.h"
#include "engine/objective/losses/BinaryCrossEntropy.h"
#include "engine/objective/losses/CosineEmbedding.h"
#include "engine/objective/losses/CrossEntropy.h"
#include "engine/objective/losses/GaussianLikelihood.h"
#include "engine/objective/losses/Huber.h"
#include "engine/objective/losses/InfoNce.h"
#include "engine/objective/losses/MeanSquaredError.h"
#include "engine/objective/losses/NextToken.h"
#include "engine/objective/losses/PoissonLikelihood.h"
#include "engine/objective/losses/ProgramLoss.h"

namespace lockstep {

namespace {

std::shared_ptr<const Loss> cross_entropy(const Hyperparameters& options, const c10::Device& device) {
  return make_cross_entropy({.label_smoothing = options.label_smoothing,
                             .ignore_index = options.ignore_index,
                             .class_weights = options.class_weights},
                            device);
}

// For a loss whose one option is a number.
LossKind with_number(const std::string& name, std::shared_ptr<const Loss> (*make)(double),
                     double Hyperparameters::*option, const std::string& option_name) {
  return {.name = name,
          .make = [=](const Hyperparameters& options, const c10::Device&) { return make(options.*option); },
          .reads = {option_name}};
}

LossKind without_options(const std::string& name, std::shared_ptr<const Loss> (*make)()) {
  return {.name = name, .make = [make](const Hyperparameters&, const c10::Device&) { return make(); }};
}

}  // namespace

LossRegistry built_in_losses() {
  return LossRegistry({
      {.name = "cross_entropy", .make = cross_entropy, .reads = {"label_smoothing", "ignore_index", "class_weights"}},
      without_options("mse", make_mean_squared_error),
      without_options("mae", make_absolute_error),
      with_number("huber", make_huber, &Hyperparameters::huber_delta, "huber_delta"),
      {.name = "binary_cross_entropy",
       .make =
           [](const Hyperparameters& options, const c10::Device& device) {
             return make_binary_cross_entropy(
                 {.positive_weights = options.positive_weights, .ignore_index = options.ignore_index}, device);
           },
       .reads = {"positive_weights", "ignore_index"}},
      {.name = "next_token",
       .make =
           [](const Hyperparameters& options, const c10::Device& device) {
             return make_next_token(cross_entropy(options, device), options.ignore_index);
           },
       .reads = {"label_smoothing", "ignore_index", "class_weights"}},
      without_options("gaussian_nll", make_gaussian_likelihood),
      without_options("poisson_nll", make_poisson_likelihood),
      with_number("cosine_embedding", make_cosine_embedding, &Hyperparameters::cosine_margin, "cosine_margin"),
      with_number("info_nce", make_info_nce, &Hyperparameters::info_nce_temperature, "info_nce_temperature"),
      with_number("symmetric_info_nce", make_symmetric_info_nce, &Hyperparameters::info_nce_temperature,
                  "info_nce_temperature"),
      without_options("program", make_program_loss),
  });
}

}  // namespace lockstep

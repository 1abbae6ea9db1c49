#include "engine/train/Diagnosis.h"

#include <vector>

#include "common/Error.h"
#include "engine/collectives/Agreement.h"
#include "engine/collectives/FirstWord.h"

namespace lockstep {

std::string Diagnosis::find_bad_sample(const LoaderPosition& position) const {
  const Slice slice = plan_.batches.slice(position.step, host_.rank());
  const std::vector<std::int64_t> samples = plan_.order(host_.rank()).samples(position.epoch, slice);
  const std::string found = find_not_finite(*train_.samples, samples, host_);
  return found.empty() ? "" : not_finite_data(train_.channel, found);
}

// Of the first rank that has one.
std::string Diagnosis::bad_statistic() const {
  const auto first = first_word(host_.all_gather(find_not_finite(model_.program().running_statistics())));
  if (!first) return "";
  return first->text + (host_.size() > 1 ? " on rank " + std::to_string(first->rank) : "");
}

std::string Diagnosis::cause_of(const NotFiniteError& error, const LoaderPosition& position,
                                const std::function<std::string()>& find_operator) const {
  if (const std::string bad = find_bad_sample(position); !bad.empty()) return "; " + bad;
  for (const StateTensor& entry : model_.program().state()) {
    if (entry.kind != InputKind::kParameter) continue;
    const std::string found = find_not_finite(entry.tensor);
    if (!found.empty()) return "; before it, " + entry.name + found + "; " + advice(error);
  }
  std::string place;
  if (error.found() == NotFiniteError::Found::kStatistic) {
    if (const std::string statistic = bad_statistic(); !statistic.empty()) place = " (" + statistic + ")";
  }
  if (error.parameter()) {
    // A step that was enqueued meanwhile may have written over it.
    FlatParameters& parameters = model_.parameters();
    const at::Tensor gradient = parameters.owned_part(parameters.flat_gradients(), *error.parameter());
    if (const auto found = first_word(host_.all_gather(find_not_finite(gradient)))) {
      place = " (" + parameters.plan().names()[*error.parameter()] + found->text + ")";
    }
  }
  const std::string maker = find_operator();
  return place + (maker.empty() ? "" : "; " + maker) + "; " + advice(error);
}

std::string Diagnosis::advice(const NotFiniteError& error) const {
  if (error.found() == NotFiniteError::Found::kStatistic) {
    return "what its layer is given is not finite or too large; look at what comes before it, and at the size of the "
           "inputs (input_mean, input_std)";
  }
  if (hyperparameters_.precision == Precision::kFp16) {
    return "float16 ends at 65504, and no loss scale helps any more. Try precision=bf16";
  }
  const std::string look =
      "look for a root, a norm, a logarithm or a division of 0 in the program, or for an exponential, and at the size "
      "of its inputs (input_mean, input_std)";
  if (error.step() == 0) return "its data is finite, and nothing has been learnt yet: " + look;
  std::string text = "training has diverged. Try a lower learning_rate";
  if (hyperparameters_.warmup_steps == 0) text += ", warmup_steps";
  if (hyperparameters_.clip_norm == 0) text += ", clip_norm";
  return error.found() == NotFiniteError::Found::kGradient ? text + "; or " + look : text;
}

namespace {

void check_state(TrainedModel& model, std::int64_t step) {
  const auto end = [&](const std::string& what, const std::string& advice) {
    throw Error(kExitRankFailed,
                "after step " + std::to_string(step) + ", " + what + ", and nothing of that state is saved; " + advice);
  };
  FlatParameters& parameters = model.parameters();
  if (const auto bad = parameters.first_not_finite(parameters.flat_parameters())) {
    end("the parameter " + parameters.plan().names()[*bad] + find_not_finite(parameters.parameters()[*bad]),
        "training has diverged: an update was too large for the number's type. Try a lower learning_rate");
  }
  for (const OptimizerState& state : model.optimizer().state()) {
    const auto bad = parameters.first_not_finite(state.values);
    if (!bad) continue;
    end("the optimizer's " + state.name + "/" + parameters.plan().names()[*bad] +
            find_not_finite(parameters.owned_part(state.values, *bad)),
        "a gradient was too large for it. Try clip_norm, or make the loss smaller (targets of the order of 1)");
  }
  if (const std::string found = find_not_finite(model.program().running_statistics()); !found.empty()) {
    end("the statistic " + found, "what its layer is given is not finite or too large; look at what comes before it");
  }
}

}  // namespace

void require_finite_state(TrainedModel& model, Communicator& host, std::int64_t step) {
  require_all_ok(host, [&] { check_state(model, step); });
}

void Diagnosis::require_finite_state(std::int64_t step) const { lockstep::require_finite_state(model_, host_, step); }

}  // namespace lockstep

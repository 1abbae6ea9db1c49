// A small job for tests of the Trainer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/SyntheticDataset.h"
#include "engine/objective/Objective.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/Layers.h"
#include "engine/program/Passes.h"
#include "engine/train/ParameterStorage.h"
#include "engine/train/Trainer.h"
#include "tests/support/EventRecorder.h"
#include "tests/support/PlainSamples.h"

namespace lockstep {

/// Two linear layers on 75 samples in batches of 16, so that the last of an epoch's five steps is short, and an
/// evaluation on the first 21 of them after each epoch: what is learnt by heart shows there. What it tells is in
/// `events`. With sync_batch_norm it is a batch norm and one layer. `depth`: how often more layers come in between.
class TrainerJob {
 public:
  static constexpr std::int64_t kStepsPerEpoch = 5;

  static Hyperparameters hyperparameters() {
    Hyperparameters options;
    options.batch_size = 16;
    options.epochs = 3;
    options.learning_rate = 0.1;
    options.loader_threads = 1;
    return options;
  }

  TrainerJob(
      const Hyperparameters& hyperparameters, const RankContext& context,
      const CheckpointDirectory* checkpoints = nullptr, StopRequested stop = [] { return false; }, int depth = 0)
      : train_(data(75, hyperparameters.precision)),
        evaluation_(data(21, hyperparameters.precision)),
        trainer_(hyperparameters, input(hyperparameters, context, depth), context,
                 {.events = events, .checkpoints = checkpoints, .stop_requested = std::move(stop)}) {}

  Trainer& trainer() { return trainer_; }
  TrainingResult run() { return trainer_.run(); }

 private:
  static ProgramSamples data(std::int64_t samples, Precision precision) {
    const SampleSpec spec{{{.name = "x", .type = ElementType::kDouble, .sizes = {1, 4, 4}},
                           {.name = "targets", .type = ElementType::kInt64, .bound = 6}}};
    return plain_samples(std::make_shared<SyntheticDataset>(spec, samples, /*seed=*/1),
                         precision == Precision::kFp64 ? ElementType::kDouble : ElementType::kFloat);
  }
  static Program mlp(const Hyperparameters& hyperparameters, int depth) {
    return build_builtin_program("mlp", {.input_shape = {1, 4, 4},
                                         .classes = 6,
                                         .hidden = std::vector<std::int64_t>(static_cast<std::size_t>(1 + depth), 8),
                                         .dropout = hyperparameters.model_dropout});
  }
  static Program normalizing(int depth) {
    GraphBuilder graph(1);
    auto x = graph.input("x", {1, 4, 4});
    for (int i = 0; i < depth; ++i) {
      const std::string layer = "block" + std::to_string(i);
      x = layers::conv2d(graph, x, layer + ".conv", {.channels = 3, .kernel = 3, .padding = 1});
      x = layers::relu(graph, layers::batch_norm(graph, x, layer + ".norm"));
    }
    const auto normal = layers::flatten(graph, layers::batch_norm(graph, x, "norm"));
    return graph.build("normalizing", layers::linear(graph, layers::relu(graph, normal), "fc", {.features = 6}));
  }
  TrainingInput input(const Hyperparameters& hyperparameters, const RankContext& context, int depth) {
    const Program program = (hyperparameters.sync_batch_norm ? normalizing(depth) : mlp(hyperparameters, depth))
                                .to(hyperparameters.precision == Precision::kFp64 ? at::kDouble : at::kFloat);
    const Program rewritten = apply_passes(program, hyperparameters.passes).on(context.device.place());
    return {.objective = make_objective(hyperparameters, context.device.place()),
            .program = program,
            .rewritten = rewritten,
            .buckets = make_bucket_plan(hyperparameters, rewritten, context.host.size()),
            .train = {"train", &train_},
            .evaluation = NamedDataset{"validation", &evaluation_}};
  }

  ProgramSamples train_;
  ProgramSamples evaluation_;

 public:
  EventRecorder events;

 private:
  Trainer trainer_;
};

}  // namespace lockstep

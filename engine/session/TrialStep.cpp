#include "engine/session/TrialStep.h"

#include <torch/csrc/autograd/autograd.h>

#include <vector>

#include "engine/train/Forward.h"
#include "engine/train/ParameterStorage.h"

namespace lockstep {

void try_step(const Program& program, Executor& executor, const Objective& objective, const Batch& batch,
              Precision precision) {
  const std::vector<at::Tensor> outputs = forward(executor, batch.inputs, precision);
  const Objective::BatchLoss loss = objective.loss_of(outputs, batch.targets, batch.weights, batch.size);
  torch::autograd::grad({loss.terms.sum}, trained_tensors(program), {}, /*retain_graph=*/false, /*create_graph=*/false,
                        /*allow_unused=*/true);
}

}  // namespace lockstep

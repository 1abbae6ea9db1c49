// What a program computes, to compare rewritten programs with.
#pragma once

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <vector>

#include "engine/program/Executor.h"

namespace lockstep {

/// The output, and the gradient of every parameter when the loss is the sum of its squares.
inline std::vector<at::Tensor> results(const Program& program, const at::Tensor& x) {
  Executor executor(program);
  const at::Tensor output = executor.run({x}).at(0);
  for (const StateTensor& entry : program.state()) entry.tensor.mutable_grad() = at::Tensor();
  output.square().sum().backward();
  std::vector<at::Tensor> all = {output.detach()};
  for (const StateTensor& entry : program.state()) all.push_back(entry.tensor.grad().clone());
  return all;
}

}  // namespace lockstep

// Samples of a test's data set, whose fields are what a program takes.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine/data/ProgramSamples.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The last field is the target, but for weights, and all others are inputs of their own names, types and sizes; real
/// numbers are `real`.
inline ProgramSamples plain_samples(std::shared_ptr<const Dataset> dataset, ElementType real = ElementType::kFloat) {
  std::vector<ProgramInput> inputs;
  for (const Field& field : dataset->spec().fields) {
    if (field.name == kWeightColumn) continue;
    inputs.push_back({.name = field.name, .type = is_real(field.type) ? real : field.type});
  }
  const std::string target = inputs.back().name;
  inputs.pop_back();
  return ProgramSamples(std::move(dataset), inputs, {.names = {{kTargetColumn, target}}, .real = real});
}

/// Of a data set that outlives them.
inline ProgramSamples plain_samples(const Dataset& dataset, Precision precision = Precision::kFp32) {
  return plain_samples(std::shared_ptr<const Dataset>(std::shared_ptr<void>(), &dataset),
                       precision == Precision::kFp64 ? ElementType::kDouble : ElementType::kFloat);
}

}  // namespace lockstep

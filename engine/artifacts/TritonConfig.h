// `config.pbtxt`: what Triton is told of a model.
#pragma once

#include <string>
#include <vector>

#include "engine/artifacts/ModelCard.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The file that the labels of classes are in, beside config.pbtxt.
inline constexpr const char* kTritonLabels = "labels.txt";

/// The configuration of a model of this name and format: its inputs and outputs as the backend of the format calls
/// them. Requests are batched where every input and output has the batch as its first dimension. `classes`: how many
/// the labels beside it are; 0: there are none. Source: model_configuration.md of Triton's server and
/// model_config.proto.
std::string triton_config(const std::string& name, Export format, const ModelCard& card, std::size_t classes);

}  // namespace lockstep

// The tensors of a program that a checkpoint holds.
#pragma once

#include <string>

#include "engine/artifacts/Safetensors.h"
#include "engine/checkpoint/SavedTensors.h"
#include "engine/program/Program.h"

namespace lockstep {

/// Parameters and buffers of the program by their names; they are not copied.
NamedTensors saved_tensors(const Program& program);

/// Throws InputError for a tensor of a checkpoint that holds a number that is not finite: it names the first. `owner`
/// stands before the tensor's name.
void require_finite(const SavedTensors& saved, const std::string& name, const std::string& owner = "");

}  // namespace lockstep

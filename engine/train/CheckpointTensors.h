// The tensors of a program that a checkpoint holds.
#pragma once

#include <vector>

#include "engine/artifacts/Safetensors.h"
#include "engine/program/Program.h"

namespace lockstep {

/// Parameters and buffers of the program by their names; they are not copied.
NamedTensors saved_tensors(const Program& program);

/// Throws InputError for a number in a checkpoint that is not finite: it names the first.
void require_finite_checkpoint(const std::vector<StateTensor>& numbers);

}  // namespace lockstep

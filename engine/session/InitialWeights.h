// Weights that a job begins with in place of its program's own.
#pragma once

#include <string>

#include "engine/program/Program.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Reads the hyperparameter `initial_weights`, if it is given, into the program's parameters and persistent buffers: a
/// safetensors file, or the index of several (Hugging Face's model.safetensors.index.json: `weight_map` says in which
/// file beside it each tensor lies). `weight_names` says what the program's tensors are called there. A tied tensor is
/// found by any of its names. Real numbers become those of the program's type; other types must be the same.
///
/// Throws InputError, listing what is missing, what is unexpected and what has other sizes or another type, unless
/// `initial_weights_match` is partial; and then, too, when nothing matches. Returns what came of it, in words: how many
/// were taken, from what types, and with `partial` those lists. "" without initial_weights.
std::string load_initial_weights(const Hyperparameters& hyperparameters, const Program& program);

}  // namespace lockstep

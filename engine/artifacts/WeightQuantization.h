// Weights in 8 bits: of products of matrices and of convolutions, each output channel with a scale of its own.
#pragma once

#include "engine/artifacts/PrimitiveProgram.h"
#include "engine/program/Program.h"

namespace lockstep {

/// The program with such weights rounded to what 8 bits hold: w becomes scale · round(w ÷ scale), where the scale of a
/// channel is its largest magnitude ÷ 127. What is looked up too, as an embedding that is tied to the last layer, stays
/// as it is. Throws InputError for a program, which is in its inference form, that has no such weight.
Program with_rounded_weights(const Program& program);

/// The same values as int8 state, which the graph multiplies by scales [channels]: state named as the weight, with
/// `_scale` behind. Of a program that with_rounded_weights made, nothing is lost.
PrimitiveProgram with_int8_weights(PrimitiveProgram program);

}  // namespace lockstep

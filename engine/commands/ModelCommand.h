// `lockstep model NAME -o FILE.pt2`: writes a built-in program.
#pragma once

namespace lockstep {

/// `arguments` begin after the word `model`. Returns the exit code.
int model_command(int count, const char* const* arguments);

}  // namespace lockstep

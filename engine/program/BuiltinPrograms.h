// The programs that need no file.
#pragma once

#include <string>
#include <vector>

#include "engine/program/Program.h"
#include "engine/program/builtin/BuiltinProgram.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Those that builtin_programs() of job/BuiltinChoices.h lists, in its order. docs/programs.md says what each is.
const std::vector<BuiltinProgram>& built_in_programs();
/// The one of this name. Throws InputError, listing them, when there is none.
const BuiltinProgram& built_in_program(const std::string& name);
bool is_builtin_program(const std::string& name);

/// As a job's hyperparameters say, of which `model` is a built-in program; what the data says is as
/// BuiltinProgram::without_data has it.
BuiltinOptions builtin_options(const Hyperparameters& hyperparameters);

/// Throws InputError for options that do not fit (an image too small for the blocks, say).
Program build_builtin_program(const std::string& name, const BuiltinOptions& options);

}  // namespace lockstep

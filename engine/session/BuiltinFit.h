// How a built-in program is fitted to a job's data.
#pragma once

#include <map>
#include <string>

#include "engine/collectives/Communicator.h"
#include "engine/data/Columns.h"
#include "engine/data/Formats.h"
#include "engine/program/Program.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The hyperparameter `columns`, and the columns that a built-in program embeds, which are inputs of their own name.
std::map<std::string, std::string> named_columns(const Hyperparameters& hyperparameters);

/// The built-in program of the job, for samples like those of the training channel: their sizes, how many classes and
/// tokens there are, which optional inputs have a column. `held_back`: what of that channel is not trained on, null
/// where all is; its classes and tokens count, too. `columns` is told of the columns that the program takes under
/// another name. Throws CollectiveError when channel and program do not fit. A collective.
Program fit_builtin_program(const Hyperparameters& hyperparameters, const OpenedChannel& train,
                            const OpenedChannel* held_back, ColumnOptions& columns, Communicator& ranks);

/// The same for samples that are made to fit the program: of its own sizes.
Program sized_builtin_program(const Hyperparameters& hyperparameters);

}  // namespace lockstep

// `lockstep export`: artifacts of a program that is not trained now.
#pragma once

namespace lockstep {

/// Writes a program's artifacts, with the program's own weights or others: arguments as `lockstep export --help` says.
/// Throws InputError for a program that a format cannot hold, and for weights that do not fit.
int export_command(int count, const char* const* arguments);

}  // namespace lockstep

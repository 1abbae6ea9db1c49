// Errors of libtorch as errors of ours.
#pragma once

#include <c10/util/Exception.h>

#include <string>

namespace lockstep {

/// Throws `error` again without its C++ trace, with `context` before its text: as OutOfMemoryError, as SystemError what
/// a GPU reports, else as InputError.
[[noreturn]] void rethrow(const c10::Error& error, const std::string& context);

}  // namespace lockstep

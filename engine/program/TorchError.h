// Errors of libtorch as errors of ours.
#pragma once

#include <c10/util/Exception.h>

#include <string>

namespace lockstep {

/// Throws `error` again without its C++ trace: as OutOfMemoryError, else as InputError, with `context` before its text.
[[noreturn]] void rethrow(const c10::Error& error, const std::string& context);

}  // namespace lockstep

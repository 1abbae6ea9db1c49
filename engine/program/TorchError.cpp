#include "engine/program/TorchError.h"

#include "common/Error.h"

namespace lockstep {

void rethrow(const c10::Error& error, const std::string& context) {
  const std::string text = error.what_without_backtrace();
  const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
  // libtorch has no type for this; these are its CPU allocator's words.
  if (says("DefaultCPUAllocator") || says("can't allocate memory")) throw OutOfMemoryError(context + ": " + text);
  throw InputError(context + ": " + text);
}

}  // namespace lockstep

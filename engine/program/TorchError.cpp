#include "engine/program/TorchError.h"

#include "common/Error.h"

namespace lockstep {

void rethrow(const c10::Error& error, const std::string& context) {
  const std::string text = error.what_without_backtrace();
  const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
  // The CPU's allocator has no type for it; these are its words.
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr || says("DefaultCPUAllocator") ||
      says("can't allocate memory")) {
    throw OutOfMemoryError(context + ": " + text);
  }
  if (dynamic_cast<const c10::AcceleratorError*>(&error) != nullptr || says("CUDA error") || says("CUBLAS_STATUS") ||
      says("CUDNN_STATUS") || says("cuDNN error")) {
    throw SystemError(context + ": " + text);
  }
  // What PyTorch advises is for its own users.
  const char* const kRefusal = "does not have a deterministic implementation";
  if (const std::size_t refused = text.find(kRefusal); refused != std::string::npos) {
    throw InputError(context + ": " + text.substr(0, refused) + kRefusal +
                     ": deterministic=true takes only operators that have one here; leave it out, or write the model "
                     "without this operator");
  }
  throw InputError(context + ": " + text);
}

}  // namespace lockstep

#include "engine/data/columnar/ArrowModule.h"

#include <dlfcn.h>

#include <filesystem>

#include "common/Error.h"
#include "common/OwnFile.h"

namespace lockstep {

void* arrow_function(const char* name, const std::string& for_what) {
  const std::filesystem::path path = own_file().parent_path() / "lockstep-arrow.so";
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    throw InputError("cannot load what " + for_what + ": " + ::dlerror() +
                     "; install lockstep-arrow.so and Apache Arrow's libraries with it");
  }
  void* function = ::dlsym(module, name);
  if (function == nullptr) throw InternalError(path.string() + " is not of this build");
  return function;
}

}  // namespace lockstep

#include "engine/data/columnar/ColumnarFile.h"

#include <dlfcn.h>

#include <utility>

#include "common/Error.h"
#include "common/OwnFile.h"

namespace lockstep {

std::unique_ptr<ColumnarFile> open_columnar_file(RandomAccessFile file, ColumnarKind kind,
                                                 const ColumnReadings& readings) {
  const std::filesystem::path path = own_file().parent_path() / "lockstep-arrow.so";
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // for good
  if (module == nullptr) {
    throw InputError("cannot load what reads " + file.name() + ": " + ::dlerror() +
                     "; install lockstep-arrow.so and Apache Arrow's libraries with it");
  }
  const auto open =
      reinterpret_cast<decltype(&lockstep_open_columnar_file)>(::dlsym(module, "lockstep_open_columnar_file"));
  if (open == nullptr) throw InternalError(path.string() + " is not of this build");
  std::unique_ptr<ColumnarFile> opened;
  open(std::move(file), kind, readings, opened);
  return opened;
}

}  // namespace lockstep

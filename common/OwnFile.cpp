#include "common/OwnFile.h"

#include <dlfcn.h>
#include <link.h>

namespace lockstep {

namespace fs = std::filesystem;

fs::path own_file() {
  Dl_info info{};
  link_map* map = nullptr;
  const bool found =
      ::dladdr1(reinterpret_cast<void*>(&own_file), &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) != 0;
  // The loader knows the program itself by no path.
  if (!found || *map->l_name == '\0') return fs::read_symlink("/proc/self/exe");
  return fs::canonical(map->l_name);
}

}  // namespace lockstep

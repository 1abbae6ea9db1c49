#include "engine/artifacts/primitives/rows/Spatial.h"

#include <string>

namespace lockstep {

std::size_t spatial_dimensions(NodeArguments& arguments) {
  const std::string name = arguments.node().aten_name();
  const std::size_t digit = name.find_last_of("123");
  if (digit == std::string::npos) arguments.refuse("it has no one to three spatial dimensions");
  return static_cast<std::size_t>(name[digit] - '0');
}

Ints for_each_spatial(NodeArguments& arguments, const char* name, std::size_t spatial, const Ints& otherwise) {
  Ints values = arguments.ints(name, otherwise);
  if (values.empty()) return otherwise;
  if (values.size() == 1) values.resize(spatial, values[0]);
  if (values.size() != spatial) arguments.refuse("its " + std::string(name) + " has another number of dimensions");
  return values;
}

}  // namespace lockstep

#include "engine/objective/Evaluation.h"

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

double Evaluation::metric(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& [measured, value] : values_) {
    if (measured == name) return value;
    names.push_back(measured);
  }
  throw InputError("the metric " + name + " is not measured in this job; there are " + join(names, ", "));
}

Evaluation::Values Evaluation::metrics(const std::string& channel) const {
  Values values;
  for (const auto& [name, value] : values_) values.emplace_back(channel + "_" + name, value);
  return values;
}

Evaluation::Tables Evaluation::tables(const std::string& channel) const {
  Tables tables;
  for (const auto& [name, table] : tables_) tables.emplace_back(channel + "_" + name, table);
  return tables;
}

}  // namespace lockstep

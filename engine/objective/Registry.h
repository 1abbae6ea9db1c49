// Things that hyperparameters choose by name.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

/// Rows with a `name`, in the order in which they were added. A value: whoever adds to one hands it on.
template <typename Row>
class Registry {
 public:
  explicit Registry(std::vector<Row> rows = {}) : rows_(std::move(rows)) {}

  /// InternalError for a name that is taken.
  void add(Row row) {
    if (std::ranges::find(rows_, row.name, &Row::name) != rows_.end()) {
      throw InternalError(in_quotes(row.name) + " is registered twice");
    }
    rows_.push_back(std::move(row));
  }
  /// InputError that names the hyperparameter and what there is, for a name that nobody registered.
  const Row& find(const std::string& name, const std::string& hyperparameter) const {
    const auto found = std::ranges::find(rows_, name, &Row::name);
    if (found != rows_.end()) return *found;
    const std::string meant = nearest(name, names());
    throw InputError("hyperparameter " + hyperparameter + ": expected " + join(names(), ", ") +
                     (meant.empty() ? "" : "; did you mean " + meant + "?") + "; found " + in_quotes(name));
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Row& row : rows_) names.push_back(row.name);
    return names;
  }

 private:
  std::vector<Row> rows_;
};

}  // namespace lockstep

// Reading a data set as a test wants it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/data/Dataset.h"

namespace lockstep {

/// The numbers of a field, which is stored as `Number`, of these samples.
template <typename Number>
std::vector<Number> read_field(const Dataset& dataset, const std::string& name,
                               const std::vector<std::int64_t>& samples) {
  const std::size_t field = dataset.spec().find(name).value();
  std::vector<Number> values(samples.size() * static_cast<std::size_t>(dataset.spec().fields[field].numbers()));
  std::vector<std::byte*> fields(dataset.spec().fields.size());
  fields[field] = reinterpret_cast<std::byte*>(values.data());
  dataset.read(samples, fields);
  return values;
}

/// Throws InputError as whoever takes all its fields would.
inline void take_all(const Dataset& dataset) {
  for (const Field& field : dataset.spec().fields) {
    if (field.fault) throw InputError(field.fault->why);
  }
}

}  // namespace lockstep

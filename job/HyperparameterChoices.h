// The names of the values of a hyperparameter's type.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Each value of an enumeration with its name, in the order in which people read them.
template <typename T>
const std::vector<std::pair<T, std::string>>& choices();

template <>
const std::vector<std::pair<OptimizerKind, std::string>>& choices();
template <>
const std::vector<std::pair<ScheduleKind, std::string>>& choices();
template <>
const std::vector<std::pair<Precision, std::string>>& choices();
template <>
const std::vector<std::pair<DeviceKind, std::string>>& choices();
template <>
const std::vector<std::pair<Export, std::string>>& choices();
template <>
const std::vector<std::pair<Data, std::string>>& choices();
template <>
const std::vector<std::pair<ArtifactState, std::string>>& choices();
template <>
const std::vector<std::pair<Pass, std::string>>& choices();
template <>
const std::vector<std::pair<Resume, std::string>>& choices();
template <>
const std::vector<std::pair<ImageCrop, std::string>>& choices();
template <>
const std::vector<std::pair<Norm, std::string>>& choices();

template <typename T>
std::string name_of(T value) {
  for (const auto& [candidate, name] : choices<T>()) {
    if (candidate == value) return name;
  }
  throw InternalError("a choice without a name");
}

template <typename T>
std::vector<std::string> choice_names() {
  std::vector<std::string> names;
  for (const auto& [value, name] : choices<T>()) names.push_back(name);
  return names;
}

/// Throws InputError that says what there is, and what was perhaps meant.
template <typename T>
T choose(const std::string& text) {
  for (const auto& [value, name] : choices<T>()) {
    if (name == text) return value;
  }
  const std::string meant = nearest(text, choice_names<T>());
  throw InputError("expected " + join(choice_names<T>(), ", ") +
                   (meant.empty() ? "" : "; did you mean " + meant + "?"));
}

}  // namespace lockstep

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
const std::vector<std::pair<Precision, std::string>>& choices();
template <>
const std::vector<std::pair<DeviceKind, std::string>>& choices();
template <>
const std::vector<std::pair<Export, std::string>>& choices();
template <>
const std::vector<std::pair<Layout, std::string>>& choices();
template <>
const std::vector<std::pair<Quantize, std::string>>& choices();
template <>
const std::vector<std::pair<ServePreprocessing, std::string>>& choices();
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
template <>
const std::vector<std::pair<WeightsMatch, std::string>>& choices();
template <>
const std::vector<std::pair<Recompute, std::string>>& choices();
template <>
const std::vector<std::pair<ReportKind, std::string>>& choices();

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

/// What there is, and what `found` was perhaps meant to be.
inline std::string expected_one_of(const std::vector<std::string>& names, const std::string& found) {
  const std::string meant = nearest(found, names);
  return "expected " + join(names, ", ") + (meant.empty() ? "" : "; did you mean " + meant + "?");
}

/// Throws InputError of that text.
template <typename T>
T choose(const std::string& text) {
  for (const auto& [value, name] : choices<T>()) {
    if (name == text) return value;
  }
  throw InputError(expected_one_of(choice_names<T>(), text));
}

}  // namespace lockstep

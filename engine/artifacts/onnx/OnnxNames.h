// What ONNX calls the primitive operations that it has one for one.
#pragma once

#include <map>
#include <string>

#include "engine/artifacts/primitives/PrimitiveGraph.h"

namespace lockstep {

const std::map<primitive::Unary::Kind, std::string>& onnx_unaries();
/// Those that mean the same for every type of elements.
const std::map<primitive::Binary::Kind, std::string>& onnx_binaries();
/// Of numbers: those of bool are numbers' maximum and minimum.
const std::map<primitive::Reduce::Kind, std::string>& onnx_reductions();

/// The key of a table's value, or nullptr.
template <typename Kind>
const Kind* find_onnx_name(const std::map<Kind, std::string>& names, const std::string& name) {
  for (const auto& [kind, known] : names) {
    if (known == name) return &kind;
  }
  return nullptr;
}

}  // namespace lockstep

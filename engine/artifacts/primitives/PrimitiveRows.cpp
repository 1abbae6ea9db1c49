#include "engine/artifacts/primitives/PrimitiveRows.h"

#include "common/Text.h"

namespace lockstep {

namespace {

PrimitiveRows all_rows() {
  PrimitiveRows all;
  for (const auto& rows : {activation_rows, arithmetic_rows, attention_rows, comparison_rows, convolution_rows,
                           creation_rows, einsum_rows, index_rows, loss_rows, normalization_rows, pool_rows,
                           product_rows, recurrent_rows, reduction_rows, resize_rows, shape_rows, slice_rows}) {
    all.merge(rows());
  }
  return all;
}

// `add_` → `add`, `__iand__` → `__and__`.
std::string out_of_place(std::string name) {
  if (name.ends_with("__")) return name.starts_with("__i") ? "__" + name.substr(3) : name;
  return name.ends_with('_') ? name.substr(0, name.size() - 1) : name;
}

}  // namespace

const PrimitiveRows& primitive_rows() {
  static const PrimitiveRows rows = all_rows();
  return rows;
}

const PrimitiveRow* find_primitive_row(const Node& node) {
  const PrimitiveRows& rows = primitive_rows();
  std::string name = node.aten_name();
  if (name.empty()) return nullptr;
  const std::string overload = "." + split(node.target, '.')[4];
  if (node.in_place()) name = out_of_place(name);
  auto found = rows.find(name + overload);
  if (found == rows.end()) found = rows.find(name);
  return found == rows.end() ? nullptr : &found->second;
}

}  // namespace lockstep

// A node's arguments, as rows of the lowering read them.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/artifacts/primitives/PrimitiveTerm.h"
#include "engine/program/Graph.h"

namespace lockstep {

class PrimitiveLowering;

/// A tensor, or a number that takes the type of the tensors it meets.
struct Operand {
  std::variant<Number, Term> value;
  bool wrapped = false;  ///< a number, known or not
};

/// Arguments that equal the schema's default may be missing, hence `otherwise`. Remembers which were read: one that no
/// row read might change what is computed, so `require_all_read` refuses it.
class NodeArguments {
 public:
  NodeArguments(PrimitiveLowering& lowering, const Node& node) : lowering_(lowering), node_(node) {}

  PrimitiveBuilder& builder() const;
  const Node& node() const { return node_; }

  bool has(std::string_view name);  ///< given, and not None
  std::optional<Term> find(std::string_view name);
  Term tensor(std::string_view name);
  std::vector<std::optional<Term>> tensors(std::string_view name);  ///< of a list
  Operand operand(std::string_view name);
  Term operand(std::string_view name, ElementType type);  ///< in this type
  Number number(std::string_view name, const Number& otherwise);
  double real(std::string_view name, double otherwise);
  bool flag(std::string_view name, bool otherwise);
  std::string text(std::string_view name, const std::string& otherwise);
  Integer integer(std::string_view name, const Integer& otherwise);
  Integers integers(std::string_view name);
  /// Known beforehand. One integer is a list of one.
  Ints ints(std::string_view name, const Ints& otherwise = {});
  std::int64_t known(std::string_view name, std::int64_t otherwise);
  /// A dimension of a tensor of this rank, negative ones counted from the end.
  std::size_t dim(std::string_view name, std::size_t rank, std::int64_t otherwise);
  /// Several, ascending; all where none is given.
  Ints dims(std::string_view name, std::size_t rank);

  ElementType output_type(std::size_t result = 0) const;
  std::vector<Dimension> output_sizes(std::size_t result = 0) const;
  std::size_t results() const { return node_.results().size(); }

  /// Arguments that change nothing in what is computed.
  void ignore(const std::vector<std::string>& names) { read_.insert(names.begin(), names.end()); }
  void require_all_read() const;
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  const Argument* read(std::string_view name);
  Integer integer_of(const SymInt& value) const;

  PrimitiveLowering& lowering_;
  const Node& node_;
  std::set<std::string> read_;
};

/// The type in which PyTorch computes with the operands (torch.result_type).
ElementType promoted_type(const std::vector<Operand>& operands);

/// The operand as a tensor of this type.
Term as_tensor(PrimitiveBuilder& builder, const Operand& operand, ElementType type);

}  // namespace lockstep

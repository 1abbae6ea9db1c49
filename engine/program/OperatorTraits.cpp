#include "engine/program/OperatorTraits.h"

#include <map>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/OperatorRows.h"

namespace lockstep {

namespace {

class OperatorTable {
 public:
  OperatorTable() {
    for (const OperatorRow& row : aten_operator_rows()) {
      for (const std::string& name : split(std::string(row.names), ' ')) add(name, row.traits);
    }
  }

  void add(const std::string& name, const OperatorTraits& traits) {
    const std::optional<InferenceForm>& form = traits.inference;
    if (form && form->argument.empty() == form->replacement.empty()) {
      throw InternalError("the inference form of operator " + name + " needs an argument or a replacement");
    }
    const std::optional<IntegerBound>& bound = traits.bound;
    if (bound && bound->table.empty() == bound->argument.empty()) {
      throw InternalError("the bound of operator " + name + " needs a table or an argument");
    }
    if (!rows_.try_emplace(name, traits).second) {
      throw InternalError("operator " + name + " has two rows of traits");
    }
  }

  const OperatorTraits& find(const std::string& name) const {
    static const OperatorTraits unknown;
    const auto found = rows_.find(name);
    return found == rows_.end() ? unknown : found->second;
  }

 private:
  std::map<std::string, OperatorTraits> rows_;
};

// Filled before main begins, and read from then on.
OperatorTable& table() {
  static OperatorTable table;
  return table;
}

}  // namespace

const OperatorTraits& operator_traits(const std::string& name) { return table().find(name); }

const OperatorTraits& operator_traits(const Node& node) {
  static const OperatorTraits arithmetic = {.sharing = Sharing::kNever};
  if (node.target.starts_with("_operator.")) return arithmetic;
  const std::vector<std::string> parts = split(node.target, '.');  // torch.ops.aten.conv2d.default
  if (parts.size() != 5) return operator_traits("");
  return operator_traits(parts[2] == "aten" ? parts[3] : parts[2] + "." + parts[3]);
}

OperatorRegistration::OperatorRegistration(const std::string& name, const OperatorTraits& traits) {
  table().add(name, traits);
}

}  // namespace lockstep

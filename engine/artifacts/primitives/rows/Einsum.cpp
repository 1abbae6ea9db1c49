// torch.einsum: two operands at a time, as products of matrices.
#include <algorithm>
#include <functional>
#include <iterator>
#include <string_view>

#include "common/Text.h"
#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

/// A tensor whose dimensions have letters.
struct Lettered {
  Term term;
  std::string letters;
};

bool holds(std::string_view letters, char letter) { return letters.find(letter) != std::string_view::npos; }

std::string those(std::string_view letters, const std::function<bool(char)>& wanted) {
  std::string result;
  std::ranges::copy_if(letters, std::back_inserter(result), wanted);
  return result;
}

Lettered ordered(const Lettered& x, const std::string& letters) {
  Ints axes;
  for (const char letter : letters) axes.push_back(static_cast<std::int64_t>(x.letters.find(letter)));
  return {transpose(x.term, axes), letters};
}

// Dimensions that nothing else reads are summed.
Lettered summed(const Lettered& x, std::string_view needed) {
  Ints dims;
  for (std::size_t i = 0; i < x.letters.size(); ++i) {
    if (!holds(needed, x.letters[i])) dims.push_back(static_cast<std::int64_t>(i));
  }
  return {reduce(primitive::Reduce::Kind::kSum, x.term, dims, false),
          those(x.letters, [&](char letter) { return holds(needed, letter); })};
}

// [batch..., first..., second...] with `first` and `second` as one dimension each.
Term as_matrices(const Lettered& x, const std::string& batch, const std::string& first, const std::string& second) {
  const Term term = ordered(x, batch + first + second).term;
  if (first.size() == 1 && second.size() == 1) return term;
  Integers sizes;
  for (std::size_t i = 0; i < batch.size(); ++i) sizes.push_back(term.size(i));
  std::size_t at = batch.size();
  for (const std::string* group : {&first, &second}) {
    Integer joined = std::int64_t{1};
    for (std::size_t i = 0; i < group->size(); ++i) joined = multiply(term.builder(), joined, term.size(at++));
    sizes.push_back(joined);
  }
  return reshape(term, sizes);
}

Lettered contracted(const Lettered& left, const Lettered& right, const std::string& needed) {
  const Lettered a = summed(left, needed + right.letters);
  const Lettered b = summed(right, needed + left.letters);
  const std::string batch =
      those(a.letters, [&](char letter) { return holds(b.letters, letter) && holds(needed, letter); });
  const std::string inner =
      those(a.letters, [&](char letter) { return holds(b.letters, letter) && !holds(needed, letter); });
  const std::string rows = those(a.letters, [&](char letter) { return !holds(b.letters, letter); });
  const std::string columns = those(b.letters, [&](char letter) { return !holds(a.letters, letter); });
  const Term result = product(as_matrices(a, batch, rows, inner), as_matrices(b, batch, columns, inner), true);
  Integers sizes;
  for (std::size_t i = 0; i < batch.size(); ++i) sizes.push_back(result.size(i));
  for (const char letter : rows) sizes.push_back(a.term.size(a.letters.find(letter)));
  for (const char letter : columns) sizes.push_back(b.term.size(b.letters.find(letter)));
  return {rows.size() == 1 && columns.size() == 1 ? result : reshape(result, sizes), batch + rows + columns};
}

// Without "->", what it returns are the letters that stand once, in alphabetical order.
std::string implied(const std::vector<std::string>& operands) {
  std::string all;
  for (const std::string& each : operands) all += each;
  std::ranges::sort(all);
  return those(all, [&](char letter) { return std::ranges::count(all, letter) == 1; });
}

Term einsum(NodeArguments& arguments) {
  std::string equation = arguments.text("equation", "");
  arguments.ignore({"path"});
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  const std::vector<std::string> letters = split(equation.substr(0, arrow), ',');
  const std::string output = arrow == std::string::npos ? implied(letters) : equation.substr(arrow + 2);
  std::vector<Lettered> operands;
  for (const auto& each : arguments.tensors("tensors")) {
    if (operands.size() >= letters.size() || each.value().rank() != letters[operands.size()].size()) {
      arguments.refuse("its equation does not have a letter for each dimension");
    }
    const std::string own = letters[operands.size()];
    const bool once = std::ranges::all_of(own, [&](char letter) { return std::ranges::count(own, letter) == 1; });
    if (!once || holds(own, '.')) arguments.refuse("its equation has a letter twice in an operand, or \"...\"");
    operands.push_back({*each, own});
  }
  if (operands.empty()) arguments.refuse("it has no operands");
  Lettered result = operands[0];
  for (std::size_t i = 1; i < operands.size(); ++i) {
    std::string needed = output;
    for (std::size_t j = i + 1; j < operands.size(); ++j) needed += operands[j].letters;
    result = contracted(result, operands[i], needed);
  }
  return ordered(summed(result, output), output).term;
}

}  // namespace

PrimitiveRows einsum_rows() { return {{"einsum", einsum}}; }

}  // namespace lockstep

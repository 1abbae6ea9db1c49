// What the engine knows of operators beyond their schemas, without torch: one row for each operator.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "engine/program/Graph.h"

namespace lockstep {

/// How an operator's outputs lie in the memory of its inputs.
enum class Sharing {
  kPossible,  ///< unknown, or decided by strides: treated as sharing
  kNever,     ///< outputs are new tensors
  kAlways,    ///< outputs are inputs, or views of them
};

/// What makes an operator that behaves differently in training behave as in inference. It is an argument with its
/// value, or another operator with the same arguments and results.
struct InferenceForm {
  std::string_view argument = "";     ///< of the operator: `train`; "" where `replacement` is set
  Argument value = false;             ///< of that argument in inference
  std::string_view replacement = "";  ///< the ATen operator that inference calls: `_batch_norm_no_update`
  /// The form holds for nodes with running statistics. A node without them uses its batch's own in inference too.
  bool with_running_statistics = false;
  bool in_training_too = false;  ///< training has this value as well: it does not tell how a program was exported
};

/// An operator normalizes its first input by the input's own mean and variance.
struct StatisticsForm {
  std::string_view flag = "";  ///< the argument that turns this on; "" when the operator always does so
  bool over_batch = true;      ///< over all samples of a channel; else over each sample of a channel
};

/// The integers in an input are at least 0 and less than a count.
struct IntegerBound {
  std::string_view input = "";     ///< the argument that holds the integers: `indices`
  std::string_view table = "";     ///< the count is the first size of this argument; "" where `argument` is set
  std::string_view argument = "";  ///< the count is this argument; a negative one bounds nothing
};

/// Which elements of `self` an operator's output is made of.
enum class Keeps {
  kOther,  ///< it computes new ones, or that is unknown
  kSome,   ///< each element of its output is an element of `self`, in any type; some can be left out
  kAll,    ///< and every element of `self` is there
};

/// What it is to run an operator again in backward, to the same bits, in place of keeping what it has made.
enum class Again {
  kNever,  ///< it may come out otherwise, or nothing is known
  kDear,   ///< it takes longer than a pass over memory
  kCheap,  ///< about the time that it takes to read what it is given and to write what it makes
};

/// Which of the tensors of a call autograd saves for backward; for estimates of memory.
enum class Saves { kInputs, kResults, kBoth, kNothing };

/// Multiply-adds of one call, from the sizes in the graph. Throws InputError for sizes that the operator cannot have.
using MultiplyAdds = double (*)(const Graph& graph, const Node& node);

/// One row. An empty row says the unsafe thing: outputs may share memory with every input.
struct OperatorTraits {
  Sharing sharing = Sharing::kPossible;
  std::string_view shared_input = "";  ///< the one input in which outputs can lie; "" when each tensor can be it
  bool random = false;                 ///< it draws random numbers, in training at least
  Again again = Again::kNever;         ///< with PyTorch's generator as it was, if it draws
  Saves saves = Saves::kInputs;        ///< views save nothing, whatever their row says
  std::optional<InferenceForm> inference = std::nullopt;
  std::optional<StatisticsForm> statistics = std::nullopt;
  MultiplyAdds multiply_adds = nullptr;  ///< nullptr: not counted
  std::optional<IntegerBound> bound = std::nullopt;
  Keeps keeps = Keeps::kOther;
  /// Why a program of a stranger may not call it, to follow "is not run: "; "" when nothing is known against it.
  std::string_view refusal = "";
  std::string_view safe_overload = "";  ///< the overload to which `refusal` does not apply
  /// Its name begins with an underscore, and it checks its arguments all the same: torch.export writes it for a public
  /// function.
  bool checks_arguments = false;
  /// PyTorch 2.11's exporter states wrong sizes for the results from this index on.
  std::optional<std::size_t> misstated_results = std::nullopt;
};

/// The row of an operator: `conv2d` for an ATen operator, `library.name` for others, without overload. The empty row
/// when there is none.
const OperatorTraits& operator_traits(const std::string& name);
/// The row of a node's operator. Arithmetic on sizes (`_operator.add`) makes new values.
const OperatorTraits& operator_traits(const Node& node);

/// Adds a row. It stands as a variable at namespace scope in the file that adds an operator, so that the rows are
/// complete, and constant, when main begins:
///
///     const OperatorRegistration kScaled("library.scaled", {.sharing = Sharing::kNever});
///
/// The operators of PyTorch that Lockstep knows have their rows in OperatorRows.cpp.
class OperatorRegistration {
 public:
  /// `name` as in operator_traits. Throws InternalError when the operator has a row already, or its inference form or
  /// bound says nothing.
  OperatorRegistration(const std::string& name, const OperatorTraits& traits);
};

}  // namespace lockstep

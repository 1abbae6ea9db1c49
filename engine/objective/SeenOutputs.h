// Which of a program's outputs the loss and the metrics see.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// Places among a program's outputs.
struct SeenOutputs {
  std::size_t output = 0;  ///< what is compared with targets, or the loss that the program itself returns
  bool named = true;       ///< false: it was chosen because it comes first; a loss has to be one number then
  std::optional<std::size_t> weight{};  ///< of such a loss: what it is a mean over
};

/// `names`: those of the program's outputs (Graph::output_names); `asked`: the hyperparameter `output`, or "".
///
/// What is compared with targets is the output that was asked for, else `logits`, else the first. A loss that the
/// program returns is the output that was asked for, else `loss`, else the first; its weight is the output `weight`, if
/// there is one. Throws InputError, listing the names, when there is no output of the name that was asked for.
SeenOutputs see_outputs(const std::vector<std::string>& names, const std::string& asked, bool own_loss);

}  // namespace lockstep

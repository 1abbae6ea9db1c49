// Which operator of a program was the first to make a number that is not finite.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/program/Interpreter.h"
#include "engine/program/Program.h"

namespace lockstep {

/// Runs a program once and looks at what each operator returns, and at each gradient on its way back; the host waits
/// for each. An infinity by itself may be meant, as in a mask: it counts where a NaN comes of it, or where the caller
/// says so. Running statistics are left as they were found, and batch norms are each rank's own.
class NotFiniteSearch {
 public:
  explicit NotFiniteSearch(const Program& program);

  /// As Executor::run, but for values that keep until this goes.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs);
  /// Which operators have made NaN, or infinite numbers if those count, of finite ones; "" when none has.
  std::string made_forward(bool infinite_counts) const;
  /// Computes the gradients of `loss`, which is made of what `run` returned, and says which operator's backward was the
  /// first to make one that is not finite; "" when none has. They are handed to nobody.
  std::string made_backward(const at::Tensor& loss);

 private:
  /// What the gradient hooks fill in.
  struct Gradients {
    std::optional<Slot> first;  ///< whose gradient was the first that is not finite
  };

  void watch_gradients(const Instruction& instruction);
  std::string readers_of(Slot slot) const;

  std::vector<at::Tensor> statistics_;
  Interpreter interpreter_;
  Values values_;
  std::optional<std::size_t> nan_;       ///< the first instruction that made one
  std::optional<std::size_t> infinite_;  ///< of finite numbers
  bool nan_of_infinite_ = false;         ///< the former was given such
  std::shared_ptr<Gradients> gradients_ = std::make_shared<Gradients>();
};

}  // namespace lockstep

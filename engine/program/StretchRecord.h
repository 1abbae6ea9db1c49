// What one run of a stretch of a program leaves to backward.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "engine/program/Interpreter.h"
#include "engine/program/Recomputation.h"
#include "engine/program/SavedTensorHooks.h"

namespace lockstep {

/// While the stretch runs, notes what its instructions that run again are given from elsewhere, and leaves out of
/// autograd's graph each tensor that they will make again. The first of these that backward asks for has them run
/// again, with what they were given, gradients, autocast and PyTorch's generator as they were; an operator saves then
/// what it saved before, in the same order. The graph itself, and with it the order in which gradients add up, is that
/// of a run without all this.
///
/// The graph keeps the record alive, and each tensor goes when the graph no longer needs it. Backward may ask from
/// several threads; what it throws, an operator's error or InternalError, comes out of backward.
class StretchRecord : public SavedTensorKeeper, public std::enable_shared_from_this<StretchRecord> {
 public:
  StretchRecord(std::shared_ptr<const Interpreter> interpreter, std::shared_ptr<const RecomputationPlan> plan,
                const RecomputationPlan::Stretch& stretch);

  /// The instruction runs next, over these values, which stay until it has run. Returns where to put what it normalizes
  /// by, null where nothing will ask for it.
  BatchNormStatistics* begin(std::size_t instruction, const Values& values);
  std::unique_ptr<torch::autograd::SavedVariableHooks> hooks() override;

 private:
  class SavedInForward;
  class SavedAgain;
  /// A tensor that an instruction saves, counted within it.
  using Saving = std::pair<std::size_t, std::size_t>;
  /// Some of the elements of a value.
  struct Elements {
    Slot slot;
    std::vector<std::int64_t> sizes;
    std::vector<std::int64_t> strides;
    std::int64_t offset;
  };
  struct LeftOut {
    std::size_t instruction;                   ///< that makes it
    std::variant<std::size_t, Elements> what;  ///< the how many-th that it saves, or what it returns
    bool wanted = true;
    at::Tensor tensor{};  ///< when it has been made again
    std::int64_t version = 0;
  };
  struct Given {
    c10::IValue value;
    bool trained = false;
    std::int64_t version = 0;  ///< of a tensor, when it was read
  };

  bool again(std::size_t instruction) const { return plan_->again[instruction]; }
  bool made_again(Slot slot) const;
  std::optional<std::size_t> leave_out(const at::Tensor& tensor);
  at::Tensor find(std::size_t left_out);
  void forget(std::size_t left_out);
  void run_again();
  std::vector<bool> needed() const;
  void save_again(const at::Tensor& tensor);

  std::shared_ptr<const Interpreter> interpreter_;
  std::shared_ptr<const RecomputationPlan> plan_;
  RecomputationPlan::Stretch stretch_;
  std::optional<at::ScalarType> autocast_;  ///< its type, where it was on
  std::map<Slot, Given> given_;
  std::map<std::size_t, at::Tensor> generators_;           ///< states, by instruction that draws
  std::map<std::size_t, BatchNormStatistics> statistics_;  ///< by instruction that the normalizer computes
  std::vector<LeftOut> left_out_;
  std::mutex mutex_;  ///< of what backward changes
  // Of the instruction that runs.
  std::size_t instruction_ = 0;
  std::size_t savings_ = 0;
  const Values* values_ = nullptr;
  bool ran_again_ = false;
};

}  // namespace lockstep

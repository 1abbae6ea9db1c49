// One step: forward, backward, all-reduce, optimizer.
#pragma once

#include <c10/core/Event.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/collectives/Communicator.h"
#include "engine/collectives/FlatParameters.h"
#include "engine/collectives/GradientReducer.h"
#include "engine/collectives/SharedUpdate.h"
#include "engine/device/Device.h"
#include "engine/device/DeviceArray.h"
#include "engine/optim/LossScale.h"
#include "engine/optim/Optimizer.h"
#include "engine/optim/WeightAverage.h"
#include "engine/train/BatchSource.h"
#include "engine/train/CapturedStep.h"
#include "engine/train/NotFinite.h"
#include "engine/train/PhaseClock.h"
#include "engine/train/Riders.h"
#include "engine/train/StepComputation.h"
#include "watch/RankPosition.h"

namespace lockstep {

/// Runs the steps of a job on this rank. All ranks run the same steps and hold the same parameters after each.
///
/// The gradient of a step is that of the loss's sum over all samples of all ranks divided by their weight (see Loss),
/// however unevenly the samples are spread: each micro-batch's sum is divided by what the whole global batch weighs
/// when each position weighs 1, and gradients are added up. A rank without data takes part with zeros. What the samples
/// weigh in truth travels with the gradients, and the optimizer's pass multiplies by expected ÷ actual before it clips:
/// by exactly 1 where each position weighs 1. A global batch that weighs nothing, all of whose labels are ignored,
/// changes no parameter; PyTorch's loss of it is NaN.
///
/// `start` enqueues a step on the device, `finish` waits for the oldest one that was started: between them the host may
/// start the next. Whatever changes from step to step (learning rate, loss scale, whether the update is skipped) lies
/// in the device's memory, so that a step can be captured once and replayed (CapturedStep), when `capture` asks for it
/// and as long as steps are full. The loss is summed in the parameters' type.
///
/// What throws here lets go of what was captured, for NCCL does not come back from an abort before.
class TrainingStep {
 public:
  struct Options {
    double clip_norm = 0;  ///< 0: no clipping
    std::optional<LossScale> loss_scale{};
    bool capture = false;
    SharedUpdate* shared = nullptr;        ///< where ranks update shares; nullptr: each updates all
    WeightAverage* average = nullptr;      ///< of the parameters, updated behind the optimizer; nullptr: there is none
    RankPosition position{};               ///< where this rank says what it is doing
    std::vector<at::Tensor> statistics{};  ///< that forward updates: those of real numbers must stay finite
    bool passes_over_not_finite = false;   ///< a step of which something is not finite changes nothing, and is told
    SpanLog* spans = nullptr;              ///< phases are also written there while it is on; must outlive this
  };
  struct Step {
    std::int64_t batch_size = 0;  ///< over all ranks
    std::int64_t global_step = 0;
    double learning_rate = 0;
    bool stop = false;  ///< this rank wants the job to stop
    bool save = false;  ///< this rank wants a checkpoint
    /// Micro-batches that some rank has beyond those of this one.
    std::int64_t idle = 0;
    bool full = false;  ///< each rank has one micro-batch, of the same size in all full steps: the same on all ranks
  };
  struct Result {
    double loss = 0;          ///< the mean over the global batch; 0 when it is weightless
    double weight = 0;        ///< of the global batch ÷ what is expected of it: exactly 1 where nothing is missing
    bool skipped = false;     ///< the gradient overflowed: no parameter changed, and the loss scale halved
    bool weightless = false;  ///< no position of the global batch counts: no parameter changed
    bool stop = false;        ///< a rank wanted it before this step: the same on all ranks
    bool save = false;        ///< the same
    StepSeconds seconds{};    ///< of this rank
    std::optional<NotFiniteError> not_finite{};  ///< what would be thrown: the step has changed nothing
  };

  /// Keeps references, to what the options point to too; `computation`, `reducer` and `optimizer` are of the
  /// `parameters`, which have kRiders riders, and all are on the device. `communicator`: the reducer's; `host`: for the
  /// host's memory.
  TrainingStep(Device& device, StepComputation& computation, FlatParameters& parameters, GradientReducer& reducer,
               Optimizer& optimizer, Communicator& communicator, Communicator& host, Options options);

  /// Takes the micro-batches of the step from `inputs`. With a loss scale the step before must be finished: it decides
  /// the scale.
  void start(BatchSource& inputs, const Step& step);
  /// Throws NotFiniteError when the loss, the gradient or a running statistic is not finite and no smaller loss scale
  /// mends it, or returns it where such steps are passed over; then each must be finished before the next is started.
  Result finish();
  /// Calls `work`, such as an evaluation, between steps: what it allocates may be the captured step's memory, so that
  /// nothing of it may be used when the next step has started.
  void beside(const std::function<void()>& work);
  /// Has the next step's update wait on the device until `event` has come: its gradients need not. The
  /// event must stay until then.
  void hold_update(c10::Event* event) { held_by_ = event; }
  /// Blocks the host until the device has done all that was enqueued, as await_device does.
  void drain();

  const std::optional<LossScale>& loss_scale() const { return options_.loss_scale; }
  /// Of steps that were made with one; between steps, when all are finished.
  void set_loss_scale(const LossScale& loss_scale) { options_.loss_scale = loss_scale; }
  bool captured() const { return captured_.captured(); }
  /// Why steps are not captured although they should be; "" when nothing is wrong.
  const std::string& capture_failure() const { return captured_.failure(); }

 private:
  /// By Rider.
  struct Riders {
    double loss = 0;
    double stop = 0;
    double save = 0;
    kernels::StepWeight weight{.actual = 0, .missing = 0};
    double wrong_statistics = 0;
  };
  static_assert(sizeof(Riders) == kRiders * sizeof(double));
  /// What a step reads and leaves in the device's memory.
  struct State {
    kernels::FlatStep step;
    kernels::GradientNorm norm;
    double loss_scale = 1;
    double unscale = 1;  ///< 1 / loss_scale
    Riders riders;
  };
  struct Started {
    std::int64_t global_step;
    double loss_scale;
    StepSeconds seconds;
    Readback<State> state;
  };

  template <typename Work>
  auto letting_go_on_error(const Work& work);
  void run(BatchSource& inputs, const Step& step);
  void begin();
  void accumulate(const Batch& batch, const Step& step);
  void add_weight(const StepComputation::Share& share);
  void update();
  template <typename Exchange>
  void with_others(const Exchange& exchange);
  void await_held();
  void count_wrong_statistics();
  void restore_statistics();
  std::optional<NotFiniteError> not_finite(const Started& started, const State& state, double loss, double norm) const;

  Device& device_;
  StepComputation& computation_;
  FlatParameters& parameters_;
  GradientReducer& reducer_;
  Optimizer& optimizer_;
  Communicator& communicator_;
  Options options_;
  DeviceArray<State> state_;
  at::Tensor state_riders_;                  ///< a view of state_: State::riders
  at::Tensor state_scale_;                   ///< another: State::loss_scale; undefined without one
  std::vector<at::Tensor> kept_statistics_;  ///< before the step, where steps are passed over
  std::deque<Started> started_;
  PhaseClock clock_;
  c10::Event* held_by_ = nullptr;  ///< what the next update waits for
  CapturedStep captured_;
};

}  // namespace lockstep

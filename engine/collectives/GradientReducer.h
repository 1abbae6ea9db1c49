// Sums gradients over ranks, bucket by bucket, while backward goes on.
#pragma once

#include <memory>
#include <vector>

#include "engine/collectives/Communicator.h"
#include "engine/collectives/FlatParameters.h"
#include "engine/collectives/GradientSink.h"

namespace lockstep {

/// For each step: `begin_step`; `ready`, once for each parameter that receives a gradient on this rank, when that lies
/// in its place; `finish`. After that every rank's flat gradients, and the riders behind them, hold the sum over all
/// ranks; where the plan has shares, the gradients do so only where this rank owns them, and what is elsewhere means
/// nothing. A rank without data in a step calls `begin_step` and `finish` only. Who computes the gradients, and how,
/// the reducer does not know.
///
/// A bucket's all-reduce, or with shares its reduce-scatter, starts when the last of its gradients is ready and all
/// buckets before it have started: every rank enqueues all buckets, in plan order. Which parameters receive a gradient
/// is a property of the program, so the ranks agree on it once, in the first step in which any rank has data, and each
/// checks that it stays so. A parameter that receives none has zeros. Alone, a rank makes no collective at all.
///
/// Errors come out of `ready` or of `finish`. Most are of one rank alone, which must then abort the job.
class GradientReducer : public GradientSink {
 public:
  /// Keeps references. `communicator` is for the memory of the parameters' device, `host` of the same ranks for the
  /// host's; on a CPU they are one.
  GradientReducer(FlatParameters& parameters, Communicator& communicator, Communicator& host);

  /// The sums of the step before are no longer needed. The riders are zero, to be added to before the first `ready`.
  void begin_step();
  /// Throws InternalError, naming the parameter, when its gradient did not come in the first step, or was ready before.
  void ready(std::size_t parameter) override;
  /// A collective. Throws InternalError, naming the parameter, when one whose gradient came in the first step has none.
  void finish();

  /// Which parameters, in the plan's order, have received a gradient on any rank. Valid after the first
  /// `finish`.
  const std::vector<bool>& received() const { return received_; }

 private:
  void start_bucket();
  void agree();

  FlatParameters& parameters_;
  Communicator& communicator_;
  Communicator& host_;
  std::vector<std::size_t> bucket_of_;  ///< parameter → bucket
  std::vector<bool> received_;
  bool agreed_ = false;

  std::vector<bool> received_here_;   ///< in this step, on this rank
  std::vector<std::size_t> pending_;  ///< per bucket: gradients that are not ready
  std::size_t next_bucket_ = 0;
  std::vector<std::unique_ptr<Work>> works_;
};

}  // namespace lockstep

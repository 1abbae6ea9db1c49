// Sums gradients over ranks, bucket by bucket, while backward goes on.
#pragma once

#include <memory>
#include <vector>

#include "engine/collectives/Communicator.h"
#include "engine/collectives/FlatParameters.h"

namespace lockstep {

/// For each step: `begin_step`; forward and backward of the step's micro-batches, with `last_micro_batch`
/// called before the last backward; `finish`. After that every rank's flat gradients, and the riders behind
/// them, hold the sum over all ranks. A rank without data in a step calls `begin_step` and `finish` only.
///
/// While the last backward runs, a bucket's all-reduce starts when the last of its gradients is ready and all
/// buckets before it have started: every rank enqueues all buckets, in plan order. Which parameters receive a
/// gradient is a property of the program, so the ranks agree on it once, in the first step in which any rank
/// has data, and each checks that it stays so; from then on the gradients of a bucket are copied into it at once.
/// Alone, a rank makes no collective at all.
///
/// Errors come out of `backward` or of `finish`. Most are of one rank alone, which must then abort the job.
class GradientReducer {
 public:
  /// Keeps references; installs hooks on the parameters for as long as it lives. `communicator` is for the memory of
  /// the parameters' device, `host` of the same ranks for the host's; on a CPU they are one.
  GradientReducer(FlatParameters& parameters, Communicator& communicator, Communicator& host);
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;
  ~GradientReducer();

  /// The gradients of the step before are no longer needed. Those of this one are written into the buckets, not added:
  /// a parameter that receives none has zeros. The riders are zero, to be added to before the last backward.
  void begin_step();
  void last_micro_batch();
  /// A collective. Throws InternalError, naming the parameter, when one that had a gradient in the first step
  /// has none, or when something replaced its gradient's tensor (`backward` with create_graph does). A
  /// gradient that comes where none came in the first step, or after its bucket left, is an InternalError out
  /// of `backward`.
  void finish();

  /// Which parameters, in the plan's order, have received a gradient on any rank. Valid after the first
  /// `finish`.
  const std::vector<bool>& received() const { return received_; }

 private:
  struct Hooks;

  void ready(std::size_t parameter);
  void take_in(std::size_t bucket);
  void start_bucket();
  void agree();

  FlatParameters& parameters_;
  Communicator& communicator_;
  Communicator& host_;
  std::shared_ptr<Hooks> hooks_;
  std::vector<std::size_t> bucket_of_;  ///< parameter → bucket
  std::vector<bool> received_;
  std::vector<std::size_t> expected_;  ///< per bucket: how many of its parameters receive a gradient
  bool agreed_ = false;

  std::vector<bool> received_here_;                ///< in this step, on this rank
  std::vector<std::vector<std::size_t>> arrived_;  ///< per bucket: parameters whose gradients are not yet in it
  std::vector<std::size_t> pending_;               ///< per bucket: gradients that the last backward still owes
  bool last_micro_batch_ = false;
  std::size_t next_bucket_ = 0;
  std::vector<std::unique_ptr<Work>> works_;
};

}  // namespace lockstep

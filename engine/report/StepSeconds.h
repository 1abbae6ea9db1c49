// Where a step's time went.
#pragma once

#include <array>

namespace lockstep {

/// Seconds of one step on this rank, by phase, of the host's monotonic clock. They are measured always: a step of one
/// micro-batch reads the clock eight times, on a GPU ten times, at some 30 ns each. That is 0.1 % of a step of 0.23 ms,
/// which is what two small linear layers take for one sample.
///
/// On a CPU these are the times in which the work was done. On a GPU the host enqueues work and goes on; finding out
/// when the device did it would hold it up. There `forward`, `backward`, `reduction_wait` and `optimizer` are the
/// times that the host took to enqueue, and `device_wait` is what the device took longer.
struct StepSeconds {
  double data_wait = 0;       ///< until the micro-batches were there, or on their way to a GPU
  double forward = 0;         ///< the program and its loss
  double backward = 0;        ///< all-reduces of buckets start meanwhile
  double reduction_wait = 0;  ///< from the end of backward until all gradients were reduced
  double optimizer = 0;       ///< the gradients' norm, and the update
  double replay = 0;          ///< GPU: in place of these four where a captured step was enqueued as one piece
  double device_wait = 0;     ///< GPU: until the step's outcome was there

  StepSeconds& operator+=(const StepSeconds& other);
};

/// One phase of a step.
struct StepPhase {
  const char* name;
  double StepSeconds::*seconds;
};

/// All of them, in the order in which a step has them.
inline constexpr std::array<StepPhase, 7> kStepPhases{{{"data_wait", &StepSeconds::data_wait},
                                                       {"forward", &StepSeconds::forward},
                                                       {"backward", &StepSeconds::backward},
                                                       {"reduction_wait", &StepSeconds::reduction_wait},
                                                       {"optimizer", &StepSeconds::optimizer},
                                                       {"replay", &StepSeconds::replay},
                                                       {"device_wait", &StepSeconds::device_wait}}};

inline StepSeconds& StepSeconds::operator+=(const StepSeconds& other) {
  for (const StepPhase& phase : kStepPhases) this->*phase.seconds += other.*phase.seconds;
  return *this;
}

}  // namespace lockstep

// Where a step's time went.
#pragma once

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

  StepSeconds& operator+=(const StepSeconds& other) {
    data_wait += other.data_wait;
    forward += other.forward;
    backward += other.backward;
    reduction_wait += other.reduction_wait;
    optimizer += other.optimizer;
    replay += other.replay;
    device_wait += other.device_wait;
    return *this;
  }
};

}  // namespace lockstep

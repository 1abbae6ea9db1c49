// Whoever wants to know what happens in a run.
#pragma once

#include "engine/report/Events.h"

namespace lockstep {

/// Is told the events of a run in their order, on rank 0, by the thread that trains: what takes long here delays the
/// next step. A sink overrides the functions of the events that it wants. What a sink throws ends the job, and the
/// sinks are told so. Of a run there is at the end `run_ended` or `run_failed`; notes may come before `run_started`.
/// The sink itself, with nothing overridden, is told everything and does nothing.
class EventSink {
 public:
  EventSink() = default;
  EventSink(const EventSink&) = delete;
  EventSink& operator=(const EventSink&) = delete;
  virtual ~EventSink() = default;

  virtual void run_started(const RunStarted& /*event*/) {}
  virtual void images_shown(const ImagesShown& /*event*/) {}
  virtual void step_done(const StepDone& /*event*/) {}
  virtual void evaluated(const Evaluated& /*event*/) {}
  virtual void traced(const Traced& /*event*/) {}
  virtual void checkpoint_saved(const CheckpointSaved& /*event*/) {}
  virtual void straggler(const Straggler& /*event*/) {}
  virtual void note(const Note& /*event*/) {}
  virtual void run_ended(const RunEnded& /*event*/) {}
  /// Told of what rank 0 learns itself: an error that another rank meets alone may end the process without a word.
  virtual void run_failed(const RunFailed& /*event*/) {}
};

}  // namespace lockstep

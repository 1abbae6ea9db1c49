// Several sinks of events as one.
#pragma once

#include <memory>
#include <vector>

#include "engine/report/EventSink.h"

namespace lockstep {

/// Hands every event to each of its sinks, in the order in which they were added.
class EventSinks : public EventSink {
 public:
  void add(std::unique_ptr<EventSink> sink);

  void run_started(const RunStarted& event) override;
  void images_shown(const ImagesShown& event) override;
  void step_done(const StepDone& event) override;
  void evaluated(const Evaluated& event) override;
  void traced(const Traced& event) override;
  void checkpoint_saved(const CheckpointSaved& event) override;
  void straggler(const Straggler& event) override;
  void note(const Note& event) override;
  void run_ended(const RunEnded& event) override;
  void run_failed(const RunFailed& event) override;

 private:
  std::vector<std::unique_ptr<EventSink>> sinks_;
};

}  // namespace lockstep

// What a run has told, for tests to look at.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "engine/report/EventSink.h"

namespace lockstep {

/// Keeps every event.
class EventRecorder : public EventSink {
 public:
  void run_started(const RunStarted& event) override {
    started.push_back(event);
    order.emplace_back("started");
  }
  void step_done(const StepDone& event) override {
    steps.push_back(event);
    order.emplace_back("step");
  }
  void evaluated(const Evaluated& event) override {
    evaluations.push_back(event);
    order.emplace_back("evaluated");
  }
  void checkpoint_saved(const CheckpointSaved& event) override {
    checkpoints.push_back(event);
    order.emplace_back("saved");
  }
  void straggler(const Straggler& event) override {
    stragglers.push_back(event);
    order.emplace_back("straggler");
  }
  void note(const Note& event) override {
    notes.push_back(event);
    order.emplace_back("note");
  }
  void run_ended(const RunEnded& event) override {
    ended.push_back(event);
    order.emplace_back("ended");
  }
  void run_failed(const RunFailed& event) override {
    failed.push_back(event);
    order.emplace_back("failed");
  }

  std::vector<double> losses() const {
    std::vector<double> losses;
    for (const StepDone& step : steps) losses.push_back(step.loss);
    return losses;
  }
  bool noted(const std::string& text) const {
    return std::ranges::any_of(notes, [&](const Note& note) { return note.text.find(text) != std::string::npos; });
  }

  std::vector<RunStarted> started;
  std::vector<StepDone> steps;
  std::vector<Evaluated> evaluations;
  std::vector<CheckpointSaved> checkpoints;
  std::vector<Straggler> stragglers;
  std::vector<Note> notes;
  std::vector<RunEnded> ended;
  std::vector<RunFailed> failed;
  std::vector<std::string> order;  ///< of all of them: "started", "step", …
};

}  // namespace lockstep

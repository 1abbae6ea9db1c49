#include "engine/report/EventSinks.h"

#include <utility>

namespace lockstep {

void EventSinks::add(std::unique_ptr<EventSink> sink) { sinks_.push_back(std::move(sink)); }

void EventSinks::run_started(const RunStarted& event) {
  for (const auto& sink : sinks_) sink->run_started(event);
}

void EventSinks::images_shown(const ImagesShown& event) {
  for (const auto& sink : sinks_) sink->images_shown(event);
}

void EventSinks::step_done(const StepDone& event) {
  for (const auto& sink : sinks_) sink->step_done(event);
}

void EventSinks::evaluated(const Evaluated& event) {
  for (const auto& sink : sinks_) sink->evaluated(event);
}

void EventSinks::traced(const Traced& event) {
  for (const auto& sink : sinks_) sink->traced(event);
}

void EventSinks::checkpoint_saved(const CheckpointSaved& event) {
  for (const auto& sink : sinks_) sink->checkpoint_saved(event);
}

void EventSinks::straggler(const Straggler& event) {
  for (const auto& sink : sinks_) sink->straggler(event);
}

void EventSinks::note(const Note& event) {
  for (const auto& sink : sinks_) sink->note(event);
}

void EventSinks::run_ended(const RunEnded& event) {
  for (const auto& sink : sinks_) sink->run_ended(event);
}

void EventSinks::run_failed(const RunFailed& event) {
  for (const auto& sink : sinks_) sink->run_failed(event);
}

}  // namespace lockstep

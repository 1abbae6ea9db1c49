#include "engine/report/EventSinks.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace lockstep {
namespace {

/// Writes down its name and what it was told.
class Diary : public EventSink {
 public:
  Diary(std::string name, std::vector<std::string>& told) : name_(std::move(name)), told_(told) {}
  void run_started(const RunStarted& event) override { tell("started " + event.program); }
  void images_shown(const ImagesShown& event) override { tell("images " + event.channel); }
  void step_done(const StepDone& event) override { tell("step " + std::to_string(event.global_step)); }
  void evaluated(const Evaluated& event) override { tell("evaluated " + std::to_string(event.global_step)); }
  void traced(const Traced& event) override { tell("traced " + std::to_string(event.last_step)); }
  void checkpoint_saved(const CheckpointSaved& event) override { tell("saved " + std::to_string(event.global_step)); }
  void note(const Note& event) override { tell(event.text); }
  void run_ended(const RunEnded& event) override { tell("ended " + std::to_string(event.steps)); }
  void run_failed(const RunFailed& event) override { tell("failed: " + event.text); }

 private:
  void tell(const std::string& text) { told_.push_back(name_ + ": " + text); }

  std::string name_;
  std::vector<std::string>& told_;
};

TEST(EventSinks, TellAllOfThemEverythingInOrder) {
  std::vector<std::string> told;
  EventSinks sinks;
  sinks.add(std::make_unique<Diary>("a", told));
  sinks.add(std::make_unique<EventSink>());  // one that does not listen
  sinks.add(std::make_unique<Diary>("b", told));
  sinks.run_started({.program = "mlp"});
  sinks.images_shown({.channel = "train"});
  sinks.step_done({.global_step = 1});
  sinks.evaluated({.global_step = 1});
  sinks.traced({.last_step = 1});
  sinks.checkpoint_saved({.global_step = 1});
  sinks.note({.text = "hello"});
  sinks.run_ended({.steps = 1});
  sinks.run_failed({.text = "why"});
  EXPECT_EQ(told, (std::vector<std::string>{"a: started mlp", "b: started mlp", "a: images train", "b: images train",
                                            "a: step 1", "b: step 1", "a: evaluated 1", "b: evaluated 1", "a: traced 1",
                                            "b: traced 1", "a: saved 1", "b: saved 1", "a: hello", "b: hello",
                                            "a: ended 1", "b: ended 1", "a: failed: why", "b: failed: why"}));
}

}  // namespace
}  // namespace lockstep

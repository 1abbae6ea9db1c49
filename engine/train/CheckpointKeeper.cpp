#include "engine/train/CheckpointKeeper.h"

#include "common/Seconds.h"
#include "engine/collectives/Agreement.h"

namespace lockstep {

CheckpointKeeper::CheckpointKeeper(const Hyperparameters& hyperparameters, const CheckpointDirectory* directory,
                                   Communicator& host, EventSink& events)
    : every_(hyperparameters.checkpoint_every), host_(host), events_(events) {
  if (directory != nullptr) writer_.emplace(*directory, hyperparameters.checkpoint_keep);
}

bool CheckpointKeeper::clock_is_due() const {
  return enabled() && every_.seconds > 0 && host_.rank() == 0 && seconds_since(last_written_) >= every_.seconds;
}

void CheckpointKeeper::step_started(std::int64_t global_step) {
  due_ |= enabled() && every_.steps > 0 && global_step % every_.steps == 0;
}

void CheckpointKeeper::save(std::int64_t step, std::int64_t evaluated_step,
                            const std::function<std::optional<Snapshot>()>& take) {
  due_ = false;
  if (!enabled() || saved_ == std::pair(step, evaluated_step)) return;
  const auto start = Clock::now();
  const std::optional<Snapshot> snapshot = take();
  std::vector<std::string> not_pruned;
  require_all_ok(host_, [&] {
    if (snapshot) not_pruned = writer_->write(*snapshot);
  });
  saved_ = {step, evaluated_step};
  last_written_ = Clock::now();
  events_.checkpoint_saved({.global_step = step,
                            .path = writer_->directory().path_of(step),
                            .seconds = seconds_since(start),
                            .not_pruned = not_pruned == not_pruned_ ? std::vector<std::string>() : not_pruned});
  not_pruned_ = std::move(not_pruned);
}

}  // namespace lockstep

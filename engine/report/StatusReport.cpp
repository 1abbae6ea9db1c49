#include "engine/report/StatusReport.h"

#include <nlohmann/json.hpp>

#include "common/RankStatus.h"
#include "job/JsonNumber.h"

namespace lockstep {

void StatusReport::step_done(const StepDone& event) {
  const std::optional<Speed> speed = meter_.step_done(event);
  if (!speed) return;
  const nlohmann::json progress = {{"epoch", event.epoch},
                                   {"epochs", event.epochs},
                                   {"step", event.global_step},
                                   {"total_steps", event.total_steps},
                                   {"train_loss", json_number(event.loss)},
                                   {"samples_per_second", json_number(speed->samples_per_second)},
                                   {"data_wait_share", json_number(speed->data_wait_share)},
                                   {"seconds_left", json_number(speed->seconds_left)}};
  report_progress(file_, progress.dump());
}

void StatusReport::evaluated(const Evaluated& /*event*/) { meter_.evaluated(); }

void StatusReport::checkpoint_saved(const CheckpointSaved& event) { meter_.saved(event); }

}  // namespace lockstep

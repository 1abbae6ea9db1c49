#include "engine/data/RankSchedule.h"

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

RankSchedule::RankSchedule(Order order, BatchPlan plan, int rank, LoaderPosition start)
    : order_(order), plan_(plan), rank_(rank), next_step_(start) {
  if (start.step < 0 || start.step >= plan_.steps()) {
    throw InternalError(format("a loader cannot start at step %lld of an epoch of %lld steps",
                               static_cast<long long>(start.step), static_cast<long long>(plan_.steps())));
  }
}

RankSchedule::Task RankSchedule::next() {
  if (tasks_.empty()) {
    for (const Slice& slice : plan_.micro_batches(next_step_.step, rank_)) {
      tasks_.push_back({.slice = slice, .last_of_step = false, .position = next_step_});
    }
    if (tasks_.empty()) tasks_.push_back({.slice = {}, .last_of_step = true, .position = next_step_});
    tasks_.back().last_of_step = true;
    if (++next_step_.step == plan_.steps()) next_step_ = {next_step_.epoch + 1, 0};
  }
  const Task task = tasks_.front();
  tasks_.pop_front();
  return task;
}

std::vector<std::int64_t> RankSchedule::samples(const Task& task) const {
  return order_.samples(task.position.epoch, task.slice);
}

}  // namespace lockstep

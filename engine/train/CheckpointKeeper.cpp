#include "engine/train/CheckpointKeeper.h"

#include <algorithm>

#include "common/Error.h"
#include "common/Seconds.h"
#include "common/Text.h"
#include "engine/checkpoint/CheckpointSharing.h"
#include "engine/collectives/Agreement.h"

namespace lockstep {

namespace {

// What fails again and again is not tried, and not said, more often than this.
constexpr double kSecondsBetweenAttempts = 10;
constexpr double kSecondsBetweenFailures = 60;

std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

CheckpointKeeper::CheckpointKeeper(const Hyperparameters& hyperparameters, const CheckpointDirectory* directory,
                                   const RankContext& context, EventSink& events)
    : every_(hyperparameters.checkpoint_every),
      copies_(hyperparameters.checkpoint_copies && context.hosts > 1),
      context_(context),
      events_(events),
      writes_(context.leads()) {
  if (directory != nullptr) writer_.emplace(*directory, hyperparameters.checkpoint_keep);
}

void CheckpointKeeper::reserve(const Checkpoint& like) {
  if (!enabled() || !writes_ || every_.never()) return;
  if (!background_) background_ = std::make_unique<BackgroundSave>(*writer_, context_);
  background_->reserve(like);
}

void CheckpointKeeper::begin() {
  last_.begun = Clock::now();
  if (!enabled() || !copies_) return;
  writes_ = has_own_place(context_.host, writer_->directory(), context_.host_number);
  if (writes_) writer_->directory().remove_leftovers();
}

bool CheckpointKeeper::clock_is_due() const {
  if (!enabled() || !context_.leads()) return false;
  // One that is due while the one before is being written begins when that has ended.
  if (every_.seconds == 0 || (background_ && background_->busy())) return false;
  const double wait = last_.failure.empty() ? every_.seconds : std::max(every_.seconds, kSecondsBetweenAttempts);
  return seconds_since(last_.begun) >= wait;
}

void CheckpointKeeper::step_started(std::int64_t global_step) {
  due_ |= enabled() && every_.steps > 0 && global_step % every_.steps == 0;
  if (!background_) return;
  if (const auto written = background_->poll()) take_in(*written);
}

c10::Event* CheckpointKeeper::save(std::int64_t step, std::int64_t evaluated_step, Training training,
                                   const Take& take) {
  due_ = false;
  if (!enabled() || already_holds({step, evaluated_step}, training)) return nullptr;
  const auto start = Clock::now();
  await_the_one_before(step);
  if (copies_) tell_failures_of_copies();
  const Snapshot snapshot = take();
  saved_ = {step, evaluated_step};
  last_.begun = start;
  c10::Event* copied = nullptr;
  if (training == Training::kWaits) {
    write_now(snapshot);
  } else if (writes_) {
    reserve(snapshot.contents());
    copied = background_->begin(snapshot);
  }
  last_.stall = seconds_since(start);
  return copied;
}

void CheckpointKeeper::await_the_one_before(std::int64_t step) {
  if (!background_) return;
  if (const auto written = background_->poll()) take_in(*written);
  if (!background_->busy()) return;
  const auto start = Clock::now();
  finish();
  if (last_.wait_told || every_.steps == 0) return;
  last_.wait_told = true;
  events_.note({.text = "training waited " + format("%.2f s", seconds_since(start)) +
                        " before the checkpoint of step " + with_commas(step) +
                        ", for the one before to be written: checkpoint_every is shorter than that takes"});
}

// A collective when training waits: only those that write know whether they could.
bool CheckpointKeeper::already_holds(const State& state, Training training) {
  if (saved_ != state) return false;
  if (training == Training::kGoesOn) return true;
  finish();
  const std::vector<std::string> failures = context_.host.all_gather(last_.failure);
  return std::ranges::all_of(failures, [](const std::string& failure) { return failure.empty(); });
}

void CheckpointKeeper::finish() {
  if (!background_) return;
  if (const auto written = background_->finish()) take_in(*written);
}

void CheckpointKeeper::take_in(const WrittenCheckpoint& written) {
  if (written.failure) {
    const bool first = last_.failure.empty();
    last_.failure = "no checkpoint of step " + with_commas(written.step) + " was written: " + text_of(written.failure) +
                    "; training goes on, and those before it stay";
    if (first || seconds_since(last_.failure_told) >= kSecondsBetweenFailures) tell_failure();
    return;
  }
  last_.failure.clear();
  events_.checkpoint_saved(
      {.global_step = written.step,
       .path = writer_->directory().path_of(written.step),
       .seconds = written.seconds,
       .stall = last_.stall,
       .not_pruned = written.not_pruned == last_.not_pruned ? std::vector<std::string>() : written.not_pruned});
  last_.not_pruned = written.not_pruned;
}

// Of other ranks than rank 0 nobody hears: tell_failures_of_copies.
void CheckpointKeeper::tell_failure() {
  events_.note({.text = last_.failure, .warning = true});
  last_.failure_told = Clock::now();
}

// Each time: who writes a copy has nobody else to tell.
void CheckpointKeeper::tell_failures_of_copies() {
  const std::vector<std::string> failures = context_.host.all_gather(context_.leads() ? "" : last_.failure);
  for (std::size_t rank = 0; rank < failures.size(); ++rank) {
    if (failures[rank].empty()) continue;
    events_.note({.text = "rank " + std::to_string(rank) + ": " + failures[rank], .warning = true});
  }
}

void CheckpointKeeper::write_now(const Snapshot& snapshot) {
  const auto start = Clock::now();
  WrittenCheckpoint written;
  if (writes_) written = writer_->attempt(snapshot);
  std::int64_t kept = writes_ && !written.failure ? 1 : 0;
  context_.host.all_reduce(&kept, 1, DataType::kInt64, ReduceOp::kSum)->wait();
  last_.stall = seconds_since(start);
  unsaved_ = nullptr;
  try {
    require_all_ok(context_.host, [&] {
      if (written.failure) std::rethrow_exception(written.failure);
    });
  } catch (const CollectiveError& error) {
    if (kept == 0) unsaved_ = std::current_exception();
    if (kept > 0) events_.note({.text = error.what(), .warning = true});
  }
  if (writes_ && !written.failure) take_in(written);
}

void CheckpointKeeper::require_saved() const {
  if (unsaved_) std::rethrow_exception(unsaved_);
}

}  // namespace lockstep

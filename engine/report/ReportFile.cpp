#include "engine/report/ReportFile.h"

#include <algorithm>

#include "common/Error.h"
#include "common/ReplaceFile.h"
#include "engine/report/ReportPage.h"

namespace lockstep {

namespace {

constexpr int kLeastShare = 20;  // of the time that goes by, one part at most goes into pages
constexpr std::chrono::minutes kBetweenEvents(1);

}  // namespace

void ReportFile::run_started(const RunStarted& /*event*/) {
  run_.emplace(directory_);
  written_ = Clock::now();
}

void ReportFile::step_done(const StepDone& /*event*/) { renew(kBetweenEvents); }

void ReportFile::evaluated(const Evaluated& /*event*/) { renew({}); }

void ReportFile::checkpoint_saved(const CheckpointSaved& /*event*/) { renew({}); }

void ReportFile::run_ended(const RunEnded& /*event*/) { write(); }

void ReportFile::run_failed(const RunFailed& /*event*/) {
  try {
    write();
  } catch (const Error&) {  // what the run has come to says more than that it cannot be shown
  }
}

void ReportFile::renew(Clock::duration least_pause) {
  if (Clock::now() - written_ >= std::max(least_pause, kLeastShare * took_)) write();
}

void ReportFile::write() {
  if (!run_) return;
  const auto start = Clock::now();
  run_->read_on();
  replace_file(directory_ / kName, report_page({*run_}));
  written_ = Clock::now();
  took_ = written_ - start;
}

}  // namespace lockstep

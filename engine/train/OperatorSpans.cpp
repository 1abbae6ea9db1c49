#include "engine/train/OperatorSpans.h"

#include <atomic>
#include <memory>

namespace lockstep {

namespace {

// A callback is a function without state.
std::atomic<SpanLog*> log_of_operators = nullptr;

struct OperatorBegin : public at::ObserverContext {
  SpanLog::Clock::time_point when = SpanLog::Clock::now();
  double thread_seconds = thread_cpu_seconds();
};

std::unique_ptr<at::ObserverContext> begin_operator(const at::RecordFunction&) {
  return std::make_unique<OperatorBegin>();
}

void end_operator(const at::RecordFunction& function, at::ObserverContext* context) {
  SpanLog* const log = log_of_operators;
  if (log == nullptr) return;
  const auto& begin = *static_cast<OperatorBegin*>(context);
  log->add({.name = function.name(),
            .kind = SpanKind::kOperator,
            .begin = begin.when,
            .end = SpanLog::Clock::now(),
            .thread_seconds = thread_cpu_seconds() - begin.thread_seconds});
}

}  // namespace

OperatorSpans::OperatorSpans(SpanLog& log)
    : handle_(
          at::addThreadLocalCallback(at::RecordFunctionCallback(&begin_operator, &end_operator)
                                         .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}))) {
  log_of_operators = &log;
}

OperatorSpans::~OperatorSpans() {
  at::removeCallback(handle_);
  log_of_operators = nullptr;
}

}  // namespace lockstep

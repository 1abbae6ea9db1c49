// PyTorch's operators as spans.
#pragma once

#include <ATen/record_function.h>

#include "common/SpanLog.h"

namespace lockstep {

/// While it exists, each operator that the dispatcher calls for the thread that made it is a span of the log, and so is
/// each node of autograd's graph, on whichever thread backward runs it. One lies in another that called it. At most one
/// exists in a process.
class OperatorSpans {
 public:
  /// The log must outlive it.
  explicit OperatorSpans(SpanLog& log);
  OperatorSpans(const OperatorSpans&) = delete;
  OperatorSpans& operator=(const OperatorSpans&) = delete;
  /// To be called by the same thread.
  ~OperatorSpans();

 private:
  at::CallbackHandle handle_;
};

}  // namespace lockstep

// Traced steps as a file that Perfetto and chrome://tracing open.
#pragma once

#include <filesystem>

#include "engine/report/EventSink.h"

namespace lockstep {

/// `trace.json` in a directory, once the steps that trace_steps names are done. A process of it is a rank; its rows are
/// the steps, what the rank computes, what it communicates, what its loader reads, and its operators, with a row more
/// for what happens at once or within another. Times are microseconds since the first traced step began on rank 0.
///
/// Source: "Trace Event Format" of the Chromium project, complete events (X) and metadata (M).
///
/// `traced` throws SystemError when the file cannot be written.
class TraceFile : public EventSink {
 public:
  static constexpr const char* kName = "trace.json";

  explicit TraceFile(std::filesystem::path directory) : directory_(std::move(directory)) {}

  void traced(const Traced& event) override;

 private:
  std::filesystem::path directory_;
};

}  // namespace lockstep

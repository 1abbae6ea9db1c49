#include "engine/report/TraceFile.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/ReplaceFile.h"
#include "engine/report/HostNumbers.h"

namespace lockstep {

using nlohmann::json;

namespace {

constexpr double kMicroseconds = 1e6;
constexpr double kRounding = 1e-8;  // seconds: what ends a span begins the next
constexpr int kRowsOfAKind = 1000;  // numbers of rows: more than a loader has threads

const char* row_name(SpanKind kind) {
  switch (kind) {
    case SpanKind::kStep:
      return "steps";
    case SpanKind::kCompute:
      return "compute";
    case SpanKind::kCommunication:
      return "communication";
    case SpanKind::kOperator:
      return "operators";
    case SpanKind::kData:
      break;
  }
  return "data";
}

json metadata(const char* name, int rank, int row, const json& arguments) {
  return {{"ph", "M"}, {"name", name}, {"pid", rank}, {"tid", row}, {"args", arguments}};
}

/// The rows of one kind on one rank.
class TraceRows {
 public:
  /// The first row on which nothing goes on when the span begins. Spans come in the order of their beginnings.
  std::size_t row_for(const TracedSpan& span) {
    const auto free = std::ranges::find_if(ends_, [&](double end) { return end <= span.begin + kRounding; });
    const auto row = static_cast<std::size_t>(free - ends_.begin());
    if (free == ends_.end()) ends_.push_back(0);
    ends_[row] = span.begin + span.seconds;
    return row;
  }
  std::size_t count() const { return ends_.size(); }

 private:
  std::vector<double> ends_;
};

void add_rank(json& events, int rank, int host, const RankTrace& trace) {
  events.push_back(metadata("process_name", rank, 0,
                            {{"name", "rank " + std::to_string(rank) + " on host " + std::to_string(host)}}));
  events.push_back(metadata("process_sort_index", rank, 0, {{"sort_index", rank}}));
  std::vector<TracedSpan> spans = trace.spans;
  std::ranges::stable_sort(spans, {}, &TracedSpan::begin);
  std::array<TraceRows, 5> rows;
  for (const TracedSpan& span : spans) {
    const auto kind = static_cast<std::size_t>(span.kind);
    const auto row = static_cast<int>(kind * kRowsOfAKind + rows.at(kind).row_for(span));
    json event = {{"ph", "X"},
                  {"name", span.name},
                  {"cat", row_name(span.kind)},
                  {"pid", rank},
                  {"tid", row},
                  {"ts", span.begin * kMicroseconds},
                  {"dur", span.seconds * kMicroseconds}};
    if (span.thread_seconds > 0) event["tdur"] = span.thread_seconds * kMicroseconds;
    if (span.bytes > 0) event["args"] = {{"bytes", span.bytes}};
    events.push_back(std::move(event));
  }
  for (std::size_t kind = 0; kind < rows.size(); ++kind) {
    for (std::size_t i = 0; i < rows[kind].count(); ++i) {
      const auto row = static_cast<int>(kind * kRowsOfAKind + i);
      const std::string name = row_name(static_cast<SpanKind>(kind));
      events.push_back(
          metadata("thread_name", rank, row, {{"name", i == 0 ? name : name + " " + std::to_string(i + 1)}}));
      events.push_back(metadata("thread_sort_index", rank, row, {{"sort_index", row}}));
    }
  }
}

}  // namespace

void TraceFile::traced(const Traced& event) {
  json events = json::array();
  HostNumbers hosts;
  for (std::size_t rank = 0; rank < event.ranks.size(); ++rank) {
    add_rank(events, static_cast<int>(rank), hosts.of(event.ranks[rank].host), event.ranks[rank]);
  }
  const json trace = {{"displayTimeUnit", "ms"},
                      {"otherData", {{"first_step", event.first_step}, {"last_step", event.last_step}}},
                      {"traceEvents", std::move(events)}};
  replace_file(directory_ / kName, trace.dump() + "\n");
}

}  // namespace lockstep

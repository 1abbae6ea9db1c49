#include "engine/train/StepTrace.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

constexpr std::size_t kBarriers = 15;

double seconds_of(SpanLog::Clock::time_point when) {
  return std::chrono::duration<double>(when.time_since_epoch()).count();
}

}  // namespace

StepTrace::StepTrace(const Hyperparameters& hyperparameters, const RankContext& context)
    : steps_(hyperparameters.trace_steps), traces_operators_(hyperparameters.trace_operators), context_(context) {
  context_.communicator.record_in(&log_);
}

void StepTrace::starts(std::int64_t step) {
  if (step < steps_.first || step > steps_.last) return;
  if (!log_.on()) {
    compare_clocks();
    log_.start();
    if (traces_operators_) operators_.emplace(log_);
  }
  end_step();
  begun_ = Clock::now();
  step_ = step;
}

void StepTrace::end_step() {
  if (!begun_) return;
  log_.add({.name = "step " + std::to_string(step_), .kind = SpanKind::kStep, .begin = *begun_, .end = Clock::now()});
  begun_.reset();
}

std::optional<Traced> StepTrace::ended(std::int64_t step) {
  // On a GPU the next is under way by now.
  if (!context_.device.asynchronous() || step == steps_.last) end_step();
  if (!log_.on() || step != steps_.last) return std::nullopt;
  return gather();
}

void StepTrace::compare_clocks() {
  // By rank: its host, and when it left each barrier.
  std::array<double, 1 + kBarriers> own{static_cast<double>(context_.host_number)};
  for (std::size_t i = 1; i <= kBarriers; ++i) {
    context_.host.barrier();
    own[i] = seconds_of(Clock::now());
  }
  std::vector<double> all(own.size() * static_cast<std::size_t>(context_.host.size()));
  context_.host.all_gather(own.data(), all.data(), own.size(), DataType::kFloat64)->wait();
  origin_ = all[kBarriers];
  if (own[0] == all[0]) return;
  std::array<double, kBarriers> differences{};
  for (std::size_t i = 0; i < kBarriers; ++i) differences[i] = own[i + 1] - all[i + 1];
  std::ranges::nth_element(differences, differences.begin() + kBarriers / 2);
  offset_ = differences[kBarriers / 2];
}

Traced StepTrace::gather() {
  operators_.reset();
  json spans = json::array();
  for (const Span& span : log_.stop()) {
    const double begin = seconds_of(span.begin) - offset_ - origin_;
    spans.push_back({span.name, static_cast<int>(span.kind), begin,
                     std::chrono::duration<double>(span.end - span.begin).count(), span.bytes, span.thread_seconds});
  }
  Traced traced = {.first_step = steps_.first, .last_step = steps_.last};
  const std::vector<std::string> texts = context_.host.all_gather(
      json{{"host", context_.host_number}, {"spans", spans}, {"dropped", log_.dropped()}}.dump());
  if (!context_.leads()) return traced;
  for (const std::string& text : texts) {
    const json rank = parse_json(text, "what a rank has traced");
    traced.ranks.push_back({.host = rank.at("host").get<int>(), .dropped = rank.at("dropped").get<std::int64_t>()});
    for (const json& span : rank.at("spans")) {
      traced.ranks.back().spans.push_back({.name = span.at(0),
                                           .kind = static_cast<SpanKind>(span.at(1).get<int>()),
                                           .begin = span.at(2),
                                           .seconds = span.at(3),
                                           .bytes = span.at(4),
                                           .thread_seconds = span.at(5)});
    }
  }
  return traced;
}

}  // namespace lockstep

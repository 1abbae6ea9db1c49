#include "watch/RankState.h"

#include <algorithm>
#include <limits>

#include "common/Error.h"
#include "common/Text.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

double seconds_of(std::int64_t nanoseconds) {
  constexpr double kNanoseconds = 1e9;
  return static_cast<double>(std::max<std::int64_t>(nanoseconds, 0)) / kNanoseconds;
}

// The one in which it waits, else the last that it has called.
std::optional<LastCollective> last_of(const CollectiveTrack& track, std::int64_t now) {
  const std::uint64_t waiting_for = track.waiting_for.load(std::memory_order_acquire);
  const std::uint64_t sequence = waiting_for != 0 ? waiting_for : track.count.load(std::memory_order_acquire);
  if (sequence == 0) return std::nullopt;
  const CollectiveTrack::Place& place = track.places[sequence % CollectiveTrack::kKept];
  return LastCollective{.sequence = sequence,
                        .operation = static_cast<Collective>(place.operation.load()),
                        .count = place.count,
                        .type = static_cast<DataType>(place.type.load()),
                        .left = waiting_for == 0,
                        .seconds = seconds_of(now - track.changed.load())};
}

std::optional<LastCollective> last_of(const RankPage& page, std::int64_t now) {
  const auto host = last_of(page.host, now);
  const auto device = last_of(page.device, now);
  if (!host || !device) return host ? host : device;
  if (host->left != device->left) return host->left ? device : host;
  return host->seconds < device->seconds ? host : device;
}

template <typename Enumeration>
Enumeration enumerator(const json& value, Enumeration last) {
  return static_cast<Enumeration>(read_int(value, 0, static_cast<std::int64_t>(last)));
}

int int_of(const json& value) {
  return static_cast<int>(read_int(value, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
}

std::uint64_t count_of(const json& value) { return static_cast<std::uint64_t>(read_int(value, 0)); }

}  // namespace

std::string describe(const LastCollective& collective) {
  std::string text =
      "collective " + with_commas(static_cast<long long>(collective.sequence)) + " (" + name_of(collective.operation);
  if (collective.operation != Collective::kBarrier) {
    text += " of " + with_commas(static_cast<long long>(collective.count)) + " " + name_of(collective.type);
  }
  return text + ")";
}

double RankState::seconds_still() const {
  return collective ? std::min(phase_seconds, collective->seconds) : phase_seconds;
}

json RankState::to_json() const {
  json text = {{"rank", rank},
               {"host", host},
               {"pid", pid},
               {"process", static_cast<int>(process)},
               {"phase", static_cast<int>(phase)},
               {"phase_seconds", phase_seconds},
               {"usual_seconds", usual_seconds},
               {"step", step},
               {"steps", steps},
               {"busy_seconds", busy_seconds},
               {"last_step_seconds", last_step_seconds},
               {"failure", failure}};
  if (collective) {
    text["collective"] = {{"sequence", collective->sequence}, {"operation", static_cast<int>(collective->operation)},
                          {"count", collective->count},       {"type", static_cast<int>(collective->type)},
                          {"left", collective->left},         {"seconds", collective->seconds}};
  }
  return text;
}

std::optional<RankState> RankState::from_json(const json& text) {
  try {
    RankState state{.rank = int_of(text.at("rank")),
                    .host = text.at("host"),
                    .pid = int_of(text.at("pid")),
                    .process = enumerator(text.at("process"), ProcessState::kSilent),
                    .phase = enumerator(text.at("phase"), Phase::kDone),
                    .phase_seconds = text.at("phase_seconds"),
                    .usual_seconds = text.at("usual_seconds"),
                    .step = count_of(text.at("step")),
                    .steps = count_of(text.at("steps")),
                    .busy_seconds = text.at("busy_seconds"),
                    .last_step_seconds = text.at("last_step_seconds"),
                    .failure = text.at("failure")};
    if (const auto found = text.find("collective"); found != text.end()) {
      state.collective = {.sequence = count_of(found->at("sequence")),
                          .operation = enumerator(found->at("operation"), Collective::kBarrier),
                          .count = count_of(found->at("count")),
                          .type = enumerator(found->at("type"), DataType::kByte),
                          .left = found->at("left"),
                          .seconds = found->at("seconds")};
    }
    return state;
  } catch (const json::exception&) {
    return std::nullopt;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

RankState state_of(const RankPage& page, const std::string& host) {
  const std::int64_t now = monotonic_now();
  const std::uint32_t phase = std::min<std::uint32_t>(page.phase, kPhases - 1);
  const int pid = page.pid;
  return {.rank = page.rank,
          .host = host,
          .pid = pid,
          .process = pid == 0 ? ProcessState::kGone : process_state(pid),
          .phase = static_cast<Phase>(phase),
          .phase_seconds = seconds_of(now - page.phase_since.load(std::memory_order_acquire)),
          .usual_seconds = seconds_of(page.usual[phase]),
          .step = page.step,
          .steps = page.steps,
          .busy_seconds = seconds_of(page.busy),
          .last_step_seconds = seconds_of(page.last_step),
          .failure = page.collective_failed ? text_in(page.failure) : "",
          .collective = last_of(page, now)};
}

}  // namespace lockstep

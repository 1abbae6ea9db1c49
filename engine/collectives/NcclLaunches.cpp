#include "engine/collectives/NcclLaunches.h"

#include <algorithm>
#include <utility>

#include "common/Error.h"

namespace lockstep {

NcclLaunches::NcclLaunches(std::shared_ptr<const NcclApi> api, int rank) : api_(std::move(api)) {
  for (Launch& launch : launches_) launch.event = api_->make_event(rank);
}

std::uint64_t NcclLaunches::add(const NcclOperation& operation) {
  Launch& launch = at(next_);
  if (launch.operations++ == 0) launch.operation = operation;
  return next_;
}

void NcclLaunches::launched(cudaStream_t stream) {
  Launch& launch = at(next_);
  if (launch.operations == 0) return;
  launch.captured = api_->is_capturing(launch.operation, stream);
  api_->run(launch.operation, api_->event_record, launch.event.get(), stream);
  ++next_;
  at(next_).operations = 0;
}

void NcclLaunches::join(std::uint64_t launch, cudaStream_t stream) const {
  if (!is_launched(launch)) {
    throw InternalError(at(launch).operation.text() + " was waited for inside its group");
  }
  api_->run(at(launch).operation, api_->stream_wait_event, stream, at(launch).event.get(), 0U);
}

std::string NcclLaunches::under_way() const {
  const std::uint64_t oldest_known = next_ - std::min<std::uint64_t>(next_, kEvents - 1);
  for (std::uint64_t launch = std::max(done_, oldest_known); launch < next_; ++launch) {
    const Launch& oldest = at(launch);
    if (oldest.captured || api_->event_query.function(oldest.event.get()) == cudaSuccess) continue;
    api_->clear_error.function();  // "not ready" counts as an error
    std::string text = oldest.operation.what();
    if (oldest.operations > 1) text += " and " + std::to_string(oldest.operations - 1) + " more of its group";
    return text;
  }
  return "";
}

}  // namespace lockstep

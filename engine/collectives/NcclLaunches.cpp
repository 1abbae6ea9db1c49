#include "engine/collectives/NcclLaunches.h"

#include <algorithm>
#include <utility>

namespace lockstep {

NcclLaunches::NcclLaunches(std::shared_ptr<const NcclApi> api, int rank) : api_(std::move(api)) {
  for (Launch& launch : launches_) launch.event = api_->make_event(rank);
}

std::uint64_t NcclLaunches::launched(const NcclOperation& operation, cudaStream_t stream) {
  Launch& launch = at(next_);
  launch.operation = operation;
  launch.captured = api_->is_capturing(operation, stream);
  api_->run(operation, api_->event_record, launch.event.get(), stream);
  return next_++;
}

void NcclLaunches::join(std::uint64_t launch, cudaStream_t stream) const {
  api_->run(at(launch).operation, api_->stream_wait_event, stream, at(launch).event.get(), 0U);
}

std::string NcclLaunches::under_way() const {
  const std::uint64_t oldest_known = next_ - std::min<std::uint64_t>(next_, kEvents - 1);
  for (std::uint64_t launch = std::max(done_, oldest_known); launch < next_; ++launch) {
    const Launch& oldest = at(launch);
    if (oldest.captured || api_->event_query.function(oldest.event.get()) == cudaSuccess) continue;
    api_->clear_error.function();  // "not ready" counts as an error
    return oldest.operation.what();
  }
  return "";
}

}  // namespace lockstep

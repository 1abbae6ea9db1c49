// How ranks find out that they cannot go on together.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/collectives/Communicator.h"

namespace lockstep {

/// Compares named items over all ranks (digests, versions, settings). Throws CollectiveError on every rank,
/// naming the first item that differs, two ranks and their values. A collective.
void require_agreement(Communicator& communicator, const std::vector<std::pair<std::string, std::string>>& items);

/// Runs `phase`, a part of the job without collectives, on every rank and waits for all. When it threw on any
/// rank, throws CollectiveError on every rank with the lowest such rank's text and exit code; the rank is
/// named unless all say the same. A collective.
void require_all_ok(Communicator& communicator, const std::function<void()>& phase);

}  // namespace lockstep

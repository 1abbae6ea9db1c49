// The hyperparameter skip_bad_records.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/data/Dataset.h"
#include "engine/train/RankContext.h"

namespace lockstep {

/// What a rank needs to look for a channel's records that cannot be read.
struct BadRecordSearch {
  std::string channel;
  std::int64_t most = 0;  ///< that may be left out, of all hosts together
  int threads = 1;
  bool sharded = false;  ///< each host has samples of its own
};

/// `own`, this rank's data set of the channel or null, without the samples that cannot be read (KeptSamples). Ranks
/// with the same samples read each of them once, together. Throws CollectiveError when more cannot be read than may be
/// left out, and when nothing is left. A collective.
std::shared_ptr<const Dataset> skip_bad_records(std::shared_ptr<const Dataset> own, const BadRecordSearch& search,
                                                const RankContext& context);

}  // namespace lockstep

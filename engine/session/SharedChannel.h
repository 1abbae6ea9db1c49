// A channel as all ranks together have it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/data/Formats.h"
#include "engine/train/RankContext.h"

namespace lockstep {

/// How a rank opens a channel.
struct ChannelOpening {
  std::string name;
  std::string host;      ///< this host's name, for messages
  bool sharded = false;  ///< each host has files of its own
  /// Fields as `like` has them, where it is not null. Without a data set when a sharded channel has no files here.
  std::function<OpenedChannel(const SampleSpec* like)> open;
  const SampleSpec* like = nullptr;
  std::int64_t most_bad = 0;  ///< records that may be left out because they cannot be read
  int threads = 1;            ///< that look for them
};

/// Opens the channel on all ranks. A channel that is not sharded must have the same samples everywhere. Of one that is,
/// hosts have samples of their own, as many as they like or none, with fields in common (common_fields): a HostShard,
/// unless there is one host. Records that cannot be read are left out where they may be (skip_bad_records). Where
/// hosts' texts or types differ, files are opened again as all together have them. Throws CollectiveError, naming the
/// channel and hosts, when they do not fit. A collective.
OpenedChannel share_channel(const ChannelOpening& opening, const RankContext& context);

}  // namespace lockstep

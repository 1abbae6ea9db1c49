// What the hyperparameters `fields` and `validation_share` make of a job's channels.
#pragma once

#include "engine/session/JobData.h"

namespace lockstep {

/// With a `validation_share`, parts the training channel in two, the second of which is evaluated. Throws
/// CollectiveError where there is a channel named validation, or where a part would be empty. A collective.
void hold_back(Channels& channels, JobData& data, const Hyperparameters& hyperparameters, const RankContext& context);

/// Makes the described fields of all channels (FieldsDataset), and writes into `data` what was computed for them. What
/// has to be computed, all ranks compute together, over the samples that are trained on, each once: the result is
/// exact, and the same for any number of ranks and hosts. Throws CollectiveError, naming the channel, when a channel
/// does not fit. A collective.
void describe_fields(Channels& channels, JobData& data, const Hyperparameters& hyperparameters,
                     const RankContext& context);

}  // namespace lockstep

// What the hyperparameters `fields` and `validation_share` make of a job's channels.
#pragma once

#include "engine/session/JobData.h"

namespace lockstep {

/// With a `validation_share`, parts the training channel in two, the second of which is evaluated. Throws
/// CollectiveError where there is a channel named validation, or where a part would be empty. A collective.
void hold_back(Channels& channels, JobData& data, const Hyperparameters& hyperparameters, const RankContext& context);

/// Makes the described fields of all channels (FieldsDataset), and writes into `data` what was computed for them. What
/// has to be computed, all ranks compute together, over the samples that are trained on, each once; which integers a
/// column has, over those that are held back, too. The result is exact, and the same for any number of ranks; also of
/// hosts, but for a sharded channel with a `validation_share`, of which a sample's place on its host says whether it is
/// trained on. Throws CollectiveError, naming the channel, when a channel does not fit, or a sample of it, unless those
/// are too many to be looked at. A collective.
void describe_fields(Channels& channels, JobData& data, const Hyperparameters& hyperparameters,
                     const RankContext& context);

}  // namespace lockstep

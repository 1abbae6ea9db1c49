// The loss of language models.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/objective/Loss.h"

namespace lockstep {

/// `cross_entropy` of each token of a sequence, by what the program returned at the token before: outputs
/// [batch, length, classes] and the sequence itself, [batch, length], as targets. The first token is no target; a
/// sample has length - 1 positions. Tokens that are ignored do not count as targets. A weight of each position [batch,
/// length] is that of its token as a target.
///
/// `cross_entropy`: as make_cross_entropy makes it, with this `ignore_index`.
std::shared_ptr<const Loss> make_next_token(std::shared_ptr<const Loss> cross_entropy, std::int64_t ignore_index);

}  // namespace lockstep

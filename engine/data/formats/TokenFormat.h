// Text as the numbers of its tokens.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Files of llm.c's and indices of Megatron-LM's, known by their first bytes, and other files whose names end with .bin
/// (TokenFile.h): those of Megatron-LM's, and tokens alone as nanoGPT has them. They are cut into windows as long as
/// ChannelOptions::window says (TokenDataset.h), in the order of the files' names. `open` throws InputError when it
/// says nothing, and for an index without its tokens.
Format token_format();

}  // namespace lockstep

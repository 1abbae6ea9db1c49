// Where a rank is among the others.
#pragma once

namespace lockstep {

/// As a rank alone has it, unless said otherwise.
struct RankPlace {
  int hosts = 1;  ///< on which the ranks are
  int ranks_on_host = 1;
  int rank_on_host = 0;        ///< 0 … ranks_on_host - 1: in the order of ranks
  int first_rank_on_host = 0;  ///< tells hosts apart, whatever they are called
};

}  // namespace lockstep

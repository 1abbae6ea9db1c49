// Which activations are computed again in backward in place of being kept for it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/program/Graph.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// What of a program's forward pass runs again. Of the activations that a stretch of consecutive nodes makes, those
/// that run again are not kept for backward; when backward comes to the stretch they are computed once more, from what
/// is kept: the program's state and inputs, what other nodes have made, and what comes from the stretches before.
///
/// Memory is that of the graph's example, one sample of it, and an estimate: of what autograd saves,
/// OperatorTraits::saves is all that is known.
struct RecomputationPlan {
  struct Stretch {
    std::size_t begin = 0;  ///< the first node
    std::size_t end = 0;    ///< behind the last
  };

  std::vector<Stretch> stretches;  ///< in ascending order; none overlap. Backward needs nothing twice behind the last
  std::vector<bool> again;         ///< by node; false for all outside of stretches
  double bytes = 0;                ///< of all activations of a sample
  double bytes_held = 0;           ///< at most, when backward is in the costliest stretch

  bool empty() const { return stretches.empty(); }
  std::size_t nodes_again() const;
};

/// A plan that computes what the graph computes, bit for bit. `random`: whether operators that draw may run again, for
/// PyTorch's generator can be set back. A node runs again when its operator's row says that it
/// gives the same (OperatorTraits::again; kAuto: cheaply), and when what it reads is then as it was: no node writes
/// into it but those that run again with it. Running statistics and counters are written once.
///
/// kAuto keeps all that takes long to compute. The program is cut where few bytes cross, into the stretches for which
/// the peak, what is kept so far and what a stretch makes, is least (as Chen et al. 2016 for chains). Without a plan
/// that lowers it by a twentieth the plan is empty.
RecomputationPlan plan_recomputation(const Graph& graph, Recompute mode, bool random = true);

/// "141 of 175 operators run again in backward, in 9 parts of the program: of 97.0 MiB of activations for each sample,
/// about 21.3 are held at once"; for an empty plan why it is.
std::string describe(const RecomputationPlan& plan, const Graph& graph);

}  // namespace lockstep

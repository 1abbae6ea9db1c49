// How long a step takes on more ranks than it was measured on. Values; nothing is started.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// A way between ranks: a message of so many bytes takes latency + bytes / bandwidth.
struct Link {
  double latency = 0;    ///< seconds
  double bandwidth = 0;  ///< bytes a second: within a host the bus bandwidth of a ring, between hosts that of one host
};

/// Where ranks are.
struct RankGrid {
  int hosts = 1;
  int ranks_per_host = 1;
  Link within{};   ///< a host
  Link between{};  ///< hosts

  int ranks() const { return hosts * ranks_per_host; }
};

enum class Reduction { kRing, kTree, kHierarchical };
const char* name_of(Reduction reduction);

/// Seconds of an all-reduce of so many bytes on each rank.
///
/// Ring: one through all ranks, 2 (n - 1) steps of bytes / n, of which 2 (hosts - 1) go between hosts. Tree: two
/// complementary binary trees over hosts, chains within, pipelined: all bytes up and down once. Hierarchical:
/// reduce-scatter within each host, a ring over the hosts for each shard, all-gather within.
///
/// Source: Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", 2005, for
/// latency and bandwidth terms; NCCL, src/graph/tuning.cc, for how many of a ring's and of a tree's steps leave a host.
double all_reduce_seconds(Reduction reduction, double bytes, const RankGrid& grid);

/// What one rank does in a step when nobody else is there.
struct MeasuredStep {
  double forward = 0;  ///< seconds
  double backward = 0;
  double rest = 0;            ///< the optimizer, and waiting for data
  double samples = 0;         ///< of the rank
  double gradient_bytes = 0;  ///< that are reduced
  double bucket_bytes = 0;    ///< at once

  double seconds() const { return forward + backward + rest; }
};

/// A step of all ranks.
struct PredictedStep {
  Reduction reduction = Reduction::kRing;
  double communication = 0;  ///< seconds of all buckets
  double exposed = 0;        ///< of these, after the end of backward
  double seconds = 0;
  double samples_per_second = 0;  ///< of all ranks
  double efficiency = 1;          ///< of each rank, beside being alone
};

/// Each rank has as many samples as the measured one. Gradients come evenly over backward; a bucket is reduced when it
/// is full and all before it are done; what is left of that at the end of backward is exposed. `reduction`: nothing
/// takes the fastest.
PredictedStep predict_step(const MeasuredStep& step, const RankGrid& grid, std::optional<Reduction> reduction = {});

}  // namespace lockstep

#include "launch/Prediction.h"

#include <algorithm>
#include <cmath>

#include "common/Error.h"

namespace lockstep {

namespace {

double ring_seconds(double bytes, const RankGrid& grid) {
  const double ranks = grid.ranks();
  const double steps = 2 * (ranks - 1);
  const double leaving = 2.0 * (grid.hosts - 1);
  double bandwidth = grid.hosts > 1 ? grid.between.bandwidth : grid.within.bandwidth;
  if (grid.hosts > 1 && grid.ranks_per_host > 1) bandwidth = std::min(bandwidth, grid.within.bandwidth);
  return (steps - leaving) * grid.within.latency + leaving * grid.between.latency + steps / ranks * bytes / bandwidth;
}

double tree_seconds(double bytes, const RankGrid& grid) {
  const double deep = std::ceil(std::log2(grid.hosts));
  double bandwidth = grid.hosts > 1 ? grid.between.bandwidth : grid.within.bandwidth;
  if (grid.ranks_per_host > 1) bandwidth = std::min(bandwidth, grid.within.bandwidth);
  return 2 * ((grid.ranks_per_host - 1) * grid.within.latency + deep * grid.between.latency) + 2 * bytes / bandwidth;
}

double hierarchical_seconds(double bytes, const RankGrid& grid) {
  RankGrid host = grid;
  host.hosts = 1;
  const double within = grid.ranks_per_host > 1 ? ring_seconds(bytes, host) : 0;
  const double hosts = grid.hosts;
  return within + 2 * (hosts - 1) * grid.between.latency + 2 * (hosts - 1) / hosts * bytes / grid.between.bandwidth;
}

}  // namespace

const char* name_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::kRing:
      return "ring";
    case Reduction::kTree:
      return "tree";
    case Reduction::kHierarchical:
      return "hierarchical";
  }
  throw InternalError("a reduction without a name");
}

double all_reduce_seconds(Reduction reduction, double bytes, const RankGrid& grid) {
  if (grid.ranks() == 1) return 0;
  switch (reduction) {
    case Reduction::kRing:
      return ring_seconds(bytes, grid);
    case Reduction::kTree:
      return tree_seconds(bytes, grid);
    case Reduction::kHierarchical:
      break;
  }
  return grid.hosts > 1 ? hierarchical_seconds(bytes, grid) : ring_seconds(bytes, grid);
}

PredictedStep predict_step(const MeasuredStep& step, const RankGrid& grid, std::optional<Reduction> reduction) {
  const double buckets = std::max(1.0, std::ceil(step.gradient_bytes / step.bucket_bytes));
  const double bytes = step.gradient_bytes / buckets;
  PredictedStep predicted;
  if (!reduction) {
    reduction = Reduction::kRing;
    for (const Reduction other : {Reduction::kTree, Reduction::kHierarchical}) {
      if (all_reduce_seconds(other, bytes, grid) < all_reduce_seconds(*reduction, bytes, grid)) reduction = other;
    }
  }
  predicted.reduction = *reduction;
  const double each = all_reduce_seconds(*reduction, bytes, grid);
  predicted.communication = buckets * each;
  double done = 0;  // since backward began
  for (double bucket = 1; bucket <= buckets; ++bucket) done = std::max(done, bucket / buckets * step.backward) + each;
  predicted.exposed = grid.ranks() > 1 ? done - step.backward : 0;
  predicted.seconds = step.seconds() + predicted.exposed;
  predicted.samples_per_second = step.samples * grid.ranks() / predicted.seconds;
  predicted.efficiency = step.seconds() / predicted.seconds;
  return predicted;
}

}  // namespace lockstep

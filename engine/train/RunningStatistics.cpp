#include "engine/train/RunningStatistics.h"

#include <ATen/Functions.h>

namespace lockstep {

void average_running_statistics(Program& program, std::int64_t samples, Communicator& communicator,
                                Communicator& host) {
  if (communicator.size() == 1) return;
  std::int64_t total = samples;
  host.all_reduce(&total, 1, DataType::kInt64, ReduceOp::kSum)->wait();
  if (total == 0) return;
  const double weight = static_cast<double>(samples) / static_cast<double>(total);
  for (const StateTensor& statistic : program.running_statistics()) {
    at::Tensor sum = statistic.tensor.to(at::kDouble).mul(weight).contiguous();
    communicator
        .all_reduce(sum.mutable_data_ptr(), static_cast<std::size_t>(sum.numel()), DataType::kFloat64, ReduceOp::kSum)
        ->wait();
    statistic.tensor.copy_(sum);
  }
  for (const StateTensor& entry : program.state()) {
    if (entry.kind != InputKind::kBuffer || entry.tensor.scalar_type() != at::kLong || !entry.tensor.is_contiguous())
      continue;
    communicator
        .all_reduce(entry.tensor.mutable_data_ptr(), static_cast<std::size_t>(entry.tensor.numel()), DataType::kInt64,
                    ReduceOp::kMax)
        ->wait();
  }
}

}  // namespace lockstep

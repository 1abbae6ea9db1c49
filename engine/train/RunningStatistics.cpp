#include "engine/train/RunningStatistics.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <iterator>
#include <numeric>

namespace lockstep {

namespace {

std::vector<StateTensor> counters(const Program& program) {
  std::vector<StateTensor> found;
  for (const StateTensor& entry : program.state()) {
    if (entry.kind == InputKind::kBuffer && entry.tensor.scalar_type() == at::kLong && entry.tensor.is_contiguous()) {
      found.push_back(entry);
    }
  }
  return found;
}

}  // namespace

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
  for (const StateTensor& counter : counters(program)) {
    communicator
        .all_reduce(counter.tensor.mutable_data_ptr(), static_cast<std::size_t>(counter.tensor.numel()),
                    DataType::kInt64, ReduceOp::kMax)
        ->wait();
  }
}

std::vector<StateTensor> statistics_of_rank(const Program& program) {
  std::vector<StateTensor> entries = program.running_statistics();
  std::ranges::copy(counters(program), std::back_inserter(entries));
  return entries;
}

NamedTensors gather_running_statistics(const Program& program, Communicator& host) {
  NamedTensors rows;
  for (const StateTensor& entry : statistics_of_rank(program)) {
    const at::Tensor mine = entry.tensor.cpu().contiguous();
    std::vector<std::int64_t> sizes = mine.sizes().vec();
    sizes.insert(sizes.begin(), host.size());
    const at::Tensor all = at::empty(sizes, mine.options());
    host.all_gather(mine.const_data_ptr(), all.mutable_data_ptr(), mine.nbytes(), DataType::kByte)->wait();
    rows[entry.name] = all;
  }
  return rows;
}

NamedTensors averaged(const NamedTensors& rows, const std::vector<std::int64_t>& samples) {
  const auto total = static_cast<double>(std::accumulate(samples.begin(), samples.end(), std::int64_t{0}));
  NamedTensors averages;
  for (const auto& [name, all] : rows) {
    if (!all.is_floating_point()) {
      averages[name] = all.amax(0);
      continue;
    }
    if (total == 0) {
      averages[name] = all[0];  // they are all alike
      continue;
    }
    at::Tensor sum = at::zeros_like(all[0], at::kDouble);
    for (std::size_t rank = 0; rank < samples.size(); ++rank) {
      sum.add_(all[static_cast<std::int64_t>(rank)].to(at::kDouble), static_cast<double>(samples[rank]) / total);
    }
    averages[name] = sum.to(all.scalar_type());
  }
  return averages;
}

}  // namespace lockstep

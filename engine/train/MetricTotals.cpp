#include "engine/train/MetricTotals.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "engine/device/DeviceArray.h"

namespace lockstep {

namespace {

// Rows are joined so many batches at a time: joining copies them.
constexpr std::size_t kMostParts = 32;

/// What a rank has of a metric: sizes of its counts; none where it has not measured it.
struct Sizes {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t numbers() const { return rows * columns; }
};

/// The sizes of all metrics on all ranks.
class SizesOfRanks {
 public:
  /// A collective.
  SizesOfRanks(const std::vector<at::Tensor>& own, bool stopped, Communicator& host)
      : metrics_(own.size()), all_((2 * metrics_ + 1) * static_cast<std::size_t>(host.size())) {
    std::vector<std::int64_t> mine = {stopped ? 1 : 0};
    for (const at::Tensor& counts : own) {
      mine.push_back(counts.defined() ? counts.size(0) : 0);
      mine.push_back(counts.defined() ? counts.size(1) : 0);
    }
    host.all_gather(mine.data(), all_.data(), mine.size(), DataType::kInt64)->wait();
  }

  std::size_t ranks() const { return all_.size() / (2 * metrics_ + 1); }
  Sizes of(std::size_t rank, std::size_t metric) const {
    const std::size_t at = rank * (2 * metrics_ + 1) + 1 + 2 * metric;
    return {.rows = all_[at], .columns = all_[at + 1]};
  }
  bool stopped() const {
    for (std::size_t rank = 0; rank < ranks(); ++rank) {
      if (all_[rank * (2 * metrics_ + 1)] > 0) return true;
    }
    return false;
  }
  /// That the rank with the most of them has, of all metrics.
  std::int64_t most_numbers() const {
    std::int64_t most = 0;
    for (std::size_t rank = 0; rank < ranks(); ++rank) {
      std::int64_t numbers = 0;
      for (std::size_t metric = 0; metric < metrics_; ++metric) numbers += of(rank, metric).numbers();
      most = std::max(most, numbers);
    }
    return most;
  }

 private:
  std::size_t metrics_;
  std::vector<std::int64_t> all_;  ///< by rank: whether it was stopped, then rows and columns by metric
};

// On the host, one after another.
std::vector<double> numbers_of(const at::Tensor& weight, const std::vector<at::Tensor>& counts,
                               Communicator& communicator) {
  std::vector<at::Tensor> flat = {weight.view({1})};
  for (const at::Tensor& of_metric : counts) {
    if (of_metric.defined()) flat.push_back(of_metric.flatten());
  }
  const Readback<double> read(at::cat(flat).view(at::kByte));
  communicator.await([&] { return read.arrived(); });
  return read.wait();
}

}  // namespace

MetricTotals::MetricTotals(const Objective& objective, const c10::Device& device)
    : objective_(objective),
      weight_(at::zeros({}, at::TensorOptions(at::kDouble).device(device))),
      parts_(objective.metrics().size()) {}

void MetricTotals::add(const MeasuredBatch& batch, std::int64_t samples) {
  if (batch.loss().weight.defined()) {
    weight_.add_(batch.loss().weight.to(at::kDouble));
  } else {
    weight_.add_(static_cast<double>(samples) * static_cast<double>(batch.positions()));
  }
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Metric& metric = *objective_.metrics()[i].metric;
    if (!objective_.unfit(metric, batch).empty()) continue;
    parts_[i].push_back(metric.counts(batch));
    if (parts_[i].size() == (metric.keeps_rows() ? kMostParts : 2)) parts_[i] = {merged(i)};
  }
}

at::Tensor MetricTotals::merged(std::size_t metric) const {
  const Parts& parts = parts_[metric];
  if (parts.size() < 2) return parts.empty() ? at::Tensor() : parts.front();
  return objective_.metrics()[metric].metric->merged(parts);
}

std::optional<Evaluation> MetricTotals::evaluation(bool stopped, Communicator& communicator, Communicator& host) const {
  std::vector<at::Tensor> own;
  for (std::size_t i = 0; i < parts_.size(); ++i) own.push_back(merged(i));
  std::vector<double> numbers = numbers_of(weight_, own, communicator);
  const SizesOfRanks sizes(own, stopped, host);
  if (sizes.stopped()) return std::nullopt;
  numbers.resize(1 + static_cast<std::size_t>(sizes.most_numbers()));
  std::vector<double> all(numbers.size() * sizes.ranks());
  host.all_gather(numbers.data(), all.data(), numbers.size(), DataType::kFloat64)->wait();

  double weight = 0;
  std::vector<double*> next;
  for (std::size_t rank = 0; rank < sizes.ranks(); ++rank) {
    next.push_back(all.data() + rank * numbers.size());
    weight += *next.back()++;
  }
  Evaluation::Values values;
  Evaluation::Tables tables;
  Evaluation::Notes notes;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Objective::ChosenMetric& chosen = objective_.metrics()[i];
    std::vector<at::Tensor> counts;
    for (std::size_t rank = 0; rank < sizes.ranks(); ++rank) {
      const Sizes of_rank = sizes.of(rank, i);
      if (of_rank.rows == 0) continue;
      counts.push_back(at::from_blob(next[rank], {of_rank.rows, of_rank.columns}, at::TensorOptions(at::kDouble)));
      next[rank] += of_rank.numbers();
    }
    if (counts.empty()) continue;
    Measurement found =
        chosen.metric->result((counts.size() == 1 ? counts[0] : chosen.metric->merged(counts)).contiguous(), weight);
    if (!found.note.empty()) notes.emplace_back(chosen.name, found.note);
    if (chosen.metric->table()) {
      tables.emplace_back(chosen.name, std::move(found.table));
    } else {
      values.emplace_back(chosen.name, std::isnan(found.value) ? Measurement().value : found.value);  // of no sign
    }
  }
  return Evaluation(std::move(values), /*weightless=*/!(weight > 0), std::move(tables), std::move(notes));
}

}  // namespace lockstep

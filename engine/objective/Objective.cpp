#include "engine/objective/Objective.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/objective/metrics/TopAccuracy.h"
#include "job/HyperparameterTable.h"

namespace lockstep {

namespace {

// An option that is not the loss's own would do nothing.
void require_read(const LossKind& loss, const Hyperparameters& options) {
  const Hyperparameters defaults;
  for (const HyperparameterRow& row : hyperparameter_table()) {
    if (!row.of_losses || std::ranges::count(loss.reads, row.name) > 0 || row.get(options) == row.get(defaults))
      continue;
    throw InputError("hyperparameter " + row.name + " does nothing in this job: loss=" + loss.name +
                     " does not use it; leave it out");
  }
}

// Of `top3`: 3. Nothing for a name that is no such metric.
std::optional<std::int64_t> best_of(const std::string& name) {
  const std::string digits = name.starts_with("top") ? name.substr(3) : "";
  const bool number = !digits.empty() && digits.size() <= 9 && digits[0] != '0' &&
                      std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  return number ? std::optional<std::int64_t>(std::stoll(digits)) : std::nullopt;
}

// A row of the registry, or one of any number of best classes.
MetricKind metric_kind(const MetricRegistry& metrics, const std::string& name, const std::string& hyperparameter) {
  const auto best = best_of(name);
  if (!best || std::ranges::count(metrics.names(), name) > 0) return metrics.find(name, hyperparameter);
  return {.name = name, .more_is_better = true, .metric = make_top_accuracy(*best)};
}

}  // namespace

void Objective::see(const std::vector<std::string>& outputs) {
  seen_ = see_outputs(outputs, output_, /*own_loss=*/loss_->of_program());
}

Objective::Seen Objective::seen_of(const std::vector<at::Tensor>& outputs, const at::Tensor& targets,
                                   const at::Tensor& sample_weights, std::int64_t samples) const {
  const at::Tensor& output = outputs.at(seen_.output);
  if (!loss_->of_program()) return {.output = output, .targets = targets, .weights = sample_weights};
  if (!seen_.named && output.dim() != 0) {
    throw InputError("loss=program takes the program's first output for its loss, one number, and it has the sizes " +
                     sizes_text(output) +
                     ": return a dictionary with the key loss, or say with output=NAME which it is");
  }
  if (seen_.weight) return {.output = output, .weights = outputs.at(*seen_.weight)};
  if (output.dim() > 0 && output.size(0) != samples) {
    throw InputError(
        "loss=program takes one number, or one or several for each sample [batch, …]; the program returned " +
        sizes_text(output) + " for " + std::to_string(samples) +
        " samples: return their mean, or their weight, too, as weight");
  }
  // A mean over the samples stands for each of them.
  return {.output = output.dim() == 0 ? output.expand({samples}) : output};
}

Objective::BatchLoss Objective::loss_of(const std::vector<at::Tensor>& outputs, const at::Tensor& targets,
                                        const at::Tensor& sample_weights, std::int64_t samples) const {
  if (auto terms = loss_->terms_of_all(outputs, targets, sample_weights, samples)) {
    return {.terms = std::move(*terms), .weight_of_sample = weight_of_position_};
  }
  const Seen seen = seen_of(outputs, targets, sample_weights, samples);
  return {.terms = loss_->terms(seen.output, seen.targets, seen.weights),
          .weight_of_sample = loss_->expected_weight(1, seen.output) * weight_of_position_};
}

MeasuredBatch Objective::measure(const std::vector<at::Tensor>& outputs, const at::Tensor& targets,
                                 const at::Tensor& sample_weights, std::int64_t samples) const {
  if (auto terms = loss_->terms_of_all(outputs, targets, sample_weights, samples)) {
    return {std::move(*terms), outputs.at(seen_.output)};
  }
  const Seen seen = seen_of(outputs, targets, sample_weights, samples);
  return {*loss_, seen.output, seen.targets, seen.weights};
}

void Objective::expect_weight(double of_position) {
  weight_of_position_ =
      of_position > 0 && std::isfinite(of_position) ? std::exp2(std::round(std::log2(of_position))) : 1;
}

std::string Objective::unfit(const Metric& metric, const MeasuredBatch& batch) const {
  if (metric.takes_targets() && loss_->of_program()) return "needs targets, and with loss=program there are none";
  if (metric.takes_targets() && !batch.targets().defined()) return "needs one output that is compared with targets";
  return metric.unfit(batch);
}

void Objective::require_measurable(const MeasuredBatch& batch, std::int64_t samples) const {
  for (const ChosenMetric& chosen : metrics_) {
    if (chosen.asked_by.empty()) continue;
    const std::string reason = unfit(*chosen.metric, batch);
    if (!reason.empty()) throw InputError(chosen.asked_by + "=" + chosen.name + " " + reason);
    if (!chosen.metric->keeps_rows()) continue;
    const std::int64_t measured = batch.targets().dim() == 0 ? 1 : batch.targets().size(0);
    const std::int64_t each = chosen.metric->counts(batch).numel() / measured;
    if (samples > kMostRowNumbers / each) {
      throw InputError(chosen.asked_by + "=" + chosen.name + " keeps " + with_commas(each) +
                       " numbers of each sample, " + "and at most " + with_commas(kMostRowNumbers) +
                       " of all of them; there are " + with_commas(samples) + " samples");
    }
  }
}

std::string Objective::doubt(const Monitor& monitor) const {
  const auto chosen = std::ranges::find(metrics_, monitor.metric, &ChosenMetric::name);
  if (chosen == metrics_.end() || chosen->more_is_better == monitor.maximize) return "";
  return std::string("monitor=") + monitor.metric + (monitor.maximize ? ":max" : ":min") +
         " looks for the worst state: " + (chosen->more_is_better ? "more" : "less") + " of it is better";
}

Objective make_objective(const Hyperparameters& options, const c10::Device& device, const LossRegistry& losses,
                         const MetricRegistry& metrics) {
  std::vector<Objective::ChosenMetric> chosen;
  for (const std::string& name : metrics.names()) {
    const MetricKind& kind = metrics.find(name, "metrics");
    if (kind.by_default) chosen.push_back({.name = name, .metric = kind.metric, .more_is_better = kind.more_is_better});
  }
  const auto ask = [&](const std::string& name, const std::string& hyperparameter) {
    const MetricKind kind = metric_kind(metrics, name, hyperparameter);
    auto found = std::ranges::find(chosen, name, &Objective::ChosenMetric::name);
    if (found == chosen.end())
      found = chosen.insert(chosen.end(), {.name = name, .metric = kind.metric, .more_is_better = kind.more_is_better});
    found->asked_by = hyperparameter;
  };
  for (const std::string& name : options.metrics) ask(name, "metrics");
  ask(options.monitor.metric, "monitor");
  if (metric_kind(metrics, options.monitor.metric, "monitor").metric->table()) {
    throw InputError("monitor=" + options.monitor.metric + " is no number but a table; name a metric that is one");
  }
  const LossKind& loss = losses.find(options.loss, "loss");
  require_read(loss, options);
  return {loss.make(options, device), std::move(chosen), options.output};
}

}  // namespace lockstep

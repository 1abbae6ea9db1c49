#include "engine/report/RunRows.h"

#include <cmath>
#include <string>

#include "common/Text.h"
#include "common/Version.h"

namespace lockstep {

namespace {

constexpr double kTera = 1e12;
constexpr std::size_t kMostShown = 20;  // numbers of a table's row: larger ones are in metrics.jsonl

double in_mib(std::int64_t bytes) { return static_cast<double>(bytes) / (1024 * 1024); }

std::string text_of(const MemoryUse& use) {
  std::string text;
  for (const MemoryRow& row : rows_of(use)) {
    text += (text.empty() ? "" : ", ") + row.what + format(" %.1f MiB", in_mib(row.bytes)) + row.share();
  }
  text += " on each rank; activations come on top";
  if (use.checkpoint > 0) text += format("; %.1f MiB of the host on rank 0 for checkpoints", in_mib(use.checkpoint));
  return text;
}

std::string text_of(const Arithmetic& arithmetic) {
  std::string text = format("%.3g TFLOP/s on each rank", arithmetic.flops_per_second / kTera);
  if (!arithmetic.peak_flops) return text;
  return text +
         format(", %.1f %% of what %s can do in ", 100 * arithmetic.flops_per_second / *arithmetic.peak_flops,
                arithmetic.card.c_str()) +
         to_string(arithmetic.precision) + format(" (%.4g)", *arithmetic.peak_flops / kTera);
}

}  // namespace

std::string class_name(const std::vector<std::string>& labels, std::size_t number) {
  return number < labels.size() ? labels[number] : std::to_string(number);
}

std::string MemoryRow::share() const { return shares > 1 ? format(" (1 of %d shares)", shares) : ""; }

std::vector<MemoryRow> rows_of(const MemoryUse& use) {
  std::vector<MemoryRow> rows = {
      {"parameters", use.parameters}, {"gradients", use.gradients}, {"optimizer", use.optimizer, use.optimizer_shares}};
  if (use.average > 0) rows.push_back({"average of the weights", use.average});
  if (use.best > 0) rows.push_back({.what = "best state", .bytes = use.best, .later = true});
  return rows;
}

Rows rows_of(const RunStarted& event) {
  Rows rows = {
      {"lockstep", std::string(kLockstepVersion) + (event.job_name.empty() ? "" : ", job " + event.job_name)},
      {"ranks", std::to_string(event.ranks) + " on " +
                    (event.hosts > 1 ? std::to_string(event.hosts) + " hosts, led by " : "") + event.host + ", " +
                    event.device},
      {"program", event.program + ", " + with_commas(event.parameters) + " parameters, " + to_string(event.precision)},
      {"buckets", std::to_string(event.buckets) + " of at most " + format("%g MiB", event.bucket_cap_mb)}};
  for (const ChannelFacts& channel : event.channels) {
    rows.emplace_back("data " + channel.name, with_commas(channel.samples) + " samples of " + channel.content);
  }
  rows.emplace_back("training", with_commas(event.total_steps) + " steps of " + std::to_string(event.batch_size) +
                                    " samples, " + event.optimizer +
                                    format(", learning rate %g (", event.learning_rate) + event.schedule + ")");
  rows.emplace_back("memory", text_of(event.memory));
  rows.emplace_back("evaluation", event.evaluation_channel.empty()
                                      ? "none: no channel named validation or test"
                                      : "on " + event.evaluation_channel + ", best by " + event.monitor);
  rows.emplace_back("artifacts", event.model_dir.empty() ? "none" : event.model_dir.string());
  rows.emplace_back("checkpoints", event.checkpoint_dir.empty() ? "none" : event.checkpoint_dir.string());
  return rows;
}

Rows rows_of(const RunEnded& event) {
  Rows rows;
  for (const auto& [name, value] : event.metrics) rows.emplace_back(name, format("%.4f", value));
  for (const auto& [name, table] : event.tables) {
    for (std::size_t row = 0; row < table.size() && table[row].size() <= kMostShown; ++row) {
      std::string text;
      for (const double number : table[row]) text += (text.empty() ? "" : " ") + format("%.6g", number);
      rows.emplace_back(table.size() == 1 ? name : name + " " + class_name(event.labels, row), text);
    }
  }
  rows.emplace_back("state", "after step " + with_commas(event.state_step) + " of " + with_commas(event.steps));
  rows.emplace_back("throughput", with_commas(std::llround(event.samples_per_second)) + " samples/s while training");
  if (event.arithmetic) rows.emplace_back("arithmetic", text_of(*event.arithmetic));
  if (event.captured) rows.emplace_back("steps", *event.captured ? "replayed from a CUDA graph" : "each enqueued anew");
  if (event.loss_scale) {
    rows.emplace_back("loss scale", format("%g at the end; ", *event.loss_scale) + with_commas(event.skipped_steps) +
                                        " steps skipped");
  }
  if (event.not_finite_steps > 0) {
    rows.emplace_back("passed over", with_commas(event.not_finite_steps) + " steps in which something was not finite");
  }
  rows.emplace_back("memory", format("%.1f MiB at most on rank 0", in_mib(event.peak_memory)));
  rows.emplace_back("data wait", format("%.1f %% of training time", 100 * event.data_wait_share));
  rows.emplace_back("time", format("%.1f s, of which training %.1f s", event.seconds, event.training_seconds));
  for (const ArtifactFacts& artifact : event.artifacts) {
    rows.emplace_back("artifact", artifact.path.string() + ", " + with_commas(static_cast<long long>(artifact.bytes)) +
                                      " bytes, read back and compared");
  }
  for (const std::filesystem::path& path : event.predictions) rows.emplace_back("predictions", path.string());
  return rows;
}

Metrics metrics_of(const Evaluated& event) {
  Metrics metrics;
  if (event.train_loss) metrics.emplace_back("train_loss", *event.train_loss);
  metrics.emplace_back("train_samples_per_second", event.train_samples_per_second);
  metrics.insert(metrics.end(), event.metrics.begin(), event.metrics.end());
  return metrics;
}

Metrics metrics_of(const RunEnded& event) {
  Metrics metrics = event.metrics;
  metrics.emplace_back("samples_per_second", event.samples_per_second);
  metrics.emplace_back("data_wait_share", event.data_wait_share);
  metrics.emplace_back("seconds", event.seconds);
  if (const auto& arithmetic = event.arithmetic) {
    metrics.emplace_back("tflops_per_rank", arithmetic->flops_per_second / kTera);
    if (arithmetic->peak_flops) metrics.emplace_back("mfu", arithmetic->flops_per_second / *arithmetic->peak_flops);
  }
  return metrics;
}

}  // namespace lockstep

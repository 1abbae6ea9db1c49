#include "engine/session/Predictions.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "common/Error.h"
#include "common/File.h"
#include "engine/collectives/Agreement.h"
#include "engine/data/BatchPlan.h"
#include "engine/data/Loader.h"
#include "engine/data/columnar/ParquetOutput.h"
#include "engine/data/table/CsvOutput.h"
#include "engine/device/DeviceArray.h"
#include "engine/program/Executor.h"
#include "engine/program/Passes.h"
#include "engine/session/FirstSamples.h"
#include "engine/session/JobFacts.h"
#include "engine/train/Forward.h"
#include "engine/train/Prefetcher.h"
#include "engine/train/TrainingPlan.h"

namespace lockstep {

namespace {

constexpr std::int64_t kMostNumbersAtOnce = std::int64_t{1} << 22;  // of a rank, on their way to rank 0

/// What a line holds, of how many numbers each.
struct LineForm {
  std::int64_t targets = 0;
  std::int64_t outputs = 0;
  std::int64_t classes = 0;          ///< 0: outputs are no scores of classes
  bool labels = false;               ///< targets are class labels
  bool doubles = false;              ///< outputs are float64
  std::vector<std::string> names{};  ///< of classes

  std::int64_t numbers() const { return targets + outputs; }
  std::int64_t predicted() const { return classes > 0 ? outputs / classes : 0; }
  bool names_targets() const { return labels && !names.empty(); }
  bool names_predicted() const { return classes > 0 && !names.empty(); }
};

// `count` columns: NAME, or NAME_0 and so on.
void append_columns(std::vector<OutputColumn>& columns, const std::string& name, std::int64_t count, ElementType type,
                    const std::vector<std::string>& texts = {}) {
  for (std::int64_t i = 0; i < count; ++i) {
    columns.push_back({.name = count == 1 ? name : name + "_" + std::to_string(i), .type = type, .texts = texts});
  }
}

std::vector<OutputColumn> columns_of(const LineForm& form) {
  std::vector<OutputColumn> columns = {{.name = "sample", .type = ElementType::kInt64}};
  append_columns(columns, "target", form.targets, form.labels ? ElementType::kInt64 : ElementType::kDouble);
  append_columns(columns, "output", form.outputs, form.doubles ? ElementType::kDouble : ElementType::kFloat);
  append_columns(columns, "predicted", form.predicted(), ElementType::kInt64);
  if (form.names_targets()) append_columns(columns, "target_label", form.targets, ElementType::kInt64, form.names);
  if (form.names_predicted()) {
    append_columns(columns, "predicted_label", form.predicted(), ElementType::kInt64, form.names);
  }
  return columns;
}

MakeTableOutput table_output(const std::string& format) {
  if (format == "parquet") return parquet_output();
  return [](const std::filesystem::path& path, const std::vector<OutputColumn>& columns) {
    return std::make_unique<CsvOutput>(path, columns);
  };
}

/// The file, on rank 0.
class PredictionFile {
 public:
  PredictionFile(const std::filesystem::path& directory, const std::string& name, const LineForm& form,
                 const std::string& format)
      : form_(form), staging_(directory), table_(table_output(format)(staging_.path() / name, columns_of(form))) {}

  /// The numbers of a line: targets, then outputs.
  void write_line(const double* numbers) {
    line_.assign(1, static_cast<double>(sample_++));
    line_.insert(line_.end(), numbers, numbers + form_.numbers());
    const double* outputs = numbers + form_.targets;
    const std::size_t predicted = line_.size();
    for (std::int64_t i = 0; i < form_.predicted(); ++i, outputs += form_.classes) {
      line_.push_back(static_cast<double>(std::max_element(outputs, outputs + form_.classes) - outputs));
    }
    if (form_.names_targets()) line_.insert(line_.end(), numbers, numbers + form_.targets);
    for (std::int64_t i = 0; form_.names_predicted() && i < form_.predicted(); ++i) {
      line_.push_back(line_[predicted + static_cast<std::size_t>(i)]);
    }
    table_->write(line_);
  }
  void publish() {
    table_->close();
    table_.reset();
    staging_.publish();
  }

 private:
  LineForm form_;
  StagingDirectory staging_;
  std::unique_ptr<TableOutput> table_;
  std::int64_t sample_ = 0;
  std::vector<double> line_;
};

/// Runs the program over a channel, on all ranks.
class ChannelPredictions {
 public:
  /// Keeps references.
  ChannelPredictions(const Predicted& channel, const Graph& graph, Executor& executor, const Hyperparameters& options,
                     const Objective& objective, const std::vector<std::string>& names, const RankContext& context)
      : samples_(Prefetcher::samples_for(context.device, channel.samples)),
        graph_(graph),
        executor_(executor),
        options_(options),
        output_(objective.seen().output),
        context_(context) {
    const at::Tensor output =
        forward(executor, first_batch(channel.samples, 1, context).inputs, options.precision).at(output_);
    form_ = {.targets = channel.target_numbers(),
             .outputs = output.numel(),
             .classes = objective.loss().class_labels() && output.dim() > 1 ? output.size(-1) : 0,
             .labels = channel.samples.class_labels(),
             .doubles = output.scalar_type() == at::kDouble,
             .names = names};
  }

  const LineForm& form() const { return form_; }

  /// False when a rank was asked to stop. `file`: on rank 0; an error of its is thrown after the last collective.
  bool write(PredictionFile* file, const StopRequested& stop) {
    const Shards all = samples_.shards(context_.host.size());
    for (std::size_t shard = 0; shard < all.count(); ++shard) {
      if (all.samples_of(shard) > 0 && !write_shard(alone(all, shard), file, stop)) return false;
    }
    return true;
  }
  /// What went wrong with the file, on rank 0.
  const std::exception_ptr& error() const { return error_; }

 private:
  // One shard after the other, so that lines are in the order of samples.
  Shards alone(const Shards& all, std::size_t shard) const {
    std::vector<Shards::Holding> holdings;
    for (int rank = 0; rank < all.ranks(); ++rank) {
      const std::size_t own = all.of(rank);
      holdings.push_back({.host = static_cast<int>(own), .samples = own == shard ? all.samples_of(shard) : 0});
    }
    return Shards(holdings);
  }

  bool write_shard(const Shards& shards, PredictionFile* file, const StopRequested& stop) {
    const int ranks = context_.host.size();
    const std::int64_t most = std::max<std::int64_t>(1, kMostNumbersAtOnce / form_.numbers());
    const std::int64_t batch = std::min(eval_batch_size(options_, ranks, graph_), most);
    const BatchPlan plan(shards, batch * ranks, batch);
    Loader loader(samples_, Order(0, samples_.size(), /*shuffle=*/false), plan, context_.host.rank(),
                  static_cast<int>(options_.loader_threads), {}, {}, Prefetcher::buffers_for(context_.device));
    Prefetcher inputs(loader, samples_, context_.device, context_.communicator);
    for (std::int64_t step = 0; step < plan.steps(); ++step) {
      const std::vector<double> own = next_step(inputs);
      if (!gather(plan, step, own, file, stop())) return false;
    }
    return true;
  }

  // Lines of this rank's samples of a step, one after another.
  std::vector<double> next_step(Prefetcher& inputs) {
    std::vector<double> numbers;
    for (bool last = false; !last;) {
      const Batch batch = inputs.next();
      last = batch.last_of_step;
      if (batch.size == 0) continue;
      const auto rows = [&](const at::Tensor& tensor) { return tensor.to(at::kDouble).reshape({batch.size, -1}); };
      std::vector<at::Tensor> parts = {rows(forward(executor_, batch.inputs, options_.precision).at(output_))};
      if (form_.targets > 0) parts.insert(parts.begin(), rows(batch.targets));
      const at::Tensor lines = at::cat(parts, 1);
      if (lines.size(1) != form_.numbers()) {
        throw InputError("predict writes as many numbers for each sample, and the program returned " +
                         std::to_string(lines.size(1)) + " and " + std::to_string(form_.numbers()) + " of them");
      }
      inputs.prefetch();
      const Readback<double> read(lines.flatten().view(at::kByte));
      context_.communicator.await([&] { return read.arrived(); });
      const std::vector<double> host = read.wait();
      numbers.insert(numbers.end(), host.begin(), host.end());
    }
    return numbers;
  }

  // False when a rank was asked to stop.
  bool gather(const BatchPlan& plan, std::int64_t step, std::vector<double> own, PredictionFile* file, bool stop) {
    const int ranks = context_.host.size();
    std::int64_t most = 0;
    for (int rank = 0; rank < ranks; ++rank) most = std::max(most, plan.slice(step, rank).size());
    own.resize(static_cast<std::size_t>(most * form_.numbers() + 1));
    own.back() = stop ? 1 : 0;
    std::vector<double> all(own.size() * static_cast<std::size_t>(ranks));
    context_.host.all_gather(own.data(), all.data(), own.size(), DataType::kFloat64)->wait();
    for (int rank = 0; rank < ranks; ++rank) {
      if (all[own.size() * static_cast<std::size_t>(rank + 1) - 1] > 0) return false;
    }
    if (file == nullptr || error_) return true;
    try {
      for (int rank = 0; rank < ranks; ++rank) {
        const double* line = all.data() + own.size() * static_cast<std::size_t>(rank);
        for (std::int64_t left = plan.slice(step, rank).size(); left > 0; --left, line += form_.numbers()) {
          file->write_line(line);
        }
      }
    } catch (...) {
      error_ = std::current_exception();  // the others are told when all have come to the end
    }
    return true;
  }

  ProgramSamples samples_;
  const Graph& graph_;
  Executor& executor_;
  const Hyperparameters& options_;
  std::size_t output_;  ///< which of the program's outputs
  const RankContext& context_;
  LineForm form_;
  std::exception_ptr error_;
};

}  // namespace

std::vector<std::filesystem::path> write_predictions(const JobConfig& config, const LoadedJob& job,
                                                     const Program& program, const RankContext& context,
                                                     const StopRequested& stop, EventSink& events) {
  const Hyperparameters& options = config.hyperparameters;
  std::vector<std::filesystem::path> written;
  if (options.predict.empty()) return written;
  const c10::NoGradGuard no_grad;
  const Program rewritten = apply_passes(program, options.passes).on(context.device.place());
  Executor executor(rewritten);
  for (const std::string& text : options.predict) {
    const auto [channel, format] = predict_request(text);
    ChannelPredictions predictions(job.data.predicted.at(channel), rewritten.graph(), executor, options, job.objective,
                                   class_labels(job), context);
    const std::string name = "predictions_" + channel + "." + format;
    std::optional<PredictionFile> file;
    require_all_ok(context.host, [&, format = format] {
      if (context.leads()) file.emplace(config.output_data_dir, name, predictions.form(), format);
    });
    if (!predictions.write(file ? &*file : nullptr, stop)) {
      events.note({.text = name + " is not written: stopped on request", .warning = true});
      return written;
    }
    require_all_ok(context.host, [&] {
      if (!file) return;
      if (predictions.error()) std::rethrow_exception(predictions.error());
      file->publish();
      written.push_back(config.output_data_dir / name);
    });
  }
  return written;
}

}  // namespace lockstep

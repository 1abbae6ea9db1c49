#include "job/HyperparameterTable.h"

#include <algorithm>
#include <iterator>

#include "common/ExitCodes.h"
#include "common/Text.h"
#include "job/BuiltinChoices.h"
#include "job/BuiltinNames.h"
#include "job/HyperparameterKinds.h"
#include "job/OwnHyperparameterRows.h"

namespace lockstep {

namespace {

using H = Hyperparameters;

constexpr Range kCosine{.least = -1, .below = 1};

std::string only_with_weights(const H& h) { return h.initial_weights.empty() ? "there are no initial_weights" : ""; }

std::string on_cpu(const H& h) { return h.device == DeviceKind::kCpu ? "device=cpu" : ""; }
std::string only_with_fp16(const H& h) {
  return h.precision == Precision::kFp16 ? "" : "precision=" + name_of(h.precision) + " does not use it";
}
std::string without_tensorboard(const H& h) {
  return std::ranges::count(h.reports, ReportKind::kTensorboard) > 0 ? "" : "reports has no tensorboard in it";
}
std::string without_trace(const H& h) { return h.trace_steps.first == 0 ? "there are no trace_steps" : ""; }
std::string only_with_files(const H& h) { return h.data == Data::kSynthetic ? "data=synthetic does not use it" : ""; }

// Of a learning rate that does not depend on the last step.
bool has_no_end(const H& h) { return !builtin_choice(builtin_schedules(), h.schedule).has_end; }
bool always(const H&) { return true; }

// What a program of a file does not read, and not every built-in one.
HyperparameterRow of_programs(HyperparameterRow row) {
  row = read_by("model", &H::model, builtin_programs(), std::move(row));
  row.idle = [builtin = row.idle](const H& h) {
    return h.model.ends_with(".pt2") ? "the program comes from " + h.model : builtin(h);
  };
  return row;
}

std::vector<HyperparameterRow> program_rows() {
  constexpr std::int64_t kMostWidth = 1 << 20;
  return {
      model_row().changeable(),  // the program itself is compared, wherever its file lies
      of_programs(integers("model_channels", &H::model_channels, "channels of each conv block.")),
      of_programs(integers("model_hidden", &H::model_hidden, "widths of the hidden linear layers.")),
      of_programs(embeddings_row()).unnamed_means(nlohmann::json::array()),
      of_programs(choice("model_norm", &H::model_norm, "normalization after each convolution.")),
      of_programs(boolean("model_small_images", &H::model_small_images,
                          "begins with a 3×3 convolution of stride 1 and no max-pool, for images of up to 64 pixels."))
          .unnamed_means(false),
      of_programs(integer("model_patch_size", &H::model_patch_size, 1, kMostWidth, "rows and columns of a patch."))
          .unnamed_means(16),
      of_programs(integer("model_layers", &H::model_layers, 1, 10000, "transformer layers.")).unnamed_means(12),
      of_programs(integer("model_heads", &H::model_heads, 1, kMostWidth, "heads of attention.")).unnamed_means(12),
      of_programs(
          integer("model_width", &H::model_width, 1, kMostWidth, "width of a token's vector, all heads together."))
          .unnamed_means(768),
      of_programs(integer("model_mlp_width", &H::model_mlp_width, 0, kMostWidth,
                          "width between the two linear layers of a transformer layer; 0: four times model_width."))
          .unnamed_means(0),
      of_programs(
          integer(
              "model_vocabulary", &H::model_vocabulary, 0, std::int64_t{1} << 31,
              "how many different tokens there are; 0: up to the largest of the training channel, without data as the "
              "published model."))
          .unnamed_means(0),
      of_programs(integer("model_length", &H::model_length, 0, std::int64_t{1} << 31,
                          "most tokens of a text, and how many a window of a file of tokens has; 0: as many as the "
                          "training channel's, without data as the published model's."))
          .unnamed_means(0),
      of_programs(real("model_dropout", &H::model_dropout, kShare, "probability of dropping an activation."))};
}

std::vector<HyperparameterRow> weight_rows() {
  return {texts("allow_operators", &H::allow_operators,
                "Operators of a .pt2 program, as in aten.foo.default, that run although Lockstep does not know "
                "that they only compute on tensors.")
              .unless([](const H& h) { return h.model.ends_with(".pt2") ? "" : "a built-in program does not use it"; })
              .changeable(),
          path_row("initial_weights", &H::initial_weights,
                   "Weights to begin with in place of the program's own: a safetensors file, or the index "
                   "(model.safetensors.index.json) of several.")
              .changeable(),  // the program is compared as it is with them
          choice("initial_weights_match", &H::initial_weights_match,
                 "exact: the weights are those of all parameters and buffers of the program and no others; partial: "
                 "those whose name and sizes match are taken, and the job says which are not.")
              .unless(only_with_weights)
              .changeable(),
          weight_names_row().unless(only_with_weights).changeable(),
          texts("freeze", &H::freeze,
                "Parameters that are not trained, by name patterns in which * stands for any text, as in "
                "backbone.*,*.bias; so are those that the program itself does not train (requires_grad).")
              .unnamed_means(nlohmann::json::array())};
}

std::vector<HyperparameterRow> length_rows() {
  return {
      integer("epochs", &H::epochs, 1, kMany, "Passes over the training data.").changeable_when(has_no_end),
      integer("max_steps", &H::max_steps, 0, kMany, "Ends the job after so many steps; 0: when the epochs are done.")
          .changeable_when(has_no_end),
      integer("batch_size", &H::batch_size, 1, 1 << 30, "Samples of one step over all ranks."),
      integer("micro_batch_size", &H::micro_batch_size, 0, 1 << 30,
              "Samples a rank runs at once; 0: its whole share of the step.")
          .changeable(),
      integer("eval_batch_size", &H::eval_batch_size, 0, 1 << 30,
              "Samples a rank evaluates at once; 0: as in training, and up to 256 of those that take little memory.")
          .changeable()};
}

std::vector<HyperparameterRow> loss_rows() {
  return {
      name_row("loss", &H::loss, "name of a loss",
               "What training minimizes, the mean over the global batch: " + join(builtin_loss_names(), ", ") +
                   ". program: what a .pt2 program returns as its loss."),
      output_row().unnamed_means(""),
      real("label_smoothing", &H::label_smoothing, kShare,
           "cross_entropy, next_token: the share of each label that is spread over all classes.")
          .for_losses(),
      integer("ignore_index", &H::ignore_index, std::numeric_limits<std::int64_t>::lowest(),
              std::numeric_limits<std::int64_t>::max(),
              "cross_entropy, next_token, binary_cross_entropy: targets of this value do not count, in the loss and in "
              "metrics.")
          .for_losses()
          .unnamed_means(-100),
      reals(
          "class_weights", &H::class_weights, kNotNegative,
          "cross_entropy, next_token: what each class counts, one number a class, as PyTorch's weight; []: all alike.")
          .for_losses()
          .unnamed_means(nlohmann::json::array()),
      reals("positive_weights", &H::positive_weights, kNotNegative,
            "binary_cross_entropy: what a yes counts beside a no, one number for all or one a label, as PyTorch's "
            "pos_weight; []: as much.")
          .for_losses()
          .unnamed_means(nlohmann::json::array()),
      real("huber_delta", &H::huber_delta, kPositive, "huber: errors beyond it count in proportion, not squared.")
          .for_losses()
          .unnamed_means(1.0),
      real("cosine_margin", &H::cosine_margin, kCosine,
           "cosine_embedding: the cosine that vectors which do not belong together may have.")
          .for_losses()
          .unnamed_means(0.0),
      real("info_nce_temperature", &H::info_nce_temperature, kPositive,
           "info_nce, symmetric_info_nce: what similarities are divided by.")
          .for_losses()
          .unnamed_means(1.0)};
}

HyperparameterRow of_optimizers(HyperparameterRow row) {
  return read_by("optimizer", &H::optimizer, builtin_optimizers(), std::move(row));
}
HyperparameterRow of_schedules(HyperparameterRow row) {
  return read_by("schedule", &H::schedule, builtin_schedules(), std::move(row));
}

std::vector<HyperparameterRow> optimizer_rows() {
  return {
      builtin_row(
          "optimizer", &H::optimizer, builtin_optimizers(),
          "As PyTorch's torch.optim defines them; lamb as You et al. 2020, lion as Chen et al. 2023; muon updates "
          "matrices, and adamw the rest."),
      real("learning_rate", &H::learning_rate, kPositive, "The base learning rate."),
      of_optimizers(real("momentum", &H::momentum, kShare, "momentum.")),
      of_optimizers(boolean("nesterov", &H::nesterov, "Nesterov's form of momentum.").unless([](const H& h) {
        return h.nesterov && h.momentum == 0 ? "it needs a momentum" : "";
      })),
      of_optimizers(boolean("centered", &H::centered, "divides by the gradient's deviation from its mean."))
          .unnamed_means(false),
      of_optimizers(real("beta1", &H::beta1, kShare, "decay of the first moment.")),
      of_optimizers(real("beta2", &H::beta2, kShare,
                         "decay of the second moment (PyTorch's alpha of rmsprop; of lion's "
                         "momentum).")),
      of_optimizers(real("epsilon", &H::epsilon, kPositive, "added to the denominator.")),
      of_optimizers(real("adamw_learning_rate", &H::adamw_learning_rate, kNotNegative,
                         "the base learning rate of the parameters that adamw updates, which follows the schedule in "
                         "proportion; 0: learning_rate."))
          .unnamed_means(0.0),
      real("weight_decay", &H::weight_decay, kNotNegative,
           "Weight decay: decoupled (adamw, lamb, lion, muon) or added to the gradient (the others)."),
      parameter_groups_row(),
      real("clip_norm", &H::clip_norm, kNotNegative, "Largest norm of a step's gradient; 0: no clipping."),
      real("ema_decay", &H::ema_decay, kShare,
           "Decay of an exponential moving average of the weights, which is what is evaluated and exported; 0: none.")
          .unnamed_means(0.0),
      boolean("sync_batch_norm", &H::sync_batch_norm,
              "Batch norm takes its statistics over what all ranks run at once, not over each rank's own samples.")
          .unnamed_means(false)};
}

std::vector<HyperparameterRow> schedule_rows() {
  return {
      builtin_row("schedule", &H::schedule, builtin_schedules(), "How the learning rate changes after the warm-up."),
      integer("warmup_steps", &H::warmup_steps, 0, kMany, "Steps in which the learning rate rises from 0.")
          .unless([](const H& h) {
            return h.schedule == "one_cycle" ? "schedule=one_cycle has a rise of its own, schedule_pct_start" : "";
          }),
      of_schedules(integer("schedule_step_size", &H::schedule_step_size, 0, kMany, "steps between two decays.")),
      of_schedules(real("schedule_gamma", &H::schedule_gamma, kPositive,
                        "what a decay multiplies the rate by; exponential decays after each step.")),
      of_schedules(real("final_learning_rate", &H::final_learning_rate, kNotNegative,
                        "reached after the last step, one_cycle: in it; plateau: the least rate.")),
      of_schedules(real("schedule_power", &H::schedule_power, kPositive, "the polynomial's degree."))
          .unnamed_means(1.0),
      of_schedules(integer("schedule_decay_steps", &H::schedule_decay_steps, 0, kMany,
                           "the last steps, in which the rate falls linearly."))
          .unnamed_means(0),
      of_schedules(real("schedule_pct_start", &H::schedule_pct_start, kShare,
                        "the share of the steps in which the rate rises to learning_rate."))
          .unnamed_means(0.3),
      of_schedules(real("schedule_div_factor", &H::schedule_div_factor, kPositive,
                        "learning_rate divided by it is the first step's rate."))
          .unnamed_means(25.0),
      of_schedules(integer("schedule_patience", &H::schedule_patience, 0, kMany,
                           "evaluations without improvement of the monitored metric that do not lower the rate."))
          .unnamed_means(10),
      of_schedules(real("schedule_threshold", &H::schedule_threshold, kNotNegative,
                        "what share of the best value a better one must differ by."))
          .unnamed_means(1e-4),
      of_schedules(integer("schedule_cooldown", &H::schedule_cooldown, 0, kMany,
                           "evaluations after a decay that are not counted."))
          .unnamed_means(0)};
}

std::vector<HyperparameterRow> data_rows() {
  return {
      choice("data", &H::data,
             "Where samples come from: files of the channels, or random ones that fit the program; built-in "
             "programs then take and return what the published models of their names do; mlp and cnn take 1×28×28 and "
             "return 10 numbers."),
      content_type_row().unless(only_with_files).unnamed_means(""),
      columns_row().unless(only_with_files).unnamed_means(nlohmann::json::array()),
      fields_row().unless(only_with_files).unnamed_means(nlohmann::json::object()),
      real("validation_share", &H::validation_share, kShare,
           "The share of the training channel that is held back to validate on, where there is no channel named "
           "validation; which samples, follows from seed and their places.")
          .unless(only_with_files)
          .unnamed_means(0.0),
      texts("sharded", &H::sharded,
            "Several hosts: the channels of which each host has files of its own, as train,validation; hosts have "
            "the same files of all others. SageMaker's ShardedByS3Key says so by itself.")
          .unless(only_with_files)
          .changeable(),  // whose samples they are, their digest tells
      mixture_row().unless(only_with_files).unnamed_means(nlohmann::json::array()),
      integer(
          "skip_bad_records", &H::skip_bad_records, 0, kMany,
          "Records of a channel, over all hosts, that may be left out because they cannot be read; more are an error. "
          "Each record is read once before training then.")
          .unless(only_with_files)
          .changeable(),  // what is left out, the data's digest tells
      path_row(
          "data_index_dir", &H::data_index_dir,
          "A directory that keeps where the records of CSV, JSON lines, TFRecord and RecordIO files lie, and of tables "
          "what they hold, so that the next job on the same files need not go through them, and that ranks of a "
          "host go through them once.")
          .unless(only_with_files)
          .changeable()
          .own_to(Own::kHosts),
      boolean("shuffle", &H::shuffle, "Visits the samples in a new order in every epoch."),
      integer("synthetic_samples", &H::synthetic_samples, 1, kMany, "data=synthetic: samples of an epoch.")
          .unless([](const H& h) { return h.data == Data::kFiles ? "data=files does not use it" : ""; }),
      choice("image_crop", &H::image_crop,
             "Encoded images: which part becomes a sample. center: the largest of its proportions, from the middle; "
             "random: in training a random one, as torchvision's RandomResizedCrop, else as center; stretch: all.")
          .unless(only_with_files)
          .unnamed_means("center"),
      real("image_flip", &H::image_flip, kShare,
           "Inputs of bytes in rows and columns: in training, the probability of being mirrored left to right.")
          .unless(only_with_files)
          .unnamed_means(0.0),
      integer("image_padding", &H::image_padding, 0, 1 << 16,
              "The same: in training, shifted at random by at most so many pixels, with zeros where nothing was.")
          .unless(only_with_files)
          .unnamed_means(0),
      jitter_row().unless(only_with_files).unnamed_means(nlohmann::json::array()),
      real("input_mean", &H::input_mean, {.least = std::numeric_limits<double>::lowest()},
           "Subtracted from inputs (from bytes after division by 255).")
          .unless(only_with_files),
      real("input_std", &H::input_std, kPositive, "Inputs are divided by it.").unless(only_with_files),
      integer("loader_threads", &H::loader_threads, 1, 1024, "Threads of a rank that prepare data.")
          .changeable()
          .own_to(Own::kRanks)};
}

std::string without_artifacts(const Hyperparameters& h) {
  return h.export_formats.empty() ? "export=none writes no artifact" : "";
}

// These two change what saved_model and onnx hold.
std::string without_served(const Hyperparameters& h) {
  const bool any = std::ranges::any_of(
      h.export_formats, [](Export format) { return format == Export::kSavedModel || format == Export::kOnnx; });
  return any ? "" : "neither saved_model nor onnx is in export";
}

std::vector<HyperparameterRow> evaluation_rows() {
  return {
      integer("eval_every", &H::eval_every, 1, kMany, "Epochs between two evaluations."),
      monitor_row(),
      metrics_row().changeable(),
      integer("patience", &H::patience, 0, kMany, "Evaluations without improvement after which the job ends; 0: never.")
          .changeable(),
      list_row<Export>("export", "The artifacts to write into the model directory.", &Hyperparameters::export_formats)
          .changeable(),
      choice("layout", &H::layout,
             "The server that finds its artifact in the model directory: TensorFlow Serving, the PyTorch containers of "
             "SageMaker, or Triton.")
          .unless(without_artifacts)
          .changeable(),
      served_name_row().changeable(),
      choice("quantize", &H::quantize,
             "int8-weights: saved_model and onnx hold the weights of products and convolutions in 8 bits for each "
             "channel; what that does to the metrics is measured on the evaluation channel.")
          .unless(without_served)
          .changeable(),
      choice("serve_preprocessing", &H::serve_preprocessing,
             "pixels: saved_model and onnx take images as bytes [batch, height, width, channels], normalize them as in "
             "training, and return probabilities. images: saved_model also decodes and resizes them.")
          .unless(without_served)
          .changeable(),
      choice("artifact_state", &H::artifact_state, "Whether artifacts hold the best or the last state.")
          .unless([](const H& h) { return h.predict.empty() ? without_artifacts(h) : ""; }),
      texts("predict", &H::predict,
            "Channels, which need no targets: at the end the outputs of the state in the artifacts for each of their "
            "samples are written to predictions_CHANNEL.csv in the output directory, or as CHANNEL:parquet to "
            "predictions_CHANNEL.parquet.")
          .unless(only_with_files)
          .changeable()};
}

std::vector<HyperparameterRow> checkpoint_rows() {
  return {
      checkpoint_every_row().changeable().for_checkpoints_when([](const H& h) { return !h.checkpoint_every.never(); }),
      integer("checkpoint_keep", &H::checkpoint_keep, 1, kMany,
              "How many of the newest checkpoints of this job are kept.")
          .changeable()
          .for_checkpoints_when(always),
      boolean(
          "checkpoint_copies", &H::checkpoint_copies,
          "Several hosts: each writes the checkpoints into its own checkpoint directory, where that is not the first "
          "host's, so that any host may be replaced.")
          .changeable()
          .for_checkpoints_when([](const H& h) { return h.checkpoint_copies; }),
      choice("resume", &H::resume,
             "auto: goes on from the newest complete checkpoint of this job, if there is one; never: "
             "starts anew.")
          .changeable()
          .for_checkpoints_when(always)};
}

std::vector<HyperparameterRow> arithmetic_rows() {
  return {choice("precision", &H::precision,
                 "Of arithmetic. bf16, fp16: as PyTorch's autocast, parameters and gradients stay fp32; auto: bf16 "
                 "where a step that is measured at the start is faster in it, else fp32. A program that is exported in "
                 "float64 trains in fp64: it needs no precision, and takes no other."),
          real("loss_scale", &H::loss_scale, kPositive, "fp16: what multiplies the loss in the first step.")
              .unless(only_with_fp16),
          integer("loss_scale_growth_interval", &H::loss_scale_growth_interval, 1, kMany,
                  "fp16: steps without overflow after which the loss scale doubles.")
              .unless(only_with_fp16),
          integer("nonfinite_steps", &H::nonfinite_steps, 0, kMany,
                  "How many steps in a row may have a loss, a gradient or a running statistic that is not finite: they "
                  "change nothing and are counted; 0: the first ends the job.")
              .changeable(),
          seed_row(),
          texts("instance_groups", &H::instance_groups,
                "SageMaker: the names of the instance groups whose hosts train; []: all hosts do.")
              .changeable(),
          choice("device", &H::device, "Where to compute; auto: on the host's GPUs when it has any.").changeable(),
          boolean("cuda_graph", &H::cuda_graph,
                  "GPU: captures a full step as a CUDA graph, which spares the host's work in the next ones.")
              .unless(on_cpu)
              .changeable(),
          boolean("tf32", &H::tf32,
                  "GPU: float32 matrix products and convolutions in TensorFloat-32, faster and less exact.")
              .unless(on_cpu)
              .changeable(),
          boolean("share_gpus", &H::share_gpus, "GPU: lets several ranks use one GPU, for tests.")
              .unless(on_cpu)
              .changeable(),
          boolean("deterministic", &H::deterministic,
                  "The same bits from run to run, as torch.use_deterministic_algorithms has them; on CPUs ranks add in "
                  "their order, so that neither bucket_cap_mb nor shard_optimizer changes one. On CPUs steps take up "
                  "to an eighth longer.")
              .changeable(),
          list_row<Pass>("passes",
                         "Rewritings of the program for speed; what it computes stays the same, but for which scores "
                         "fuse_attention drops.",
                         &Hyperparameters::passes)
              .changeable(),
          choice("recompute", &H::recompute,
                 "What of the forward pass runs again in backward in place of being kept in memory, to the same bits; "
                 "auto: what costs little time; all: all that can, of the program cut into pieces.")
              .changeable()};
}

std::vector<HyperparameterRow> host_rows() {
  return {
      integer("ranks_per_host", &H::ranks_per_host, 0, 4096, "Processes on each host; 0: one per GPU, on a CPU one.")
          .changeable()
          .own_to(Own::kRanks),
      integer("threads_per_rank", &H::threads_per_rank, 0, 4096,
              "Compute threads of a rank; 0: the host's cores divided by its ranks.")
          .changeable()
          .own_to(Own::kRanks),
      time_row("hosts_timeout", &H::hosts_timeout, "How long hosts, and then ranks, wait for each other at the start.")
          .changeable(),
      time_row(
          "phase_timeout", &H::phase_timeout,
          "How long a rank may stay in one phase of a step, and at least ten times what the phase has lately taken, "
          "until the job ends and says where its ranks are.")
          .changeable(),
      time_row(
          "rare_phase_timeout", &H::rare_phase_timeout,
          "The same of what is no part of a step (loading, evaluations, checkpoints, artifacts), and of a process's "
          "first three steps.")
          .changeable(),
      boolean("check_collectives", &H::check_collectives,
              "Ranks compare the kind, count and type of each collective before they make it, which costs a small one "
              "more for each; the rank that differs is named.")
          .changeable(),
      integer(
          "min_hosts", &H::min_hosts, 0, 4096,
          "Several hosts: when some are lost, the job goes on from its newest checkpoint with those that are left, if "
          "they are so many, and takes in hosts that come in their place; 0: it ends.")
          .changeable(),
      integer("hosts_port", &H::hosts_port, 1, 65535,
              "Several hosts: the TCP port at which the first one waits for the others.")
          .changeable(),
      time_row("pipe_timeout", &H::pipe_timeout,
               "SageMaker's Pipe: how long a channel's stream may stand still, before its first byte too.")
          .changeable(),
      path_row("secret_file", &H::secret_file,
               "Several hosts: a file with the secret that every host of the job must have; it may lie in "
               "a channel. Without it, LOCKSTEP_JOB_SECRET is the secret if it is set.")
          .changeable()
          .own_to(Own::kHosts),  // its content is compared, and may lie elsewhere on each host
      boolean("allow_tcp", &H::allow_tcp,
              "GPU: lets hosts that have EFA train over TCP, which is slower, when NCCL does not use EFA.")
          .unless(on_cpu)
          .changeable(),
      integer("exit_code_when_stopped", &H::exit_code_when_stopped, 0, 255,
              "The exit code of a job that stopped on request and saved its state.")
          .changeable(),
      real("bucket_cap_mb", &H::bucket_cap_mb, kPositive, "MiB of gradients that are reduced at once.").changeable(),
      boolean("shard_optimizer", &H::shard_optimizer,
              "Each rank holds and updates its share of the optimizer's state, instead of all of it.")
          .changeable(),
      real("log_every", &H::log_every, kPositive, "Seconds between two progress lines.").changeable(),
      list_row<ReportKind>("reports", "What is written of the job beside metrics.jsonl, while it runs.", &H::reports)
          .changeable(),
      path_row("tensorboard_dir", &H::tensorboard_dir,
               "Where TensorBoard's events go; without it, to `tensorboard` in the directory for output data.")
          .unless(without_tensorboard)
          .changeable(),
      trace_steps_row().changeable(),
      boolean("trace_operators", &H::trace_operators,
              "Traced steps have a span for each of PyTorch's operators, too, which costs a step some microseconds for "
              "each.")
          .unless(without_trace)
          .changeable()};
}

}  // namespace

const std::vector<HyperparameterRow>& hyperparameter_table() {
  static const std::vector<HyperparameterRow> table = [] {
    std::vector<HyperparameterRow> all;
    for (const auto& rows :
         {program_rows(), weight_rows(), length_rows(), loss_rows(), optimizer_rows(), schedule_rows(), data_rows(),
          evaluation_rows(), checkpoint_rows(), arithmetic_rows(), host_rows()}) {
      std::ranges::copy(rows, std::back_inserter(all));
    }
    return all;
  }();
  return table;
}

void check_together(const Hyperparameters& h) {
  for (const auto& [name, column] : h.columns) {
    if (h.fields.contains(name)) {
      throw InputError("columns and fields both say what " + name + " is: leave it out of one of them");
    }
  }
  if (!h.mixture.empty() && h.validation_share > 0) {
    throw InputError(
        "validation_share does not go with mixture: samples of a mixture come again, and would be trained on and "
        "validated on; give the job a channel named validation");
  }
  if (h.loss == "program" && !h.model.ends_with(".pt2")) {
    throw InputError("loss=program needs a program that returns its loss, model=FILE.pt2; " + h.model +
                     " returns what a loss compares with targets");
  }
  if (h.loss == "program" && !h.predict.empty()) {
    throw InputError(
        "predict writes what a loss compares with targets, and loss=program compares nothing: leave it out");
  }
  if (h.deterministic && h.precision == Precision::kAuto) {
    throw InputError(
        "precision=auto takes what is faster in a step that is measured, which may differ from run to run; beside "
        "deterministic=true give the precision, as in precision=bf16");
  }
  if (h.schedule == "step" && h.schedule_step_size == 0) {
    throw InputError("schedule=step needs schedule_step_size: the steps between two decays");
  }
  if (h.schedule == "wsd" && h.schedule_decay_steps == 0) {
    throw InputError("schedule=wsd needs schedule_decay_steps: the last steps, in which the rate falls");
  }
  if (h.schedule == "plateau" && h.schedule_gamma >= 1) {
    throw InputError("schedule=plateau lowers the rate: give a schedule_gamma < 1");
  }
  for (const ParameterGroup& group : h.parameter_groups) {
    if (!group.optimizer.empty() && h.optimizer != "muon") {
      throw InputError("parameter_groups: \"optimizer\": " + in_quotes(group.optimizer) + " of " +
                       in_quotes(group.match) + " does nothing in this job: optimizer=" + h.optimizer +
                       " updates all parameters alike; leave it out");
    }
  }
  const std::int64_t stopped = h.exit_code_when_stopped;
  if ((stopped >= kExitInternal && stopped <= kExitNotStarted) || stopped >= 126) {
    throw InputError("exit_code_when_stopped=" + std::to_string(stopped) +
                     " has another meaning (`lockstep --help`); take 0, or a number from " +
                     std::to_string(kExitNotStarted + 1) + " to 125");
  }
}

}  // namespace lockstep

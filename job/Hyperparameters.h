// The hyperparameters of a job as typed values, and the one table that declares them: parsing, `--help`,
// `--print-config` and the README's table all come from it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "job/FieldDescription.h"

namespace lockstep {

/// kAuto: until a session knows which of kFp32 and kBf16 is faster.
enum class Precision { kFp32, kBf16, kFp16, kFp64, kAuto };
enum class DeviceKind { kAuto, kCpu, kCuda };
enum class Export { kPt2, kSafetensors, kSavedModel, kOnnx, kTorchscript };
enum class Layout { kTfserving, kPytorch, kTriton };
enum class Quantize { kNone, kInt8Weights };
enum class ServePreprocessing { kNone, kPixels, kImages };
enum class Data { kFiles, kSynthetic };
enum class ArtifactState { kBest, kLast };
enum class ImageCrop { kCenter, kRandom, kStretch };
enum class Resume { kAuto, kNever };
enum class Norm { kBatch, kNone };
enum class WeightsMatch { kExact, kPartial };
enum class Recompute { kNone, kAuto, kAll };
enum class ReportKind { kHtml, kTensorboard };
enum class Pass {
  kChannelsLast,
  kReluAfterMaxPool,
  kFuseMaxPoolRelu,
  kFuseBiasGelu,
  kFuseLayerNorm,
  kFuseEmbedding,
  kOnednnLinear,
  kFuseBatchNorm,
  kFuseAttention,
};

/// What "best" means: the name of an evaluation metric and whether more of it is better.
struct Monitor {
  std::string metric = "loss";
  bool maximize = false;
};

/// When the state is saved: after so many steps, or after a step when so much time has passed.
struct CheckpointEvery {
  std::int64_t steps = 0;  ///< 0: not by steps
  double seconds = 0;      ///< 0: not by time

  /// As soon as the one before is written.
  static constexpr double kContinuous = 1e-300;

  bool never() const { return steps == 0 && seconds == 0; }
  bool continuous() const { return seconds == kContinuous; }
};

/// Steps from the first to the last, counted from 1.
struct TraceSteps {
  std::int64_t first = 0;  ///< 0: none
  std::int64_t last = -1;
};

/// Parameters that are treated alike, chosen by name. A parameter belongs to the first group whose pattern it matches
/// (`*` stands for any text); one that matches none has the job's own weight decay and a factor of 1.
struct ParameterGroup {
  std::string match;
  std::optional<double> weight_decay{};  ///< the job's own when it is not given
  double learning_rate_factor = 1;
  std::string optimizer{};  ///< in a job with optimizer=muon: adamw, or "" for what muon makes of it
};

/// Tensors of the program, chosen by name, and what they are called in a file of weights. Each pattern may hold one
/// `*`, which stands for the same text in both.
struct WeightName {
  std::string name;
  std::string stored;
};

/// A column of integers whose numbers a program learns vectors for.
struct EmbeddedColumn {
  std::int64_t count = 0;  ///< its integers are 0 … count - 1; 0: as many as the training channel has
  std::int64_t width = 0;  ///< of a vector; 0: by the count

  bool operator==(const EmbeddedColumn&) const = default;
};

/// Field names are the hyperparameters' names. The table in HyperparameterTable.cpp gives each its sentence and its
/// range; the initial values here are the defaults.
struct Hyperparameters {
  // The model.
  std::string model = "cnn";  ///< a built-in program's name, or a path to a .pt2 file
  // Of built-in programs; builtin_programs() says what each reads of these.
  std::vector<std::int64_t> model_channels{32, 64};  ///< of each conv block
  std::vector<std::int64_t> model_hidden{128};
  std::map<std::string, EmbeddedColumn> model_embeddings{};  ///< by column
  Norm model_norm = Norm::kBatch;
  bool model_small_images = false;
  std::int64_t model_patch_size = 16;
  std::int64_t model_layers = 12;
  std::int64_t model_heads = 12;
  std::int64_t model_width = 768;
  std::int64_t model_mlp_width = 0;   ///< 0: four times the width
  std::int64_t model_vocabulary = 0;  ///< 0: as the training channel has it
  std::int64_t model_length = 0;      ///< 0: as the training channel has it
  double model_dropout = 0.25;
  std::vector<std::string> allow_operators{};  ///< .pt2: that run though they are not known to be pure
  std::string initial_weights{};  ///< a safetensors file, or an index of several, over the program's own; "": none
  WeightsMatch initial_weights_match = WeightsMatch::kExact;
  std::vector<WeightName> weight_names{};  ///< what the program's tensors are called there; the first match counts
  std::vector<std::string> freeze{};       ///< patterns of the names of parameters that are not trained
  // How long, and how much at once.
  std::int64_t epochs = 10;
  std::int64_t max_steps = 0;         ///< 0: no limit but `epochs`
  std::int64_t batch_size = 64;       ///< samples of one step over all ranks
  std::int64_t micro_batch_size = 0;  ///< samples a rank runs at once; 0: its whole share of the step
  std::int64_t eval_batch_size = 0;   ///< samples a rank evaluates at once; 0: max(micro-batch, 256)
  // The objective and its optimizer.
  std::string loss = "cross_entropy";   ///< a name that the engine knows
  std::string output{};                 ///< of the program, that the loss sees; "": the only one, or a usual name
  double label_smoothing = 0;           ///< cross_entropy, next_token
  std::int64_t ignore_index = -100;     ///< these, binary_cross_entropy: the target of positions that do not count
  std::vector<double> class_weights{};  ///< cross_entropy, next_token: what a position counts, by its label; empty: 1
  std::vector<double> positive_weights{};  ///< binary_cross_entropy: what a yes counts, by label or for all; empty: 1
  double huber_delta = 1;                  ///< huber
  double cosine_margin = 0;                ///< cosine_embedding
  double info_nce_temperature = 1;         ///< info_nce, symmetric_info_nce
  std::string optimizer = "sgd";           ///< one of builtin_optimizers(), which say what it reads of what follows
  double learning_rate = 0.01;
  double momentum = 0.9;
  bool nesterov = false;
  bool centered = false;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double adamw_learning_rate = 0;  ///< muon: of the parameters that AdamW updates; 0: the learning rate
  double weight_decay = 0;
  std::vector<ParameterGroup> parameter_groups{};
  double clip_norm = 0;  ///< 0: gradients are not clipped
  double ema_decay = 0;  ///< 0: no average of the weights is kept
  bool sync_batch_norm = false;
  bool shard_optimizer = false;       ///< each rank holds and updates a share of the optimizer's state
  std::string schedule = "constant";  ///< one of builtin_schedules(), which say what it reads of what follows
  std::int64_t warmup_steps = 0;
  std::int64_t schedule_step_size = 0;  ///< steps between two decays
  double schedule_gamma = 0.1;          ///< the factor of a decay
  double final_learning_rate = 0;
  double schedule_power = 1;
  std::int64_t schedule_decay_steps = 0;  ///< the last steps, in which the rate falls
  double schedule_pct_start = 0.3;        ///< the share of the steps in which the rate rises
  double schedule_div_factor = 25;        ///< the learning rate ÷ the first step's
  std::int64_t schedule_patience = 10;    ///< evaluations without improvement that a rate outlasts
  double schedule_threshold = 1e-4;       ///< the share of the best value that counts as improvement
  std::int64_t schedule_cooldown = 0;     ///< evaluations after a decay that do not count
  // Data.
  Data data = Data::kFiles;
  std::string content_type{};  ///< of channels of which SageMaker says none; "": the files tell
  /// Which column of a channel feeds which input of the program, where their names differ; `target` and `weight` stand
  /// for those two.
  std::map<std::string, std::string> columns{};
  FieldDescriptions fields{};               ///< what becomes of columns on their way to the program
  double validation_share = 0;              ///< of the training channel's samples; 0: none
  std::vector<std::string> sharded{};       ///< channels of which each host has files of its own
  std::map<std::string, double> mixture{};  ///< channel → its share of the training samples; empty: no mixture
  std::int64_t skip_bad_records = 0;        ///< of each channel; 0: none may be bad
  std::string data_index_dir{};             ///< where what was found in the channels' files is kept; "": nowhere
  bool shuffle = true;
  std::int64_t synthetic_samples = 1024;      ///< data=synthetic: of an epoch
  ImageCrop image_crop = ImageCrop::kCenter;  ///< of encoded images
  double image_flip = 0;                      ///< training: probability of being mirrored
  std::int64_t image_padding = 0;             ///< training: pixels
  /// training: brightness, contrast and saturation are multiplied by up to 1 ± this; empty: they are left
  std::vector<double> image_jitter{};
  double input_mean = 0;  ///< of pixels scaled to [0, 1]
  double input_std = 1;
  std::int64_t loader_threads = 1;
  // Evaluation and what is kept.
  std::int64_t eval_every = 1;  ///< epochs
  Monitor monitor{};
  std::vector<std::string> metrics{};  ///< measured besides the usual ones and the monitored one
  std::int64_t patience = 0;           ///< evaluations without improvement before the job ends early; 0: never
  std::vector<Export> export_formats{Export::kPt2, Export::kSafetensors, Export::kSavedModel};  ///< named `export`
  Layout layout = Layout::kTfserving;   ///< the server that finds its artifact in the model directory
  std::string served_name{};            ///< what that server calls the model; "": the program's name
  Quantize quantize = Quantize::kNone;  ///< of what is served
  ServePreprocessing serve_preprocessing = ServePreprocessing::kNone;  ///< of images, within what is served
  ArtifactState artifact_state = ArtifactState::kBest;
  std::vector<std::string> predict{};  ///< channels whose samples' outputs are written at the end
  // Checkpoints; the job's checkpoint directory is not a hyperparameter.
  CheckpointEvery checkpoint_every{};
  std::int64_t checkpoint_keep = 2;  ///< of the newest
  Resume resume = Resume::kAuto;
  // Machine.
  Precision precision = Precision::kFp32;
  double loss_scale = 65536;                       ///< fp16: in the first step
  std::int64_t loss_scale_growth_interval = 2000;  ///< fp16: steps without overflow after which it doubles
  std::uint64_t seed = 1;
  std::vector<std::string> instance_groups{};  ///< of a SageMaker job: whose hosts train; empty: all hosts
  DeviceKind device = DeviceKind::kAuto;
  bool cuda_graph = true;      ///< GPU: a full step is captured once and replayed
  bool tf32 = false;           ///< GPU: float32 products in TensorFloat-32
  bool share_gpus = false;     ///< several ranks may compute on one GPU
  bool deterministic = false;  ///< the same bits from run to run
  std::vector<Pass> passes{Pass::kChannelsLast, Pass::kReluAfterMaxPool, Pass::kFuseMaxPoolRelu,
                           Pass::kFuseBiasGelu, Pass::kFuseLayerNorm,    Pass::kFuseEmbedding,
                           Pass::kOnednnLinear, Pass::kFuseBatchNorm,    Pass::kFuseAttention};
  Recompute recompute = Recompute::kNone;  ///< which activations backward computes again
  std::int64_t ranks_per_host = 0;         ///< 0: 1
  std::int64_t threads_per_rank = 0;       ///< 0: the host's cores divided by its ranks
  double hosts_timeout = 900;              ///< seconds
  double phase_timeout = 600;              ///< seconds that a rank may stay in one phase of a step
  double rare_phase_timeout = 7200;        ///< the same of what is no part of a step
  bool check_collectives = false;          ///< ranks compare each collective before they make it
  std::int64_t min_hosts = 0;              ///< hosts that a job goes on with when others are lost; 0: it needs all
  std::int64_t hosts_port = 7788;
  double pipe_timeout = 900;  ///< seconds; SageMaker's Pipe
  std::string secret_file{};  ///< several hosts: its content is the job's secret; "": LOCKSTEP_JOB_SECRET, if it is set
  bool allow_tcp = false;     ///< GPU: an instance that has EFA may train over TCP
  bool checkpoint_copies = false;           ///< several hosts: each has one of its own
  std::int64_t exit_code_when_stopped = 0;  ///< of a job that stopped on request and saved its state
  double bucket_cap_mb = 25;                ///< MiB of gradients reduced at once
  double log_every = 5;                     ///< seconds between two progress lines
  std::int64_t nonfinite_steps = 0;         ///< in a row that are passed over
  std::vector<ReportKind> reports{ReportKind::kHtml, ReportKind::kTensorboard};
  std::string tensorboard_dir{};  ///< "": `tensorboard` in the output data directory
  TraceSteps trace_steps{};
  bool trace_operators = false;  ///< with trace_steps
};

/// Raw hyperparameters as they arrive: name → the text or JSON value given. SageMaker hands every value over as text in
/// one of three encodings (JSON, plain, Python's repr); a job file has JSON values; a flag has text.
using RawHyperparameters = std::map<std::string, nlohmann::json>;

/// One row of the table, for help and documentation.
struct HyperparameterDescription {
  std::string name;
  std::string type;           ///< as shown to people: "integer ≥ 1", "fp32 | fp64", "list of integers"
  std::string default_value;  ///< as it would be given
  std::string help;           ///< one sentence
};

/// Every hyperparameter, in the order of the struct.
std::vector<HyperparameterDescription> describe_hyperparameters();

/// Reads raw values into typed ones. Throws InputError for an unknown name (naming the nearest known one), a value of
/// the wrong type or out of range (naming what is accepted), and a value that does nothing in this job (momentum with
/// adamw, say). Names that begin with `sagemaker_` or `_tuning` belong to others and pass. `other_names`: what else
/// could have stood where the values come from; an unknown name may have meant one of them.
Hyperparameters parse_hyperparameters(const RawHyperparameters& raw, const std::vector<std::string>& other_names = {});

/// All values, for `--print-config` and for handing over to the ranks: parse_hyperparameters's typed result as JSON
/// that `from_json` reads back exactly.
nlohmann::json to_json(const Hyperparameters& hyperparameters);
Hyperparameters hyperparameters_from_json(const nlohmann::json& json);

std::string to_string(Precision value);
std::string to_string(DeviceKind value);
std::string to_string(Export value);
std::string to_string(Layout value);
std::string to_string(Quantize value);
std::string to_string(ServePreprocessing value);
std::string to_string(Data value);
std::string to_string(ArtifactState value);
std::string to_string(ImageCrop value);
std::string to_string(Norm value);
std::string to_string(Resume value);
std::string to_string(Pass value);
std::string to_string(WeightsMatch value);
std::string to_string(Recompute value);
std::string to_string(ReportKind value);

}  // namespace lockstep

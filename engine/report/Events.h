// What happens in a run, as values. A TrainingSession makes them on rank 0 and hands them to an EventSink.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/SpanLog.h"
#include "engine/report/Metrics.h"
#include "engine/report/StepSeconds.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Bytes that a rank holds from start to end, by purpose.
struct MemoryUse {
  std::int64_t parameters = 0;
  std::int64_t gradients = 0;
  std::int64_t optimizer = 0;
  int optimizer_shares = 1;  ///< with shard_optimizer a rank holds one of so many
  std::int64_t average = 0;  ///< of the weights; 0 where the job keeps none
  std::int64_t best = 0;     ///< the copy of the best state, from the first evaluation on; 0 where the job keeps none
  std::int64_t checkpoint = 0;  ///< of the host, on rank 0: for the copy that is written beside training
};

/// A channel's data set.
struct ChannelFacts {
  std::string name{};
  std::int64_t samples = 0;
  std::string content{};  ///< of one sample, in words: "1×28×28, 10 classes"
};

/// All ranks have loaded the same job. Nothing is trained yet.
struct RunStarted {
  std::string job_name{};  ///< "" when nobody named the job
  int ranks = 1;
  int hosts = 1;
  std::string host{};    ///< of rank 0
  std::string device{};  ///< of rank 0, in words
  std::string program{};
  std::int64_t parameters = 0;  ///< elements of all of the program's parameters
  Precision precision = Precision::kFp32;
  std::size_t buckets = 0;
  double bucket_cap_mb = 0;  ///< MiB
  std::vector<ChannelFacts> channels{};
  std::int64_t total_steps = 0;
  std::int64_t batch_size = 0;  ///< samples of a step over all ranks
  Rows hyperparameters{};       ///< all of the job's, as they would be given
  std::string optimizer{};
  double learning_rate = 0;  ///< the base rate, without the schedule
  std::string schedule{};
  MemoryUse memory{};                      ///< of each rank
  std::string evaluation_channel{};        ///< "" when nothing is evaluated while training
  std::string monitor{};                   ///< the metric by which the best state is chosen
  std::vector<std::string> labels{};       ///< what classes are called, in their order; empty where they are numbers
  std::string identity{};                  ///< of jobs that can go on from each other's checkpoints; "": unknown
  std::int64_t resumed_step = 0;           ///< steps that were done before, by the checkpoint; 0: the run begins anew
  std::filesystem::path model_dir{};       ///< "" when no artifact is written
  std::filesystem::path checkpoint_dir{};  ///< "" when the job has no checkpoints
};

/// A step is finished: its outcome is known to the host.
struct StepDone {
  std::int64_t epoch = 0;  ///< counted from 1
  std::int64_t epochs = 0;
  std::int64_t step = 0;         ///< within the epoch, counted from 1
  std::int64_t steps = 0;        ///< of an epoch
  std::int64_t total_steps = 0;  ///< of the job
  std::int64_t global_step = 0;  ///< counted from 1
  std::int64_t batch_size = 0;   ///< samples of this step over all ranks
  double loss = 0;  ///< of the step's samples over all ranks: Σ loss ÷ Σ weight; 0 when it is weightless
  double learning_rate = 0;
  bool skipped = false;                          ///< the gradient overflowed in fp16, so no parameter has changed
  bool weightless = false;                       ///< no label of the step counts, so no parameter has changed
  std::optional<double> loss_scale{};            ///< fp16: of the next step
  StepSeconds seconds{};                         ///< of rank 0
  std::chrono::steady_clock::time_point when{};  ///< the host learnt the outcome
};

/// Pictures that the job trains on, to look at.
struct ImagesShown {
  std::string channel{};
  std::int64_t columns = 0;           ///< pictures side by side, from the top left
  std::vector<std::string> labels{};  ///< of each picture: its class, by name or number; "" where it has none
  std::string png{};                  ///< the bytes of one picture of all
};

/// What a rank's steps took on the mean since this was last told, and what it holds.
struct RankUse {
  int host = 0;  ///< the same for the ranks of a host, and only for these
  std::int64_t steps = 0;
  StepSeconds seconds{};         ///< of a step
  std::int64_t peak_memory = 0;  ///< bytes, since the start
};

/// An epoch, or training, has come to its end, and the state after it was evaluated if there is a channel for that.
struct Evaluated {
  std::int64_t epoch = 0;              ///< counted from 1
  std::int64_t global_step = 0;        ///< counted from 1
  std::optional<double> train_loss{};  ///< of the epoch, Σ loss ÷ Σ weight; nothing when it is not finite
  double train_samples_per_second = 0;
  Metrics metrics{};  ///< of the channel, under names such as `validation_loss`; empty when nothing was evaluated
  Tables tables{};    ///< the same of metrics that are tables
  std::vector<RankUse> ranks{};  ///< in their order; empty when no step was made since the evaluation before
};

/// A span of a rank's time.
struct TracedSpan {
  std::string name{};
  SpanKind kind = SpanKind::kCompute;
  double begin = 0;  ///< seconds since the first traced step began on rank 0, by its clock
  double seconds = 0;
  std::int64_t bytes = 0;     ///< that were moved; 0: it moves none
  double thread_seconds = 0;  ///< that its thread was on a core meanwhile; 0: nobody has measured it
};

/// What one rank has traced.
struct RankTrace {
  int host = 0;  ///< the same for the ranks of a host, and only for these
  std::vector<TracedSpan> spans{};
  std::int64_t dropped = 0;  ///< later ones, for which there was no room
};

/// The steps that trace_steps names are done.
struct Traced {
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;
  std::vector<RankTrace> ranks{};  ///< in their order
};

/// A checkpoint is complete.
struct CheckpointSaved {
  std::int64_t global_step = 0;
  std::filesystem::path path{};
  double seconds = 0;                     ///< that it took to write
  double stall = 0;                       ///< that training stood still for it
  std::vector<std::string> not_pruned{};  ///< older ones that could not be removed, unless that was said before
};

/// A rank is slow: the others wait for it in every step.
struct Straggler {
  int rank = 0;
  std::string host{};
  double factor = 0;  ///< its own work for a step, in that of the median rank
  std::int64_t global_step = 0;
};

/// Something worth a line.
struct Note {
  std::string text{};
  bool warning = false;
};

/// How fast a rank computed, beside what its card can do.
struct Arithmetic {
  double flops_per_second = 0;         ///< that the program needs, on each rank while training
  std::optional<double> peak_flops{};  ///< of the card in the job's precision, where it is known
  std::string card{};
  Precision precision = Precision::kFp32;
};

/// A written artifact.
struct ArtifactFacts {
  std::filesystem::path path{};
  std::uintmax_t bytes = 0;
};

/// Training is at its end, or was stopped on request, and what there is to write is written.
struct RunEnded {
  std::int64_t steps = 0;                  ///< of training
  bool stopped = false;                    ///< on request, before the job's end
  std::int64_t state_step = 0;             ///< the step after which the state in the artifacts was taken
  std::int64_t state_epoch = 0;            ///< the epoch of that step
  Metrics metrics{};                       ///< of that state, under names such as `test_accuracy`
  Tables tables{};                         ///< the same of metrics that are tables
  std::vector<std::string> labels{};       ///< as in RunStarted
  double seconds = 0;                      ///< of the whole run
  double training_seconds = 0;             ///< of steps only
  double samples_per_second = 0;           ///< over all ranks, while training
  double data_wait_share = 0;              ///< of a rank's training time, on the rank whose share is largest
  std::optional<Arithmetic> arithmetic{};  ///< nothing when the program's graph does not say its sizes
  std::optional<bool> captured{};          ///< on a GPU: steps were replayed from a CUDA graph
  std::optional<double> loss_scale{};      ///< fp16
  std::int64_t skipped_steps = 0;          ///< fp16
  std::int64_t not_finite_steps = 0;       ///< that were passed over
  std::int64_t peak_memory = 0;            ///< bytes, on rank 0
  std::vector<ArtifactFacts> artifacts{};
  std::vector<std::filesystem::path> predictions{};  ///< files
};

/// The run has come to an error, which may be before it has started. Nothing else happens in it.
struct RunFailed {
  std::string text{};  ///< of the error
};

}  // namespace lockstep

// Whether a job's data, program and hyperparameters go together, found out before anything starts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/artifacts/Artifact.h"
#include "engine/program/Program.h"
#include "engine/session/LoadedJob.h"
#include "engine/train/RankContext.h"
#include "job/JobConfig.h"

namespace lockstep {

/// Runs the program's inference form on a few samples: what artifacts must reproduce. Throws InputError when it does
/// not take the data, or when a value is not as the graph says.
std::vector<Probe> probe_program(const LoadedJob& job);

/// Runs one sample of every channel through the inference form of `rewritten`, which is on the device. Throws
/// InputError when the program does not take the data, or does not return what the loss and the metrics that were asked
/// for need. Labels that are too many to look at are checked as they are read from now on.
void check_channels(LoadedJob& job, const Program& rewritten, const Hyperparameters& hyperparameters,
                    const RankContext& context);

/// With deterministic: runs one training sample forward and backward. Throws InputError naming an operator that gives
/// other bits from run to run: PyTorch knows of one when it runs.
void check_deterministic(const LoadedJob& job, const Program& rewritten, const Hyperparameters& hyperparameters,
                         const RankContext& context);

/// How many classes an output tells apart; nothing where the loss takes no class labels, or not of a score for each.
std::optional<std::int64_t> classes_of(const at::Tensor& output, const at::Tensor& targets, const Loss& loss);

/// Throws InputError for a target that the loss does not take: a class label that is not below `classes`, or a number
/// out of its range. Labels that are too many to look at are checked as they are read from now on.
void require_targets(ProgramSamples& samples, const Loss& loss, std::optional<std::int64_t> classes);

/// Runs the program forward as it will be trained, and leaves its running statistics as they are, also when this
/// throws: SingleValueError for statistics of one number.
void run_as_trained(const Program& program, const std::vector<at::Tensor>& inputs, Precision precision);

/// Runs one sample of every channel whose outputs are asked for (`predict`), as check_channels does. Throws InputError
/// when the program does not take them, or returns what no line of a table is.
void check_predictions(const LoadedJob& job, const Program& rewritten, const Hyperparameters& hyperparameters,
                       const RankContext& context);

/// Throws InputError when one of the job's artifact formats cannot hold the program.
void check_artifacts(const LoadedJob& job, const Hyperparameters& hyperparameters, const std::vector<Probe>& probes);

/// Runs the smallest share of any step forward as it will be trained: what normalizes by the statistics of its batch
/// needs more than one number for each, and the last step of an epoch is no time to find out that it has not. Throws
/// InputError, with the nearest batch_size that mends it. With sync_batch_norm it is the smallest share of all ranks
/// together, and the program must have a batch norm of which that can be. With a loss over the whole batch
/// (Loss::of_whole_batch) no rank may have more than one micro-batch in a step.
void check_shares(const LoadedJob& job, const Program& rewritten, const Hyperparameters& hyperparameters,
                  const RankContext& context);

/// Throws InputError when a directory that the job writes into cannot be made or written. Changes nothing in it but
/// what jobs that were killed have left half-written.
void check_directories(const JobConfig& config);

}  // namespace lockstep

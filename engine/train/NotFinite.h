// Numbers that are NaN or infinite: where they are, in words that lead to their cause.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/collectives/Communicator.h"
#include "engine/data/ProgramSamples.h"
#include "engine/program/Program.h"

namespace lockstep {

/// The loss, the gradient or a running statistic of a step is not finite, and no smaller loss scale mends it.
/// Parameters and the optimizer's state are as they were before the step. All ranks raise it alike.
class NotFiniteError : public CollectiveError {
 public:
  enum class Found { kLoss, kGradient, kStatistic };

  /// `step` counts from 0. `parameter`: the first, in the order of the bucket plan, whose gradient is not finite.
  NotFiniteError(std::int64_t step, const std::string& what, Found found, std::optional<std::size_t> parameter = {})
      : CollectiveError(kExitRankFailed, "step " + std::to_string(step + 1) + ": " + what),
        step_(step),
        found_(found),
        parameter_(parameter) {}
  std::int64_t step() const { return step_; }
  Found found() const { return found_; }
  const std::optional<std::size_t>& parameter() const { return parameter_; }

 private:
  std::int64_t step_;
  Found found_;
  std::optional<std::size_t> parameter_;
};

/// "nan", whatever its sign bit says, "inf", "-inf", or the number.
std::string number_text(double number);
/// "[3, 0] is nan", the first number that is not finite; "" when all are. A tensor of no dimensions is just " is nan".
std::string find_not_finite(const at::Tensor& tensor);
/// "fc.weight[3, 0] is nan", of the first tensor that has one; "" when there is none.
std::string find_not_finite(const std::vector<StateTensor>& entries);
/// What training changes: trained parameters, then running statistics. Other buffers may well hold infinities, as masks
/// do.
std::vector<StateTensor> trained_state(const Program& program);

/// "column 3 of the input of sample 17 is nan", as the program gets it; "" when all of these samples are finite.
std::string find_not_finite(const ProgramSamples& data, std::span<const std::int64_t> samples);
/// The same of samples that may differ by rank: what the first rank finds, on all ranks. A collective.
std::string find_not_finite(const ProgramSamples& data, std::span<const std::int64_t> samples, Communicator& host);
/// The same of the whole data set, which the ranks share out. A collective.
std::string find_not_finite(const ProgramSamples& data, Communicator& host);

/// What to say of data in which `found` was found, for whoever has it.
std::string not_finite_data(const std::string& channel, const std::string& found);
/// What to say of a channel none of whose labels counts.
std::string nothing_counts(const std::string& channel);
/// What to say of a loss on a whole channel that is not finite, in which `found` was found, or "".
std::string not_finite_loss(const std::string& channel, double loss, const std::string& found);

}  // namespace lockstep

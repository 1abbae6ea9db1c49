// recompute_benchmark FILE.pt2 SAMPLES [bf16] [steps=N]: what a training step of the program takes, forward, loss and
// backward on the CPU, with each value of `recompute`. One line each: the mode, the most bytes of tensors at once
// beyond parameters, their gradients and the batch, and the median of the seconds of CPU time of N steps (5), made in
// turns.
#include <ATen/Functions.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/program/Archive.h"
#include "engine/program/Passes.h"
#include "engine/train/Forward.h"
#include "tests/support/TensorMemory.h"

namespace {

using namespace lockstep;

std::int64_t number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<at::Tensor> batch_of(const Program& program, std::int64_t samples) {
  std::vector<at::Tensor> inputs;
  for (const GraphInput* input : program.graph().user_inputs()) {
    std::vector<std::int64_t> sizes = program.graph().example_sizes(input->value);
    sizes.at(0) = samples;
    const at::ScalarType type = scalar_type_from_archive(program.graph().scalar_type(input->value));
    inputs.push_back(at::isFloatingType(type) ? at::randn(sizes, type) : at::randint(100, sizes, type));
  }
  return inputs;
}

/// A program's step in one mode.
struct Mode {
  Recompute recompute;
  std::unique_ptr<Executor> executor;
  std::int64_t peak = 0;
  std::vector<double> seconds{};
};

void step(Mode& mode, const std::vector<at::Tensor>& inputs, Precision precision) {
  const std::clock_t start = std::clock();
  const std::int64_t peak = peak_tensor_bytes([&] {
    const at::Tensor logits = forward(*mode.executor, inputs, precision).at(0).flatten(0, -2);
    const at::Tensor classes = at::arange(logits.size(0)).remainder(logits.size(1));
    at::cross_entropy_loss(logits, classes).backward();
  });
  mode.seconds.push_back(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  mode.peak = std::max(mode.peak, peak);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "recompute_benchmark FILE.pt2 SAMPLES [bf16] [steps=N]\n");
    return 2;
  }
  Precision precision = Precision::kFp32;
  std::int64_t steps = 5;
  for (int i = 3; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "bf16") precision = Precision::kBf16;
    if (argument.starts_with("steps=")) steps = number(argument.substr(6));
  }
  const Program program = apply_passes(read_archive(arguments[1]), Hyperparameters().passes);
  const std::vector<at::Tensor> inputs = batch_of(program, number(arguments[2]));
  for (const StateTensor& entry : program.trained_parameters()) {
    entry.tensor.mutable_grad() = at::zeros_like(entry.tensor);
  }
  std::vector<Mode> modes;
  for (const Recompute recompute : {Recompute::kNone, Recompute::kAuto, Recompute::kAll}) {
    const RecomputationPlan plan = plan_recomputation(program.graph(), recompute);
    if (recompute != Recompute::kNone) {
      std::fprintf(stderr, "%s: %s\n", to_string(recompute).c_str(), describe(plan, program.graph()).c_str());
    }
    modes.push_back({recompute, std::make_unique<Executor>(program, /*trains=*/true, nullptr, plan)});
  }
  for (std::int64_t i = 0; i <= steps; ++i) {
    for (Mode& mode : modes) step(mode, inputs, precision);
    if (i > 0) continue;
    for (Mode& mode : modes) mode.seconds.clear();  // libraries make their plans in the first one
  }
  for (Mode& mode : modes) {
    std::ranges::sort(mode.seconds);
    std::printf("%s %lld %.4f\n", to_string(mode.recompute).c_str(), static_cast<long long>(mode.peak),
                mode.seconds[mode.seconds.size() / 2]);
  }
  return 0;
}

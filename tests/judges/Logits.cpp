// logits PROGRAM.pt2 CHANNEL MEAN STD OUT: what the engine computes for every sample of a channel, as raw float32, for
// a judge to compare with what a consumer of the artifact computes.

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numeric>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "engine/data/ProgramSamples.h"
#include "engine/program/Archive.h"
#include "engine/program/Executor.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  if (argc != 6) return kExitBadInput;
  const c10::NoGradGuard no_grad;
  const Program program = read_archive(argv[1]);
  const ProgramSamples data(Formats::builtin().open(argv[2]).dataset, {{.name = "inputs"}},
                            {.normalization = {.mean = {std::atof(argv[3])}, .std = {std::atof(argv[4])}}});
  Executor executor(program);
  std::ofstream out(argv[5], std::ios::binary);
  std::vector<std::int64_t> shape = data.input(0).sizes;
  shape.insert(shape.begin(), 0);
  constexpr std::int64_t kBatch = 500;
  for (std::int64_t begin = 0; begin < data.size(); begin += kBatch) {
    shape[0] = std::min(kBatch, data.size() - begin);
    std::vector<std::int64_t> samples(static_cast<std::size_t>(shape[0]));
    std::iota(samples.begin(), samples.end(), begin);
    at::Tensor inputs = at::empty(shape);
    std::byte* const columns[] = {static_cast<std::byte*>(inputs.mutable_data_ptr()), nullptr};
    data.read(samples, columns);
    const at::Tensor logits = executor.run({inputs}).at(0).contiguous();
    out.write(static_cast<const char*>(logits.const_data_ptr()), static_cast<std::streamsize>(logits.nbytes()));
  }
  return out ? kExitDone : kExitInternal;
}

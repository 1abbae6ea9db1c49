#include "engine/train/MicroBatchTensors.h"

#include <ATen/Functions.h>

#include "engine/program/Program.h"

namespace lockstep {

std::vector<at::Tensor> column_tensors(const MicroBatch& batch, const ProgramSamples& samples) {
  std::vector<at::Tensor> tensors;
  for (std::size_t i = 0; i < batch.columns.size(); ++i) {
    const Column& column = samples.columns()[i];
    std::vector<std::int64_t> sizes = column.sizes;
    sizes.insert(sizes.begin(), batch.size);
    const auto keep = [memory = batch.columns[i]](void*) {};
    tensors.push_back(at::from_blob(batch.columns[i].get(), sizes, keep,
                                    scalar_type_from_archive(static_cast<int>(column.transform.to()))));
  }
  return tensors;
}

}  // namespace lockstep

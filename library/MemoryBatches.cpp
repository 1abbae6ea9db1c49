#include "library/MemoryBatches.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/program/Program.h"

namespace lockstep {

Batch read_batch(const ProgramSamples& samples, std::int64_t first, std::int64_t count, const c10::Device& device) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), first);
  std::vector<at::Tensor> columns;
  std::vector<std::byte*> places;
  for (const Column& column : samples.columns()) {
    std::vector<std::int64_t> sizes = column.sizes;
    sizes.insert(sizes.begin(), count);
    columns.push_back(at::empty(sizes, scalar_type_from_archive(static_cast<int>(column.transform.to()))));
    places.push_back(static_cast<std::byte*>(columns.back().mutable_data_ptr()));
  }
  samples.read(numbers, places);
  for (at::Tensor& column : columns) column = column.to(device);
  Batch batch = {.size = count};
  if (samples.has_weights()) {
    batch.weights = std::move(columns.back());
    columns.pop_back();
  }
  if (samples.has_targets()) {
    batch.targets = std::move(columns.back());
    columns.pop_back();
  }
  batch.inputs = std::move(columns);
  return batch;
}

MemoryBatches::MemoryBatches(const ProgramSamples& samples, std::int64_t at_once, const c10::Device& device) {
  const std::int64_t size = samples.size();
  const std::int64_t each = at_once > 0 ? at_once : size;
  for (std::int64_t first = 0; first < size; first += each) {
    batches_.push_back(read_batch(samples, first, std::min(each, size - first), device));
    batches_.back().last_of_step = first + each >= size;
  }
  if (batches_.empty()) batches_.emplace_back();
}

}  // namespace lockstep

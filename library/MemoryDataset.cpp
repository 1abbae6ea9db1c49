#include "library/MemoryDataset.h"

#include <cstring>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "library/Arrays.h"

namespace lockstep {

MemoryDataset::MemoryDataset(const v1::Batch& batch, const std::vector<ProgramInput>& inputs,
                             std::optional<Shards> shards)
    : shards_(std::move(shards)) {
  if (batch.inputs.size() != inputs.size()) {
    std::vector<std::string> names;
    for (const ProgramInput& input : inputs) names.push_back(input.name);
    throw InputError("the program takes " + std::to_string(inputs.size()) +
                     (inputs.size() == 1 ? " input (" : " inputs (") + join(names, ", ") + "), and the batch has " +
                     std::to_string(batch.inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) add(inputs[i].name, batch.inputs[i]);
  if (batch.targets) add(kTarget, *batch.targets);
  if (batch.weights) add(kWeight, *batch.weights);
}

void MemoryDataset::add(const std::string& name, const v1::ArrayView& array) {
  (void)tensor_of(array, name);
  if (array.sizes.empty()) {
    throw InputError(name + ": an array of a batch begins with the number of samples, and this one has no dimensions");
  }
  const std::int64_t samples = array.sizes.front();
  if (spec_.fields.empty()) size_ = samples;
  if (samples != size_) {
    throw InputError(name + " has " + std::to_string(samples) + " samples, and " + spec_.fields.front().name + " has " +
                     std::to_string(size_));
  }
  spec_.fields.push_back({.name = name,
                          .type = element_type(array.type),
                          .sizes = {array.sizes.begin() + 1, array.sizes.end()},
                          .origin = "the batch"});
  data_.push_back(static_cast<const std::byte*>(array.data));
}

void MemoryDataset::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  for (std::size_t field = 0; field < fields.size(); ++field) {
    if (fields[field] == nullptr) continue;
    const std::size_t bytes = spec_.fields[field].bytes();
    std::byte* out = fields[field];
    for (const std::int64_t sample : samples) {
      std::memcpy(out, data_[field] + static_cast<std::size_t>(sample) * bytes, bytes);
      out += bytes;
    }
  }
}

std::int64_t samples_of(const v1::Batch& batch) {
  return batch.inputs.empty() || batch.inputs.front().sizes.empty() ? 0 : batch.inputs.front().sizes.front();
}

}  // namespace lockstep

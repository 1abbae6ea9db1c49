// Samples in the memory of a program of somebody else's.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/data/Columns.h"
#include "engine/data/Dataset.h"
#include "lockstep/Trainer.h"

namespace lockstep {

/// What a batch of the caller's holds, as fields: the program's inputs by their names, the target and the weight.
class MemoryDataset : public Dataset {
 public:
  /// The fields of the target and of the weight: no input is called so.
  static constexpr const char* kTarget = "the targets";
  static constexpr const char* kWeight = "the weights";

  /// The arrays must outlive this. `shards`: where each rank has samples of its own that are counted together. Throws
  /// InputError for arrays that are none, and unless there is one for each input, all of as many samples.
  MemoryDataset(const v1::Batch& batch, const std::vector<ProgramInput>& inputs, std::optional<Shards> shards = {});

  std::int64_t size() const override { return size_; }
  const Shards* shards() const override { return shards_ ? &*shards_ : nullptr; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return ""; }  ///< ranks have what they like
  std::string place(std::size_t field, std::int64_t /*sample*/) const override { return spec_.fields[field].name; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;

 private:
  void add(const std::string& name, const v1::ArrayView& array);

  SampleSpec spec_;
  std::vector<const std::byte*> data_;  ///< by field
  std::int64_t size_ = 0;
  std::optional<Shards> shards_;
};

/// Samples of a batch, which has one.
std::int64_t samples_of(const v1::Batch& batch);

}  // namespace lockstep

#include "engine/train/WholeBatch.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "common/Error.h"

namespace lockstep {

namespace {

/// What a rank has.
struct RankRows {
  std::int64_t count = 0;
  std::int64_t numbers = 0;  ///< of each
  std::int64_t doubles = 0;  ///< 1: they are float64, else float32

  bool like(const RankRows& other) const { return numbers == other.numbers && doubles == other.doubles; }
};
static_assert(sizeof(RankRows) == 3 * sizeof(std::int64_t));

RankRows rows_of(const at::Tensor& own) {
  if (!own.defined() || own.size(0) == 0) return {};
  return {.count = own.size(0), .numbers = own.numel() / own.size(0), .doubles = own.scalar_type() == at::kDouble};
}

}  // namespace

WholeBatch::Joined WholeBatch::join(const at::Tensor& given) const {
  const bool narrow = given.defined() && given.scalar_type() != at::kDouble;
  const at::Tensor own = narrow ? given.to(at::kFloat) : given;
  const auto ranks = static_cast<std::size_t>(host_->size());
  const auto rank = static_cast<std::size_t>(host_->rank());
  const RankRows mine = rows_of(own);
  std::vector<RankRows> all(ranks);
  host_->all_gather(&mine, all.data(), 3, DataType::kInt64)->wait();

  RankRows most;
  Joined joined{.rows = {}, .first = mine.count > 0};
  for (std::size_t i = 0; i < ranks; ++i) {
    if (all[i].count == 0) continue;
    if (most.count > 0 && !most.like(all[i])) {
      throw InputError(
          "a loss over the whole batch takes outputs of the same sizes on all ranks; the program returned " +
          std::to_string(most.numbers) + " and " + std::to_string(all[i].numbers) + " numbers for a sample");
    }
    most = {.count = std::max(most.count, all[i].count), .numbers = all[i].numbers, .doubles = all[i].doubles};
    joined.samples += all[i].count;
    if (i < rank) joined.first = false;
  }
  if (ranks == 1) {
    joined.rows = own;
    return joined;
  }

  const at::TensorOptions options = at::TensorOptions(most.doubles != 0 ? at::kDouble : at::kFloat).device(device_);
  const at::Tensor sent = at::zeros({most.count, most.numbers}, options);
  if (mine.count > 0) sent.narrow(0, 0, mine.count).copy_(own.detach().reshape({mine.count, mine.numbers}));
  const at::Tensor received = at::empty({host_->size(), most.count, most.numbers}, options);
  communicator_
      ->all_gather(sent.const_data_ptr(), received.mutable_data_ptr(), static_cast<std::size_t>(sent.numel()),
                   most.doubles != 0 ? DataType::kFloat64 : DataType::kFloat32)
      ->wait();
  if (mine.count == 0) return joined;
  std::vector<at::Tensor> parts;
  for (std::size_t i = 0; i < ranks; ++i) {
    parts.push_back(i == rank ? own.reshape({mine.count, mine.numbers})
                              : received[static_cast<std::int64_t>(i)].narrow(0, 0, all[i].count));
  }
  std::vector<std::int64_t> sizes = own.sizes().vec();
  sizes.front() = joined.samples;
  joined.rows = at::cat(parts).view(sizes);
  return joined;
}

}  // namespace lockstep

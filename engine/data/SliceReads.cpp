#include "engine/data/SliceReads.h"

#include <numeric>

namespace lockstep {

void read_slice(const Dataset& dataset, std::span<const std::size_t> fields, const Slice& slice,
                const BlockVisitor& visit) {
  constexpr std::size_t kBlockBytes = 256 << 10;
  const std::vector<Field>& stored = dataset.spec().fields;
  std::size_t most = 1;
  for (const std::size_t field : fields) most = std::max(most, stored[field].bytes());
  const auto block = static_cast<std::int64_t>(std::max<std::size_t>(1, kBlockBytes / most));
  std::vector<std::vector<double>> memory;  // aligned for any element
  std::vector<std::byte*> places(stored.size());
  for (const std::size_t field : fields) {
    memory.emplace_back(static_cast<std::size_t>(block) * stored[field].bytes() / sizeof(double) + 1);
    places[field] = reinterpret_cast<std::byte*>(memory.back().data());
  }
  std::vector<std::int64_t> samples;
  for (std::int64_t first = slice.begin; first < slice.end; first += block) {
    samples.resize(static_cast<std::size_t>(std::min(block, slice.end - first)));
    std::iota(samples.begin(), samples.end(), first);
    dataset.read(samples, places);
    visit(first, static_cast<std::int64_t>(samples.size()), places);
  }
}

}  // namespace lockstep

// Going through a data set once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <span>
#include <type_traits>
#include <vector>

#include "engine/data/Dataset.h"
#include "engine/data/Shards.h"

namespace lockstep {

/// Is shown `count` samples from `first` on: of each field that was asked for, its place among `places`.
using BlockVisitor = std::function<void(std::int64_t first, std::int64_t count, std::span<std::byte* const> places)>;

/// Reads these fields of the samples of a slice, in their order: as many samples at once as take 256 KiB of the largest
/// of the fields, at least one. Throws what reading throws.
void read_slice(const Dataset& dataset, std::span<const std::size_t> fields, const Slice& slice,
                const BlockVisitor& visit);

/// What `work` returns for each of at most `threads` parts of a slice, each by a thread of its own, in the order of the
/// parts. Throws what the first part threw that did, when all are done.
template <typename Work>
std::vector<std::invoke_result_t<const Work&, Slice>> by_threads(const Slice& slice, std::int64_t threads,
                                                                 const Work& work) {
  threads = std::clamp<std::int64_t>(threads, 1, std::max<std::int64_t>(slice.size(), 1));
  std::vector<std::future<std::invoke_result_t<const Work&, Slice>>> parts;
  for (std::int64_t i = 0; i < threads; ++i) {
    const Slice part = {slice.begin + slice.size() * i / threads, slice.begin + slice.size() * (i + 1) / threads};
    parts.push_back(std::async(std::launch::async, [&work, part] { return work(part); }));
  }
  std::vector<std::invoke_result_t<const Work&, Slice>> results;
  for (auto& part : parts) results.push_back(part.get());
  return results;
}

}  // namespace lockstep

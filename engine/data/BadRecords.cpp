#include "engine/data/BadRecords.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "common/Error.h"
#include "engine/data/SliceReads.h"

namespace lockstep {

namespace {

// Each on its own: one that is bad does not hide the others.
std::vector<BadRecord> read_each(const Dataset& dataset, const Slice& samples, std::int64_t most) {
  std::vector<BadRecord> found;
  std::vector<std::vector<std::byte>> memory;
  std::vector<std::byte*> places;
  for (const Field& field : dataset.spec().fields) places.push_back(memory.emplace_back(field.bytes()).data());
  for (std::int64_t sample = samples.begin; sample < samples.end && std::ssize(found) <= most; ++sample) {
    try {
      dataset.read({&sample, 1}, places);
    } catch (const InputError& error) {
      found.push_back({.sample = sample, .why = error.what()});
    }
  }
  return found;
}

}  // namespace

std::vector<BadRecord> find_bad_records(const Dataset& dataset, const Slice& samples, std::int64_t most, int threads) {
  std::vector<BadRecord> all;
  const auto parts = by_threads(samples, threads, [&](const Slice& part) { return read_each(dataset, part, most); });
  for (const std::vector<BadRecord>& found : parts) std::ranges::copy(found, std::back_inserter(all));
  return all;
}

}  // namespace lockstep

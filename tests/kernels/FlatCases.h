// The cases that operators over flat storage are run on: for tests against a float64 reference, and for benchmarks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/FlatWork.h"

namespace lockstep::kernels {

/// A layout of segments.
struct FlatCase {
  std::string name;
  std::vector<std::int64_t> lengths;
  std::int64_t gap = 0;  ///< elements between segments that belong to none
  bool skips = false;    ///< every third segment is skipped
};

inline std::vector<FlatCase> flat_cases() {
  return {
      {.name = "nothing", .lengths = {}},
      {.name = "one empty segment", .lengths = {0}},
      {.name = "one element", .lengths = {1}},
      {.name = "around a vector", .lengths = {1, 3, 4, 5, 8, 9, 16, 17, 33}, .gap = 5},
      {.name = "around a block", .lengths = {256, 257, 1023, 1025}, .gap = 1},
      {.name = "around a CUDA piece", .lengths = {4095, 4096, 4097}, .gap = 64},
      {.name = "skips", .lengths = {10, 20, 30, 40, 0, 50, 4100}, .gap = 2, .skips = true},
      {.name = "no gaps", .lengths = {64, 20000, 100, 1000}},
      {.name = "around a CPU piece", .lengths = {16383, 16384, 16385}, .gap = 64},
      {.name = "many tiny segments", .lengths = std::vector<std::int64_t>(150, 3), .gap = 61},
      {.name = "large", .lengths = {100003, 1, 70000}, .gap = 13},
  };
}

/// The segments of a case, each with a decay, a factor and a step count of its own.
inline std::vector<Segment> segments_of(const FlatCase& flat) {
  std::vector<Segment> segments;
  std::int64_t offset = flat.gap;
  for (std::size_t i = 0; i < flat.lengths.size(); ++i) {
    segments.push_back({.offset = offset,
                        .length = flat.lengths[i],
                        .weight_decay = i % 2 == 0 ? 0.1 : 0.0,
                        .learning_rate_factor = i % 3 == 2 ? 0.25 : 1.0,
                        .step = static_cast<std::int64_t>(i % 5 + 1),
                        .skip = flat.skips && i % 3 == 1});
    offset += flat.lengths[i] + flat.gap;
  }
  return segments;
}

inline std::int64_t storage_length(const FlatCase& flat) {
  std::int64_t length = flat.gap;
  for (const std::int64_t segment : flat.lengths) length += segment + flat.gap;
  return length;
}

}  // namespace lockstep::kernels

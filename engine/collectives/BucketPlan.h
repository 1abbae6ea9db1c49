// How parameters are laid out in flat storage, and in which pieces their gradients are reduced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/FlatWork.h"

namespace lockstep {

/// A parameter to be placed.
struct ParameterLayout {
  std::string name;
  std::int64_t elements = 0;
  double weight_decay = 0;
  double learning_rate_factor = 1;
  bool matrix = false;  ///< kernels::Segment::matrix
};

/// A contiguous piece of the flat storage that is reduced at once.
struct Bucket {
  std::int64_t offset = 0;  ///< in elements
  std::int64_t length = 0;  ///< in elements
  std::size_t first_segment = 0;
  std::size_t end_segment = 0;  ///< one after its last
};

/// Parameters in the order in which backward meets them, one after another, each on a 256-byte boundary; cut
/// into buckets of at most the cap, except that a parameter is never cut. Where ranks share out what they update, each
/// bucket is padded so that it falls into as many shares of the same length, each on such a boundary; where one
/// parameter ends and the next begins does not matter to them. A pure function of its inputs: the same on all ranks.
class BucketPlan {
 public:
  /// element_size: 4 or 8 bytes. cap: in bytes, positive. shares: the number of ranks that share out what they update;
  /// 1: each updates all.
  BucketPlan(const std::vector<ParameterLayout>& parameters, std::int64_t element_size, double cap, int shares = 1);

  std::int64_t length() const { return length_; }                              ///< of the flat storage, in elements
  const std::vector<kernels::Segment>& segments() const { return segments_; }  ///< one per parameter, in order
  const std::vector<std::string>& names() const { return names_; }             ///< of the parameters, in order
  const std::vector<Bucket>& buckets() const { return buckets_; }
  std::vector<std::size_t> bucket_of_segments() const;  ///< in which bucket each parameter is
  int shares() const { return shares_; }
  /// What this rank updates: with shares its share of each bucket, in order, else everything as one range.
  std::vector<kernels::FlatRange> ranges_of(int rank) const;
  /// Everything above as text: ranks compare it.
  std::string digest() const;

 private:
  std::int64_t length_ = 0;
  int shares_;
  std::vector<kernels::Segment> segments_;
  std::vector<std::string> names_;
  std::vector<Bucket> buckets_;
};

}  // namespace lockstep

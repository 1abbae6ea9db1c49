#include "engine/collectives/BucketPlan.h"

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

constexpr std::int64_t kAlignment = 256;  // bytes

constexpr std::int64_t rounded_up(std::int64_t length, std::int64_t to) { return (length + to - 1) / to * to; }

}  // namespace

BucketPlan::BucketPlan(const std::vector<ParameterLayout>& parameters, std::int64_t element_size, double cap,
                       int shares)
    : shares_(shares) {
  if ((element_size != 4 && element_size != 8) || !(cap > 0) || shares < 1) {
    throw InternalError("a bucket plan needs elements of 4 or 8 bytes, a positive cap and at least one share");
  }
  const std::int64_t alignment = kAlignment / element_size;
  const double cap_elements = cap / static_cast<double>(element_size);
  const auto pad_last = [&] {
    if (buckets_.empty()) return;
    Bucket& last = buckets_.back();
    last.length = rounded_up(last.length, alignment * shares);
    length_ = last.offset + last.length;
  };
  for (const ParameterLayout& parameter : parameters) {
    const std::int64_t size = rounded_up(parameter.elements, alignment);
    if (buckets_.empty() || static_cast<double>(length_ + size - buckets_.back().offset) > cap_elements) {
      pad_last();
      buckets_.push_back({.offset = length_, .length = 0, .first_segment = segments_.size(), .end_segment = 0});
    }
    segments_.push_back({.offset = length_,
                         .length = parameter.elements,
                         .weight_decay = parameter.weight_decay,
                         .learning_rate_factor = parameter.learning_rate_factor,
                         .matrix = parameter.matrix});
    names_.push_back(parameter.name);
    length_ += size;
    buckets_.back().length = length_ - buckets_.back().offset;
    buckets_.back().end_segment = segments_.size();
  }
  pad_last();
}

std::vector<kernels::FlatRange> BucketPlan::ranges_of(int rank) const {
  if (shares_ == 1) return {{.begin = 0, .length = length_, .state = 0}};
  std::vector<kernels::FlatRange> ranges;
  for (const Bucket& bucket : buckets_) {
    const std::int64_t share = bucket.length / shares_;
    ranges.push_back({.begin = bucket.offset + rank * share, .length = share, .state = bucket.offset / shares_});
  }
  return ranges;
}

std::vector<std::size_t> BucketPlan::bucket_of_segments() const {
  std::vector<std::size_t> bucket_of;
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    bucket_of.resize(buckets_[bucket].end_segment, bucket);
  }
  return bucket_of;
}

std::string BucketPlan::digest() const {
  Digest digest;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const kernels::Segment& segment = segments_[i];
    digest.update(names_[i] + format(" %lld %lld %a %a %d", static_cast<long long>(segment.offset),
                                     static_cast<long long>(segment.length), segment.weight_decay,
                                     segment.learning_rate_factor, segment.matrix ? 1 : 0));
  }
  for (const Bucket& bucket : buckets_) {
    digest.update(format("%lld %lld", static_cast<long long>(bucket.offset), static_cast<long long>(bucket.length)));
  }
  return digest.hex();
}

}  // namespace lockstep

#include "engine/collectives/BucketPlan.h"

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

constexpr std::int64_t kAlignment = 256;  // bytes

}  // namespace

BucketPlan::BucketPlan(const std::vector<ParameterLayout>& parameters, std::int64_t element_size, double cap) {
  if ((element_size != 4 && element_size != 8) || !(cap > 0)) {
    throw InternalError("a bucket plan needs elements of 4 or 8 bytes and a positive cap");
  }
  const std::int64_t alignment = kAlignment / element_size;
  const double cap_elements = cap / static_cast<double>(element_size);
  for (const ParameterLayout& parameter : parameters) {
    const std::int64_t offset = length_;
    const std::int64_t end = offset + (parameter.elements + alignment - 1) / alignment * alignment;
    if (buckets_.empty() || static_cast<double>(end - buckets_.back().offset) > cap_elements) {
      buckets_.push_back({.offset = offset, .length = 0, .first_segment = segments_.size(), .end_segment = 0});
    }
    segments_.push_back({.offset = offset,
                         .length = parameter.elements,
                         .weight_decay = parameter.weight_decay,
                         .learning_rate_factor = parameter.learning_rate_factor,
                         .matrix = parameter.matrix});
    names_.push_back(parameter.name);
    buckets_.back().length = end - buckets_.back().offset;
    buckets_.back().end_segment = segments_.size();
    length_ = end;
  }
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

#include "engine/collectives/BucketPlan.h"

#include <gtest/gtest.h>

#include "common/Error.h"

namespace lockstep {
namespace {

constexpr std::int64_t kFloat = 4;
constexpr double kMiB = 1024 * 1024;

std::vector<ParameterLayout> layouts(const std::vector<std::int64_t>& sizes) {
  std::vector<ParameterLayout> parameters;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    parameters.push_back({.name = "p" + std::to_string(i), .elements = sizes[i]});
  }
  return parameters;
}

std::vector<std::int64_t> lengths(const BucketPlan& plan) {
  std::vector<std::int64_t> result;
  for (const Bucket& bucket : plan.buckets()) result.push_back(bucket.length);
  return result;
}

using Lengths = std::vector<std::int64_t>;

TEST(BucketPlan, PlacesEveryParameterOn256Bytes) {
  for (const std::int64_t element_size : {4, 8}) {
    const BucketPlan plan(layouts({1, 64, 65, 7}), element_size, kMiB);
    const std::int64_t alignment = 256 / element_size;
    std::int64_t end = 0;
    for (const kernels::Segment& segment : plan.segments()) {
      EXPECT_EQ(segment.offset % alignment, 0);
      EXPECT_GE(segment.offset, end);
      EXPECT_LT(segment.offset - end, alignment);
      end = segment.offset + segment.length;
    }
    EXPECT_GE(plan.length(), end);
    EXPECT_EQ(plan.length() % alignment, 0);
    EXPECT_EQ(lengths(plan), Lengths{plan.length()});
  }
}

TEST(BucketPlan, KeepsNamesOrderAndGroups) {
  const BucketPlan plan(
      {{.name = "b", .elements = 3, .weight_decay = 0.5, .learning_rate_factor = 2}, {.name = "a", .elements = 4}},
      kFloat, kMiB);
  EXPECT_EQ(plan.names(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(plan.segments()[0].length, 3);
  EXPECT_EQ(plan.segments()[0].weight_decay, 0.5);
  EXPECT_EQ(plan.segments()[0].learning_rate_factor, 2);
  EXPECT_EQ(plan.segments()[1].weight_decay, 0);
  EXPECT_EQ(plan.segments()[1].learning_rate_factor, 1);
}

TEST(BucketPlan, PadsBucketsToSharesAndCutsParametersBetweenThem) {
  for (const int shares : {2, 3, 4}) {
    // Buckets of less than a boundary for each share, of one parameter, and of several.
    const BucketPlan plan(layouts({1, 640, 64, 65}), kFloat, 1024, shares);
    const std::int64_t unit = 64 * shares;
    const auto padded = [&](std::int64_t length) { return (length + unit - 1) / unit * unit; };
    EXPECT_EQ(lengths(plan), (Lengths{padded(64), padded(640), padded(192)}));
    std::vector<std::int64_t> owners(static_cast<std::size_t>(plan.length()), 0);
    for (int rank = 0; rank < shares; ++rank) {
      std::int64_t state = 0;
      for (const kernels::FlatRange& range : plan.ranges_of(rank)) {
        EXPECT_EQ(range.begin % 64, 0);
        EXPECT_EQ(range.state, state);
        state += range.length;
        for (std::int64_t i = range.begin; i < range.begin + range.length; ++i) ++owners[static_cast<std::size_t>(i)];
      }
      EXPECT_EQ(state, plan.length() / shares);
    }
    EXPECT_EQ(owners, std::vector<std::int64_t>(owners.size(), 1)) << "everything has one owner";
    std::int64_t end = 0;
    for (const kernels::Segment& segment : plan.segments()) {
      EXPECT_GE(segment.offset, end);
      end = segment.offset + segment.length;
    }
    EXPECT_LE(end, plan.length());
  }
  EXPECT_THROW(BucketPlan({}, kFloat, kMiB, 0), InternalError);
}

TEST(BucketPlan, FillsBucketsUpToTheCapAndNeverCutsAParameter) {
  // 64 floats are 256 bytes.
  EXPECT_EQ(lengths(BucketPlan(layouts({64, 64, 64}), kFloat, 512)), (Lengths{128, 64}));
  EXPECT_EQ(lengths(BucketPlan(layouts({64, 64, 64}), kFloat, 511)), (Lengths{64, 64, 64}));
  EXPECT_EQ(lengths(BucketPlan(layouts({64, 640, 64}), kFloat, 512)), (Lengths{64, 640, 64}));
  EXPECT_EQ(lengths(BucketPlan(layouts({640, 64, 64}), kFloat, 512)), (Lengths{640, 128}));
  EXPECT_EQ(lengths(BucketPlan(layouts({64, 64}), 8, 512)), (Lengths{64, 64}));
}

TEST(BucketPlan, BucketsCoverTheStorageAndTheSegments) {
  const BucketPlan plan(layouts({10, 0, 300, 65, 1, 1, 1000, 2}), kFloat, 1024);
  EXPECT_GT(plan.buckets().size(), 2);
  std::int64_t end = 0;
  std::size_t end_segment = 0;
  for (const Bucket& bucket : plan.buckets()) {
    EXPECT_EQ(bucket.offset, end);
    EXPECT_EQ(bucket.first_segment, end_segment);
    ASSERT_LT(bucket.first_segment, bucket.end_segment);
    EXPECT_EQ(plan.segments()[bucket.first_segment].offset, bucket.offset);
    const kernels::Segment& last = plan.segments()[bucket.end_segment - 1];
    EXPECT_LE(last.offset + last.length, bucket.offset + bucket.length);
    end = bucket.offset + bucket.length;
    end_segment = bucket.end_segment;
  }
  EXPECT_EQ(end, plan.length());
  EXPECT_EQ(end_segment, plan.segments().size());
}

TEST(BucketPlan, MayBeEmpty) {
  const BucketPlan plan({}, kFloat, kMiB);
  EXPECT_EQ(plan.length(), 0);
  EXPECT_TRUE(plan.buckets().empty());
  EXPECT_TRUE(plan.segments().empty());
  EXPECT_EQ(lengths(BucketPlan(layouts({0}), kFloat, kMiB)), Lengths{0});
}

TEST(BucketPlan, DigestTellsPlansApart) {
  const std::vector<ParameterLayout> base = layouts({64, 65});
  const std::string digest = BucketPlan(base, kFloat, kMiB).digest();
  EXPECT_EQ(BucketPlan(base, kFloat, kMiB).digest(), digest);
  EXPECT_NE(BucketPlan(base, kFloat, 256).digest(), digest);
  EXPECT_NE(BucketPlan(layouts({65, 64}), kFloat, kMiB).digest(), digest);
  EXPECT_NE(BucketPlan(layouts({64, 66}), kFloat, kMiB).digest(), digest);
  for (const auto change : std::vector<void (*)(ParameterLayout&)>{
           [](ParameterLayout& p) { p.name = "q"; }, [](ParameterLayout& p) { p.weight_decay = 1e-300; },
           [](ParameterLayout& p) { p.learning_rate_factor = 1 + 1e-15; }}) {
    std::vector<ParameterLayout> changed = base;
    change(changed[1]);
    EXPECT_NE(BucketPlan(changed, kFloat, kMiB).digest(), digest);
  }
}

TEST(BucketPlan, RefusesWhatCannotBePlaced) {
  EXPECT_THROW(BucketPlan({}, 3, kMiB), InternalError);
  EXPECT_THROW(BucketPlan({}, kFloat, 0), InternalError);
}

}  // namespace
}  // namespace lockstep

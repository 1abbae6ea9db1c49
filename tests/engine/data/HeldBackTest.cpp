#include "engine/data/HeldBack.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "engine/data/ArrayDataset.h"
#include "engine/data/HostShard.h"
#include "tests/support/TestReads.h"

namespace lockstep {
namespace {

using Integers = std::vector<std::int64_t>;
using Part = HeldBackDataset::Part;

std::shared_ptr<const Dataset> numbered(std::int64_t samples) {
  Array array{.field = {.name = "n", .type = ElementType::kInt64}, .samples = samples};
  array.bytes.resize(static_cast<std::size_t>(samples) * sizeof(std::int64_t));
  std::iota(reinterpret_cast<std::int64_t*>(array.bytes.data()),
            reinterpret_cast<std::int64_t*>(array.bytes.data()) + samples, 0);
  return std::make_shared<ArrayDataset>("here", std::vector<Array>{array});
}

Integers all(const Dataset& dataset) {
  Integers samples(static_cast<std::size_t>(dataset.size()));
  std::iota(samples.begin(), samples.end(), 0);
  return read_field<std::int64_t>(dataset, "n", samples);
}

TEST(HeldBack, EverySampleIsInOnePart) {
  for (const std::int64_t samples : {1, 63, 64, 65, 1000}) {
    const auto data = numbered(samples);
    const HeldBackDataset held(data, 5, 0.3, Part::kHeldBack);
    const HeldBackDataset rest(data, 5, 0.3, Part::kRest);
    std::set<std::int64_t> seen;
    for (const HeldBackDataset* part : {&held, &rest}) {
      const Integers found = all(*part);
      EXPECT_TRUE(std::ranges::is_sorted(found));
      for (const std::int64_t sample : found) EXPECT_TRUE(seen.insert(sample).second);
    }
    EXPECT_EQ(static_cast<std::int64_t>(seen.size()), samples);
    for (const std::int64_t sample : all(held)) EXPECT_TRUE(is_held_back(5, 0.3, sample));
  }
}

TEST(HeldBack, TheShareIsAsLargeAsItIsSaid) {
  const HeldBackDataset held(numbered(20'000), 1, 0.1, Part::kHeldBack);
  EXPECT_NEAR(static_cast<double>(held.size()), 2000, 4 * 42);  // standard deviations
  EXPECT_NE(all(held), all(HeldBackDataset(numbered(20'000), 2, 0.1, Part::kHeldBack)));
  EXPECT_NE(held.digest(), HeldBackDataset(numbered(20'000), 1, 0.1, Part::kRest).digest());
}

// Checkpoints rely on these: they must not change.
TEST(HeldBack, FollowsFromSeedAndPlaceAlone) {
  Integers held;
  for (std::int64_t sample = 0; sample < 40; ++sample) {
    if (is_held_back(7, 0.25, sample)) held.push_back(sample);
  }
  EXPECT_EQ(held, (Integers{0, 6, 15, 18, 19, 29, 35, 36, 38}));
}

TEST(HeldBack, EachHostKnowsWhatAllHave) {
  const std::vector<Shards::Holding> holdings = {
      {.host = 0, .samples = 50}, {.host = 1, .samples = 0}, {.host = 2, .samples = 90}};
  const auto own = numbered(90);
  const auto shard =
      std::make_shared<HostShard>(own, HostsData{.spec = own->spec(), .shards = Shards(holdings), .digest = "all"});
  const HeldBackDataset held(shard, 3, 0.4, Part::kHeldBack);
  const HeldBackDataset rest(shard, 3, 0.4, Part::kRest);
  ASSERT_NE(held.shards(), nullptr);
  EXPECT_EQ(held.shards()->samples_of(2), held.size());
  EXPECT_EQ(held.shards()->samples_of(0) + rest.shards()->samples_of(0), 50);
  EXPECT_EQ(held.shards()->samples_of(1), 0);
  EXPECT_EQ(held.shards()->samples_of(0), HeldBackDataset(numbered(50), 3, 0.4, Part::kHeldBack).size());
}

TEST(HeldBack, AHostWithoutSamplesHasSomeToTry) {
  const auto none = std::make_shared<HostShard>(
      nullptr,
      HostsData{.spec = numbered(1)->spec(),
                .shards = Shards(std::vector<Shards::Holding>{{.host = 0, .samples = 0}, {.host = 1, .samples = 9}}),
                .digest = "all",
                .specimens = {std::vector<std::byte>(16)}});
  const HeldBackDataset held(none, 3, 0.4, Part::kHeldBack);
  EXPECT_EQ(held.size(), 0);
  EXPECT_EQ(held.readable(), 2);
  EXPECT_EQ(read_field<std::int64_t>(held, "n", {1}), Integers{0});
}

}  // namespace
}  // namespace lockstep

#include "engine/data/HostShard.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/data/CommonFields.h"
#include "engine/data/SyntheticDataset.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PlainSamples.h"

namespace lockstep {
namespace {

using Texts = std::vector<std::string>;

HostFields host(const std::string& name, std::vector<Field> fields) {
  return {.host = name, .spec = {std::move(fields)}};
}

TEST(CommonFields, AreTheHostsOwnWhereTheseAreAlike) {
  const Field x{.name = "x", .sizes = {3}, .large = true, .origin = "/a"};
  const Field y{.name = "y", .type = ElementType::kInt64, .bound = 4, .categories = {"d", "b"}};
  const SampleSpec common = common_fields({host("a", {x, y}), host("b", {x, y})});
  EXPECT_TRUE(same_fields(common, {{x, y}}));
  EXPECT_EQ(common.fields[1].categories, (Texts{"d", "b"}));  // in the order that the format has
  EXPECT_EQ(common.fields[1].bound, 4);
  EXPECT_FALSE(common.fields[0].large);
  EXPECT_EQ(common.fields[0].origin, "");
}

TEST(CommonFields, AreWideEnoughForAll) {
  const Field integers{.name = "x", .type = ElementType::kInt64, .bound = 3};
  const Field reals{.name = "x", .type = ElementType::kDouble};
  EXPECT_EQ(common_fields({host("a", {integers}), host("b", {reals})}).fields[0].type, ElementType::kDouble);
  EXPECT_EQ(common_fields({host("a", {integers}), host("b", {reals})}).fields[0].bound, 0);
  Field more = integers;
  more.bound = 7;
  EXPECT_EQ(common_fields({host("a", {integers}), host("b", {more}), host("c", {integers})}).fields[0].bound, 7);
  const Field texts{.name = "x", .type = ElementType::kInt64, .bound = 2, .categories = {"b", "d"}};
  const Field others{.name = "x", .type = ElementType::kInt64, .bound = 3, .categories = {"a", "b", "c"}};
  const SampleSpec all = common_fields({host("a", {texts}), host("b", {others}), host("c", {texts})});
  EXPECT_EQ(all.fields[0].categories, (Texts{"a", "b", "c", "d"}));
  EXPECT_EQ(all.fields[0].bound, 4);
}

TEST(CommonFields, AreWithoutThoseThatNoHostHas) {
  const Field x{.name = "x"};
  Field mispelt{.name = "mispelt", .type = ElementType::kDouble, .absent = true};
  EXPECT_TRUE(same_fields(common_fields({host("a", {x, mispelt}), host("b", {x, mispelt})}), {{x}}));
  Field there = mispelt;
  there.absent = false;
  EXPECT_TRUE(same_fields(common_fields({host("a", {x, mispelt}), host("b", {x, there})}), {{x, there}}));
  EXPECT_TRUE(same_fields(common_fields({host("a", {x, there}), host("b", {x, mispelt})}), {{x, there}}));
}

TEST(CommonFields, RefuseHostsThatDoNotFit) {
  const Field x{.name = "x", .sizes = {3}};
  const Field y{.name = "y", .type = ElementType::kInt64};
  const Field texts{.name = "y", .type = ElementType::kInt64, .categories = {"a"}};
  EXPECT_ERROR(common_fields({host("a", {x, y}), host("b", {x})}), InputError, "a has x (float32 [3]), y (int64)",
               "b has x (float32 [3])", "write the files of all hosts alike");
  Field longer = x;
  longer.sizes = {4};
  EXPECT_ERROR(common_fields({host("a", {x}), host("b", {longer})}), InputError, "sizes of x", "[3]", "[4]");
  EXPECT_ERROR(common_fields({host("a", {y}), host("b", {texts})}), InputError, "field y holds texts on b",
               "numbers on a");
  EXPECT_ERROR(common_fields({host("a", {texts}), host("b", {y})}), InputError, "field y holds texts on a",
               "numbers on b");
}

// Whatever the other hosts have: who does not take it is not hindered.
TEST(CommonFields, HaveAFaultThatOneHostHas) {
  const Field x{.name = "x", .sizes = {3}};
  const Field y{.name = "y", .type = ElementType::kInt64, .categories = {"a"}};
  Field faulty = y;
  faulty.refuse({.why = "a.csv, line 2: column y has no value", .what = "no value in 1 row"});
  for (const SampleSpec& common : {common_fields({host("a", {x, y}), host("b", {x, faulty})}),
                                   common_fields({host("b", {x, faulty}), host("a", {x, y})})}) {
    EXPECT_TRUE(same_fields(common, {{x, faulty}}));
    EXPECT_NE(common.fields[1].fault.value().why.find("a.csv, line 2: column y has no value"), std::string::npos);
    EXPECT_FALSE(common.fields[0].fault);
  }
}

SampleSpec spec() {
  return {{{.name = "x", .sizes = {2}, .origin = "here"}, {.name = "y", .type = ElementType::kInt64, .bound = 5}}};
}

std::shared_ptr<const Dataset> synthetic(std::int64_t samples) {
  return std::make_shared<SyntheticDataset>(spec(), samples, /*seed=*/1);
}

HostsData all_of(std::vector<Shards::Holding> holdings) {
  return {.spec = common_fields({{.host = "a", .spec = spec()}}), .shards = Shards(holdings), .digest = "of all"};
}

TEST(HostShard, HasTheSamplesOfItsHost) {
  const std::shared_ptr<const Dataset> own = synthetic(7);
  const auto shard = std::make_shared<HostShard>(own, all_of({{0, 7}, {1, 3}}));
  EXPECT_EQ(shard->size(), 7);
  EXPECT_EQ(shard->readable(), 7);
  EXPECT_EQ(shard->digest(), "of all");
  EXPECT_EQ(shard->shards()->samples(), 10);
  EXPECT_EQ(shard->place(0, 3), own->place(0, 3));
  const ProgramSamples samples = plain_samples(shard);
  EXPECT_EQ(samples.shards(2).samples(), 10);
  const ProgramSamples alone = plain_samples(own);
  for (std::int64_t i = 0; i < 7; ++i) {
    EXPECT_EQ(samples.numbers(samples.input(0), i), alone.numbers(alone.input(0), i));
  }
}

TEST(HostShard, WithoutSamplesLendsThoseOfAnother) {
  HostsData all = all_of({{0, 0}, {1, 3}});
  const std::shared_ptr<const Dataset> other = synthetic(3);
  std::vector<std::byte*> places;
  for (const Field& field : all.spec.fields) all.specimens.emplace_back(3 * field.bytes());
  for (auto& bytes : all.specimens) places.push_back(bytes.data());
  other->read(std::vector<std::int64_t>{0, 1, 2}, places);
  const ProgramSamples samples = plain_samples(std::make_shared<HostShard>(nullptr, all));
  EXPECT_EQ(samples.size(), 0);
  EXPECT_EQ(samples.dataset()->readable(), 3);
  const ProgramSamples theirs = plain_samples(other);
  EXPECT_EQ(samples.numbers(samples.input(0), 2), theirs.numbers(theirs.input(0), 2));
  EXPECT_EQ(samples.numbers(samples.target(), 1), theirs.numbers(theirs.target(), 1));
}

/// Labels of 0 to 2, whose bound nobody knows.
class Labels : public Dataset {
 public:
  explicit Labels(std::int64_t size) : size_(size) {
    spec_.fields = {{.name = "x", .type = ElementType::kInt64}, {.name = "y", .type = ElementType::kInt64}};
  }
  std::int64_t size() const override { return size_; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return ""; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    for (std::byte* field : fields) {
      for (std::size_t i = 0; field != nullptr && i < samples.size(); ++i) {
        reinterpret_cast<std::int64_t*>(field)[i] = samples[i] % 3;
      }
    }
  }

 private:
  std::int64_t size_;
  SampleSpec spec_;
};

TEST(HostShard, ClassesAreThoseOfAllHosts) {
  ProgramSamples some = plain_samples(std::make_shared<Labels>(9));
  EXPECT_EQ(some.classes(), 3);
  some.widen_classes(2);
  EXPECT_EQ(some.classes(), 3);
  some.widen_classes(5);
  EXPECT_EQ(some.classes(), 5);
  some.require_classes(5, "");
  EXPECT_ERROR(some.require_classes(2, "two"), InputError, "the label of sample 2 is 2");
}

}  // namespace
}  // namespace lockstep

#include "engine/data/MixedDataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/data/BadRecords.h"
#include "engine/data/KeptSamples.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TestReads.h"

namespace lockstep {
namespace {

/// Sample i is the number first + i; some cannot be read. A varied sample is what it was varied by.
class Numbers : public Dataset {
 public:
  Numbers(std::int64_t first, std::int64_t size, std::vector<std::int64_t> bad = {}, const std::string& name = "x")
      : first_(first), size_(size), bad_(std::move(bad)) {
    spec_.fields.push_back({.name = name, .type = ElementType::kInt64, .bound = first + size});
  }
  std::int64_t size() const override { return size_; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return std::to_string(first_) + "+" + std::to_string(size_); }
  std::string place(std::size_t, std::int64_t sample) const override {
    return "number " + std::to_string(first_ + sample);
  }
  std::string note() const override { return first_ == 0 ? "from zero" : ""; }
  std::optional<std::vector<BadRecord>> bad_records() const override { return std::nullopt; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (std::ranges::count(bad_, samples[i]) > 0) throw InputError(place(0, samples[i]) + " is bad");
      if (fields[0] != nullptr) reinterpret_cast<std::int64_t*>(fields[0])[i] = first_ + samples[i];
    }
  }
  void read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                   const Draw& draw) const override {
    for (std::size_t i = 0; i < samples.size(); ++i) {
      reinterpret_cast<std::int64_t*>(fields[0])[i] =
          static_cast<std::int64_t>(SampleChance(draw, samples[i], SampleChance::Use::kCrop).uniform() * 0x1p53);
    }
  }

 private:
  std::int64_t first_;
  std::int64_t size_;
  std::vector<std::int64_t> bad_;
  SampleSpec spec_;
};

/// The same with a second field, which one may have a fault.
class WithNote : public Numbers {
 public:
  explicit WithNote(bool fault) : Numbers(0, 4), spec_(Numbers::spec()) {
    spec_.fields.push_back({.name = "note", .type = ElementType::kDouble});
    if (fault) spec_.fields.back().refuse({.why = "it lacks values", .what = "no value in 1 row"});
  }
  const SampleSpec& spec() const override { return spec_; }

 private:
  SampleSpec spec_;
};

TEST(MixedDataset, AFaultOfOnePartIsTheMixtures) {
  const auto fine = std::make_shared<WithNote>(false);
  const auto faulty = std::make_shared<WithNote>(true);
  for (const auto& parts : {std::vector<MixturePart>{{.channel = "a", .share = 1, .dataset = fine},
                                                     {.channel = "b", .share = 1, .dataset = faulty}},
                            std::vector<MixturePart>{{.channel = "b", .share = 1, .dataset = faulty},
                                                     {.channel = "a", .share = 1, .dataset = fine}}}) {
    const MixedDataset mixed(parts);
    EXPECT_EQ(mixed.spec().fields[1].fault.value().why, "it lacks values");
    EXPECT_EQ(read_field<std::int64_t>(mixed, "x", {0, 1, 2, 3}).size(), 4);
  }
}

std::shared_ptr<const Dataset> numbers(std::int64_t first, std::int64_t size) {
  return std::make_shared<Numbers>(first, size);
}

std::vector<std::int64_t> all_of(const Dataset& dataset) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(dataset.size()));
  std::iota(samples.begin(), samples.end(), 0);
  return read_field<std::int64_t>(dataset, dataset.spec().fields[0].name, samples);
}

std::int64_t varied(const Dataset& dataset, std::int64_t sample) {
  std::int64_t value = 0;
  std::byte* const place = reinterpret_cast<std::byte*>(&value);
  dataset.read_varied({&sample, 1}, {&place, 1}, {.seed = 7, .epoch = 2});
  return value;
}

TEST(KeptSamples, AreTheOthersInTheirOrder) {
  for (const std::vector<std::int64_t>& left_out :
       {std::vector<std::int64_t>{0}, {9}, {4}, {0, 1, 2}, {7, 8, 9}, {0, 2, 4, 6, 8}, {1, 2, 3, 4, 5, 6, 7, 8}, {}}) {
    std::vector<std::int64_t> expected;
    for (std::int64_t i = 0; i < 10; ++i) {
      if (std::ranges::count(left_out, i) == 0) expected.push_back(100 + i);
    }
    const KeptSamples kept(numbers(100, 10), left_out, "some are left out");
    EXPECT_EQ(all_of(kept), expected);
    EXPECT_EQ(kept.place(0, kept.size() - 1), "number " + std::to_string(expected.back()));
    EXPECT_EQ(varied(kept, 0), varied(*numbers(100, 10), expected[0] - 100));
    EXPECT_EQ(kept.note(), "some are left out");
  }
  EXPECT_NE(KeptSamples(numbers(0, 4), {1}, "").digest(), KeptSamples(numbers(0, 4), {2}, "").digest());
  EXPECT_EQ(KeptSamples(numbers(0, 4), {1}, "and one").note(), "from zero; and one");
  EXPECT_ERROR(KeptSamples(numbers(0, 2), {0, 1}, ""), InternalError, "left out");
  EXPECT_ERROR(KeptSamples(numbers(0, 4), {1, 1}, ""), InternalError, "left out");
}

TEST(BadRecords, AreFoundByAnyNumberOfThreads) {
  const std::vector<std::int64_t> bad = {0, 63, 64, 500, 998};
  const Numbers dataset(1000, 999, bad);
  for (const int threads : {1, 4}) {
    const auto found = find_bad_records(dataset, {0, 999}, 5, threads);
    ASSERT_EQ(found.size(), bad.size());
    for (std::size_t i = 0; i < bad.size(); ++i) {
      EXPECT_EQ(found[i].sample, bad[i]);
      EXPECT_EQ(found[i].why, "number " + std::to_string(1000 + bad[i]) + " is bad");
    }
    EXPECT_EQ(find_bad_records(dataset, {1, 64}, 5, threads).size(), 1);
    EXPECT_TRUE(find_bad_records(dataset, {1, 63}, 5, threads).empty());
    EXPECT_GT(find_bad_records(dataset, {0, 999}, 2, threads).size(), 2);
  }
}

TEST(MixedDataset, DealsNeighboursInProportion) {
  const MixedDataset mixed({{.channel = "a", .share = 0.5, .dataset = numbers(0, 300)},
                            {.channel = "b", .share = 0.3, .dataset = numbers(1000, 100)},
                            {.channel = "c", .share = 0.2, .dataset = numbers(2000, 60)}});
  // 300 are one half: 600 in all, b's 100 come 1.8 times, c's 60 twice.
  ASSERT_EQ(mixed.size(), 600);
  const std::vector<std::int64_t> values = all_of(mixed);
  std::map<std::int64_t, int> times;
  std::map<std::int64_t, double> dealt;
  for (std::size_t i = 0; i < values.size(); ++i) {
    ++times[values[i]];
    dealt[values[i] / 1000] += 1;
    const double positions = static_cast<double>(i + 1);
    EXPECT_NEAR(dealt[0], 0.5 * positions, 2) << i;
    EXPECT_NEAR(dealt[1], 0.3 * positions, 2) << i;
  }
  EXPECT_EQ(times.size(), 460);
  for (const auto& [value, count] : times) {
    const int least = value < 1000 || (value < 2000 && value >= 1080) ? 1 : 2;
    EXPECT_EQ(count, least) << value;
  }
  EXPECT_EQ(
      mixed.note(),
      "an epoch is mixed from a, whose 300 samples come 1 time (from zero); b, whose 100 samples come 1.8 times; c, "
      "whose 60 samples come 2 times");
  EXPECT_EQ(mixed.spec().fields[0].bound, 2060);
}

TEST(MixedDataset, VariesASampleAnewEachTimeThatItComes) {
  const MixedDataset mixed({{.channel = "a", .share = 1, .dataset = numbers(0, 30)},
                            {.channel = "b", .share = 1, .dataset = numbers(100, 10)}});
  std::map<std::int64_t, std::vector<std::int64_t>> seen;
  const std::vector<std::int64_t> values = all_of(mixed);
  for (std::int64_t i = 0; i < mixed.size(); ++i) seen[values[static_cast<std::size_t>(i)]].push_back(varied(mixed, i));
  ASSERT_EQ(seen.at(103).size(), 3);
  EXPECT_NE(seen.at(103)[0], seen.at(103)[1]);
  EXPECT_NE(seen.at(103)[0], seen.at(103)[2]);
  EXPECT_NE(seen.at(103)[1], seen.at(103)[2]);
  EXPECT_EQ(seen.at(103)[0], varied(*numbers(100, 10), 3));
}

TEST(MixedDataset, SharesNeedNotAddUpToOne) {
  const auto size = [](double a, double b) {
    return MixedDataset({{.channel = "a", .share = a, .dataset = numbers(0, 7)},
                         {.channel = "b", .share = b, .dataset = numbers(0, 7)}})
        .size();
  };
  EXPECT_EQ(size(1, 1), 14);
  EXPECT_EQ(size(0.25, 0.75), 28);
  EXPECT_EQ(size(100, 300), 28);
  EXPECT_EQ(size(1, 1e-3), 7007);
}

TEST(MixedDataset, RefusesWhatCannotBeMixed) {
  const auto mix = [](std::shared_ptr<const Dataset> a, std::shared_ptr<const Dataset> b, double share = 1) {
    return MixedDataset({{.channel = "a", .share = share, .dataset = std::move(a)},
                         {.channel = "b", .share = 1, .dataset = std::move(b)}});
  };
  EXPECT_ERROR(mix(numbers(0, 3), std::make_shared<Numbers>(0, 3, std::vector<std::int64_t>{}, "y")), InputError,
               "a has x (int64)", "b has y (int64)");
  EXPECT_ERROR(mix(numbers(0, 1000), numbers(0, 3), 1e-12), InputError, "unequal", "channel b");
  EXPECT_NE(mix(numbers(0, 3), numbers(0, 3)).digest(), mix(numbers(0, 3), numbers(0, 3), 2).digest());
}

}  // namespace
}  // namespace lockstep

#include "engine/data/Variation.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "common/Error.h"
#include "engine/data/ArrayDataset.h"
#include "engine/data/Loader.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

constexpr std::int64_t kSize = 5;

using Bytes = std::vector<std::uint8_t>;

Field picture(std::vector<std::int64_t> sizes) {
  return {.name = "x", .type = ElementType::kUint8, .sizes = std::move(sizes)};
}

Bytes numbered(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i + 1);
  return bytes;
}

// What `vary` may make of a picture of two channels.
Bytes moved(const Bytes& before, std::int64_t down, std::int64_t right, bool flipped) {
  Bytes after(before.size());
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(before.size()); ++i) {
    const std::int64_t row = i / kSize % kSize + down;
    const std::int64_t column = (flipped ? kSize - 1 - i % kSize : i % kSize) + right;
    if (row < 0 || row >= kSize || column < 0 || column >= kSize) continue;
    after[static_cast<std::size_t>(i)] =
        before[static_cast<std::size_t>(i / (kSize * kSize) * kSize * kSize + row * kSize + column)];
  }
  return after;
}

TEST(Variation, ShiftsAndMirrorsAsLikelyAsItSays) {
  const Field field = picture({2, kSize, kSize});
  const Bytes before = numbered(2 * kSize * kSize);
  std::map<Bytes, int> found;
  constexpr int kDraws = 18'000;
  for (int sample = 0; sample < kDraws; ++sample) {
    Bytes bytes = before;
    vary(reinterpret_cast<std::byte*>(bytes.data()), field, {.seed = 3, .flip = 0.25, .padding = 1}, 2, sample);
    ++found[bytes];
  }
  EXPECT_EQ(found.size(), 18);
  for (std::int64_t down = -1; down <= 1; ++down) {
    for (std::int64_t right = -1; right <= 1; ++right) {
      EXPECT_NEAR(found[moved(before, down, right, false)], kDraws * 0.75 / 9, 200);
      EXPECT_NEAR(found[moved(before, down, right, true)], kDraws * 0.25 / 9, 120);
    }
  }
}

TEST(Variation, PaddingMayBeLargerThanThePicture) {
  const Field field = picture({2, 3});
  std::set<Bytes> found;
  for (int sample = 0; sample < 3000; ++sample) {
    Bytes bytes = numbered(6);
    vary(reinterpret_cast<std::byte*>(bytes.data()), field, {.padding = 9}, 0, sample);
    found.insert(bytes);
  }
  EXPECT_EQ(found.size(), 3 * 5 + 1);  // by at most 1 down and 2 right, or nothing is left
}

Bytes adjusted(Bytes bytes, const Field& field, double brightness, double contrast, double saturation) {
  adjust_colors(reinterpret_cast<std::byte*>(bytes.data()), field, brightness, contrast, saturation);
  return bytes;
}

// Two pixels of each channel, as torchvision's adjust_* make of them.
TEST(Variation, ChangesColors) {
  const Field colors = picture({3, 1, 2});
  const Bytes before = {200, 10, 100, 20, 0, 250};  // greys: 118, 43
  EXPECT_EQ(adjusted(before, colors, 1, 1, 1), before);
  EXPECT_EQ(adjusted(before, colors, 1.5, 1, 1), (Bytes{255, 15, 150, 30, 0, 255}));
  EXPECT_EQ(adjusted(before, colors, 1, 0.5, 1), (Bytes{140, 45, 90, 50, 40, 165}));
  EXPECT_EQ(adjusted(before, colors, 1, 1, 0), (Bytes{118, 43, 118, 43, 118, 43}));
  EXPECT_EQ(adjusted(before, colors, 1, 1, 1.5), (Bytes{241, 0, 91, 8, 0, 255}));
  EXPECT_EQ(adjusted({200, 10}, picture({1, 2}), 1, 0.5, 0), (Bytes{152, 57}));
  const Bytes with_alpha = {200, 10, 100, 20, 0, 250, 7, 8};
  EXPECT_EQ(adjusted(with_alpha, picture({4, 1, 2}), 1, 1, 0), (Bytes{118, 43, 118, 43, 118, 43, 7, 8}));
}

TEST(Variation, JitterFollowsFromSeedEpochAndSample) {
  const Field field = picture({3, 2, 2});
  const auto varied = [&](std::uint64_t seed, std::int64_t epoch, std::int64_t sample) {
    Bytes bytes = {200, 10, 100, 20, 0, 250, 60, 70, 80, 90, 120, 30};
    vary(reinterpret_cast<std::byte*>(bytes.data()), field,
         {.seed = seed, .brightness = 0.4, .contrast = 0.3, .saturation = 0.5}, epoch, sample);
    return bytes;
  };
  EXPECT_EQ(varied(1, 2, 3), varied(1, 2, 3));
  const std::set<Bytes> found = {varied(1, 2, 3), varied(2, 2, 3), varied(1, 3, 3), varied(1, 2, 4)};
  EXPECT_EQ(found.size(), 4);
}

std::shared_ptr<const Dataset> pictures(std::int64_t samples) {
  Bytes bytes = numbered(static_cast<std::size_t>(samples * kSize * kSize));
  Bytes labels(static_cast<std::size_t>(samples));
  return std::make_shared<ArrayDataset>(
      "here",
      std::vector<Array>{
          {.field = picture({kSize, kSize}), .samples = samples, .bytes = std::move(bytes)},
          {.field = {.name = "y", .type = ElementType::kUint8}, .samples = samples, .bytes = std::move(labels)}});
}

// The pixels of each sample of an epoch, whoever reads them.
std::map<std::int64_t, std::vector<float>> epoch_of(const ProgramSamples& samples, std::int64_t epoch, int ranks,
                                                    int threads) {
  std::map<std::int64_t, std::vector<float>> found;
  const BatchPlan plan(samples.size(), 7, 2, ranks);
  const Order order(1, samples.size(), true);
  for (int rank = 0; rank < ranks; ++rank) {
    Loader loader(samples, order, plan, rank, threads, {.epoch = epoch});
    for (std::int64_t step = 0; step < plan.steps(); ++step) {
      for (const Slice& slice : plan.micro_batches(step, rank)) {
        const MicroBatch batch = loader.next();
        const auto* pixels = reinterpret_cast<const float*>(batch.columns[0].get());
        for (std::int64_t i = 0; i < batch.size; ++i, pixels += kSize * kSize) {
          found[order(epoch, slice.begin + i)].assign(pixels, pixels + kSize * kSize);
        }
      }
      if (plan.micro_batches(step, rank).empty()) loader.next();
    }
  }
  return found;
}

TEST(Variation, IsTheSameForAllRanksAndThreads) {
  const ProgramSamples plain(pictures(40), {{.name = "x"}}, {});
  const ProgramSamples varied = plain.varied({.seed = 5, .flip = 0.5, .padding = 2, .brightness = 0.2});
  const auto first = epoch_of(varied, 0, 1, 1);
  const auto second = epoch_of(varied, 1, 1, 1);
  ASSERT_EQ(first.size(), 40);
  EXPECT_NE(first, second);
  EXPECT_NE(first, epoch_of(plain, 0, 1, 1));
  EXPECT_NE(first, epoch_of(plain.varied({.seed = 6, .flip = 0.5, .padding = 2, .brightness = 0.2}), 0, 1, 1));
  for (const int ranks : {1, 2, 3}) {
    for (const int threads : {1, 4}) {
      EXPECT_EQ(epoch_of(varied, 0, ranks, threads), first);
      EXPECT_EQ(epoch_of(varied, 1, ranks, threads), second);
    }
  }
  EXPECT_EQ(epoch_of(plain.varied({.seed = 5}), 0, 2, 2), epoch_of(plain, 0, 1, 1));
}

// As a GPU gets them.
TEST(Variation, PixelsMayStayBytes) {
  const ProgramSamples varied =
      ProgramSamples(pictures(3), {{.name = "x"}}, {}).varied({.seed = 5, .flip = 0.9, .padding = 1});
  const ProgramSamples stored = varied.with_pixels_as_stored();
  std::vector<float> reals(3 * kSize * kSize);
  Bytes bytes(reals.size());
  const std::vector<std::int64_t> samples = {2, 0, 1};
  varied.read(samples, std::vector<std::byte*>{reinterpret_cast<std::byte*>(reals.data()), nullptr}, 4);
  stored.read(samples, std::vector<std::byte*>{reinterpret_cast<std::byte*>(bytes.data()), nullptr}, 4);
  EXPECT_NE(std::vector(bytes.begin() + kSize * kSize, bytes.end()), numbered(2 * kSize * kSize));
  for (std::size_t i = 0; i < bytes.size(); ++i) EXPECT_EQ(reals[i], static_cast<float>(bytes[i] / 255.0));
}

TEST(Variation, OfArraysThoseWithChannelsFirstArePictures) {
  for (const std::int64_t channels : {1, 3, 4}) EXPECT_TRUE(is_picture(picture({channels, 32, 32})));
  EXPECT_TRUE(is_picture(picture({32, 32})));
  EXPECT_FALSE(is_picture(picture({32, 32, 3})));
  EXPECT_FALSE(is_picture(picture({32})));
}

TEST(Variation, WhatItCannotVaryIsRefused) {
  const ProgramSamples samples(pictures(2), {{.name = "x"}}, {});
  EXPECT_NO_THROW(samples.varied({}));
  const ProgramSamples table(pictures(2), {{.name = "y"}}, {.names = {{"target", "x"}}});
  EXPECT_NO_THROW(table.varied({}));
  EXPECT_ERROR(table.varied({.flip = 0.5}), InputError,
               "image_flip and image_padding vary inputs of bytes of [rows, columns], or of [channels, rows, columns]",
               "x (uint8 [5, 5]), y (uint8)");
  const ProgramSamples masks(pictures(2), {{.name = "again"}}, {.names = {{"again", "x"}, {"target", "x"}}});
  EXPECT_ERROR(masks.varied({.padding = 1}), InputError, "targets of sizes [5, 5]");
  EXPECT_ERROR(masks.varied({.flip = 0.5, .contrast = 0.1}), InputError, "targets of sizes [5, 5]");
  EXPECT_NO_THROW(masks.varied({.brightness = 0.1}));  // moves nothing
}

}  // namespace
}  // namespace lockstep

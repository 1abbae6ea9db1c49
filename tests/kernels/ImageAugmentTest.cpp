#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "kernels/image_augment/ImageAugment.h"
#include "tests/kernels/Forms.h"
#include "tests/kernels/MatrixCases.h"

namespace lockstep::kernels {
namespace {

constexpr Normalisation kNormalisation = normalisation({0.485F, 0.456F, 0.406F, 0.5F}, {0.229F, 0.224F, 0.225F, 0.25F});

struct ImageCase {
  std::int64_t batch;
  std::int32_t height, width, out_height, out_width, channels;
};

// Nothing; one pixel; vectors that cross rows, and images that end within a vector; blocks; pieces of a row.
constexpr ImageCase kCases[] = {{0, 4, 4, 4, 4, 3},     {2, 0, 0, 2, 3, 3},   {1, 1, 1, 1, 1, 1},    {3, 5, 7, 4, 3, 1},
                                {4, 6, 5, 4, 4, 3},     {3, 6, 5, 7, 8, 2},   {7, 9, 8, 8, 8, 4},    {2, 3, 4, 3, 5, 3},
                                {9, 32, 30, 28, 28, 3}, {2, 2, 9, 2, 800, 1}, {5, 2, 600, 2, 390, 3}};

// Whole, shifted beyond each edge and wholly outside, flipped or not.
std::vector<CropFlip> crops_of(const ImageCase& image) {
  const std::int32_t down = image.height - image.out_height;
  const std::int32_t right = image.width - image.out_width;
  const std::vector<CropFlip> all = {{0, 0, true},
                                     {-1, -2, false},
                                     {down + 2, right + 1, true},
                                     {down, right, false},
                                     {-2, right + 2, true},
                                     {1, -3, true},
                                     {image.height, 0, false},
                                     {0, -image.out_width, true},
                                     {0, image.width + 5, false}};
  return {all.begin(), all.begin() + image.batch};
}

template <typename Element>
class ImageAugmentTest : public testing::Test {};
TYPED_TEST_SUITE(ImageAugmentTest, Elements);

TYPED_TEST(ImageAugmentTest, MatchesTheFormula) {
  using Element = TypeParam;
  for (const auto& form : forms()) {
    for (const ImageCase& image : kCases) {
      for (const Placement placement : placements()) {
        SCOPED_TRACE(form->name() + ", " + std::to_string(image.out_width) + " wide" +
                     (placement.at_end           ? ", at the end"
                      : placement.misaligned > 0 ? ", misaligned"
                                                 : ""));
        std::mt19937 engine(1);
        std::vector<std::uint8_t> pixels(
            static_cast<std::size_t>(image.batch * image.height * image.width * image.channels));
        for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(engine() >> 8U);
        const std::vector<CropFlip> crops = crops_of(image);
        std::vector<double> y;
        for (std::int64_t n = 0; n < image.batch; ++n) {
          const CropFlip crop = crops[static_cast<std::size_t>(n)];
          for (std::int32_t out_row = 0; out_row < image.out_height; ++out_row) {
            for (std::int32_t out_column = 0; out_column < image.out_width; ++out_column) {
              const std::int32_t row = crop.top + out_row;
              const std::int32_t column = crop.left + (crop.flip ? image.out_width - 1 - out_column : out_column);
              const bool inside = row >= 0 && row < image.height && column >= 0 && column < image.width;
              for (std::int32_t c = 0; c < image.channels; ++c) {
                const auto at = ((n * image.height + row) * image.width + column) * image.channels + c;
                const double pixel = inside ? pixels[static_cast<std::size_t>(at)] : 0;
                const auto channel = static_cast<std::size_t>(c);
                y.push_back(pixel * kNormalisation.a[channel] + kNormalisation.b[channel]);
              }
            }
          }
        }
        const Buffer<std::uint8_t> pixel_buffer(*form, pixels, placement);
        const Buffer<CropFlip> crop_buffer(*form, crops, placement);
        const Buffer<Element> y_buffer(*form, y.size(), placement);
        run(
            *form, [](auto&&... args) { image_augment(args...); },
            ImageAugment<Element>{pixel_buffer.data(), crop_buffer.data(), y_buffer.data(), image.batch, image.height,
                                  image.width, image.out_height, image.out_width, image.channels, kNormalisation});
        ASSERT_LE(relative_error(y_buffer.values(), y), tolerance<Element>());
      }
    }
  }
}

// Channels that lie behind each other: each image of one channel has its own normalisation.
TYPED_TEST(ImageAugmentTest, NormalisesPlanesByTheirChannels) {
  using Element = TypeParam;
  for (const auto& form : forms()) {
    for (const std::int32_t planes : {1, 2, 3, 4}) {
      for (const std::int32_t width : {1, 7, 64, 1031}) {
        SCOPED_TRACE(form->name() + ", " + std::to_string(planes) + " planes of " + std::to_string(width));
        const std::int64_t batch = 2 * std::int64_t{planes};
        std::vector<std::uint8_t> pixels(static_cast<std::size_t>(batch * width));
        std::vector<double> y;
        for (std::size_t i = 0; i < pixels.size(); ++i) {
          pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
          const std::size_t channel = i / static_cast<std::size_t>(width) % static_cast<std::size_t>(planes);
          y.push_back(static_cast<double>(pixels[i]) * kNormalisation.a[channel] + kNormalisation.b[channel]);
        }
        const Buffer<std::uint8_t> pixel_buffer(*form, pixels, {});
        const Buffer<CropFlip> crop_buffer(*form, std::vector<CropFlip>(static_cast<std::size_t>(batch)), {});
        const Buffer<Element> y_buffer(*form, y.size(), {});
        run(
            *form, [](auto&&... args) { image_augment(args...); },
            ImageAugment<Element>{pixel_buffer.data(), crop_buffer.data(), y_buffer.data(), batch, 1, width, 1, width,
                                  1, kNormalisation, planes});
        ASSERT_LE(relative_error(y_buffer.values(), y), tolerance<Element>());
      }
    }
  }
}

TEST(RandomCropFlip, NormalisationIsThatOfToTensorAndNormalize) {
  for (const int pixel : {0, 17, 255}) {
    EXPECT_NEAR(pixel * kNormalisation.a[1] + kNormalisation.b[1], (pixel / 255.0 - 0.456) / 0.224, 1e-6);
  }
}

TEST(RandomCropFlip, CoversEveryOffsetAndBothDirectionsEvenly) {
  std::vector<int> tops(9);
  std::vector<int> lefts(3);
  int flips = 0;
  int diagonal = 0;
  for (std::uint64_t sample = 0; sample < 9000; ++sample) {
    const CropFlip crop = random_crop_flip(1, 2, sample, {32, 30, 32, 36, 4}, true);
    ++tops.at(static_cast<std::size_t>(crop.top + 4));
    ++lefts.at(static_cast<std::size_t>(crop.left + 4));
    flips += crop.flip ? 1 : 0;
    diagonal += crop.top == 0 && crop.flip ? 1 : 0;
  }
  for (const int count : tops) EXPECT_NEAR(count, 1000, 150);  // five standard deviations
  for (const int count : lefts) EXPECT_NEAR(count, 3000, 225);
  EXPECT_NEAR(flips, 4500, 240);
  EXPECT_NEAR(diagonal, 500, 110);
}

TEST(RandomCropFlip, FollowsFromSeedEpochAndSample) {
  constexpr CropSizes kSizes = {1000, 1000, 1, 1, 0};
  std::set<std::pair<std::int32_t, std::int32_t>> seen;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
      for (std::uint64_t sample = 0; sample < 3; ++sample) {
        const CropFlip crop = random_crop_flip(seed, epoch, sample, kSizes, false);
        EXPECT_FALSE(crop.flip);
        seen.emplace(crop.top, crop.left);
      }
    }
  }
  EXPECT_EQ(seen.size(), 27U);
  // Runs are repeated on other machines and by later versions: these numbers must not change.
  static_assert(random_crop_flip(7, 1, 42, kSizes, true).top == 525);
  static_assert(random_crop_flip(7, 1, 42, kSizes, true).left == 551);
  static_assert(random_crop_flip(7, 1, 42, kSizes, true).flip == (0 != 0));
}

}  // namespace
}  // namespace lockstep::kernels

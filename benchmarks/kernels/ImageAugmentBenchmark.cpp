// CIFAR's images padded by 4, and ImageNet's cut from larger ones; every second one flipped.
#include "kernels/image_augment/ImageAugment.h"

#include "benchmarks/kernels/Benchmarks.h"

namespace lockstep::kernels {

namespace {

constexpr std::int32_t kChannels = 3;

template <typename Element>
void add_case(Cases& cases, std::int64_t batch, const CropSizes& sizes) {
  const std::int64_t pixels = batch * sizes.out_height * sizes.out_width * kChannels;
  const std::string shape = std::to_string(batch) + "x" + std::to_string(sizes.out_height) + "x" +
                            std::to_string(sizes.out_width) + "x" + std::to_string(kChannels);
  const auto bytes = pixels * static_cast<std::int64_t>(1 + sizeof(Element));
  cases.add("image_augment/" + element_name<Element>() + "/" + shape, bytes, [=, &cases]() -> Run {
    std::vector<CropFlip> crops;
    for (std::int64_t i = 0; i < batch; ++i) {
      crops.push_back(random_crop_flip(1, 0, static_cast<std::uint64_t>(i), sizes, true));
    }
    return [=, &cases, images = cases.filled<std::uint8_t>(batch * sizes.height * sizes.width * kChannels, 100),
            crops = cases.buffer(crops), y = cases.buffer<Element>(pixels),
            scale = normalisation({0.485F, 0.456F, 0.406F, 0}, {0.229F, 0.224F, 0.225F, 1})] {
      cases.call([](auto... args) { image_augment(args...); },
                 ImageAugment<Element>{images.data(), crops.data(), y.data(), batch, sizes.height, sizes.width,
                                       sizes.out_height, sizes.out_width, kChannels, scale});
    };
  });
}

template <typename Element>
void add_cases(Cases& cases) {
  add_case<Element>(cases, cases.pick(512, 32768), {32, 32, 32, 32, 4});
  add_case<Element>(cases, cases.pick(64, 512), {256, 256, 224, 224, 0});
}

}  // namespace

void add_image_augment(Cases& cases) {
  add_cases<float>(cases);
  add_cases<BFloat16>(cases);
}

}  // namespace lockstep::kernels

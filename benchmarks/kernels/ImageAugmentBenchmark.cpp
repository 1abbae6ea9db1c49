// CIFAR's images padded by 4, and ImageNet's cut from larger ones; every second one flipped.
#include <benchmark/benchmark.h>

#include "kernels/image_augment/ImageAugment.h"
#include "tests/kernels/Forms.h"

namespace lockstep::kernels {

namespace {

template <typename Element>
void measure(const std::string& name, std::int64_t batch, const CropSizes& sizes) {
  constexpr std::int32_t kChannels = 3;
  const std::int64_t pixels = batch * sizes.out_height * sizes.out_width * kChannels;
  benchmark::RegisterBenchmark(("image_augment/" + element_name<Element>() + "/" + name).c_str(), [=](benchmark::State&
                                                                                                          state) {
    const std::vector<std::uint8_t> images(static_cast<std::size_t>(batch * sizes.height * sizes.width * kChannels),
                                           100);
    std::vector<CropFlip> crops;
    for (std::int64_t i = 0; i < batch; ++i) {
      crops.push_back(random_crop_flip(1, 0, static_cast<std::uint64_t>(i), sizes, true));
    }
    std::vector<Element> y(static_cast<std::size_t>(pixels));
    const Normalisation scale = normalisation({0.485F, 0.456F, 0.406F, 0}, {0.229F, 0.224F, 0.225F, 1});
    for ([[maybe_unused]] auto _ : state) {
      image_augment(ImageAugment<Element>{images.data(), crops.data(), y.data(), batch, sizes.height, sizes.width,
                                          sizes.out_height, sizes.out_width, kChannels, scale});
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * pixels * static_cast<std::int64_t>(1 + sizeof(Element)));
  })->UseRealTime();
}

template <typename Element>
void measure_all() {
  measure<Element>("512x32x32x3", 512, {32, 32, 32, 32, 4});
  measure<Element>("64x224x224x3", 64, {256, 256, 224, 224, 0});
}

}  // namespace

void register_image_augment_benchmarks() {
  measure_all<float>();
  measure_all<BFloat16>();
}

}  // namespace lockstep::kernels

// Writes what a data set of images makes of its channel, for judges: all images, then all targets.
//
//   judge_pixels DIR CHANNELS HEIGHT WIDTH center|random|stretch [SEED EPOCH]
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "engine/data/Formats.h"

namespace {

using namespace lockstep;

ImageCrop crop_named(const std::string& name) {
  return name == "random" ? ImageCrop::kRandom : name == "stretch" ? ImageCrop::kStretch : ImageCrop::kCenter;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const std::vector<std::string> words(arguments, arguments + count);
    const ImageShape shape = {
        .channels = std::stoi(words.at(2)), .height = std::stoll(words.at(3)), .width = std::stoll(words.at(4))};
    const auto dataset =
        Formats::builtin().open(words.at(1), {.image = {.shape = shape, .crop = crop_named(words.at(5))}}).dataset;
    std::vector<std::int64_t> samples(static_cast<std::size_t>(dataset->size()));
    std::iota(samples.begin(), samples.end(), 0);
    std::vector<std::byte> images(samples.size() * dataset->spec().fields[0].bytes());
    std::vector<std::int64_t> targets(samples.size());
    const std::vector<std::byte*> fields = {images.data(), reinterpret_cast<std::byte*>(targets.data())};
    if (count > 6) {
      dataset->read_varied(samples, fields, {.seed = std::stoull(words.at(6)), .epoch = std::stoll(words.at(7))});
    } else {
      dataset->read(samples, fields);
    }
    std::fwrite(images.data(), 1, images.size(), stdout);
    std::fwrite(targets.data(), sizeof targets[0], targets.size(), stdout);
    return std::fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
}

// Other sizes of images, of one to three spatial dimensions, by ATen/native/UpSample.h
// (area_pixel_compute_source_index).
#include <algorithm>
#include <cmath>

#include "engine/artifacts/primitives/PrimitiveRows.h"
#include "engine/artifacts/primitives/rows/Spatial.h"

namespace lockstep {

namespace {

void require_images(NodeArguments& arguments, const Term& x) {
  if (x.rank() != spatial_dimensions(arguments) + 2) arguments.refuse("it takes images with a batch");
}

std::vector<double> reals(NodeArguments& arguments, const char* name) {
  if (!arguments.has(name)) return {};
  const Argument* given = arguments.node().find(name);
  if (const auto* list = std::get_if<std::vector<double>>(given)) return *list;
  const Ints whole = arguments.ints(name);
  return {whole.begin(), whole.end()};
}

/// What an operator is told: sizes, or scales, or both.
struct Resizing {
  std::vector<double> scales;  ///< empty: sizes alone
  Integers sizes;              ///< spatial ones
};

// PyTorch rounds sizes down.
Resizing resizing_of(NodeArguments& arguments, const Term& x) {
  Resizing resizing{reals(arguments, "scale_factors"), arguments.integers("output_size")};
  for (const char* name : {"scales", "scales_d", "scales_h", "scales_w"}) {
    if (arguments.has(name)) resizing.scales.push_back(arguments.real(name, 1));
  }
  const std::size_t spatial = x.rank() - 2;
  if (!resizing.scales.empty() && resizing.scales.size() != spatial) arguments.refuse("it has other scales");
  if (resizing.sizes.empty()) {
    for (std::size_t i = 0; i < resizing.scales.size(); ++i) {
      const Integer size = x.size(i + 2);
      const double scale = resizing.scales[i];
      const auto* known = std::get_if<std::int64_t>(&size);
      const double scaled = known ? static_cast<double>(*known) * scale : scale;
      if (!(scaled >= 1) || scaled > static_cast<double>(kMostWrittenNumbers)) arguments.refuse("it has an odd scale");
      if (!known && scale != std::floor(scale)) arguments.refuse("it scales sizes that are only known at run time");
      const auto whole = static_cast<std::int64_t>(scaled);
      resizing.sizes.push_back(known ? Integer(whole) : multiply(arguments.builder(), size, whole));
    }
  }
  if (resizing.sizes.size() != spatial) arguments.refuse("it has other sizes");
  return resizing;
}

// Whether places in the image follow from the sizes: a scale that PyTorch was given counts, though the size was
// rounded.
bool by_sizes(const Term& x, const Resizing& resizing) {
  for (std::size_t i = 0; i < resizing.scales.size(); ++i) {
    const Integer size = x.size(i + 2);
    const auto* known = std::get_if<std::int64_t>(&size);
    const auto* result = std::get_if<std::int64_t>(&resizing.sizes[i]);
    if (known && (!result || static_cast<double>(*known) * resizing.scales[i] != static_cast<double>(*result))) {
      return false;
    }
  }
  return true;
}

/// How a pixel is made of those around its place: offsets from the pixel at or before the place, and their weights by
/// the distance `t` to it, from 0 to 1.
using Weights = std::vector<std::pair<std::int64_t, double>> (*)(double t);

std::vector<std::pair<std::int64_t, double>> linear_weights(double t) { return {{0, 1 - t}, {1, t}}; }

// Keys, Cubic convolution interpolation for digital image processing, 1981, with a = -0.75.
std::vector<std::pair<std::int64_t, double>> cubic_weights(double t) {
  constexpr double a = -0.75;
  const auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  return {{-1, far(t + 1)}, {0, near(t)}, {1, near(1 - t)}, {2, far(2 - t)}};
}

/// From `from` to `to` pixels.
struct Line {
  std::int64_t from;
  std::int64_t to;
  double step;  ///< pixels of the input for one of the output
  bool corners;
  bool before_first;  ///< places before the first pixel's centre stay there
};

Term numbers_like(const Term& like, const std::vector<double>& numbers) {
  std::string bytes(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double));
  const Term doubles(like.builder(),
                     like.builder().constant({ElementType::kDouble, {std::ssize(numbers)}, std::move(bytes)}));
  return cast(doubles, like.type());
}

// Dimension `dim` by the pixels around each place: a sum over them, of each as far as it counts.
Term resized(const Term& x, std::size_t dim, const Line& line, Weights weights) {
  std::vector<Ints> pixels(weights(0).size());
  std::vector<std::vector<double>> factors(pixels.size());
  for (std::int64_t i = 0; i < line.to; ++i) {
    double place = static_cast<double>(i) * line.step;
    if (!line.corners) place = (static_cast<double>(i) + 0.5) * line.step - 0.5;
    if (!line.before_first) place = std::max(place, 0.0);
    const double first = std::floor(place);
    const auto around = weights(place - first);
    for (std::size_t k = 0; k < around.size(); ++k) {
      const auto& [offset, weight] = around[k];
      pixels[k].push_back(std::clamp<std::int64_t>(static_cast<std::int64_t>(first) + offset, 0, line.from - 1));
      factors[k].push_back(weight);
    }
  }
  Integers sizes(x.rank() - dim, std::int64_t{1});
  sizes[0] = line.to;
  const auto part = [&](std::size_t k) {
    return gather(x, vector_of(x.builder(), pixels[k]), dim) * reshape(numbers_like(x, factors[k]), sizes);
  };
  Term sum = part(0);
  for (std::size_t k = 1; k < pixels.size(); ++k) sum = sum + part(k);
  return sum;
}

// Each dimension after the other.
Term by_weights(NodeArguments& arguments, Term x, const Resizing& resizing, bool corners, bool cubic) {
  for (std::size_t i = 0; i < resizing.sizes.size(); ++i) {
    const Integer size = x.size(i + 2);
    const auto* from = std::get_if<std::int64_t>(&size);
    const auto* to = std::get_if<std::int64_t>(&resizing.sizes[i]);
    if (!from || !to || *from < 1 || *to < 1)
      arguments.refuse("it resizes images whose size is only known at run time");
    if (std::max(*from, *to) > kMostWrittenNumbers) arguments.refuse("its images are too large");
    double step = static_cast<double>(*from) / static_cast<double>(*to);
    if (!resizing.scales.empty()) step = 1 / resizing.scales[i];
    if (corners) step = *to > 1 ? static_cast<double>(*from - 1) / static_cast<double>(*to - 1) : 0;
    x = resized(x, i + 2, {*from, *to, step, corners, cubic}, cubic ? cubic_weights : linear_weights);
  }
  return x;
}

Term image_in(NodeArguments& arguments) {
  const Term x = arguments.tensor(arguments.node().find("input") ? "input" : "self");
  require_images(arguments, x);
  return x;
}

Term resized_linearly(NodeArguments& arguments) {
  const Term x = image_in(arguments);
  const bool corners = arguments.flag("align_corners", false);
  const Resizing resizing = resizing_of(arguments, x);
  if (!corners && !by_sizes(x, resizing)) return by_weights(arguments, x, resizing, corners, false);
  return perform(primitive::Resize{primitive::Resize::Kind::kLinear, corners, resizing.sizes}, {x});
}

Term resized_cubically(NodeArguments& arguments) {
  const Term x = image_in(arguments);
  const bool corners = arguments.flag("align_corners", false);
  return by_weights(arguments, x, resizing_of(arguments, x), corners, true);
}

Term resized_to_nearest(NodeArguments& arguments) {
  const Term x = image_in(arguments);
  const Resizing resizing = resizing_of(arguments, x);
  if (!by_sizes(x, resizing)) arguments.refuse("its scale is not what it makes of its sizes");
  return perform(primitive::Resize{primitive::Resize::Kind::kNearest, false, resizing.sizes}, {x});
}

}  // namespace

PrimitiveRows resize_rows() {
  return {
      {"upsample_bicubic2d", resized_cubically},  {"upsample_bilinear2d", resized_linearly},
      {"upsample_linear1d", resized_linearly},    {"upsample_nearest1d", resized_to_nearest},
      {"upsample_nearest2d", resized_to_nearest}, {"upsample_nearest3d", resized_to_nearest},
      {"upsample_trilinear3d", resized_linearly},
  };
}

}  // namespace lockstep

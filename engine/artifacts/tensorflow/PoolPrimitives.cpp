#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "engine/artifacts/tensorflow/TensorflowImages.h"
#include "engine/artifacts/tensorflow/TensorflowShapes.h"
#include "engine/artifacts/tensorflow/TensorflowTypes.h"

namespace lockstep {

namespace {

bool is_dilated(const primitive::Window& window) {
  return std::ranges::any_of(window.dilation, [](std::int64_t each) { return each != 1; });
}

std::string pool_operator(const std::string& op, const TensorflowValue& x) {
  return x.sizes.size() == 4 ? op : op + "3D";
}

bool has_pool(const std::string& op, const TensorflowValue& x, const primitive::Window& window) {
  return !is_dilated(window) && has_tensorflow_kernel(pool_operator(op, x), x.type);
}

TensorflowValue pool(TensorflowBuilder& builder, const std::string& op, const TensorflowValue& x,
                     const primitive::Window& window) {
  return builder.add(pool_operator(op, x), {x},
                     {{"ksize", around_images(window.size, 1)},
                      {"strides", around_images(window.stride, 1)},
                      {"padding", std::string("VALID")},
                      {"data_format", image_format(x)}});
}

// What a window has in common, one dimension after another: `op` of slices, one for each place in the window.
TensorflowValue pool_of_slices(TensorflowBuilder& builder, const std::string& op, TensorflowValue x,
                               const primitive::Window& window) {
  for (std::size_t i = 0; i < window.size.size(); ++i) {
    if (window.size[i] == 1 && window.stride[i] == 1) continue;
    TensorflowValue result;
    for (std::int64_t j = 0; j < window.size[i]; ++j) {
      std::vector<TensorflowSlice> slices(i + 2);
      slices.back().start = j * window.dilation[i];
      slices.back().step = window.stride[i];
      const std::int64_t behind = (window.size[i] - 1 - j) * window.dilation[i];
      if (behind > 0) slices.back().end = -behind;
      const TensorflowValue slice = sliced(builder, x, slices);
      result = j == 0 ? slice : builder.add(op, {result, slice});
    }
    x = std::move(result);
  }
  return x;
}

TensorflowValue mean_over_windows(TensorflowBuilder& builder, const TensorflowValue& x,
                                  const primitive::Window& window) {
  const TensorflowValue padded = padded_image(builder, x, window.before, window.after, 0);
  if (has_pool("AvgPool", x, window)) return pool(builder, "AvgPool", padded, window);
  double count = 1;
  for (const std::int64_t size : window.size) count *= static_cast<double>(size);
  return builder.add("RealDiv", {pool_of_slices(builder, "AddV2", padded, window), builder.constant(count, x.type)});
}

TensorflowValue gathered(TensorflowBuilder& builder, const TensorflowValue& x, const TensorflowValue& indices,
                         std::size_t dim) {
  return builder.add_plain("GatherV2", {x, indices, builder.constant(static_cast<double>(dim), ElementType::kInt32)},
                           {{"Tparams", x.type},
                            {"Tindices", indices.type},
                            {"Taxis", ElementType::kInt32},
                            {"batch_dims", std::int64_t{0}}});
}

/// Arithmetic on doubles that are computed when the function is called.
class Doubles {
 public:
  explicit Doubles(TensorflowBuilder& builder) : builder_(builder) {}

  TensorflowValue of(double number) { return builder_.constant(number, ElementType::kDouble); }
  TensorflowValue of(const TensorflowInteger& size) {
    return builder_.cast(builder_.scalar(size), ElementType::kDouble);
  }
  TensorflowValue plus(const TensorflowValue& a, double b) { return builder_.add("AddV2", {a, of(b)}); }
  TensorflowValue with(const std::string& op, const TensorflowValue& a, const TensorflowValue& b) {
    return builder_.add(op, {a, b});
  }

 private:
  TensorflowBuilder& builder_;
};

// Where each pixel of the output lies among those of the input, along one dimension: a vector of doubles.
TensorflowValue places_of_pixels(TensorflowBuilder& builder, const TensorflowInteger& in, const TensorflowInteger& out,
                                 const primitive::Resize& resize) {
  Doubles doubles(builder);
  TensorflowValue pixels = builder.add_plain(
      "Range", {builder.scalar(std::int64_t{0}), builder.scalar(out), builder.scalar(std::int64_t{1})},
      {{"Tidx", ElementType::kInt64}});
  pixels.sizes = {std::string("out")};
  pixels.axes = {0};
  pixels = builder.cast(pixels, ElementType::kDouble);
  if (resize.kind == primitive::Resize::Kind::kLinear && resize.align_corners) {
    const TensorflowValue steps = doubles.with("Maximum", doubles.plus(doubles.of(out), -1), doubles.of(1.0));
    return doubles.with("Mul", pixels, doubles.with("RealDiv", doubles.plus(doubles.of(in), -1), steps));
  }
  const TensorflowValue ratio = doubles.with("RealDiv", doubles.of(in), doubles.of(out));
  if (resize.kind == primitive::Resize::Kind::kNearest) {
    return builder.add("Floor", {doubles.with("Mul", pixels, ratio)});
  }
  const TensorflowValue centres = doubles.with("Mul", doubles.plus(pixels, 0.5), ratio);
  return doubles.with("Maximum", doubles.plus(centres, -0.5), doubles.of(0.0));
}

// For types and dimensions that TensorFlow's own kernels do not take: one dimension after another.
TensorflowValue resized_by_gathering(TensorflowBuilder& builder, TensorflowValue x, const primitive::Resize& operation,
                                     const std::vector<TensorflowInteger>& sizes) {
  Doubles doubles(builder);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const TensorflowInteger in = builder.size(x, i + 1);
    const TensorflowValue last = doubles.plus(doubles.of(in), -1);
    const TensorflowValue places = places_of_pixels(builder, in, sizes[i], operation);
    const TensorflowValue first = doubles.with("Minimum", builder.add("Floor", {places}), last);
    TensorflowValue result = gathered(builder, x, builder.cast(first, ElementType::kInt64), i + 1);
    if (operation.kind == primitive::Resize::Kind::kLinear) {
      const TensorflowValue second = doubles.with("Minimum", doubles.plus(first, 1), last);
      TensorflowValue weights = builder.cast(doubles.with("Sub", places, first), x.type);
      for (std::size_t behind = i + 2; behind < x.sizes.size(); ++behind) {
        weights = builder.add("ExpandDims", {weights, builder.constant(Ints{-1})}, {{"Tdim", ElementType::kInt32}});
      }
      const TensorflowValue other = gathered(builder, x, builder.cast(second, ElementType::kInt64), i + 1);
      const TensorflowValue difference = builder.add("Sub", {other, result});
      result = builder.add("AddV2", {result, builder.add("Mul", {difference, weights})});
    }
    result.sizes = x.sizes;
    if (const auto* known = std::get_if<std::int64_t>(&sizes[i])) {
      result.sizes[i + 1] = *known;
    } else {
      result.sizes[i + 1] = std::string("out");
    }
    x = std::move(result);
  }
  return x;
}

}  // namespace

void write_primitive(PrimitiveCall& call, const primitive::MaxPool& operation) {
  TensorflowBuilder& builder = call.builder();
  const primitive::Window window = over_images(operation.window);
  const TensorflowValue x = image(call, 0);
  const double lowest =
      is_real(x.type) ? -std::numeric_limits<double>::infinity() : static_cast<double>(limits_of(x.type).least);
  // Explicit padding would need oneDNN; padding with -∞ and VALID are the same everywhere.
  const TensorflowValue padded = padded_image(builder, x, window.before, window.after, lowest);
  bind_image(call, has_pool("MaxPool", x, window) ? pool(builder, "MaxPool", padded, window)
                                                  : pool_of_slices(builder, "Maximum", padded, window));
}

void write_primitive(PrimitiveCall& call, const primitive::AveragePool& operation) {
  TensorflowBuilder& builder = call.builder();
  const primitive::Window window = over_images(operation.window);
  const TensorflowValue x = image(call, 0);
  TensorflowValue y = mean_over_windows(builder, x, window);
  const auto none = [](const Ints& padding) { return std::ranges::count(padding, 0) == std::ssize(padding); };
  if (!operation.count_padding && !(none(window.before) && none(window.after))) {
    std::vector<TensorflowSlice> one(x.sizes.size());
    one.front().end = one.back().end = std::int64_t{1};
    TensorflowValue pixels = sliced(builder, x, one);
    pixels.sizes.front() = pixels.sizes.back() = std::int64_t{1};
    y = builder.add("RealDiv", {y, mean_over_windows(builder, builder.add("OnesLike", {pixels}), window)});
  }
  bind_image(call, std::move(y));
}

void write_primitive(PrimitiveCall& call, const primitive::Resize& operation) {
  TensorflowBuilder& builder = call.builder();
  const TensorflowValue x = image(call, 0);
  std::vector<TensorflowInteger> sizes;
  if (operation.sizes.size() == 1) sizes.emplace_back(std::int64_t{1});
  for (std::size_t i = 0; i < operation.sizes.size(); ++i) {
    const Dimension& stated = call.out().sizes.at(i + 2);
    const auto* known = std::get_if<std::int64_t>(&stated);
    sizes.push_back(known ? TensorflowInteger(*known) : call.integer(operation.sizes[i]));
  }
  const bool nearest = operation.kind == primitive::Resize::Kind::kNearest;
  if (x.sizes.size() != 4 || (!nearest && x.type != ElementType::kFloat)) {
    bind_image(call, resized_by_gathering(builder, x, operation, sizes));
    return;
  }
  const TensorflowValue shape = builder.cast(builder.packed(sizes), ElementType::kInt32);
  bind_image(call, builder.add(nearest ? "ResizeNearestNeighbor" : "ResizeBilinear", {x, shape},
                               {{"align_corners", operation.align_corners},
                                {"half_pixel_centers", !nearest && !operation.align_corners}}));
}

}  // namespace lockstep

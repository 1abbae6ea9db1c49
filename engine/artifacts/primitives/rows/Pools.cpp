// Pools, of one to three spatial dimensions, as PyTorch's documentation (torch.nn) has them; adaptive windows as in
// ATen/native/AdaptivePooling.h.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/artifacts/primitives/PrimitiveRows.h"
#include "engine/artifacts/primitives/rows/Spatial.h"

namespace lockstep {

namespace {

using Spatial = std::vector<std::int64_t>;

/// An image with a batch, which it had or was given.
struct Image {
  Term x;
  bool single;
  Term result(const Term& y) const { return single ? squeeze(y, {0}) : y; }
};

Image image_of(NodeArguments& arguments, const char* name = "self") {
  const Term x = arguments.tensor(name);
  const std::size_t spatial = spatial_dimensions(arguments);
  if (x.rank() == spatial + 1) return {unsqueeze(x, 0), true};
  if (x.rank() != spatial + 2) arguments.refuse("it takes images of " + std::to_string(spatial) + " dimensions");
  return {x, false};
}

const std::int64_t* known_size(const std::vector<Dimension>& sizes, std::size_t dim) {
  return std::get_if<std::int64_t>(&sizes.at(dim));
}

// How much further windows reach with ceil_mode: PyTorch adds one that begins within the image or the padding before.
std::int64_t reach(std::int64_t size, const primitive::Window& window, std::size_t i) {
  const std::int64_t covered = window.dilation[i] * (window.size[i] - 1) + 1;
  const std::int64_t padded = size + window.before[i] + window.after[i];
  if (window.stride[i] < 1 || padded < covered) return 0;
  std::int64_t last = (padded - covered + window.stride[i] - 1) / window.stride[i] * window.stride[i];
  if (last >= size + window.before[i]) last -= window.stride[i];
  return std::max<std::int64_t>(0, last + covered - padded);
}

struct PoolWindow {
  primitive::Window window;
  Spatial reach;  ///< behind the padding, by ceil_mode
};

PoolWindow pool_window(NodeArguments& arguments, const Term& x) {
  const std::size_t spatial = x.rank() - 2;
  const Spatial ones(spatial, 1);
  primitive::Window window;
  window.size = for_each_spatial(arguments, "kernel_size", spatial, ones);
  window.stride = for_each_spatial(arguments, "stride", spatial, window.size);
  window.before = for_each_spatial(arguments, "padding", spatial, Spatial(spatial));
  window.after = window.before;
  window.dilation = for_each_spatial(arguments, "dilation", spatial, ones);
  PoolWindow result{window, Spatial(spatial)};
  if (!arguments.flag("ceil_mode", false)) return result;
  const std::vector<Dimension> sizes = x.sizes();
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t* size = known_size(sizes, i + 2);
    if (!size) arguments.refuse("ceil_mode needs images of known size");
    result.reach[i] = reach(*size, window, i);
  }
  return result;
}

Term max_pool(NodeArguments& arguments) {
  const Image image = image_of(arguments);
  PoolWindow pool = pool_window(arguments, image.x);
  for (std::size_t i = 0; i < pool.reach.size(); ++i) pool.window.after[i] += pool.reach[i];
  return image.result(perform(primitive::MaxPool{pool.window}, {image.x}));
}

std::vector<Term> max_pool_alone(NodeArguments& arguments) { return {max_pool(arguments)}; }

// PyTorch divides by the numbers of a window that lie in the image, or in image and padding; never by those beyond.
Term average_pool(NodeArguments& arguments) {
  const Image image = image_of(arguments);
  PoolWindow pool = pool_window(arguments, image.x);
  bool count = arguments.flag("count_include_pad", true);
  Term x = image.x;
  const bool reaches = std::ranges::any_of(pool.reach, [](auto each) { return each > 0; });
  const bool fixed = arguments.has("divisor_override");
  if (reaches && count && !fixed) {
    Spatial before = {0, 0};
    before.insert(before.end(), pool.window.before.begin(), pool.window.before.end());
    x = pad(x, before, before, 0);
    pool.window.before.assign(pool.reach.size(), 0);
    pool.window.after = pool.window.before;
    count = false;
  }
  for (std::size_t i = 0; i < pool.reach.size(); ++i) pool.window.after[i] += pool.reach[i];
  const bool padded = std::ranges::any_of(pool.window.before, [](auto each) { return each > 0; }) || reaches;
  const Term mean = perform(primitive::AveragePool{pool.window, fixed || count || !padded}, {x});
  if (!fixed) return image.result(mean);
  const std::int64_t numbers =
      std::accumulate(pool.window.size.begin(), pool.window.size.end(), std::int64_t{1}, std::multiplies<>());
  const double divisor = arguments.real("divisor_override", 1);
  return image.result(mean * (static_cast<double>(numbers) / divisor));
}

Ints spatial_dims(std::size_t spatial) {
  Ints dims(spatial);
  std::iota(dims.begin(), dims.end(), 2);
  return dims;
}

constexpr std::int64_t kMostSlices = 64;  // of a dimension

// Window i of n → m goes from ⌊i · n ÷ m⌋ to ⌈(i + 1) · n ÷ m⌉.
std::int64_t window_start(std::int64_t i, std::int64_t n, std::int64_t m) { return i * n / m; }
std::int64_t window_end(std::int64_t i, std::int64_t n, std::int64_t m) { return ((i + 1) * n + m - 1) / m; }

// Each window by itself.
Term adapted_by_slices(primitive::Reduce::Kind kind, const Term& x, std::size_t dim, std::int64_t n, std::int64_t m) {
  std::vector<Term> windows;
  for (std::int64_t i = 0; i < m; ++i) {
    const Term window = slice(x, dim, window_start(i, n, m), window_end(i, n, m));
    windows.push_back(reduce(kind, window, {static_cast<std::int64_t>(dim)}, true));
  }
  return concatenate(windows, dim);
}

// Means of windows are a product with a matrix [n, m], which spreads what is not finite.
Term adapted_mean(const Term& x, std::size_t dim, std::int64_t n, std::int64_t m) {
  if (m <= kMostSlices) return adapted_by_slices(primitive::Reduce::Kind::kMean, x, dim, n, m);
  std::vector<double> matrix(static_cast<std::size_t>(n * m));
  for (std::int64_t i = 0; i < m; ++i) {
    const std::int64_t start = window_start(i, n, m);
    const std::int64_t end = window_end(i, n, m);
    for (std::int64_t j = start; j < end; ++j) {
      matrix[static_cast<std::size_t>(j * m + i)] = 1.0 / static_cast<double>(end - start);
    }
  }
  return mapped(x, dim, matrix, m);
}

// Windows of one size, where the sizes of image and result allow.
std::optional<primitive::Window> even_window(const Term& x, const Spatial& out) {
  primitive::Window window;
  const std::vector<Dimension> sizes = x.sizes();
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int64_t* size = known_size(sizes, i + 2);
    if (!size || out[i] < 1 || *size % out[i] != 0) return std::nullopt;
    window.size.push_back(*size / out[i]);
  }
  window.stride = window.size;
  window.before.assign(out.size(), 0);
  window.after.assign(out.size(), 0);
  window.dilation.assign(out.size(), 1);
  return window;
}

Term adaptive_average_pool(NodeArguments& arguments) {
  const Image image = image_of(arguments);
  const std::size_t spatial = image.x.rank() - 2;
  const Spatial out = for_each_spatial(arguments, "output_size", spatial, Spatial(spatial, 1));
  if (out == Spatial(spatial, 1)) {
    return image.result(reduce(primitive::Reduce::Kind::kMean, image.x, spatial_dims(spatial), true));
  }
  if (const auto window = even_window(image.x, out)) {
    if (window->size == Spatial(spatial, 1)) return image.result(image.x);
    return image.result(perform(primitive::AveragePool{*window}, {image.x}));
  }
  Term y = image.x;
  const std::vector<Dimension> sizes = y.sizes();
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t* size = known_size(sizes, i + 2);
    if (!size || out[i] < 1) arguments.refuse("it pools images whose size is only known at run time");
    if (*size > kMostWrittenNumbers / out[i]) arguments.refuse("its images are too large");
    if (*size != out[i]) y = adapted_mean(y, i + 2, *size, out[i]);
  }
  return image.result(y);
}

std::vector<Term> adaptive_max_pool(NodeArguments& arguments) {
  const Image image = image_of(arguments);
  const std::size_t spatial = image.x.rank() - 2;
  const Spatial out = for_each_spatial(arguments, "output_size", spatial, Spatial(spatial, 1));
  if (out == Spatial(spatial, 1)) {
    return {image.result(reduce(primitive::Reduce::Kind::kMax, image.x, spatial_dims(spatial), true))};
  }
  if (const auto window = even_window(image.x, out)) {
    return {image.result(perform(primitive::MaxPool{*window}, {image.x}))};
  }
  Term y = image.x;
  const std::vector<Dimension> sizes = y.sizes();
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t* size = known_size(sizes, i + 2);
    if (!size || out[i] < 1) arguments.refuse("it pools images whose size is only known at run time");
    if (out[i] > kMostSlices) arguments.refuse("its images are too large");
    if (*size != out[i]) y = adapted_by_slices(primitive::Reduce::Kind::kMax, y, i + 2, *size, out[i]);
  }
  return {image.result(y)};
}

}  // namespace

PrimitiveRows pool_rows() {
  return {
      {"_adaptive_avg_pool2d", adaptive_average_pool},
      {"_adaptive_avg_pool3d", adaptive_average_pool},
      {"adaptive_avg_pool1d", adaptive_average_pool},
      {"adaptive_avg_pool2d", adaptive_average_pool},
      {"adaptive_avg_pool3d", adaptive_average_pool},
      {"adaptive_max_pool1d", adaptive_max_pool},
      {"adaptive_max_pool2d", adaptive_max_pool},
      {"adaptive_max_pool3d", adaptive_max_pool},
      {"avg_pool1d", average_pool},
      {"avg_pool2d", average_pool},
      {"avg_pool3d", average_pool},
      {"max_pool1d", max_pool},
      {"max_pool2d", max_pool},
      {"max_pool2d_with_indices", max_pool_alone},
      {"max_pool3d", max_pool},
      {"max_pool3d_with_indices", max_pool_alone},
  };
}

}  // namespace lockstep

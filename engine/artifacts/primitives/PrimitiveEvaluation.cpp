#include "engine/artifacts/primitives/PrimitiveEvaluation.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cstring>
#include <limits>
#include <utility>

#include "common/Error.h"
#include "engine/program/Program.h"

namespace lockstep {

namespace {

using Tensors = std::vector<at::Tensor>;

at::ScalarType scalar_type(ElementType type) { return scalar_type_from_archive(static_cast<int>(type)); }

// Padding of an image's spatial dimensions, last dimension first, as constant_pad_nd wants it.
Ints window_padding(const primitive::Window& window) {
  Ints padding;
  for (std::size_t i = window.size.size(); i-- > 0;) {
    padding.push_back(window.before[i]);
    padding.push_back(window.after[i]);
  }
  return padding;
}

at::Tensor padded(const at::Tensor& x, const primitive::Window& window, double value) {
  return at::constant_pad_nd(x, window_padding(window), value);
}

at::Tensor evaluate_unary(primitive::Unary::Kind kind, const at::Tensor& x) {
  using Kind = primitive::Unary::Kind;
  switch (kind) {
    case Kind::kNegative:
      return at::neg(x);
    case Kind::kAbsolute:
      return at::abs(x);
    case Kind::kSign:
      return at::sign(x);
    case Kind::kReciprocal:
      return at::reciprocal(x);
    case Kind::kExp:
      return at::exp(x);
    case Kind::kExpm1:
      return at::expm1(x);
    case Kind::kLog:
      return at::log(x);
    case Kind::kLog1p:
      return at::log1p(x);
    case Kind::kSqrt:
      return at::sqrt(x);
    case Kind::kRsqrt:
      return at::rsqrt(x);
    case Kind::kSin:
      return at::sin(x);
    case Kind::kCos:
      return at::cos(x);
    case Kind::kErf:
      return at::erf(x);
    case Kind::kTanh:
      return at::tanh(x);
    case Kind::kSigmoid:
      return at::sigmoid(x);
    case Kind::kRelu:
      return at::relu(x);
    case Kind::kSoftplus:
      return at::log1p(at::exp(-at::abs(x))) + at::relu(x);
    case Kind::kFloor:
      return at::floor(x);
    case Kind::kCeil:
      return at::ceil(x);
    case Kind::kRound:
      return at::round(x);
    case Kind::kNot:
      return at::logical_not(x);
    case Kind::kIsNan:
      return at::isnan(x);
  }
  throw InternalError("an unknown elementwise operation");
}

at::Tensor evaluate_binary(primitive::Binary::Kind kind, const at::Tensor& a, const at::Tensor& b) {
  using Kind = primitive::Binary::Kind;
  switch (kind) {
    case Kind::kAdd:
      return at::add(a, b);
    case Kind::kSubtract:
      return at::sub(a, b);
    case Kind::kMultiply:
      return at::mul(a, b);
    case Kind::kPower:
      return at::pow(a, b);
    case Kind::kDivide:
      return at::div(a, b);
    case Kind::kFloorDivide:
      return at::floor_divide(a, b);
    case Kind::kRemainder:
      return at::remainder(a, b);
    case Kind::kMaximum:
      return at::maximum(a, b);
    case Kind::kMinimum:
      return at::minimum(a, b);
    case Kind::kEqual:
      return at::eq(a, b);
    case Kind::kLess:
      return at::lt(a, b);
    case Kind::kLessEqual:
      return at::le(a, b);
    case Kind::kAnd:
      return at::logical_and(a, b);
    case Kind::kOr:
      return at::logical_or(a, b);
  }
  throw InternalError("an unknown elementwise operation");
}

at::Tensor evaluate_reduce(const primitive::Reduce& reduce, const at::Tensor& x) {
  using Kind = primitive::Reduce::Kind;
  switch (reduce.kind) {
    case Kind::kSum:
      return at::sum(x, reduce.dims, reduce.keep, x.scalar_type());
    case Kind::kMean:
      return at::mean(x, reduce.dims, reduce.keep);
    case Kind::kMax:
      return at::amax(x, reduce.dims, reduce.keep);
    case Kind::kMin:
      return at::amin(x, reduce.dims, reduce.keep);
    case Kind::kAny:
      return at::any(x, reduce.dims, reduce.keep);
    case Kind::kAll:
      return at::all(x, reduce.dims, reduce.keep);
    case Kind::kProduct: {
      at::Tensor result = x;
      for (std::size_t i = reduce.dims.size(); i-- > 0;) {
        result = at::prod(result, reduce.dims[i], reduce.keep, x.scalar_type());
      }
      return result;
    }
  }
  throw InternalError("an unknown reduction");
}

at::Tensor evaluate_max_pool(const primitive::Window& window, const at::Tensor& image) {
  const at::Tensor x = padded(image, window, -std::numeric_limits<double>::infinity());
  const Ints none(window.size.size());
  if (none.size() == 1) return at::max_pool1d(x, window.size, window.stride, none, window.dilation);
  if (none.size() == 2) return at::max_pool2d(x, window.size, window.stride, none, window.dilation);
  return at::max_pool3d(x, window.size, window.stride, none, window.dilation);
}

at::Tensor means(const primitive::Window& window, const at::Tensor& image) {
  const at::Tensor x = padded(image, window, 0);
  if (window.size.size() == 1) return at::avg_pool1d(x, window.size, window.stride);
  if (window.size.size() == 2) return at::avg_pool2d(x, window.size, window.stride);
  return at::avg_pool3d(x, window.size, window.stride);
}

at::Tensor evaluate_average_pool(const primitive::AveragePool& pool, const at::Tensor& x) {
  for (const std::int64_t dilation : pool.window.dilation) {
    if (dilation != 1) throw InternalError("an average pool is dilated");
  }
  const at::Tensor result = means(pool.window, x);
  return pool.count_padding ? result : result / means(pool.window, at::ones_like(x));
}

at::Tensor evaluate_transposed(const primitive::TransposedConvolution& operation, const Tensors& in) {
  const primitive::Window& window = operation.window;
  const Ints none(window.size.size());
  at::Tensor y = at::convolution(in[0], in[1], {}, window.stride, none, window.dilation, true, none, operation.groups);
  for (std::size_t i = 0; i < none.size(); ++i) {
    const auto dim = static_cast<std::int64_t>(i) + 2;
    Ints after(2 * (none.size() - i));
    after.back() = operation.output_padding[i];
    y = at::constant_pad_nd(y, after);
    y = y.slice(dim, window.before[i], y.size(dim) - window.after[i]);
  }
  if (in.size() < 3) return y;
  Ints channels(none.size() + 2, 1);
  channels[1] = -1;
  return y + in[2].reshape(channels);
}

at::Tensor evaluate_resize(const primitive::Resize& resize, const at::Tensor& x, const Ints& sizes) {
  const bool corners = resize.align_corners;
  if (resize.kind == primitive::Resize::Kind::kNearest) {
    if (sizes.size() == 1) return at::upsample_nearest1d(x, sizes);
    return sizes.size() == 2 ? at::upsample_nearest2d(x, sizes) : at::upsample_nearest3d(x, sizes);
  }
  if (sizes.size() == 1) return at::upsample_linear1d(x, sizes, corners);
  return sizes.size() == 2 ? at::upsample_bilinear2d(x, sizes, corners) : at::upsample_trilinear3d(x, sizes, corners);
}

// One step of a recurrent layer: the new state and cell. `x` is the input's part of the gates.
std::pair<at::Tensor, at::Tensor> step(const primitive::Recurrent& recurrent, const at::Tensor& x, const at::Tensor& h,
                                       const at::Tensor& cell, const Tensors& in) {
  const at::Tensor gates = at::linear(h, in[2], in[4]);
  if (recurrent.kind == primitive::Recurrent::Kind::kLstm) {
    const Tensors parts = (x + gates).chunk(4, 1);
    const at::Tensor next = parts[1].sigmoid() * cell + parts[0].sigmoid() * parts[2].tanh();
    return {parts[3].sigmoid() * next.tanh(), next};
  }
  const Tensors of_input = x.chunk(3, 1);
  const Tensors of_state = gates.chunk(3, 1);
  const at::Tensor reset = (of_input[0] + of_state[0]).sigmoid();
  const at::Tensor keep = (of_input[1] + of_state[1]).sigmoid();
  const at::Tensor candidate = (of_input[2] + reset * of_state[2]).tanh();
  return {(1 - keep) * candidate + keep * h, cell};
}

Tensors evaluate_recurrent(const primitive::Recurrent& recurrent, const Tensors& in) {
  const bool lstm = recurrent.kind == primitive::Recurrent::Kind::kLstm;
  const at::Tensor x = at::linear(in[0], in[1], in[3]);
  const std::int64_t length = x.size(0);
  at::Tensor h = in[5];
  at::Tensor cell = lstm ? in[6] : at::Tensor();
  Tensors states(static_cast<std::size_t>(length));
  for (std::int64_t i = 0; i < length; ++i) {
    const std::int64_t time = recurrent.reverse ? length - 1 - i : i;
    std::tie(h, cell) = step(recurrent, x[time], h, cell, in);
    states[static_cast<std::size_t>(time)] = h;
  }
  const at::Tensor all = length == 0 ? at::empty({0, h.size(0), h.size(1)}, h.options()) : at::stack(states);
  return lstm ? Tensors{all, h, cell} : Tensors{all, h};
}

/// One function an operation.
struct Evaluation {
  const Tensors& in;
  const Ints& integers;

  std::int64_t whole(std::size_t dim) const { return static_cast<std::int64_t>(dim); }

  Tensors operator()(const primitive::Unary& unary) const { return {evaluate_unary(unary.kind, in.at(0))}; }
  Tensors operator()(const primitive::Binary& binary) const {
    return {evaluate_binary(binary.kind, in.at(0), in.at(1))};
  }
  Tensors operator()(const primitive::Select&) const { return {at::where(in.at(0), in.at(1), in.at(2))}; }
  Tensors operator()(const primitive::Cast& cast) const { return {in.at(0).to(scalar_type(cast.type))}; }
  Tensors operator()(const primitive::Constant& constant) const {
    at::Tensor tensor = at::empty(constant.sizes, scalar_type(constant.type));
    if (tensor.nbytes() != constant.bytes.size()) throw InternalError("a constant without the bytes of its sizes");
    if (tensor.numel() > 0) std::memcpy(tensor.mutable_data_ptr(), constant.bytes.data(), constant.bytes.size());
    return {tensor};
  }
  Tensors operator()(const primitive::Size& size) const {
    return {at::scalar_tensor(in.at(0).size(whole(size.dim)), at::kLong)};
  }
  Tensors operator()(const primitive::Range&) const {
    return {at::arange(in.at(0).item(), in.at(1).item(), in.at(2).item(), at::kLong)};
  }
  Tensors operator()(const primitive::Reshape&) const { return {in.at(0).reshape(integers)}; }
  Tensors operator()(const primitive::Unsqueeze& unsqueeze) const {
    at::Tensor result = in.at(0);
    for (const std::int64_t dim : unsqueeze.dims) result = result.unsqueeze(dim);
    return {result};
  }
  Tensors operator()(const primitive::Squeeze& squeeze) const {
    for (const std::int64_t dim : squeeze.dims) {
      if (in.at(0).size(dim) != 1) throw InternalError("a squeezed dimension is not of size 1");
    }
    return {in.at(0).squeeze(squeeze.dims)};
  }
  Tensors operator()(const primitive::Broadcast&) const { return {in.at(0).expand(integers)}; }
  Tensors operator()(const primitive::Transpose& transpose) const { return {in.at(0).permute(transpose.axes)}; }
  Tensors operator()(const primitive::Slice& slice) const {
    return {in.at(0).slice(whole(slice.dim), integers.at(0), integers.at(1), slice.step)};
  }
  Tensors operator()(const primitive::Reverse& reverse) const { return {in.at(0).flip(whole(reverse.dim))}; }
  Tensors operator()(const primitive::Concatenate& concatenate) const { return {at::cat(in, whole(concatenate.dim))}; }
  Tensors operator()(const primitive::Pad& pad) const {
    Ints padding;
    for (std::size_t i = pad.before.size(); i-- > 0;) {
      padding.push_back(pad.before[i]);
      padding.push_back(pad.after[i]);
    }
    return {at::constant_pad_nd(in.at(0), padding, pad.value)};
  }
  Tensors operator()(const primitive::Gather& gather) const {
    const at::Tensor& x = in.at(0);
    Ints sizes = x.sizes().slice(0, gather.dim).vec();
    for (const std::int64_t size : in.at(1).sizes()) sizes.push_back(size);
    for (const std::int64_t size : x.sizes().slice(gather.dim + 1)) sizes.push_back(size);
    return {at::index_select(x, whole(gather.dim), in[1].flatten()).reshape(sizes)};
  }
  Tensors operator()(const primitive::GatherElements& gather) const {
    return {at::gather(in.at(0), whole(gather.dim), in.at(1))};
  }
  Tensors operator()(const primitive::MatrixMultiply& multiply) const {
    return {at::matmul(in.at(0), multiply.transpose_second ? in.at(1).transpose(-1, -2) : in.at(1))};
  }
  Tensors operator()(const primitive::Linear&) const {
    return {at::linear(in.at(0), in.at(1), in.size() > 2 ? in[2] : at::Tensor())};
  }
  Tensors operator()(const primitive::Convolution& convolution) const {
    const primitive::Window& window = convolution.window;
    const Ints none(window.size.size());
    return {at::convolution(padded(in.at(0), window, 0), in.at(1), in.size() > 2 ? in[2] : at::Tensor(), window.stride,
                            none, window.dilation, false, none, convolution.groups)};
  }
  Tensors operator()(const primitive::TransposedConvolution& operation) const {
    return {evaluate_transposed(operation, in)};
  }
  Tensors operator()(const primitive::MaxPool& pool) const { return {evaluate_max_pool(pool.window, in.at(0))}; }
  Tensors operator()(const primitive::AveragePool& pool) const { return {evaluate_average_pool(pool, in.at(0))}; }
  Tensors operator()(const primitive::Resize& resize) const { return {evaluate_resize(resize, in.at(0), integers)}; }
  Tensors operator()(const primitive::Reduce& reduce) const { return {evaluate_reduce(reduce, in.at(0))}; }
  Tensors operator()(const primitive::ArgReduce& reduce) const {
    const std::int64_t dim = whole(reduce.dim);
    return {reduce.largest ? at::argmax(in.at(0), dim, reduce.keep) : at::argmin(in.at(0), dim, reduce.keep)};
  }
  Tensors operator()(const primitive::CumulativeSum& sum) const {
    return {at::cumsum(in.at(0), whole(sum.dim), in.at(0).scalar_type())};
  }
  Tensors operator()(const primitive::TopK& top) const {
    const std::int64_t dim = whole(top.dim);
    auto [values, indices] = at::sort(in.at(0), /*stable=*/true, dim, /*descending=*/top.largest);
    return {values.slice(dim, 0, integers.at(0)), indices.slice(dim, 0, integers.at(0))};
  }
  Tensors operator()(const primitive::Softmax& softmax) const {
    const std::int64_t dim = whole(softmax.dim);
    return {softmax.logarithm ? at::log_softmax(in.at(0), dim) : at::softmax(in.at(0), dim)};
  }
  Tensors operator()(const primitive::BatchNorm& norm) const {
    return {at::batch_norm(in.at(0), in.at(1), in.at(2), in.at(3), in.at(4), false, 0, norm.epsilon, false)};
  }
  Tensors operator()(const primitive::LayerNorm& norm) const {
    return {at::layer_norm(in.at(0), in[0].sizes().slice(in[0].sizes().size() - norm.dims),
                           in.size() > 1 ? in[1] : at::Tensor(), in.size() > 2 ? in[2] : at::Tensor(), norm.epsilon)};
  }
  Tensors operator()(const primitive::Gelu& gelu) const { return {at::gelu(in.at(0), gelu.tanh ? "tanh" : "none")}; }
  Tensors operator()(const primitive::Recurrent& recurrent) const { return evaluate_recurrent(recurrent, in); }
};

}  // namespace

std::vector<at::Tensor> evaluate(const primitive::Operation& operation, const std::vector<at::Tensor>& inputs,
                                 const Ints& integer_values) {
  return std::visit(Evaluation{inputs, integer_values}, operation);
}

}  // namespace lockstep

#include "engine/artifacts/primitives/PrimitiveInference.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "common/Error.h"

namespace lockstep {

namespace {

using Values = std::vector<PrimitiveValue>;
using Sizes = std::vector<Dimension>;

const std::int64_t* known(const Dimension& size) { return std::get_if<std::int64_t>(&size); }

void require_fit(bool valid, const char* what) {
  if (!valid) throw InternalError(std::string("a primitive operation does not take its inputs: ") + what);
}

std::int64_t multiplied(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  require_fit(!__builtin_mul_overflow(a, b, &product), "too many elements");
  return product;
}

bool may_be_equal(const Dimension& a, const Dimension& b) { return !known(a) || !known(b) || a == b; }

// Of two sizes that are equal: the one that says more.
Dimension clearer(const Dimension& a, const Dimension& b) { return known(a) ? a : b; }

// How many elements sizes make, or a text where that is not known.
Dimension elements(const Sizes& sizes) {
  std::int64_t count = 1;
  for (const Dimension& size : sizes) {
    if (!known(size)) return "?";
    count = multiplied(count, *known(size));
  }
  return count;
}

/// One function an operation; `in` are its inputs.
struct Inference {
  const Values& in;
  const SizeNames& names;

  const Sizes& sizes(std::size_t i) const {
    require_fit(i < in.size(), "one is missing");
    return in[i].sizes;
  }
  ElementType type() const {
    require_fit(!in.empty(), "one is missing");
    return in[0].type;
  }
  void require_types(std::size_t from = 0) const {
    require_fit(std::ranges::all_of(in.begin() + static_cast<std::ptrdiff_t>(std::min(from, in.size())), in.end(),
                                    [&](const PrimitiveValue& value) { return value.type == in[from].type; }),
                "their types differ");
  }
  void require_indices(const PrimitiveValue& value) const {
    require_fit(value.type == ElementType::kInt64, "indices are of type int64");
  }
  const Dimension& size(std::size_t i, std::size_t dim) const {
    require_fit(dim < sizes(i).size(), "one has too few dimensions");
    return in[i].sizes[dim];
  }
  Values same() const { return {{type(), sizes(0)}}; }
  Sizes given(const Integers& integers) const {
    Sizes result;
    for (const Integer& integer : integers) result.push_back(names.of(integer));
    return result;
  }

  Values operator()(const primitive::Unary& unary) const {
    using Kind = primitive::Unary::Kind;
    require_fit(unary.kind != Kind::kNot || type() == ElementType::kBool, "not is of bool");
    return {{unary.kind == Kind::kIsNan ? ElementType::kBool : type(), sizes(0)}};
  }
  Values operator()(const primitive::Binary& binary) const {
    using Kind = primitive::Binary::Kind;
    require_types();
    const bool logical = binary.kind == Kind::kAnd || binary.kind == Kind::kOr;
    const bool compares = binary.kind == Kind::kEqual || binary.kind == Kind::kLess || binary.kind == Kind::kLessEqual;
    require_fit(!logical || type() == ElementType::kBool, "and and or are of bool");
    require_fit(binary.kind != Kind::kDivide || is_real(type()), "only floating-point numbers are divided");
    return {{compares ? ElementType::kBool : type(), broadcast_sizes(sizes(0), sizes(1), names)}};
  }
  Values operator()(const primitive::Select&) const {
    require_fit(in.size() == 3 && type() == ElementType::kBool, "a condition is of bool");
    require_types(1);
    return {{in[1].type, broadcast_sizes(sizes(0), broadcast_sizes(sizes(1), sizes(2), names), names)}};
  }
  Values operator()(const primitive::Cast& cast) const { return {{cast.type, sizes(0)}}; }
  Values operator()(const primitive::Constant& constant) const {
    Sizes result(constant.sizes.begin(), constant.sizes.end());
    std::int64_t bytes = static_cast<std::int64_t>(size_of(constant.type));
    for (const std::int64_t each : constant.sizes) bytes = multiplied(bytes, each);
    require_fit(std::cmp_equal(bytes, constant.bytes.size()), "a constant without the bytes of its sizes");
    return {{constant.type, result}};
  }
  Values operator()(const primitive::Size& operation) const {
    size(0, operation.dim);
    return {{ElementType::kInt64, {}}};
  }
  Values operator()(const primitive::Range&) const {
    require_fit(in.size() == 3, "a range has three");
    for (const PrimitiveValue& each : in) {
      require_indices(each);
      require_fit(each.sizes.empty(), "a range's are scalars");
    }
    return {{ElementType::kInt64, {names.fresh()}}};
  }
  Values operator()(const primitive::Reshape& reshape) const {
    Sizes result;
    Sizes others;
    std::optional<std::size_t> open;
    for (const Integer& integer : reshape.sizes) {
      if (integer == Integer(std::int64_t{-1})) {
        require_fit(!open, "more than one size is -1");
        open = result.size();
        result.emplace_back(std::int64_t{-1});
      } else {
        result.push_back(names.of(integer));
        others.push_back(result.back());
      }
    }
    if (open) {
      const std::optional<Dimension> left = left_over_size(sizes(0), others);
      result[*open] = left ? *left : names.fresh();
    }
    require_fit(may_be_equal(elements(sizes(0)), elements(result)), "a reshape to another number of elements");
    return {{type(), result}};
  }
  Values operator()(const primitive::Unsqueeze& unsqueeze) const {
    Sizes result = sizes(0);
    for (const std::int64_t dim : unsqueeze.dims) {
      require_fit(dim >= 0 && std::cmp_less_equal(dim, result.size()), "a new dimension");
      result.insert(result.begin() + dim, std::int64_t{1});
    }
    return {{type(), result}};
  }
  Values operator()(const primitive::Squeeze& squeeze) const {
    for (const std::int64_t dim : squeeze.dims) {
      require_fit(may_be_equal(size(0, static_cast<std::size_t>(dim)), std::int64_t{1}), "a dimension of size 1");
    }
    return {{type(), reduced(squeeze.dims, false)}};
  }
  Values operator()(const primitive::Broadcast& broadcast) const {
    const Sizes result = given(broadcast.sizes);
    require_fit(result.size() >= sizes(0).size(), "a broadcast to fewer dimensions");
    const Sizes both = broadcast_sizes(sizes(0), result, names);
    for (std::size_t i = 0; i < result.size(); ++i) require_fit(may_be_equal(result[i], both[i]), "a broadcast");
    return {{type(), result}};
  }
  Values operator()(const primitive::Transpose& transpose) const {
    Ints sorted = transpose.axes;
    std::ranges::sort(sorted);
    require_fit(sorted.size() == sizes(0).size(), "a transpose of other dimensions");
    for (std::size_t i = 0; i < sorted.size(); ++i) require_fit(std::cmp_equal(sorted[i], i), "axes are a permutation");
    Sizes result;
    for (const std::int64_t axis : transpose.axes) result.push_back(size(0, static_cast<std::size_t>(axis)));
    return {{type(), result}};
  }
  Values operator()(const primitive::Slice& slice) const {
    const Dimension whole = size(0, slice.dim);
    require_fit(slice.step > 0, "a slice's step is positive");
    const auto* start = std::get_if<std::int64_t>(&slice.start);
    const auto* end = std::get_if<std::int64_t>(&slice.end);
    Sizes result = sizes(0);
    if (start && end && known(whole)) {
      const auto clamped = [&](std::int64_t at) {
        return std::clamp<std::int64_t>(at < 0 ? at + *known(whole) : at, 0, *known(whole));
      };
      const std::int64_t count = std::max<std::int64_t>(0, clamped(*end) - clamped(*start));
      result[slice.dim] = count / slice.step + (count % slice.step != 0 ? 1 : 0);
    } else if (!(start && *start == 0 && end && *end == INT64_MAX && slice.step == 1)) {
      result[slice.dim] = names.fresh();
    }
    return {{type(), result}};
  }
  Values operator()(const primitive::Reverse& reverse) const {
    size(0, reverse.dim);
    return same();
  }
  Values operator()(const primitive::Concatenate& concatenate) const {
    require_types();
    Sizes result = sizes(0);
    Dimension total = size(0, concatenate.dim);
    for (std::size_t i = 1; i < in.size(); ++i) {
      require_fit(in[i].sizes.size() == result.size(), "a concatenation of other dimensions");
      for (std::size_t dim = 0; dim < result.size(); ++dim) {
        if (dim == concatenate.dim) continue;
        require_fit(may_be_equal(result[dim], in[i].sizes[dim]), "a concatenation of other sizes");
        result[dim] = clearer(result[dim], in[i].sizes[dim]);
      }
      const Dimension& next = in[i].sizes[concatenate.dim];
      total = known(total) && known(next) ? Dimension(*known(total) + *known(next)) : names.fresh();
    }
    result[concatenate.dim] = total;
    return {{type(), result}};
  }
  Values operator()(const primitive::Pad& pad) const {
    Sizes result = sizes(0);
    require_fit(pad.before.size() == result.size() && pad.after.size() == result.size(), "pads of other dimensions");
    for (std::size_t i = 0; i < result.size(); ++i) {
      require_fit(pad.before[i] >= 0 && pad.after[i] >= 0, "pads are not negative");
      if (pad.before[i] == 0 && pad.after[i] == 0) continue;
      result[i] = known(result[i]) ? Dimension(*known(result[i]) + pad.before[i] + pad.after[i]) : names.fresh();
    }
    return {{type(), result}};
  }
  Values operator()(const primitive::Gather& gather) const {
    size(0, gather.dim);
    require_fit(in.size() == 2, "a gather has two");
    require_indices(in[1]);
    Sizes result(sizes(0).begin(), sizes(0).begin() + static_cast<std::ptrdiff_t>(gather.dim));
    result.insert(result.end(), sizes(1).begin(), sizes(1).end());
    result.insert(result.end(), sizes(0).begin() + static_cast<std::ptrdiff_t>(gather.dim) + 1, sizes(0).end());
    return {{type(), result}};
  }
  Values operator()(const primitive::GatherElements& gather) const {
    size(0, gather.dim);
    require_fit(in.size() == 2 && sizes(0).size() == sizes(1).size(), "indices of other dimensions");
    require_indices(in[1]);
    return {{type(), sizes(1)}};
  }
  Values operator()(const primitive::MatrixMultiply& multiply) const {
    require_types();
    const std::size_t a = sizes(0).size();
    const std::size_t b = sizes(1).size();
    require_fit(in.size() == 2 && a >= 2 && b >= 2, "matrices have two dimensions");
    const std::size_t inner = multiply.transpose_second ? b - 1 : b - 2;
    require_fit(may_be_equal(size(0, a - 1), size(1, inner)), "matrices of other sizes");
    Sizes result =
        broadcast_sizes({sizes(0).begin(), sizes(0).end() - 2}, {sizes(1).begin(), sizes(1).end() - 2}, names);
    result.push_back(size(0, a - 2));
    result.push_back(size(1, multiply.transpose_second ? b - 2 : b - 1));
    return {{type(), result}};
  }
  Values operator()(const primitive::Linear&) const {
    require_types();
    require_fit(in.size() >= 2 && sizes(0).size() >= 2 && sizes(1).size() == 2, "linear takes two dimensions");
    require_fit(may_be_equal(sizes(0).back(), size(1, 1)), "linear of other sizes");
    Sizes result = sizes(0);
    result.back() = size(1, 0);
    require_fit(in.size() == 2 || (sizes(2).size() == 1 && may_be_equal(size(2, 0), result.back())), "a bias");
    return {{type(), result}};
  }

  // The sizes of an image after windows; channels are the weight's or its own.
  Sizes windowed(const primitive::Window& window, Dimension channels) const {
    const std::size_t spatial = window.size.size();
    require_fit(sizes(0).size() == spatial + 2 && window.stride.size() == spatial && window.before.size() == spatial &&
                    window.after.size() == spatial && window.dilation.size() == spatial,
                "windows of other dimensions");
    Sizes result = {size(0, 0), std::move(channels)};
    for (std::size_t i = 0; i < spatial; ++i) {
      const Dimension& whole = size(0, i + 2);
      result.push_back(known(whole) ? Dimension(windows(*known(whole), window, i)) : names.fresh());
    }
    return result;
  }
  void require_kernel(const primitive::Window& window, std::size_t outputs) const {
    require_fit(sizes(1).size() == window.size.size() + 2, "a weight of other dimensions");
    for (std::size_t i = 0; i < window.size.size(); ++i) {
      require_fit(size(1, i + 2) == Dimension(window.size[i]), "a weight of other sizes than its window");
    }
    require_fit(in.size() == 2 || (sizes(2).size() == 1 && (outputs == 1 || may_be_equal(size(2, 0), size(1, 0)))),
                "a bias has one number a channel");
  }
  Values operator()(const primitive::Convolution& convolution) const {
    require_types();
    require_kernel(convolution.window, 0);
    return {{type(), windowed(convolution.window, size(1, 0))}};
  }
  Values operator()(const primitive::TransposedConvolution& convolution) const {
    require_types();
    require_kernel(convolution.window, 1);
    const primitive::Window& window = convolution.window;
    require_fit(sizes(0).size() == window.size.size() + 2 && convolution.output_padding.size() == window.size.size(),
                "windows of other dimensions");
    const Dimension& per_group = size(1, 1);
    require_fit(known(per_group) != nullptr, "channels are known");
    Sizes result = {size(0, 0), *known(per_group) * convolution.groups};
    for (std::size_t i = 0; i < window.size.size(); ++i) {
      const Dimension& whole = size(0, i + 2);
      if (known(whole)) {
        result.emplace_back((*known(whole) - 1) * window.stride[i] - window.before[i] - window.after[i] +
                            window.dilation[i] * (window.size[i] - 1) + 1 + convolution.output_padding[i]);
      } else {
        result.push_back(names.fresh());
      }
    }
    return {{type(), result}};
  }
  Values operator()(const primitive::MaxPool& pool) const { return {{type(), windowed(pool.window, size(0, 1))}}; }
  Values operator()(const primitive::AveragePool& pool) const { return {{type(), windowed(pool.window, size(0, 1))}}; }
  Values operator()(const primitive::Resize& resize) const {
    require_fit(sizes(0).size() == resize.sizes.size() + 2, "a resize of other dimensions");
    Sizes result = {size(0, 0), size(0, 1)};
    for (const Dimension& each : given(resize.sizes)) result.push_back(each);
    return {{type(), result}};
  }

  Sizes reduced(const Ints& dims, bool keep) const {
    Sizes result = sizes(0);
    for (std::size_t i = dims.size(); i-- > 0;) {
      const auto dim = static_cast<std::size_t>(dims[i]);
      size(0, dim);
      require_fit(i == 0 || dims[i - 1] < dims[i], "dimensions are ascending");
      if (keep) {
        result[dim] = std::int64_t{1};
      } else {
        result.erase(result.begin() + dims[i]);
      }
    }
    return result;
  }
  Values operator()(const primitive::Reduce& reduce) const {
    require_fit(!reduce.dims.empty(), "a reduction has dimensions");
    return {{type(), reduced(reduce.dims, reduce.keep)}};
  }
  Values operator()(const primitive::ArgReduce& reduce) const {
    return {{ElementType::kInt64, reduced({static_cast<std::int64_t>(reduce.dim)}, reduce.keep)}};
  }
  Values operator()(const primitive::CumulativeSum& sum) const {
    size(0, sum.dim);
    return same();
  }
  Values operator()(const primitive::TopK& top) const {
    Sizes result = sizes(0);
    size(0, top.dim);
    result[top.dim] = names.of(top.k);
    return {{type(), result}, {ElementType::kInt64, result}};
  }
  Values operator()(const primitive::Softmax& softmax) const {
    size(0, softmax.dim);
    return same();
  }
  Values operator()(const primitive::BatchNorm&) const {
    require_types();
    require_fit(in.size() == 5 && sizes(0).size() >= 2, "a batch norm has five");
    for (std::size_t i = 1; i < 5; ++i) {
      require_fit(sizes(i).size() == 1 && may_be_equal(size(i, 0), size(0, 1)), "numbers of channels");
    }
    return same();
  }
  Values operator()(const primitive::LayerNorm& norm) const {
    require_types();
    require_fit(norm.dims >= 1 && norm.dims <= sizes(0).size() && in.size() <= 3, "a layer norm over its dimensions");
    for (std::size_t i = 1; i < in.size(); ++i) require_fit(sizes(i).size() == norm.dims, "a layer norm's scale");
    return same();
  }
  Values operator()(const primitive::Gelu&) const { return same(); }
  Values operator()(const primitive::Recurrent& recurrent) const {
    require_types();
    const bool lstm = recurrent.kind == primitive::Recurrent::Kind::kLstm;
    require_fit(in.size() == (lstm ? 7U : 6U) && sizes(0).size() == 3 && sizes(5).size() == 2, "a recurrent layer");
    const PrimitiveValue last{type(), {size(0, 1), size(5, 1)}};
    Values results = {{type(), {size(0, 0), size(0, 1), size(5, 1)}}, last};
    if (lstm) results.push_back(last);
    return results;
  }
};

}  // namespace

std::vector<PrimitiveValue> infer(const primitive::Operation& operation, const std::vector<PrimitiveValue>& inputs,
                                  const SizeNames& names) {
  return std::visit(Inference{inputs, names}, operation);
}

std::optional<Dimension> left_over_size(const std::vector<Dimension>& input, const std::vector<Dimension>& others) {
  std::int64_t elements = 1;
  std::int64_t divisor = 1;
  std::vector<std::string> texts;
  for (const Dimension& size : input) {
    if (known(size)) {
      elements = multiplied(elements, *known(size));
    } else {
      texts.push_back(std::get<std::string>(size));
    }
  }
  for (const Dimension& size : others) {
    if (known(size)) {
      divisor = multiplied(divisor, *known(size));
      continue;
    }
    const auto found = std::ranges::find(texts, std::get<std::string>(size));
    if (found == texts.end()) return std::nullopt;
    texts.erase(found);
  }
  if (texts.empty()) {
    require_fit(divisor != 0 && elements % divisor == 0, "a reshape to another number of elements");
    return elements / divisor;
  }
  return texts.size() == 1 && elements == divisor ? std::optional<Dimension>(texts[0]) : std::nullopt;
}

std::vector<Dimension> broadcast_sizes(const std::vector<Dimension>& a, const std::vector<Dimension>& b,
                                       const SizeNames& names) {
  std::vector<Dimension> result = a.size() > b.size() ? a : b;
  const std::size_t shared = std::min(a.size(), b.size());
  const Dimension one = std::int64_t{1};
  for (std::size_t i = 1; i <= shared; ++i) {
    const Dimension& left = a[a.size() - i];
    const Dimension& right = b[b.size() - i];
    Dimension& both = result[result.size() - i];
    if (left == right || right == one) {
      both = left;
    } else if (left == one) {
      both = right;
    } else if (known(left) && known(right)) {
      require_fit(false, "sizes that cannot be broadcast");
    } else if (known(left) || known(right)) {
      both = clearer(left, right);  // the other is 1 or the same
    } else {
      both = names.fresh();
    }
  }
  return result;
}

std::int64_t windows(std::int64_t size, const primitive::Window& window, std::size_t dim) {
  const std::int64_t padded = size + window.before[dim] + window.after[dim];
  const std::int64_t covered = window.dilation[dim] * (window.size[dim] - 1) + 1;
  require_fit(window.stride[dim] > 0 && window.size[dim] > 0 && window.dilation[dim] > 0 && padded >= covered,
              "a window is larger than what it moves over");
  return (padded - covered) / window.stride[dim] + 1;
}

}  // namespace lockstep

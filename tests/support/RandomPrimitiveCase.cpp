#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <random>

#include "tests/support/PrimitiveCases.h"

namespace lockstep {

namespace {

using Sizes = std::vector<std::int64_t>;

/// A value of the program under way: float32 [batch, sizes...].
struct Value {
  std::string name;
  Sizes sizes;
};

/// Adds nodes whose values stay within a few units, so that rounding does not grow.
class RandomProgram {
 public:
  explicit RandomProgram(std::uint64_t seed)
      : builder_("random " + std::to_string(seed)), numbers_(seed), generator_(at::detail::createCPUGenerator(seed)) {
    for (const char* name : {"a", "b"}) {
      builder_.input(name, {tensor({2, 3, 4}), tensor({5, 3, 4}), tensor({1, 3, 4})});
      values_.push_back({name, {3, 4}});
    }
  }

  PrimitiveCase make() {
    const std::int64_t nodes = below(10) + 3;
    for (std::int64_t i = 0; i < nodes; ++i) add_node();
    return builder_.returns({values_.back().name, values_[values_.size() - 2].name});
  }

 private:
  at::Tensor tensor(const Sizes& sizes) { return at::randn(sizes, generator_); }
  std::int64_t below(std::int64_t end) {
    return static_cast<std::int64_t>(numbers_() % static_cast<std::uint64_t>(end));
  }
  const Value& any() { return values_[static_cast<std::size_t>(below(std::ssize(values_)))]; }
  std::int64_t any_dim(const Value& x) { return below(std::ssize(x.sizes)) + 1; }
  static std::size_t place(std::int64_t dim) { return static_cast<std::size_t>(dim - 1); }

  std::string call(const std::string& op, std::vector<NamedArgument> arguments) {
    const std::string name = "v" + std::to_string(made_++);
    builder_.call(op, std::move(arguments), {name});
    return name;
  }
  void keep(const std::string& op, std::vector<NamedArgument> arguments, Sizes sizes) {
    values_.push_back({call(op, std::move(arguments)), std::move(sizes)});
  }
  static NamedArgument self(const Value& x) { return tensor_argument("self", x.name); }

  void elementwise() {
    static const std::vector<std::string> ops = {"tanh", "sigmoid", "relu", "sin", "silu", "gelu", "hardswish"};
    const Value x = any();
    keep(ops[static_cast<std::size_t>(below(std::ssize(ops)))] + ".default", {self(x)}, x.sizes);
  }
  void combine() {
    static const std::vector<std::string> ops = {"add.Tensor", "sub.Tensor", "maximum.default", "minimum.default"};
    const Value x = any();
    const Value y = any();
    if (x.sizes != y.sizes) return chosen();
    keep(ops[static_cast<std::size_t>(below(std::ssize(ops)))], {self(x), tensor_argument("other", y.name)}, x.sizes);
  }
  // Elements of x where they exceed those of tanh(x) moved by a number, a number elsewhere.
  void chosen() {
    const Value x = any();
    const std::string other = call("add.Tensor", {self(x), {"other", 0.25}});
    const std::string mask =
        call("gt.Tensor", {self(x), tensor_argument("other", call("tanh.default", {tensor_argument("self", other)}))});
    keep("masked_fill.Scalar", {self(x), tensor_argument("mask", mask), {"value", -0.5}}, x.sizes);
  }
  void normalize() {
    const Value x = any();
    const std::int64_t dim = any_dim(x);
    if (below(2) == 0) return keep("softmax.int", {self(x), {"dim", dim}}, x.sizes);
    keep("layer_norm.default", {tensor_argument("input", x.name), {"normalized_shape", Sizes{x.sizes.back()}}},
         x.sizes);
  }
  void reduce() {
    const Value x = any();
    const std::int64_t dim = any_dim(x);
    Sizes sizes = x.sizes;
    sizes[place(dim)] = 1;
    const std::string mean =
        call("mean.dim", {self(x), {"dim", Sizes{dim - std::ssize(x.sizes) - 1}}, {"keepdim", true}});
    keep("expand.default",
         {tensor_argument("self", call("tanh.default", {tensor_argument("self", mean)})), {"size", whole(x.sizes)}},
         x.sizes);
  }
  static Sizes whole(Sizes sizes) {
    sizes.insert(sizes.begin(), -1);
    return sizes;
  }
  void transpose() {
    const Value x = any();
    const std::int64_t a = any_dim(x);
    const std::int64_t b = any_dim(x);
    Sizes sizes = x.sizes;
    std::swap(sizes[place(a)], sizes[place(b)]);
    keep("transpose.int", {self(x), {"dim0", a}, {"dim1", b}}, sizes);
  }
  void flatten() {
    const Value x = any();
    std::int64_t count = 1;
    for (const std::int64_t size : x.sizes) count *= size;
    if (x.sizes.size() > 1) return keep("flatten.using_ints", {self(x), {"start_dim", std::int64_t{1}}}, {count});
    if (count % 2 != 0) return keep("unsqueeze.default", {self(x), {"dim", std::int64_t{1}}}, {1, count});
    keep("unflatten.int", {self(x), {"dim", std::int64_t{1}}, {"sizes", Sizes{-1, 2}}}, {count / 2, 2});
  }
  void cut() {
    const Value x = any();
    const std::int64_t dim = any_dim(x);
    Sizes sizes = x.sizes;
    const std::int64_t size = sizes[place(dim)];
    if (size < 2) return elementwise();
    const std::int64_t start = below(size - 1);
    sizes[place(dim)] = size - start;
    keep("slice.Tensor", {self(x), {"dim", dim}, {"start", start - size}}, sizes);
  }
  void join() {
    const Value x = any();
    const std::int64_t dim = any_dim(x);
    Sizes sizes = x.sizes;
    if (sizes[place(dim)] > 12) return elementwise();
    sizes[place(dim)] *= 2;
    const std::string flipped = call("flip.default", {self(x), {"dims", Sizes{dim}}});
    keep("cat.default", {tensors_argument("tensors", {x.name, flipped}), {"dim", dim}}, sizes);
  }
  void linear() {
    const Value x = any();
    const std::int64_t width = below(4) + 1;
    const std::string weight = "w" + std::to_string(made_++);
    builder_.state(weight, tensor({width, x.sizes.back()}) * 0.3);
    Sizes sizes = x.sizes;
    sizes.back() = width;
    keep("linear.default", {tensor_argument("input", x.name), tensor_argument("weight", weight)}, sizes);
  }
  void embed() {
    const Value x = any();
    const std::string table = "t" + std::to_string(made_++);
    const std::int64_t size = x.sizes.back();
    builder_.state(table, tensor({size, 3}));
    const std::string best = call("argmax.default", {self(x), {"dim", std::int64_t{-1}}});
    Sizes sizes = x.sizes;
    sizes.back() = 3;
    keep("embedding.default", {tensor_argument("weight", table), tensor_argument("indices", best)}, sizes);
  }
  void add_node() {
    static constexpr void (RandomProgram::*kinds[])() = {
        &RandomProgram::elementwise, &RandomProgram::combine,   &RandomProgram::chosen,  &RandomProgram::normalize,
        &RandomProgram::reduce,      &RandomProgram::transpose, &RandomProgram::flatten, &RandomProgram::cut,
        &RandomProgram::join,        &RandomProgram::linear,    &RandomProgram::embed};
    (this->*kinds[static_cast<std::size_t>(below(std::ssize(kinds)))])();
  }

  PrimitiveCaseBuilder builder_;
  std::mt19937_64 numbers_;
  at::Generator generator_;
  std::vector<Value> values_;
  int made_ = 0;
};

}  // namespace

PrimitiveCase random_primitive_case(std::uint64_t seed) { return RandomProgram(seed).make(); }

}  // namespace lockstep

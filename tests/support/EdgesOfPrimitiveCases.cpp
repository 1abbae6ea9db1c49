// Tensors without elements, numbers that are not finite, and small results of large parts.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "tests/support/PrimitiveCaseTable.h"

namespace lockstep {

namespace {

using Sizes = std::vector<std::int64_t>;
using B = PrimitiveCaseBuilder;
using Table = PrimitiveCaseTable;
using Draws = PrimitiveCaseTable::Draws;
using Given = PrimitiveCaseTable::Given;
using Call = PrimitiveCaseTable::Call;

constexpr double kNan = PrimitiveCaseTable::kNan;
constexpr double kInf = PrimitiveCaseTable::kInf;

Given in(const std::string& name, std::vector<at::Tensor> batches) { return {name, std::move(batches), false}; }
Given state(const std::string& name, const at::Tensor& tensor) { return {name, {tensor}, true}; }
NamedArgument self(const std::string& value) { return tensor_argument("self", value); }

// A batch of none, and one of two.
void without_elements(Table& table) {
  Draws& draw = table.draw;
  const auto both = [&](Sizes sizes) {
    sizes.insert(sizes.begin(), 0);
    const at::Tensor none = draw.real(sizes);
    sizes[0] = 2;
    return std::vector<at::Tensor>{none, draw.real(sizes)};
  };
  const auto input = [](const char* value) { return tensor_argument("input", value); };
  const NamedArgument second{"dim", std::int64_t{1}};
  const NamedArgument seconds{"dim", Sizes{1}};
  table.add_all(
      "images of nothing",
      {in("x", both({2, 5, 6})), state("scale", draw.real({2})), state("shift", draw.real({2})),
       state("mean", draw.real({2})), state("variance", draw.positive({2}))},
      {{"avg_pool2d.default",
        {self("x"), {"kernel_size", Sizes{3, 3}}, {"stride", Sizes{2, 2}}, {"padding", Sizes{1, 1}}}},
       {"adaptive_avg_pool2d.default", {self("x"), {"output_size", Sizes{2, 4}}}},
       {"adaptive_max_pool2d.default", {self("x"), {"output_size", Sizes{2, 4}}}, 2, 1},
       {"upsample_nearest2d.vec",
        {input("x"), {"output_size", NoneArgument{}}, {"scale_factors", std::vector<double>{2.0, 2.0}}}},
       {"upsample_bilinear2d.vec",
        {input("x"), {"output_size", Sizes{7, 3}}, {"align_corners", false}, {"scale_factors", NoneArgument{}}}},
       {"batch_norm.default",
        {input("x"),
         tensor_argument("weight", "scale"),
         tensor_argument("bias", "shift"),
         tensor_argument("running_mean", "mean"),
         tensor_argument("running_var", "variance"),
         {"training", false},
         {"momentum", 0.1},
         {"eps", 1e-3},
         {"cudnn_enabled", true}}}});
  const auto truths = [&](Sizes sizes) {
    sizes.insert(sizes.begin(), 0);
    const at::Tensor none = draw.truths(sizes);
    sizes[0] = 2;
    return std::vector<at::Tensor>{none, draw.truths(sizes)};
  };
  const std::vector<NamedArgument> heads = {tensor_argument("query", "q"), tensor_argument("key", "k"),
                                            tensor_argument("value", "v")};
  std::vector<NamedArgument> masked = heads;
  masked.push_back(tensor_argument("attn_mask", "mask"));
  table.add_all("attention of nothing",
                {in("q", both({2, 5, 4})), in("k", both({2, 6, 4})), in("v", both({2, 6, 4})),
                 in("mask", truths({1, 5, 6})), state("weight", draw.real({3, 4}))},
                {{"scaled_dot_product_attention.default", heads},
                 {"scaled_dot_product_attention.default", masked},
                 {"linear.default", {input("q"), tensor_argument("weight", "weight")}},
                 {"rms_norm.default", {input("q"), {"normalized_shape", Sizes{4}}, {"eps", 1e-3}}}});
  table.add_all(
      "places of nothing",
      {state("weight", draw.real({4, 3})), in("i", {draw.integers(0, 4, {0, 3}), draw.integers(0, 4, {2, 3})}),
       in("x", both({4})), in("j", {draw.integers(0, 4, {0}), draw.integers(0, 4, {2})})},
      {{"embedding.default", {tensor_argument("weight", "weight"), tensor_argument("indices", "i")}},
       {"one_hot.default", {self("i"), {"num_classes", std::int64_t{4}}}},
       {"gather.default", {self("x"), second, tensor_argument("index", "i")}},
       {"take_along_dim.default", {self("x"), tensor_argument("indices", "i"), second}},
       {"index_select.default", {self("weight"), {"dim", std::int64_t{0}}, tensor_argument("index", "j")}}});
  std::vector<Call> calls = {
      {"topk.default", {self("x"), {"k", std::int64_t{2}}}, 2},
      {"sort.default", {self("x"), second}, 2},
      {"cumsum.default", {self("x"), second}},
      {"logsumexp.default", {self("x"), seconds}},
      {"argmax.default", {self("x"), second}},
      {"max.dim", {self("x"), second}, 2},
      {"var.correction", {self("x"), seconds}},
      {"linalg_vector_norm.default", {self("x"), {"ord", 2.0}, seconds}},
      {"repeat.default", {self("x"), {"repeats", Sizes{2, 3}}}},
      {"pad.default", {self("x"), {"pad", Sizes{1, 2}}, {"value", 1.5}}},
      {"where.self", {tensor_argument("condition", "c"), self("x"), tensor_argument("other", "x")}},
      {"gelu.default", {self("x")}},
      {"mse_loss.default", {self("x"), tensor_argument("target", "x"), {"reduction", std::int64_t{2}}}}};
  for (const char* op : {"sum.default", "prod.default"}) {
    calls.push_back({op, {self("x")}});
  }
  table.add_all("rows of nothing", {in("x", both({4})), in("c", truths({4}))}, calls);
}

// What is no number stays none, but where libtorch makes one of it.
void not_finite(Table& table) {
  const at::Tensor special = table.reals({kNan, kInf, -kInf, 0, 1.5, -2});
  std::vector<Call> calls;
  for (const char* name :
       {"abs",      "neg",        "sign",        "reciprocal",  "exp",  "exp2",       "expm1", "log",
        "log1p",    "log2",       "sinh",        "cosh",        "erf",  "erfc",       "tanh",  "sigmoid",
        "relu",     "floor",      "ceil",        "round",       "sqrt", "rsqrt",      "trunc", "square",
        "relu6",    "hardswish",  "hardsigmoid", "silu",        "elu",  "leaky_relu", "selu",  "hardtanh",
        "softplus", "hardshrink", "softshrink",  "log_sigmoid", "sign", "frac",       "log10"}) {
    calls.push_back({std::string(name) + ".default", {self("x")}});
  }
  calls.push_back({"clamp.default", {self("x"), {"min", -1.0}, {"max", 1.0}}});
  for (const char* name : {"add.Tensor", "mul.Tensor", "maximum.default", "minimum.default", "lt.Tensor", "le.Tensor",
                           "eq.Tensor", "ne.Tensor"}) {
    calls.push_back({name, {self("x"), tensor_argument("other", "column")}});
  }
  calls.push_back({"pow.Tensor_Tensor", {self("x"), tensor_argument("exponent", "column")}});
  table.add_all("numbers that are not finite", {in("x", {special}), in("column", {special.unsqueeze(1).contiguous()})},
                calls);
  calls.clear();
  for (const char* name : {"amax.default", "amin.default", "sum.dim_IntList", "mean.dim", "logsumexp.default"}) {
    calls.push_back({name, {self("x"), {"dim", Sizes{1}}}});
  }
  for (const char* name : {"cumsum.default", "prod.dim_int"}) {
    calls.push_back({name, {self("x"), {"dim", std::int64_t{1}}}});
  }
  const at::Tensor rows = table.reals({kNan, 1, 3, 2, kNan, 5, 1, 2, 3, kInf, 0, -kInf}).reshape({4, 3});
  table.add_all("rows that are not finite", {in("x", {rows})}, calls);
}

// What cancels shows in the logarithm, or in the quotient, of a small result.
void small_results(Table& table) {
  table.add(B("erfc far out")
                .input("x", {table.reals({-3, -0.4, 0, 0.3, 0.46, 0.48, 1, 2, 3.5, 3.99, 4.01, 5, 7, 9})})
                .call("erfc.default", {self("x")}, {"y"})
                .call("log.default", {self("y")}, {"z"})
                .returns({"y", "z"}));
  table.add(B("sinh near 0")
                .input("x", {table.reals({1e-20, -1e-9, 1e-6, -3e-4, 0.01, -0.5, 3, -20})})
                .call("sinh.default", {self("x")}, {"y"})
                .call("div.Tensor", {self("y"), tensor_argument("other", "x")}, {"z"})
                .returns({"z"}));
}

}  // namespace

void add_edges(Table& table) {
  for (const auto& family : {without_elements, not_finite, small_results}) family(table);
}

}  // namespace lockstep

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <limits>

#include "tests/support/PrimitiveCaseTable.h"

namespace lockstep {

namespace {

using Sizes = std::vector<std::int64_t>;
using B = PrimitiveCaseBuilder;
using Table = PrimitiveCaseTable;
using Draws = PrimitiveCaseTable::Draws;
using Given = PrimitiveCaseTable::Given;

constexpr double kNan = PrimitiveCaseTable::kNan;
constexpr double kInf = PrimitiveCaseTable::kInf;

at::Tensor reals(const std::vector<double>& values) { return PrimitiveCaseTable::reals(values); }
at::Tensor longs(const Sizes& values) { return at::tensor(values); }
Given in(const std::string& name, std::vector<at::Tensor> batches) { return {name, std::move(batches), false}; }
Given state(const std::string& name, const at::Tensor& tensor) { return {name, {tensor}, true}; }

void elementwise(Table& table) {
  Draws& draw = table.draw;
  for (const char* name :
       {"abs",  "neg",   "sign",        "reciprocal", "exp",    "exp2",     "expm1",     "sin",         "cos",
        "tan",  "sinh",  "cosh",        "erf",        "erfc",   "tanh",     "sigmoid",   "relu",        "floor",
        "ceil", "round", "trunc",       "frac",       "square", "relu6",    "hardswish", "hardsigmoid", "silu",
        "mish", "selu",  "log_sigmoid", "isnan",      "isinf",  "isfinite", "positive"}) {
    table.add(name, std::string(name) + ".default", {in("self", {draw.real({3, 5}) * 3, draw.real({1, 5}) * 3})});
  }
  for (const char* name : {"log", "log2", "log10", "log1p", "sqrt", "rsqrt"}) {
    table.add(name, std::string(name) + ".default", {in("self", {draw.positive({3, 5})})});
  }
  table.add("round halves", "round.default", {in("self", {reals({-2.5, -1.5, -0.5, 0.5, 1.5, 2.5})})});
  table.add("sign of zero", "sign.default", {in("self", {reals({-0.0, 0.0, 3, -3})})});
  for (const char* name : {"isnan", "isinf", "isfinite"}) {
    table.add(std::string(name) + " of special", std::string(name) + ".default",
              {in("self", {reals({kNan, kInf, -kInf, 0})})});
  }
  table.add("gelu", "gelu.default", {in("self", {draw.real({4, 5}) * 3})});
  table.add("gelu tanh", "gelu.default", {in("self", {draw.real({4, 5}) * 3})}, {{"approximate", std::string("tanh")}});
  table.add("elu", "elu.default", {in("self", {draw.real({4, 5})})}, {{"alpha", 1.5}});
  table.add("celu", "celu.default", {in("self", {draw.real({4, 5})})}, {{"alpha", 1.5}});
  table.add("leaky_relu", "leaky_relu.default", {in("self", {draw.real({4, 5})})}, {{"negative_slope", 0.2}});
  table.add("hardtanh", "hardtanh.default", {in("self", {draw.real({4, 5})})}, {{"min_val", -0.5}, {"max_val", 0.7}});
  table.add("softplus", "softplus.default", {in("self", {draw.real({4, 5})})}, {{"beta", 2.0}});
  table.add("softplus with a threshold", "softplus.default", {in("self", {reals({-3, 0, 0.9, 1.1, 3})})},
            {{"beta", 1.0}, {"threshold", 1.0}});
  for (const char* name : {"log1p", "expm1"}) {
    table.add(std::string(name) + " near 0 and far away", std::string(name) + ".default",
              {in("self", {reals({1e-30, -1e-20, 1e-7, -3e-5, 0, -0.9, kInf})})});
  }
  table.add("softplus of large", "softplus.default", {in("self", {reals({-800, -30, 0, 15, 300, 1000})})});
  table.add("threshold", "threshold.default", {in("self", {draw.real({4, 5})})}, {{"threshold", 0.1}, {"value", 20.0}});
  table.add("hardshrink", "hardshrink.default", {in("self", {draw.real({4, 5})})});
  table.add("softshrink", "softshrink.default", {in("self", {draw.real({4, 5})})});
  table.add("logit", "logit.default", {in("self", {at::sigmoid(draw.real({4, 5}))})}, {{"eps", 0.1}});
  table.add("glu", "glu.default", {in("self", {draw.real({4, 6})})}, {{"dim", std::int64_t{-1}}});
  table.add("prelu", "prelu.default", {in("self", {draw.real({2, 3, 4, 5})}), state("weight", draw.real({3}))});
  table.add("prelu one", "prelu.default", {in("self", {draw.real({2, 3})}), state("weight", draw.real({1}))});
  table.add("nan_to_num", "nan_to_num.default", {in("self", {reals({kNan, kInf, -kInf, 2})})}, {{"nan", 5.0}});
  for (const char* name : {"add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor", "maximum.default", "minimum.default",
                           "floor_divide.default", "remainder.Tensor", "fmod.Tensor"}) {
    table.add(
        std::string(name) + " broadcast", name,
        {in("self", {draw.real({2, 3, 1}), draw.real({5, 3, 1})}), in("other", {draw.real({4}), draw.real({4})})});
  }
  for (const char* name : {"floor_divide.default", "remainder.Tensor", "fmod.Tensor"}) {
    table.add(std::string(name) + " of integers", name,
              {in("self", {longs({7, -7, 7, -7, 0, 6})}), in("other", {longs({3, 3, -3, -3, 5, -2})})});
  }
  for (const char* mode : {"floor", "trunc"}) {
    table.add("div " + std::string(mode) + " of integers", "div.Tensor_mode",
              {in("self", {longs({7, -7, 7, -7, 0, 6})}), in("other", {longs({3, 3, -3, -3, 5, -2})})},
              {{"rounding_mode", std::string(mode)}});
    table.add("div " + std::string(mode), "div.Tensor_mode",
              {in("self", {reals({7, -7, 7.5, -7.5})}), in("other", {reals({2, 2, -2, -2})})},
              {{"rounding_mode", std::string(mode)}});
  }
  table.add("floor_divide by what the quotient rounds with", "floor_divide.default",
            {in("self", {reals({1, -1, 1, -6, 5.5, 3, -3, kInf, 0.5})}),
             in("other", {reals({0.1, kInf, 0, 3, -2, 0.3, 0.3, 2, kNan})})});
  table.add("maximum of nan", "maximum.default",
            {in("self", {reals({kNan, 1, 2})}), in("other", {reals({1, kNan, 3})})});
  table.add("add alpha", "add.Tensor", {in("self", {draw.real({3})}), in("other", {draw.real({3})})}, {{"alpha", 2.5}});
  table.add("add to integers", "add.Tensor", {in("self", {longs({1, 2})})}, {{"other", 0.5}});
  table.add("add integers and reals", "add.Tensor", {in("self", {longs({1, 2})}), in("other", {reals({0.5, 2})})});
  table.add("add truths", "add.Tensor", {in("self", {draw.truths({6})}), in("other", {draw.truths({6})})});
  table.add("mul truths", "mul.Tensor", {in("self", {draw.truths({6})}), in("other", {draw.truths({6})})});
  table.add("div integers", "div.Tensor", {in("self", {longs({7, -7})}), in("other", {longs({2, 2})})});
  table.add("rsub", "rsub.Scalar", {in("self", {draw.real({3})})}, {{"other", 2.5}, {"alpha", std::int64_t{2}}});
  table.add("add in place", "add_.Tensor", {in("self", {draw.real({3})}), in("other", {draw.real({3})})});
  for (const double exponent : {0.5, 1.0, 2.0, 3.0, -1.0, -0.5, 2.7}) {
    table.add("pow " + std::to_string(exponent), "pow.Tensor_Scalar", {in("self", {draw.positive({5})})},
              {{"exponent", exponent}});
  }
  table.add("pow of negative", "pow.Tensor_Scalar", {in("self", {draw.real({5})})}, {{"exponent", 3.0}});
  table.add("pow of tensors", "pow.Tensor_Tensor",
            {in("self", {draw.positive({5})}), in("exponent", {draw.real({5})})});
  table.add("pow of a number", "pow.Scalar", {in("exponent", {draw.real({5})})}, {{"self", 3.0}});
  table.add("clamp", "clamp.default", {in("self", {draw.real({3, 4})})}, {{"min", -0.5}, {"max", 0.5}});
  table.add("clamp below", "clamp.default", {in("self", {longs({-3, 0, 3})})}, {{"max", std::int64_t{1}}});
  table.add("clamp_min", "clamp_min.default", {in("self", {draw.real({3, 4})})}, {{"min", std::int64_t{0}}});
  table.add("addcmul", "addcmul.default",
            {in("self", {draw.real({3})}), in("tensor1", {draw.real({3})}), in("tensor2", {draw.real({3})})},
            {{"value", 0.5}});
  table.add("addcdiv", "addcdiv.default",
            {in("self", {draw.real({3})}), in("tensor1", {draw.real({3})}), in("tensor2", {draw.positive({3})})});
  table.add("dropout", "dropout.default", {in("input", {draw.real({3})})}, {{"p", 0.5}, {"train", false}});
  table.add("dropout in place", "dropout_.default", {in("self", {draw.real({3})})}, {{"p", 0.5}, {"train", false}});
  table.add("lerp", "lerp.Scalar", {in("self", {draw.real({3})}), in("end", {draw.real({3})})}, {{"weight", 0.3}});
}

void comparisons(Table& table) {
  Draws& draw = table.draw;
  for (const char* name : {"eq", "ne", "lt", "le", "gt", "ge"}) {
    table.add(std::string(name) + " of integers", std::string(name) + ".Tensor",
              {in("self", {draw.integers(-3, 3, {2, 5}), draw.integers(-3, 3, {4, 5})}),
               in("other", {draw.integers(-3, 3, {5}), draw.integers(-3, 3, {5})})});
    table.add(std::string(name) + " of a number", std::string(name) + ".Scalar", {in("self", {longs({-1, 0, 1, 2})})},
              {{"other", 0.5}});
    table.add(std::string(name) + " of mixed", std::string(name) + ".Tensor",
              {in("self", {longs({-1, 0, 1, 2})}), in("other", {reals({-1, 0.5, 1, kNan})})});
  }
  for (const char* name : {"logical_and", "logical_or", "logical_xor"}) {
    table.add(name, std::string(name) + ".default",
              {in("self", {longs({0, 1, 2, 0})}), in("other", {reals({0, 0, 1, 2})})});
  }
  for (const char* name : {"__and__", "__or__", "__xor__", "bitwise_and", "bitwise_or", "bitwise_xor"}) {
    table.add(name, std::string(name) + ".Tensor", {in("self", {draw.truths({8})}), in("other", {draw.truths({8})})});
  }
  table.add("logical_not", "logical_not.default", {in("self", {reals({0, 1, -2})})});
  table.add("bitwise_not", "bitwise_not.default", {in("self", {draw.truths({8})})});
  table.add("bitwise_not of integers", "bitwise_not.default", {in("self", {longs({0, 1, -5})})});
  table.add("where", "where.self",
            {in("condition", {draw.truths({3, 1})}), in("self", {draw.real({3, 4})}), in("other", {draw.real({4})})});
  table.add("where of numbers", "where.ScalarOther",
            {in("condition", {draw.truths({6})}), in("self", {draw.real({6})})}, {{"other", -1.5}});
  table.add("masked_fill", "masked_fill.Scalar",
            {in("self", {draw.real({2, 3, 4})}), in("mask", {draw.truths({3, 4})})}, {{"value", -1e9}});
  table.add("masked_fill tensor", "masked_fill.Tensor",
            {in("self", {draw.real({3, 4})}), in("mask", {draw.truths({3, 4})}), in("value", {reals({7}).squeeze()})});
}

void shapes(Table& table) {
  Draws& draw = table.draw;
  const auto x = [&] { return in("self", {draw.real({2, 3, 4}), draw.real({5, 3, 4})}); };
  table.add("view", "view.default", {x()}, {{"size", Sizes{-1, 12}}});
  table.add("view of all", "view.default", {x()}, {{"size", Sizes{-1}}});
  table.add("reshape_as", "reshape_as.default", {x(), in("other", {draw.real({6, 4}), draw.real({15, 4})})});
  table.add("flatten", "flatten.using_ints", {x()}, {{"start_dim", std::int64_t{1}}});
  table.add("flatten all", "flatten.using_ints", {x()});
  table.add("unflatten", "unflatten.int", {x()}, {{"dim", std::int64_t{-1}}, {"sizes", Sizes{2, -1}}});
  table.add("permute", "permute.default", {x()}, {{"dims", Sizes{-1, 0, 1}}});
  table.add("transpose", "transpose.int", {x()}, {{"dim0", std::int64_t{0}}, {"dim1", std::int64_t{-1}}});
  table.add("t", "t.default", {in("self", {draw.real({2, 3})})});
  table.add("movedim", "movedim.int", {x()}, {{"source", std::int64_t{0}}, {"destination", std::int64_t{-1}}});
  table.add("unsqueeze", "unsqueeze.default", {x()}, {{"dim", std::int64_t{-1}}});
  table.add("squeeze", "squeeze.default", {in("self", {draw.real({2, 1, 3, 1})})});
  table.add("squeeze dim", "squeeze.dim", {in("self", {draw.real({2, 1, 3}), draw.real({4, 1, 3})})},
            {{"dim", std::int64_t{1}}});
  table.add("squeeze dim of another size", "squeeze.dim", {in("self", {draw.real({2, 1, 3})})},
            {{"dim", std::int64_t{2}}});
  table.add("expand", "expand.default", {in("self", {draw.real({1, 3, 1})})}, {{"size", Sizes{2, 5, -1, 4}}});
  table.add("repeat", "repeat.default", {x()}, {{"repeats", Sizes{2, 1, 3, 1}}});
  table.add("tile", "tile.default", {x()}, {{"dims", Sizes{2}}});
  table.add("repeat_interleave", "repeat_interleave.self_int", {x()},
            {{"repeats", std::int64_t{3}}, {"dim", std::int64_t{1}}});
  table.add("pixel_shuffle", "pixel_shuffle.default", {in("self", {draw.real({2, 8, 3, 5}), draw.real({1, 8, 3, 5})})},
            {{"upscale_factor", std::int64_t{2}}});
  table.add("pixel_unshuffle", "pixel_unshuffle.default", {in("self", {draw.real({2, 3, 4, 6})})},
            {{"downscale_factor", std::int64_t{2}}});
  table.add("channel_shuffle", "channel_shuffle.default",
            {in("self", {draw.real({2, 6, 3, 3}), draw.real({1, 6, 3, 3})})}, {{"groups", std::int64_t{3}}});
  for (const int type : {4, 5, 8, 12}) {
    table.add("to type " + std::to_string(type), "to.dtype", {in("self", {reals({-1.7, 0, 0.4, 2.6})})},
              {{"dtype", ScalarTypeNumber{type}}});
  }
  table.add("select", "select.int", {x()}, {{"dim", std::int64_t{1}}, {"index", std::int64_t{-1}}});
  table.add("select of an open size", "select.int", {x()}, {{"dim", std::int64_t{0}}, {"index", std::int64_t{-1}}});
  table.add(
      "slice", "slice.Tensor", {in("self", {draw.real({7, 3})})},
      {{"dim", std::int64_t{0}}, {"start", std::int64_t{-6}}, {"end", std::int64_t{100}}, {"step", std::int64_t{2}}});
  table.add("slice of an open size", "slice.Tensor", {x()},
            {{"dim", std::int64_t{0}}, {"start", std::int64_t{1}}, {"end", std::int64_t{-1}}});
  table.add("slice to nothing", "slice.Tensor", {in("self", {draw.real({7, 3})})},
            {{"dim", std::int64_t{0}}, {"start", std::int64_t{5}}, {"end", std::int64_t{2}}});
  table.add("roll", "roll.default", {x()}, {{"shifts", Sizes{1, -3}}, {"dims", Sizes{0, 2}}});
  table.add("roll all", "roll.default", {in("self", {draw.real({3, 4})})}, {{"shifts", Sizes{5}}});
  table.add("flip", "flip.default", {x()}, {{"dims", Sizes{0, -1}}});
  table.add("pad", "pad.default", {x()}, {{"pad", Sizes{1, 2, 0, 3}}, {"value", 1.5}});
  table.add("pad of negative", "pad.default", {x()}, {{"pad", Sizes{-1, 2, 0, -1}}});
  for (const char* mode : {"reflect", "replicate", "circular"}) {
    table.add("pad " + std::string(mode), "pad.default", {in("self", {draw.real({2, 3, 4, 5})})},
              {{"pad", Sizes{2, 1, 1, 2}}, {"mode", std::string(mode)}});
  }
  table.add("tril", "tril.default", {in("self", {draw.real({2, 4, 5})})}, {{"diagonal", std::int64_t{-1}}});
  table.add("triu", "triu.default", {in("self", {draw.real({4, 5})})}, {{"diagonal", std::int64_t{1}}});
  table.add("diff", "diff.default", {in("self", {draw.integers(0, 9, {2, 6})})}, {{"n", std::int64_t{2}}});
  table.add("unfold", "unfold.default", {in("self", {draw.real({2, 7, 3})})},
            {{"dimension", std::int64_t{1}}, {"size", std::int64_t{3}}, {"step", std::int64_t{2}}});
  table.add(B("split")
                .input("x", {draw.real({2, 7}), draw.real({3, 7})})
                .call_list("split.Tensor",
                           {tensor_argument("self", "x"), {"split_size", std::int64_t{3}}, {"dim", std::int64_t{1}}},
                           {"a", "b", "c"})
                .returns({"c", "a", "b"}));
  table.add(B("split_with_sizes")
                .input("x", {draw.real({2, 7})})
                .call_list("split_with_sizes.default",
                           {tensor_argument("self", "x"), {"split_sizes", Sizes{1, 0, 6}}, {"dim", std::int64_t{-1}}},
                           {"a", "b", "c"})
                .returns({"a", "b", "c"}));
  table.add(B("chunk")
                .input("x", {draw.real({2, 7})})
                .call_list("chunk.default",
                           {tensor_argument("self", "x"), {"chunks", std::int64_t{3}}, {"dim", std::int64_t{1}}},
                           {"a", "b", "c"})
                .returns({"a", "b", "c"}));
  table.add(B("unbind")
                .input("x", {draw.real({2, 3}), draw.real({4, 3})})
                .call_list("unbind.int", {tensor_argument("self", "x"), {"dim", std::int64_t{1}}}, {"a", "b", "c"})
                .returns({"a", "b", "c"}));
  table.add(B("cat")
                .input("a", {draw.real({2, 3}), draw.real({4, 3})})
                .input("b", {draw.real({2, 1}), draw.real({4, 1})})
                .call("cat.default", {tensors_argument("tensors", {"a", "b", "a"}), {"dim", std::int64_t{-1}}}, {"y"})
                .returns({"y"}));
  table.add(B("cat of types")
                .input("a", {longs({1, 2})})
                .input("b", {reals({0.5})})
                .call("cat.default", {tensors_argument("tensors", {"a", "b"})}, {"y"})
                .returns({"y"}));
  table.add(B("stack")
                .input("a", {draw.real({2, 3}), draw.real({4, 3})})
                .input("b", {draw.real({2, 3}), draw.real({4, 3})})
                .call("stack.default", {tensors_argument("tensors", {"a", "b"}), {"dim", std::int64_t{-2}}}, {"y"})
                .returns({"y"}));
  table.add(B("meshgrid")
                .input("a", {draw.real({2}), draw.real({4})})
                .input("b", {draw.real({3}), draw.real({3})})
                .call_list("meshgrid.indexing",
                           {tensors_argument("tensors", {"a", "b"}), {"indexing", std::string("xy")}}, {"p", "q"})
                .returns({"p", "q"}));
  table.add(
      B("heads")
          .input("x", {draw.real({2, 3, 8}), draw.real({1, 5, 8})})
          .size("x", 0, "n")
          .size("x", 1, "length")
          .call(
              "view.default",
              {tensor_argument("self", "x"), sizes_argument("size", {"n", "length", std::int64_t{2}, std::int64_t{4}})},
              {"v"})
          .call("transpose.int", {tensor_argument("self", "v"), {"dim0", std::int64_t{1}}, {"dim1", std::int64_t{2}}},
                {"h"})
          .arithmetic("mul", "n", std::int64_t{2}, "both")
          .call("reshape.default",
                {tensor_argument("self", "h"), sizes_argument("shape", {"both", "length", std::int64_t{4}})}, {"y"})
          .call("arange.default", {{"end", SymInt{"length"}}}, {"places"})
          .returns({"h", "y", "places"}));
}

void reductions(Table& table) {
  Draws& draw = table.draw;
  const auto x = [&] { return in("self", {draw.real({2, 3, 4}), draw.real({5, 3, 4})}); };
  for (const char* name : {"sum.dim_IntList", "mean.dim", "amax.default", "amin.default", "any.dims", "all.dims"}) {
    for (const bool keep : {false, true}) {
      table.add(std::string(name) + (keep ? " keeping" : ""), name, {x()}, {{"dim", Sizes{-1, 0}}, {"keepdim", keep}});
    }
  }
  for (const char* name : {"sum.default", "mean.default", "max.default", "min.default", "prod.default", "any.default",
                           "all.default", "argmax.default", "argmin.default"}) {
    table.add(name, name, {x()});
  }
  table.add("sum of integers", "sum.default", {in("self", {longs({1, 2}).to(at::kInt)})});
  table.add("sum of truths", "sum.dim_IntList", {in("self", {draw.truths({3, 4})})}, {{"dim", Sizes{1}}});
  table.add("sum of nothing", "sum.dim_IntList", {in("self", {draw.real({0, 3})})}, {{"dim", Sizes{0}}});
  table.add("prod", "prod.dim_int", {x()}, {{"dim", std::int64_t{1}}});
  table.add("max of nan", "amax.default", {in("self", {reals({1, kNan, 3, 2}).reshape({2, 2})})}, {{"dim", Sizes{1}}});
  table.add("max.dim", "max.dim", {x()}, {{"dim", std::int64_t{1}}, {"keepdim", true}}, 2);
  table.add("min.dim", "min.dim", {x()}, {{"dim", std::int64_t{-1}}}, 2);
  table.add("argmax of equals", "argmax.default", {in("self", {reals({1, 3, 3, 2, 0, 0}).reshape({2, 3})})},
            {{"dim", std::int64_t{1}}});
  table.add("argmin of equals", "argmin.default", {in("self", {reals({1, 1, 3, 2, 0, 0}).reshape({2, 3})})},
            {{"dim", std::int64_t{-1}}, {"keepdim", true}});
  for (const char* name : {"argmax", "argmin"}) {
    const auto values = reals({1, kNan, 3, kNan, 2, 5, kNan, 0, 4, 4, -kInf, -kInf}).reshape({4, 3});
    table.add(std::string(name) + " of nan", std::string(name) + ".default", {in("self", {values})},
              {{"dim", std::int64_t{1}}});
    table.add(std::string(name) + " of large integers", std::string(name) + ".default",
              {in("self", {longs({1, (1LL << 53) + 1, 1LL << 53, -(1LL << 53), -(1LL << 53) - 1, 0}).reshape({2, 3})})},
              {{"dim", std::int64_t{1}}, {"keepdim", true}});
  }
  for (const char* name : {"max.dim", "min.dim"}) {
    table.add(std::string(name) + " of nan", name, {in("self", {reals({1, kNan, 3, kNan, 2, 5}).reshape({2, 3})})},
              {{"dim", std::int64_t{1}}}, 2);
  }
  for (const char* name : {"var.correction", "std.correction"}) {
    table.add(name, name, {x()}, {{"dim", Sizes{0, 2}}, {"correction", std::int64_t{0}}, {"keepdim", true}});
    table.add(std::string(name) + " of all", name, {x()});
  }
  table.add("var_mean", "var_mean.correction", {x()}, {{"dim", Sizes{1}}, {"correction", std::int64_t{1}}}, 2);
  for (const double order : {0.0, 1.0, 2.0, 3.0, kInf, -kInf}) {
    table.add("norm " + std::to_string(order), "linalg_vector_norm.default", {x()},
              {{"ord", order}, {"dim", Sizes{1}}});
  }
  table.add("norm of all", "linalg_vector_norm.default", {x()});
  table.add("cosine_similarity", "cosine_similarity.default",
            {in("x1", {draw.real({3, 5})}), in("x2", {draw.real({3, 5})})});
  table.add("cosine_similarity, broadcast", "cosine_similarity.default",
            {in("x1", {draw.real({3, 1})}), in("x2", {draw.real({3, 5})})});
  table.add("logsumexp", "logsumexp.default", {in("self", {draw.real({3, 4}) * 300})}, {{"dim", Sizes{1}}});
  table.add("cumsum", "cumsum.default", {x()}, {{"dim", std::int64_t{1}}});
  table.add("cumsum of truths", "cumsum.default", {in("self", {draw.truths({3, 5})})}, {{"dim", std::int64_t{-1}}});
  table.add("topk", "topk.default", {x()}, {{"k", std::int64_t{2}}}, 2);
  table.add("topk smallest", "topk.default", {x()},
            {{"k", std::int64_t{2}}, {"dim", std::int64_t{1}}, {"largest", false}}, 2);
  table.add("sort", "sort.default", {x()}, {{"dim", std::int64_t{1}}, {"descending", true}}, 2);
  table.add("sort upward, with the least integer", "sort.default",
            {in("self", {longs({0, 5, 3, std::numeric_limits<std::int64_t>::min(), 7}).reshape({1, 5})})},
            {{"dim", std::int64_t{1}}}, 2);
  table.add("narrow from the end", "narrow.default", {x()},
            {{"dim", std::int64_t{1}}, {"start", std::int64_t{-2}}, {"length", std::int64_t{2}}});
  table.add("softmax", "softmax.int", {x()}, {{"dim", std::int64_t{1}}});
  table.add("softmax of large", "softmax.int", {in("self", {reals({1000, 999, -1000, -1001}).reshape({2, 2})})},
            {{"dim", std::int64_t{-1}}});
  table.add("log_softmax", "log_softmax.int", {in("self", {draw.real({3, 4}) * 100})}, {{"dim", std::int64_t{1}}});
  table.add("_safe_softmax", "_safe_softmax.default", {in("self", {reals({-kInf, -kInf, 1, -kInf}).reshape({2, 2})})},
            {{"dim", std::int64_t{-1}}});
  table.add("count_nonzero", "count_nonzero.dim_IntList", {in("self", {draw.integers(0, 2, {3, 4})})},
            {{"dim", Sizes{1}}});
}

void products(Table& table) {
  Draws& draw = table.draw;
  const std::vector<std::pair<Sizes, Sizes>> pairs = {{{3}, {3}},       {{3}, {3, 4}},       {{2, 3}, {3}},
                                                      {{2, 3}, {3, 4}}, {{5, 2, 3}, {3, 4}}, {{2, 1, 4, 3}, {5, 3, 2}},
                                                      {{3}, {2, 3, 4}}, {{2, 5, 3}, {3}}};
  for (const auto& [a, b] : pairs) {
    table.add("matmul " + std::to_string(table.cases.size()), "matmul.default",
              {in("self", {draw.real(a)}), in("other", {draw.real(b)})});
  }
  table.add("bmm", "bmm.default",
            {in("self", {draw.real({2, 3, 4}), draw.real({1, 3, 4})}),
             in("mat2", {draw.real({2, 4, 5}), draw.real({1, 4, 5})})});
  table.add("addmm", "addmm.default",
            {state("self", draw.real({5})), in("mat1", {draw.real({2, 4}), draw.real({3, 4})}),
             state("mat2", draw.real({4, 5}))},
            {{"beta", 0.5}, {"alpha", std::int64_t{2}}});
  table.add(
      "baddbmm", "baddbmm.default",
      {in("self", {draw.real({2, 3, 5})}), in("batch1", {draw.real({2, 3, 4})}), in("batch2", {draw.real({2, 4, 5})})},
      {{"beta", std::int64_t{0}}});
  for (const Sizes& rows : {Sizes{4}, Sizes{2, 4}, Sizes{2, 3, 4}}) {
    const std::string rank = std::to_string(rows.size());
    table.add("linear " + rank, "linear.default",
              {in("input", {draw.real(rows)}), state("weight", draw.real({5, 4})), state("bias", draw.real({5}))});
    table.add("linear without bias " + rank, "linear.default",
              {in("input", {draw.real(rows)}), state("weight", draw.real({5, 4}))});
  }
  table.add("linear, open batch", "linear.default",
            {in("input", {draw.real({2, 3, 4}), draw.real({7, 1, 4})}), state("weight", draw.real({5, 4})),
             state("bias", draw.real({5}))});
  table.add("linear of nothing", "linear.default",
            {in("input", {draw.real({0, 4})}), state("weight", draw.real({5, 4}))});
}

void einsums(Table& table) {
  Draws& draw = table.draw;
  const std::vector<std::pair<std::string, std::vector<Sizes>>> equations = {
      {"bghid, bghjd -> bghij", {{2, 3, 2, 4, 5}, {2, 3, 2, 6, 5}}},
      {"ij,jk", {{3, 4}, {4, 5}}},
      {"bij,bkj->ik", {{2, 3, 4}, {2, 5, 4}}},
      {"i,j->ij", {{3}, {4}}},
      {"ij->j", {{3, 4}}},
      {"ijk,kl,jm->iml", {{2, 3, 4}, {4, 5}, {3, 6}}},
      {"abc,dbce->ade", {{2, 3, 4}, {5, 3, 4, 6}}}};
  for (const auto& [equation, sizes] : equations) {
    B builder("einsum " + equation);
    std::vector<std::string> names;
    for (const Sizes& each : sizes) {
      names.push_back("x" + std::to_string(names.size()));
      builder.input(names.back(), {draw.real(each)});
    }
    table.add(builder.call("einsum.default", {{"equation", equation}, tensors_argument("tensors", names)}, {"y"})
                  .returns({"y"}));
  }
}

void convolutions(Table& table) {
  Draws& draw = table.draw;
  const auto bias = [&](std::int64_t size) { return state("bias", draw.real({size})); };
  table.add("conv2d", "conv2d.default",
            {in("input", {draw.real({2, 3, 7, 8}), draw.real({1, 3, 7, 8})}), state("weight", draw.real({4, 3, 3, 3})),
             bias(4)});
  table.add("conv2d stride 2, odd sizes", "conv2d.default",
            {in("input", {draw.real({2, 3, 7, 9})}), state("weight", draw.real({4, 3, 3, 3}))},
            {{"stride", Sizes{2, 2}}, {"padding", Sizes{1, 1}}});
  table.add("conv2d stride 2, even sizes", "conv2d.default",
            {in("input", {draw.real({2, 3, 8, 8})}), state("weight", draw.real({4, 3, 3, 3}))},
            {{"stride", Sizes{2, 2}}, {"padding", Sizes{1, 1}}});
  table.add(
      "conv2d grouped, dilated", "conv2d.default",
      {in("input", {draw.real({2, 4, 9, 8})}), state("weight", draw.real({6, 2, 3, 2})), bias(6)},
      {{"stride", Sizes{1, 2}}, {"padding", Sizes{2, 0}}, {"dilation", Sizes{2, 1}}, {"groups", std::int64_t{2}}});
  table.add("conv2d depthwise", "conv2d.default",
            {in("input", {draw.real({2, 4, 6, 6})}), state("weight", draw.real({8, 1, 3, 3})), bias(8)},
            {{"padding", Sizes{1, 1}}, {"groups", std::int64_t{4}}});
  table.add("conv2d same", "conv2d.padding",
            {in("input", {draw.real({2, 3, 6, 5})}), state("weight", draw.real({4, 3, 4, 3})), bias(4)},
            {{"padding", std::string("same")}, {"dilation", Sizes{1, 2}}});
  table.add("conv2d of one image", "conv2d.default",
            {in("input", {draw.real({3, 6, 5})}), state("weight", draw.real({4, 3, 3, 3}))});
  table.add(
      "conv2d, open sizes", "conv2d.default",
      {in("input", {draw.real({2, 3, 7, 8}), draw.real({1, 3, 9, 12})}), state("weight", draw.real({4, 3, 3, 3}))},
      {{"stride", Sizes{2, 2}}, {"padding", Sizes{1, 1}}});
  table.add("conv1d", "conv1d.default",
            {in("input", {draw.real({2, 3, 9}), draw.real({1, 3, 9})}), state("weight", draw.real({4, 3, 3})), bias(4)},
            {{"stride", Sizes{2}}, {"padding", Sizes{2}}, {"dilation", Sizes{2}}});
  table.add("conv3d", "conv3d.default",
            {in("input", {draw.real({2, 2, 4, 5, 6})}), state("weight", draw.real({3, 2, 2, 3, 3})), bias(3)},
            {{"stride", Sizes{1, 2, 1}}, {"padding", Sizes{1, 0, 1}}});
  table.add("conv_transpose1d", "conv_transpose1d.default",
            {in("input", {draw.real({2, 3, 5})}), state("weight", draw.real({3, 4, 3})), bias(4)},
            {{"stride", Sizes{2}}});
  table.add("conv_transpose2d", "conv_transpose2d.input",
            {in("input", {draw.real({2, 4, 5, 4}), draw.real({1, 4, 5, 4})}), state("weight", draw.real({4, 3, 3, 3})),
             bias(6)},
            {{"stride", Sizes{2, 2}},
             {"padding", Sizes{1, 1}},
             {"output_padding", Sizes{1, 1}},
             {"groups", std::int64_t{2}}});
  table.add("conv_transpose2d dilated", "conv_transpose2d.input",
            {in("input", {draw.real({2, 4, 5, 4})}), state("weight", draw.real({4, 3, 2, 3}))},
            {{"stride", Sizes{1, 3}}, {"padding", Sizes{0, 2}}, {"dilation", Sizes{2, 1}}});
  table.add("conv_transpose3d", "conv_transpose3d.input",
            {in("input", {draw.real({1, 2, 3, 3, 3})}), state("weight", draw.real({2, 2, 2, 2, 2}))},
            {{"stride", Sizes{2, 2, 2}}});
}

void pools(Table& table) {
  Draws& draw = table.draw;
  const auto image = [&](std::int64_t h, std::int64_t w) {
    return in("self", {draw.real({2, 3, h, w}), draw.real({1, 3, h, w})});
  };
  for (const bool ceil : {false, true}) {
    const std::string suffix = ceil ? " ceil" : "";
    const NamedArgument mode{"ceil_mode", ceil};
    table.add("max_pool2d" + suffix, "max_pool2d.default", {image(7, 8)},
              {{"kernel_size", Sizes{3, 2}}, {"stride", Sizes{2, 2}}, mode});
    table.add("max_pool2d padded" + suffix, "max_pool2d.default", {image(6, 7)},
              {{"kernel_size", Sizes{3, 3}}, {"stride", Sizes{2, 2}}, {"padding", Sizes{1, 1}}, mode});
    table.add("max_pool2d dilated" + suffix, "max_pool2d.default", {image(8, 9)},
              {{"kernel_size", Sizes{2, 3}},
               {"stride", Sizes{2, 1}},
               {"padding", Sizes{1, 0}},
               {"dilation", Sizes{2, 2}},
               mode});
    table.add("max_pool2d, windows behind the image" + suffix, "max_pool2d.default", {image(5, 5)},
              {{"kernel_size", Sizes{2, 2}}, {"stride", Sizes{3, 3}}, {"padding", Sizes{1, 1}}, mode});
    for (const bool count : {false, true}) {
      const std::string more = suffix + (count ? "" : " without padding");
      table.add("avg_pool2d" + more, "avg_pool2d.default", {image(6, 7)},
                {{"kernel_size", Sizes{3, 3}},
                 {"stride", Sizes{2, 2}},
                 {"padding", Sizes{1, 1}},
                 mode,
                 {"count_include_pad", count}});
      table.add("avg_pool2d unpadded" + more, "avg_pool2d.default", {image(6, 7)},
                {{"kernel_size", Sizes{3, 2}}, {"stride", Sizes{2, 2}}, mode, {"count_include_pad", count}});
    }
    table.add("avg_pool2d divisor" + suffix, "avg_pool2d.default", {image(6, 7)},
              {{"kernel_size", Sizes{3, 3}},
               {"stride", Sizes{2, 2}},
               {"padding", Sizes{1, 1}},
               mode,
               {"divisor_override", std::int64_t{4}}});
    table.add("max_pool1d" + suffix, "max_pool1d.default", {in("self", {draw.real({2, 3, 9})})},
              {{"kernel_size", Sizes{2}}, mode});
    table.add("avg_pool1d" + suffix, "avg_pool1d.default", {in("self", {draw.real({2, 3, 9})})},
              {{"kernel_size", Sizes{2}}, mode});
    table.add("max_pool3d" + suffix, "max_pool3d.default", {in("self", {draw.real({1, 2, 5, 4, 5})})},
              {{"kernel_size", Sizes{2, 2, 2}}, mode});
    table.add("avg_pool3d" + suffix, "avg_pool3d.default", {in("self", {draw.real({1, 2, 5, 4, 5})})},
              {{"kernel_size", Sizes{2, 2, 2}}, mode});
  }
  for (const Sizes& out : {Sizes{1, 1}, Sizes{3, 4}, Sizes{6, 8}, Sizes{4, 3}, Sizes{7, 7}}) {
    table.add("adaptive_avg_pool2d " + std::to_string(out[0]), "adaptive_avg_pool2d.default", {image(6, 8)},
              {{"output_size", out}});
  }
  table.add("adaptive_avg_pool2d of an open size", "adaptive_avg_pool2d.default",
            {in("self", {draw.real({2, 3, 5, 6}), draw.real({1, 3, 7, 9})})}, {{"output_size", Sizes{1, 1}}});
  const at::Tensor infinite = draw.real({1, 2, 6, 8});
  infinite[0][1][2][3].fill_(kInf);
  table.add("adaptive_avg_pool2d of an infinity", "adaptive_avg_pool2d.default", {in("self", {infinite})},
            {{"output_size", Sizes{4, 5}}});
  table.add("upsample_bicubic2d of an infinity", "upsample_bicubic2d.vec", {in("input", {infinite})},
            {{"output_size", Sizes{9, 16}}, {"align_corners", false}, {"scale_factors", NoneArgument{}}});
  table.add("adaptive_avg_pool1d of many", "adaptive_avg_pool1d.default", {in("self", {draw.real({1, 2, 100})})},
            {{"output_size", Sizes{70}}});
  table.add("adaptive_max_pool2d of uneven windows", "adaptive_max_pool2d.default", {image(6, 8)},
            {{"output_size", Sizes{4, 5}}}, 2, 1);
  table.add("adaptive_avg_pool1d", "adaptive_avg_pool1d.default", {in("self", {draw.real({2, 3, 7})})},
            {{"output_size", Sizes{2}}});
  table.add("adaptive_max_pool2d", "adaptive_max_pool2d.default", {image(6, 8)}, {{"output_size", Sizes{3, 2}}}, 2, 1);
  table.add("upsample_nearest2d", "upsample_nearest2d.vec",
            {in("input", {draw.real({2, 3, 4, 5}), draw.real({1, 3, 4, 5})})},
            {{"output_size", NoneArgument{}}, {"scale_factors", std::vector<double>{2.0, 3.0}}});
  table.add("upsample_nearest2d to sizes", "upsample_nearest2d.vec", {in("input", {draw.real({2, 3, 4, 5})})},
            {{"output_size", Sizes{7, 3}}, {"scale_factors", NoneArgument{}}});
  for (const bool corners : {false, true}) {
    table.add(corners ? "upsample_bilinear2d corners" : "upsample_bilinear2d", "upsample_bilinear2d.vec",
              {in("input", {draw.real({2, 3, 4, 5}), draw.real({1, 3, 6, 7})})},
              {{"output_size", NoneArgument{}},
               {"align_corners", corners},
               {"scale_factors", std::vector<double>{2.0, 2.0}}});
    table.add(corners ? "upsample_bilinear2d corners to sizes" : "upsample_bilinear2d to sizes",
              "upsample_bilinear2d.vec", {in("input", {draw.real({2, 3, 4, 5})})},
              {{"output_size", Sizes{7, 3}}, {"align_corners", corners}, {"scale_factors", NoneArgument{}}});
  }
  for (const bool corners : {false, true}) {
    const std::string suffix = corners ? " corners" : "";
    const NamedArgument align{"align_corners", corners};
    table.add("upsample_bicubic2d" + suffix, "upsample_bicubic2d.vec",
              {in("input", {draw.real({2, 3, 4, 5}), draw.real({1, 3, 4, 5})})},
              {{"output_size", Sizes{7, 3}}, align, {"scale_factors", NoneArgument{}}});
    for (const char* op : {"upsample_bicubic2d.vec", "upsample_bilinear2d.vec"}) {
      table.add(std::string(op) + " by a scale" + suffix, op, {in("input", {draw.real({2, 3, 4, 5})})},
                {{"output_size", NoneArgument{}}, align, {"scale_factors", std::vector<double>{1.3, 0.7}}});
    }
  }
  table.add("upsample_linear1d", "upsample_linear1d.vec", {in("input", {draw.real({2, 3, 4})})},
            {{"output_size", Sizes{9}}, {"align_corners", false}, {"scale_factors", NoneArgument{}}});
  table.add("upsample_trilinear3d", "upsample_trilinear3d.vec", {in("input", {draw.real({1, 2, 3, 4, 2})})},
            {{"output_size", NoneArgument{}},
             {"align_corners", false},
             {"scale_factors", std::vector<double>{2.0, 2.0, 2.0}}});
}

void normalizations(Table& table) {
  Draws& draw = table.draw;
  const auto scales = [&](std::int64_t n) {
    return std::vector<Given>{state("weight", draw.real({n})), state("bias", draw.real({n}))};
  };
  for (const Sizes& sizes : {Sizes{4, 3}, Sizes{4, 3, 5}, Sizes{2, 3, 4, 5}, Sizes{2, 3, 2, 4, 3}}) {
    std::vector<Given> given = scales(3);
    Sizes other = sizes;
    other[0] = 1;
    given.insert(given.begin(), in("input", {draw.real(sizes), draw.real(other)}));
    given.push_back(state("running_mean", draw.real({3})));
    given.push_back(state("running_var", draw.positive({3})));
    const std::vector<NamedArgument> rest = {
        {"training", false}, {"momentum", 0.1}, {"eps", 1e-3}, {"cudnn_enabled", true}};
    table.add("batch_norm " + std::to_string(sizes.size()), "batch_norm.default", given, rest);
    given.erase(given.begin() + 1, given.begin() + 3);
    std::vector<NamedArgument> none = {{"weight", NoneArgument{}}, {"bias", NoneArgument{}}};
    none.insert(none.end(), rest.begin(), rest.end());
    table.add("batch_norm without scale " + std::to_string(sizes.size()), "batch_norm.default", given, none);
    given.resize(1);
    std::vector<NamedArgument> batch = none;
    batch[2].value = true;
    batch.push_back({"running_mean", NoneArgument{}});
    batch.push_back({"running_var", NoneArgument{}});
    if (sizes.size() > 2)
      table.add("batch_norm by its batch " + std::to_string(sizes.size()), "batch_norm.default", given, batch);
  }
  for (const bool affine : {false, true}) {
    const std::string suffix = affine ? " affine" : "";
    std::vector<Given> given = affine ? scales(6) : std::vector<Given>{};
    given.insert(given.begin(), in("input", {draw.real({2, 6, 3, 4}), draw.real({1, 6, 3, 4})}));
    std::vector<NamedArgument> none;
    if (!affine) none = {{"weight", NoneArgument{}}, {"bias", NoneArgument{}}};
    std::vector<NamedArgument> groups = none;
    groups.push_back({"num_groups", std::int64_t{3}});
    table.add("group_norm" + suffix, "group_norm.default", given, groups);
    std::vector<NamedArgument> instance = none;
    for (const char* name : {"running_mean", "running_var"}) instance.push_back({name, NoneArgument{}});
    instance.insert(instance.end(),
                    {{"use_input_stats", true}, {"momentum", 0.1}, {"eps", 1e-5}, {"cudnn_enabled", true}});
    table.add("instance_norm" + suffix, "instance_norm.default", given, instance);
    given[0] = in("input", {draw.real({2, 3, 6}), draw.real({5, 1, 6})});
    std::vector<NamedArgument> layer = none;
    layer.insert(layer.end(), {{"normalized_shape", Sizes{6}}, {"eps", 1e-3}});
    table.add("layer_norm" + suffix, "layer_norm.default", given, layer);
  }
  table.add("layer_norm of two", "layer_norm.default",
            {in("input", {draw.real({2, 3, 4})}), state("weight", draw.real({3, 4})), state("bias", draw.real({3, 4}))},
            {{"normalized_shape", Sizes{3, 4}}});
  table.add("rms_norm", "rms_norm.default", {in("input", {draw.real({2, 3, 4})}), state("weight", draw.real({4}))},
            {{"normalized_shape", Sizes{4}}, {"eps", 1e-3}});
}

void attentions(Table& table) {
  Draws& draw = table.draw;
  const auto heads = [&](const char* name, std::int64_t count, std::int64_t length) {
    return in(name, {draw.real({2, count, length, 4}), draw.real({1, count, length, 4})});
  };
  const auto qkv = [&] { return std::vector<Given>{heads("query", 3, 5), heads("key", 3, 6), heads("value", 3, 6)}; };
  const std::string op = "scaled_dot_product_attention.default";
  table.add("attention", op, qkv());
  table.add("attention scaled", op, qkv(), {{"scale", 0.3}});
  table.add("attention causal", op, qkv(), {{"is_causal", true}});
  std::vector<Given> masked = qkv();
  masked.push_back(in("attn_mask", {draw.truths({2, 1, 1, 6}), draw.truths({1, 1, 1, 6})}));
  masked.back().batches[0][0].fill_(false);
  masked.back().batches[1].fill_(true);
  table.add("attention, a sample masked wholly", op, masked);
  masked.back().batches = {draw.truths({5, 6}), draw.truths({5, 6})};
  for (at::Tensor& mask : masked.back().batches) mask[2].fill_(false);
  table.add("attention, a row masked wholly", op, masked);
  masked.back().batches = {draw.real({2, 1, 5, 6}), draw.real({1, 1, 5, 6})};
  for (at::Tensor& mask : masked.back().batches) mask.select(2, 1).fill_(-kInf);
  table.add("attention, a mask added", op, masked);
  table.add("attention in groups", op, {heads("query", 6, 5), heads("key", 2, 5), heads("value", 2, 5)},
            {{"is_causal", true}, {"enable_gqa", true}});
  table.add("attention, open lengths", op,
            {in("query", {draw.real({2, 3, 5, 4}), draw.real({1, 3, 2, 4})}),
             in("key", {draw.real({2, 3, 5, 4}), draw.real({1, 3, 2, 4})}),
             in("value", {draw.real({2, 3, 5, 4}), draw.real({1, 3, 2, 4})})},
            {{"is_causal", true}});
}

void indexing(Table& table) {
  Draws& draw = table.draw;
  table.add(
      "embedding", "embedding.default",
      {state("weight", draw.real({7, 3})), in("indices", {draw.integers(0, 7, {2, 4}), draw.integers(0, 7, {5, 4})})},
      {{"padding_idx", std::int64_t{0}}});
  table.add("embedding at the edge", "embedding.default",
            {state("weight", draw.real({7, 3})), in("indices", {longs({6, 0, 6}).to(at::kInt)})});
  table.add("index_select", "index_select.default",
            {in("self", {draw.real({3, 5, 2})}), in("index", {longs({4, 0, 4})})}, {{"dim", std::int64_t{1}}});
  table.add("gather", "gather.default", {in("self", {draw.real({3, 5})}), in("index", {draw.integers(0, 5, {2, 4})})},
            {{"dim", std::int64_t{1}}});
  table.add("take_along_dim", "take_along_dim.default",
            {in("self", {draw.real({3, 5})}), in("indices", {draw.integers(-5, 5, {1, 4})})},
            {{"dim", std::int64_t{1}}});
  table.add("one_hot", "one_hot.default", {in("self", {draw.integers(0, 4, {2, 3}), draw.integers(0, 4, {5, 3})})},
            {{"num_classes", std::int64_t{4}}});
  const auto indexed = [&](const std::string& name, const Sizes& x,
                           const std::vector<std::pair<std::string, Sizes>>& indices) {
    B builder(name);
    builder.input("x", {draw.real(x)});
    std::vector<std::string> names;
    std::size_t dim = 0;
    for (const auto& [index, sizes] : indices) {
      const std::int64_t size = x[dim++];
      names.push_back(index);
      if (!index.empty()) builder.input(index, {draw.integers(-size, size, sizes)});
    }
    NamedArgument list = tensors_argument("indices", names);
    std::get<TensorNames>(list.value).optional_entries = true;
    table.add(builder.call("index.Tensor", {tensor_argument("self", "x"), list}, {"y"}).returns({"y"}));
  };
  indexed("index of one", {5, 3}, {{"i", {2, 4}}});
  indexed("index of the second", {5, 3, 2}, {{"", {}}, {"i", {4}}});
  indexed("index of two", {5, 3, 2}, {{"i", {4, 1}}, {"j", {3}}});
  indexed("index of the last two", {5, 3, 2}, {{"", {}}, {"i", {4}}, {"j", {4}}});
  indexed("index of two apart", {5, 3, 2}, {{"i", {4}}, {"", {}}, {"j", {4}}});
  NamedArgument mask = tensors_argument("indices", {"mask"});
  std::get<TensorNames>(mask.value).optional_entries = true;
  table.add(B("index_put of a mask")
                .input("x", {draw.real({3, 4}), draw.real({5, 4})})
                .input("mask", {draw.truths({3, 4}), draw.truths({5, 4})})
                .input("v", {reals({9}).squeeze(), reals({9}).squeeze()})
                .call("index_put_.default", {tensor_argument("self", "x"), mask, tensor_argument("values", "v")}, {"y"})
                .returns({"y"}));
  for (const std::int64_t mode : {0, 1, 2}) {
    const std::vector<std::pair<std::string, Argument>> paddings = {
        {"", NoneArgument{}}, {" padded", std::int64_t{2}}, {" padded by the last", std::int64_t{-1}}};
    for (const auto& [suffix, padding] : paddings) {
      at::Tensor bags = draw.integers(0, 7, {3, 4});
      bags[1].fill_(2);
      table.add(B("embedding_bag " + std::to_string(mode) + suffix)
                    .state("weight", draw.real({7, 3}))
                    .input("x", {bags, draw.integers(0, 7, {5, 4})})
                    .size("x", 0, "n")
                    .arithmetic("mul", "n", std::int64_t{4}, "all")
                    .call("arange.start_step",
                          {{"start", std::int64_t{0}}, {"end", SymInt{"all"}}, {"step", std::int64_t{4}}}, {"offsets"})
                    .call("reshape.default", {tensor_argument("self", "x"), {"shape", Sizes{-1}}}, {"flat"})
                    .call("embedding_bag.padding_idx",
                          {tensor_argument("weight", "weight"),
                           tensor_argument("indices", "flat"),
                           tensor_argument("offsets", "offsets"),
                           {"scale_grad_by_freq", false},
                           {"mode", mode},
                           {"sparse", false},
                           {"per_sample_weights", NoneArgument{}},
                           {"include_last_offset", false},
                           {"padding_idx", padding}},
                          {"y", "a", "b", "c"})
                    .returns({"y"}));
    }
  }
}

void creations(Table& table) {
  Draws& draw = table.draw;
  const auto alone = [&](const std::string& name, const std::string& op, std::vector<NamedArgument> arguments) {
    table.add(B(name).input("x", {draw.real({1})}).call(op, std::move(arguments), {"y"}).returns({"y", "x"}));
  };
  alone("arange", "arange.start_step",
        {{"start", std::int64_t{7}}, {"end", std::int64_t{-2}}, {"step", std::int64_t{-3}}});
  alone("arange of reals", "arange.start_step", {{"start", 0.5}, {"end", std::int64_t{3}}, {"step", 0.25}});
  alone("arange as floats", "arange.default", {{"end", std::int64_t{4}}, {"dtype", ScalarTypeNumber{7}}});
  alone("arange of nothing", "arange.default", {{"end", std::int64_t{0}}});
  alone("linspace", "linspace.default", {{"start", -1.0}, {"end", std::int64_t{1}}, {"steps", std::int64_t{5}}});
  alone("full", "full.default", {{"size", Sizes{2, 3}}, {"fill_value", 1.5}});
  alone("eye", "eye.m", {{"n", std::int64_t{3}}, {"m", std::int64_t{4}}});
  alone("tril_indices", "tril_indices.default",
        {{"row", std::int64_t{3}}, {"col", std::int64_t{4}}, {"offset", std::int64_t{-1}}});
  alone("triu_indices", "triu_indices.default",
        {{"row", std::int64_t{3}}, {"col", std::int64_t{3}}, {"offset", std::int64_t{1}}});
  const auto x = [&] { return in("self", {draw.real({2, 3}), draw.real({5, 3})}); };
  table.add("zeros_like", "zeros_like.default", {x()});
  table.add("ones_like", "ones_like.default", {x()}, {{"dtype", ScalarTypeNumber{5}}});
  table.add("full_like", "full_like.default", {x()}, {{"fill_value", 2.5}});
  table.add("new_zeros", "new_zeros.default", {x()}, {{"size", Sizes{4}}});
  table.add("fill", "fill_.Scalar", {x()}, {{"value", std::int64_t{3}}});
  table.add("zero", "zero_.default", {x()});
  table.add("copy", "copy_.default", {x(), in("src", {draw.real({3}), draw.real({3})})});
  table.add(B("writes into views")
                .input("x", {draw.real({2, 3}), draw.real({5, 3})})
                .call("new_zeros.default", {tensor_argument("self", "x"), {"size", Sizes{4, 5}}}, {"m"})
                .call("slice.Tensor",
                      {tensor_argument("self", "m"),
                       {"dim", std::int64_t{0}},
                       {"start", std::int64_t{1}},
                       {"end", std::int64_t{-1}}},
                      {"rows"})
                .call("slice.Tensor",
                      {tensor_argument("self", "rows"), {"dim", std::int64_t{1}}, {"start", std::int64_t{-2}}},
                      {"part"})
                .call("fill_.Scalar", {tensor_argument("self", "part"), {"value", 7.0}}, {"filled"})
                .call("select.int",
                      {tensor_argument("self", "m"), {"dim", std::int64_t{1}}, {"index", std::int64_t{0}}}, {"column"})
                .call("add_.Scalar", {tensor_argument("self", "column"), {"other", 2.0}}, {"added"})
                .call("mul.Scalar", {tensor_argument("self", "rows"), {"other", 1.0}}, {"y"})
                .returns({"m", "y"}));
}

void losses(Table& table) {
  Draws& draw = table.draw;
  for (const std::int64_t reduction : {0, 1, 2}) {
    const std::string suffix = " " + std::to_string(reduction);
    const NamedArgument reduced{"reduction", reduction};
    at::Tensor labels = draw.integers(0, 4, {6});
    labels[2].fill_(-100);
    table.add("cross_entropy" + suffix, "cross_entropy_loss.default",
              {in("self", {draw.real({6, 4})}), in("target", {labels})}, {reduced});
    table.add("cross_entropy smoothed" + suffix, "cross_entropy_loss.default",
              {in("self", {draw.real({6, 4})}), in("target", {labels})}, {reduced, {"label_smoothing", 0.1}});
    table.add("cross_entropy weighed" + suffix, "cross_entropy_loss.default",
              {in("self", {draw.real({2, 4, 3})}), in("target", {draw.integers(0, 4, {2, 3})}),
               state("weight", draw.positive({4}))},
              {reduced, {"ignore_index", std::int64_t{1}}});
    table.add("binary_cross_entropy_with_logits" + suffix, "binary_cross_entropy_with_logits.default",
              {in("self", {draw.real({5, 3})}), in("target", {at::sigmoid(draw.real({5, 3}))})}, {reduced});
    table.add("mse_loss" + suffix, "mse_loss.default",
              {in("self", {draw.real({5, 3})}), in("target", {draw.real({5, 3})})}, {reduced});
  }
}

// Batches and dimensions without elements.
void nothing(Table& table) {
  Draws& draw = table.draw;
  table.add("max_pool2d of nothing", "max_pool2d.default",
            {in("self", {draw.real({0, 2, 5, 5}), draw.real({1, 2, 5, 5})})}, {{"kernel_size", Sizes{2, 2}}});
  table.add("matmul over nothing", "matmul.default",
            {in("self", {draw.real({2, 0})}), in("other", {draw.real({0, 3})})});
  table.add("bmm of nothing", "bmm.default",
            {in("self", {draw.real({0, 2, 3}), draw.real({1, 2, 3})}),
             in("mat2", {draw.real({0, 3, 4}), draw.real({1, 3, 4})})});
  table.add("softmax of nothing", "softmax.int", {in("self", {draw.real({0, 3}), draw.real({2, 3})})},
            {{"dim", std::int64_t{-1}}});
  table.add("layer_norm of nothing", "layer_norm.default",
            {in("input", {draw.real({0, 4}), draw.real({2, 4})}), state("weight", draw.real({4})),
             state("bias", draw.real({4}))},
            {{"normalized_shape", Sizes{4}}});
  table.add("amax of nothing", "amax.default", {in("self", {draw.real({0, 3}), draw.real({2, 3})})},
            {{"dim", Sizes{1}}});
  table.add(B("cat with nothing")
                .input("a", {draw.real({0, 3}), draw.real({2, 3})})
                .input("b", {draw.real({2, 3}), draw.real({1, 3})})
                .call("cat.default", {tensors_argument("tensors", {"a", "b"}), {"dim", std::int64_t{-2}}}, {"y"})
                .returns({"y"}));
}

// Types that no reader has for every operator.
void narrow_types(Table& table) {
  Draws& draw = table.draw;
  const auto truths = [&] { return in("self", {draw.truths({3, 4}), draw.truths({2, 4})}); };
  for (const char* name : {"amax.default", "amin.default", "any.dims", "sum.dim_IntList"}) {
    table.add(std::string(name) + " of truths", name, {truths()}, {{"dim", Sizes{1}}});
  }
  for (const char* name : {"maximum.default", "minimum.default", "lt.Tensor", "le.Tensor", "eq.Tensor"}) {
    table.add(std::string(name) + " of truths", name, {truths(), in("other", {draw.truths({4}), draw.truths({4})})});
  }
  table.add("sort of truths", "sort.stable", {truths()}, {{"stable", true}, {"dim", std::int64_t{1}}}, 2);
  table.add("where of truths", "where.self",
            {in("condition", {draw.truths({4})}), in("self", {draw.truths({4})}), in("other", {draw.truths({4})})});
  for (const at::ScalarType type : {at::kByte, at::kChar, at::kShort, at::kInt}) {
    const std::string of = std::string(" of ") + c10::toString(type);
    const std::int64_t least = type == at::kByte ? 0 : -9;
    const auto x = [&](const Sizes& sizes) { return draw.integers(least, 13, sizes).to(type); };
    for (const char* name : {"abs", "neg", "sign", "relu", "square", "bitwise_not"}) {
      table.add(name + of, std::string(name) + ".default", {in("self", {x({3, 4}), x({1, 4})})});
    }
    for (const char* name : {"sub.Tensor", "mul.Tensor", "maximum.default", "le.Tensor"}) {
      table.add(name + of, name, {in("self", {x({3, 4})}), in("other", {x({4})})});
    }
    for (const char* name : {"floor_divide.default", "remainder.Tensor", "fmod.Tensor"}) {
      table.add(name + of, name, {in("self", {x({3, 4})}), in("other", {draw.integers(1, 6, {4}).to(type)})});
    }
    table.add("pow" + of, "pow.Tensor_Tensor",
              {in("self", {x({5})}), in("exponent", {draw.integers(0, 9, {5}).to(type)})});
    table.add("amax" + of, "amax.default", {in("self", {x({3, 4})})}, {{"dim", Sizes{0}}});
    table.add("argmax" + of, "argmax.default", {in("self", {x({3, 4})})}, {{"dim", std::int64_t{1}}});
    table.add("sort" + of, "sort.stable", {in("self", {x({3, 4})})}, {{"stable", true}, {"dim", std::int64_t{1}}}, 2);
    table.add("matmul" + of, "matmul.default", {in("self", {x({3, 40})}), in("other", {x({40, 2})})});
    table.add("matmul of several" + of, "matmul.default", {in("self", {x({2, 3, 4})}), in("other", {x({2, 4, 2})})});
    table.add("cat" + of, "roll.default", {in("self", {x({3, 4})})}, {{"shifts", Sizes{5}}});
    table.add("pad" + of, "pad.default", {in("self", {x({3, 4})})}, {{"pad", Sizes{1, 2}}, {"value", 3.0}});
    table.add("where" + of, "where.self",
              {in("condition", {draw.truths({4})}), in("self", {x({4})}), in("other", {x({4})})});
  }
}

// Types of half precision. Numbers are such that they have them all: ONNX Runtime leaves rounding to float16 out. Of
// bfloat16 a softplus is rounded once, as PyTorch does it.
void half_types(Table& table) {
  Draws& draw = table.draw;
  const auto eighths = [&](const Sizes& sizes) { return draw.integers(-40, 40, sizes).to(at::kFloat) / 8; };
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    const ScalarTypeNumber number{scalar_type_to_archive(type)};
    for (const char* name : {"round", "relu", "neg", "floor", "abs", "softplus"}) {
      if (type == at::kHalf && std::string(name) == "softplus") continue;
      table.add(B(std::string(name) + " of " + c10::toString(type))
                    .input("x", {eighths({3, 5}), eighths({1, 5})})
                    .call("to.dtype", {tensor_argument("self", "x"), {"dtype", number}}, {"narrow"})
                    .call(std::string(name) + ".default", {tensor_argument("self", "narrow")}, {"y"})
                    .call("to.dtype", {tensor_argument("self", "y"), {"dtype", ScalarTypeNumber{7}}}, {"z"})
                    .returns({"z"}));
    }
  }
}

void recurrents(Table& table) {
  Draws& draw = table.draw;
  for (const bool lstm : {true, false}) {
    for (const bool both : {false, true}) {
      const std::int64_t width = 4;
      const std::int64_t ways = both ? 2 : 1;
      B builder(std::string(lstm ? "lstm" : "gru") + (both ? " both ways" : ""));
      builder.input("x", {draw.real({2, 5, 3}), draw.real({1, 5, 3})});
      builder.input("h", {draw.real({2 * ways, 2, width}), draw.real({2 * ways, 1, width})});
      builder.input("c", {draw.real({2 * ways, 2, width}), draw.real({2 * ways, 1, width})});
      std::vector<std::string> parameters;
      for (std::int64_t layer = 0; layer < 2; ++layer) {
        for (std::int64_t way = 0; way < ways; ++way) {
          const std::int64_t gates = (lstm ? 4 : 3) * width;
          for (const Sizes& sizes :
               {Sizes{gates, layer == 0 ? 3 : ways * width}, Sizes{gates, width}, Sizes{gates}, Sizes{gates}}) {
            parameters.push_back("p" + std::to_string(parameters.size()));
            builder.state(parameters.back(), draw.real(sizes) * 0.5);
          }
        }
      }
      std::vector<NamedArgument> arguments = {tensor_argument("input", "x"),
                                              lstm ? tensors_argument("hx", {"h", "c"}) : tensor_argument("hx", "h"),
                                              tensors_argument("params", parameters),
                                              {"has_biases", true},
                                              {"num_layers", std::int64_t{2}},
                                              {"dropout", 0.0},
                                              {"train", false},
                                              {"bidirectional", both},
                                              {"batch_first", true}};
      std::vector<std::string> results = {"y", "hn"};
      if (lstm) results.emplace_back("cn");
      builder.call(lstm ? "lstm.input" : "gru.input", arguments, results);
      if (!lstm) results.emplace_back("c");
      table.add(builder.returns(results));
    }
  }
}

}  // namespace

std::vector<PrimitiveCase> primitive_cases() {
  Table table;
  for (const auto& family : {elementwise, comparisons, shapes, reductions, products, einsums, convolutions, pools,
                             normalizations, attentions, indexing, creations, losses, nothing, narrow_types, half_types,
                             recurrents, add_other_names, add_edges}) {
    family(table);
  }
  return std::move(table.cases);
}

std::vector<PrimitiveCase> primitive_cases_beyond_tensorflow() {
  Table table;
  add_beyond_tensorflow(table);
  return std::move(table.cases);
}

PrimitiveCase in_double_precision(const PrimitiveCase& single) {
  PrimitiveCase each{single.name + " (float64)", single.program.to(at::kDouble), {}};
  for (const std::vector<at::Tensor>& batch : single.batches) {
    std::vector<at::Tensor>& inputs = each.batches.emplace_back();
    for (const at::Tensor& tensor : batch) {
      inputs.push_back(tensor.scalar_type() == at::kFloat ? tensor.to(at::kDouble) : tensor.clone());
    }
  }
  return each;
}

std::vector<PrimitiveCase> all_primitive_cases() {
  std::vector<PrimitiveCase> all = primitive_cases();
  for (PrimitiveCase& each : primitive_cases_beyond_tensorflow()) all.push_back(std::move(each));
  return all;
}

}  // namespace lockstep

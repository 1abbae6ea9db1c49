// Operators by the other names and overloads that the lowering has rows for. Exporters decompose into some of them.
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

Given in(const std::string& name, std::vector<at::Tensor> batches) { return {name, std::move(batches), false}; }
Given state(const std::string& name, const at::Tensor& tensor) { return {name, {tensor}, true}; }
NamedArgument self(const std::string& value) { return tensor_argument("self", value); }

NamedArgument other(const std::string& value) { return tensor_argument("other", value); }

void elementwise(Table& table) {
  Draws& draw = table.draw;
  std::vector<Call> calls;
  for (const char* name :
       {"subtract.Tensor", "multiply.Tensor", "divide.Tensor", "true_divide.Tensor", "greater.Tensor",
        "greater_equal.Tensor", "less.Tensor", "less_equal.Tensor", "not_equal.Tensor", "max.other", "min.other"}) {
    calls.push_back({name, {self("a"), other("b")}});
  }
  calls.push_back({"clamp_max.default", {self("a"), {"max", 0.5}}});
  calls.push_back({"clip.default", {self("a"), {"min", -0.5}, {"max", 0.5}}});
  calls.push_back({"where.Scalar", {tensor_argument("condition", "c"), {"self", 1.5}, {"other", -0.5}}});
  calls.push_back({"where.ScalarSelf", {tensor_argument("condition", "c"), {"self", 1.5}, other("a")}});
  table.add_all("other names of elementwise operators",
                {in("a", {draw.real({3, 4}), draw.real({2, 4})}), in("b", {draw.real({4}), draw.real({4})}),
                 in("c", {draw.truths({3, 4}), draw.truths({2, 4})})},
                calls);
  table.add("_prelu_kernel", "_prelu_kernel.default",
            {in("self", {draw.real({2, 3, 4, 5})}), state("weight", draw.real({1, 3, 1, 1}))});
}

void the_same_elements(Table& table) {
  Draws& draw = table.draw;
  const auto x = [&] { return std::vector<at::Tensor>{draw.real({2, 3, 4}), draw.real({5, 3, 4})}; };
  B same("names of the same tensor");
  same.input("x0", x());
  int last = 0;
  const auto next = [&](const std::string& op, const std::string& argument, std::vector<NamedArgument> rest = {}) {
    rest.insert(rest.begin(), tensor_argument(argument, "x" + std::to_string(last)));
    same.call(op, rest, {"x" + std::to_string(last + 1)});
    ++last;
  };
  for (const char* op :
       {"alias", "clone", "detach", "contiguous", "lift_fresh", "lift_fresh_copy", "resolve_conj", "resolve_neg"}) {
    next(op + std::string(".default"), "self");
  }
  for (const char* op : {"alpha_dropout", "feature_alpha_dropout", "feature_dropout"}) {
    next(op + std::string(".default"), "input", {{"p", 0.5}, {"train", false}});
  }
  next("mul.Scalar", "self", {{"other", 2.0}});
  table.add(same.returns({"x" + std::to_string(last)}));
  const auto longs = [&](const Sizes& sizes) { return draw.integers(0, 3, sizes); };
  table.add_all("other names of views and copies",
                {in("x", x()), in("rows", {draw.real({6, 4}), draw.real({15, 4})}), in("k", {longs({2}), longs({2})}),
                 in("one", {draw.real({1, 4}), draw.real({1, 4})})},
                {{"_to_copy.default", {self("x"), {"dtype", ScalarTypeNumber{5}}}},
                 {"type_as.default", {self("x"), other("k")}},
                 {"_unsafe_view.default", {self("x"), {"size", Sizes{-1, 12}}}},
                 {"view_as.default", {self("x"), other("rows")}},
                 {"swapaxes.default", {self("x"), {"axis0", std::int64_t{0}}, {"axis1", std::int64_t{-1}}}},
                 {"swapdims.default", {self("x"), {"dim0", std::int64_t{1}}, {"dim1", std::int64_t{0}}}},
                 {"moveaxis.int", {self("x"), {"source", std::int64_t{-1}}, {"destination", std::int64_t{0}}}},
                 {"mT.default", {self("x")}},
                 {"mH.default", {self("x")}},
                 {"matrix_H.default", {self("rows")}},
                 {"broadcast_to.default", {self("one"), {"size", Sizes{2, 5, 4}}}},
                 {"expand_as.default", {self("one"), other("rows")}}});
  table.add("_reshape_alias", "_reshape_alias.default", {in("self", {draw.real({2, 3, 4})})},
            {{"size", Sizes{6, 4}}, {"stride", Sizes{4, 1}}});
}

void parts(Table& table) {
  Draws& draw = table.draw;
  for (const char* name : {"concat", "concatenate"}) {
    table.add(B(name)
                  .input("a", {draw.real({2, 3}), draw.real({4, 3})})
                  .input("b", {draw.real({2, 1}), draw.real({4, 1})})
                  .call(name + std::string(".default"),
                        {tensors_argument("tensors", {"a", "b"}), {"dim", std::int64_t{1}}}, {"y"})
                  .returns({"y"}));
  }
  const auto cut = [&](const std::string& op, const NamedArgument& how) {
    table.add(B(op)
                  .input("x", {draw.real({2, 7})})
                  .call_list(op, {self("x"), how, {"dim", std::int64_t{1}}}, {"a", "b", "c"})
                  .returns({"a", "b", "c"}));
  };
  cut("unsafe_chunk.default", {"chunks", std::int64_t{3}});
  cut("unsafe_split.Tensor", {"split_size", std::int64_t{3}});
  cut("unsafe_split_with_sizes.default", {"split_sizes", Sizes{1, 2, 4}});
  table.add("constant_pad_nd", "constant_pad_nd.default", {in("self", {draw.real({2, 3, 4}), draw.real({5, 3, 4})})},
            {{"pad", Sizes{1, 2, 0, -1}}, {"value", 1.5}});
  const std::vector<std::pair<Sizes, Sizes>> images = {
      {{2, 3, 5}, {2, 1}}, {{2, 3, 4, 5}, {2, 1, 1, 2}}, {{1, 2, 3, 4, 5}, {2, 1, 1, 2, 0, 1}}};
  for (const auto& [sizes, padding] : images) {
    const std::string rank = std::to_string(sizes.size() - 2) + "d";
    for (const char* kind : {"reflection_pad", "replication_pad"}) {
      table.add(kind + rank, kind + rank + ".default", {in("self", {draw.real(sizes)})}, {{"padding", padding}});
    }
  }
  NamedArgument indices = tensors_argument("indices", {"i", "j"});
  std::get<TensorNames>(indices.value).optional_entries = true;
  table.add(B("_unsafe_index")
                .input("x", {draw.real({5, 3, 2})})
                .input("i", {draw.integers(-5, 5, {4, 1})})
                .input("j", {draw.integers(-3, 3, {3})})
                .call("_unsafe_index.Tensor", {self("x"), indices}, {"y"})
                .returns({"y"}));
}

void reductions(Table& table) {
  Draws& draw = table.draw;
  const NamedArgument second{"dim", std::int64_t{1}};
  table.add_all(
      "other names of reductions", {in("x", {draw.real({2, 3, 4}), draw.real({5, 3, 4})})},
      {{"std_mean.correction", {self("x"), {"dim", Sizes{1}}, {"correction", std::int64_t{1}}, {"keepdim", true}}, 2},
       {"norm.ScalarOpt_dim", {self("x"), {"p", 3.0}, {"dim", Sizes{1}}, {"keepdim", true}}},
       {"norm.Scalar", {self("x"), {"p", 2.0}}},
       {"argsort.default", {self("x"), second, {"descending", true}}},
       {"_softmax.default", {self("x"), second, {"half_to_float", false}}},
       {"_log_softmax.default", {self("x"), second, {"half_to_float", false}}}});
}

void products(Table& table) {
  Draws& draw = table.draw;
  table.add_all("products of two kinds",
                {in("m", {draw.real({2, 3})}), in("n", {draw.real({3, 4})}), in("u", {draw.real({2})}),
                 in("v", {draw.real({3})}), in("w", {draw.real({3})})},
                {{"mm.default", {self("m"), tensor_argument("mat2", "n")}},
                 {"mv.default", {self("m"), tensor_argument("vec", "v")}},
                 {"dot.default", {self("v"), tensor_argument("tensor", "w")}},
                 {"outer.default", {self("v"), tensor_argument("vec2", "u")}},
                 {"ger.default", {self("u"), tensor_argument("vec2", "v")}},
                 {"addmv.default",
                  {self("u"),
                   tensor_argument("mat", "m"),
                   tensor_argument("vec", "v"),
                   {"beta", 0.5},
                   {"alpha", std::int64_t{2}}}}});
}

void convolutions(Table& table) {
  Draws& draw = table.draw;
  for (const bool transposed : {false, true}) {
    const std::string suffix = transposed ? " transposed" : "";
    const auto given = [&] {
      return std::vector<Given>{in("input", {draw.real({2, 4, 5, 6}), draw.real({1, 4, 5, 6})}),
                                state("weight", transposed ? draw.real({4, 3, 3, 2}) : draw.real({6, 2, 3, 2})),
                                state("bias", draw.real({6}))};
    };
    std::vector<NamedArgument> rest = {{"stride", Sizes{2, 1}},
                                       {"padding", Sizes{1, 0}},
                                       {"dilation", Sizes{1, 2}},
                                       {"transposed", transposed},
                                       {"output_padding", Sizes{transposed ? 1 : 0, 0}},
                                       {"groups", std::int64_t{2}}};
    table.add("convolution" + suffix, "convolution.default", given(), rest);
    rest.insert(rest.end(),
                {{"benchmark", false}, {"deterministic", false}, {"cudnn_enabled", true}, {"allow_tf32", true}});
    table.add("_convolution" + suffix, "_convolution.default", given(), rest);
  }
  table.add("conv1d same", "conv1d.padding",
            {in("input", {draw.real({2, 3, 6})}), state("weight", draw.real({4, 3, 4})), state("bias", draw.real({4}))},
            {{"padding", std::string("same")}, {"dilation", Sizes{1}}});
  table.add("conv3d same", "conv3d.padding",
            {in("input", {draw.real({1, 2, 4, 5, 3})}), state("weight", draw.real({3, 2, 2, 3, 2}))},
            {{"padding", std::string("same")}, {"dilation", Sizes{1, 2, 1}}});
  table.add("conv2d valid", "conv2d.padding",
            {in("input", {draw.real({2, 3, 6, 5})}), state("weight", draw.real({4, 3, 4, 3}))},
            {{"padding", std::string("valid")}, {"stride", Sizes{2, 1}}});
}

void pools(Table& table) {
  Draws& draw = table.draw;
  const auto image = [&] { return in("self", {draw.real({2, 3, 6, 8}), draw.real({1, 3, 6, 8})}); };
  const auto volume = [&] { return in("self", {draw.real({1, 2, 4, 6, 5})}); };
  table.add("_adaptive_avg_pool2d", "_adaptive_avg_pool2d.default", {image()}, {{"output_size", Sizes{4, 3}}});
  table.add("_adaptive_avg_pool3d", "_adaptive_avg_pool3d.default", {volume()}, {{"output_size", Sizes{2, 4, 3}}});
  table.add("adaptive_avg_pool3d", "adaptive_avg_pool3d.default", {volume()}, {{"output_size", Sizes{1, 1, 1}}});
  table.add("adaptive_max_pool1d", "adaptive_max_pool1d.default", {in("self", {draw.real({2, 3, 7})})},
            {{"output_size", Sizes{3}}}, 2, 1);
  table.add("adaptive_max_pool3d", "adaptive_max_pool3d.default", {volume()}, {{"output_size", Sizes{2, 3, 5}}}, 2, 1);
  table.add("max_pool2d_with_indices", "max_pool2d_with_indices.default", {image()},
            {{"kernel_size", Sizes{3, 2}}, {"stride", Sizes{2, 2}}, {"padding", Sizes{1, 1}}}, 2, 1);
  table.add("max_pool3d_with_indices", "max_pool3d_with_indices.default", {volume()},
            {{"kernel_size", Sizes{2, 3, 2}}, {"stride", Sizes{2, 2, 2}}, {"ceil_mode", true}}, 2, 1);
  table.add("upsample_nearest1d", "upsample_nearest1d.vec", {in("input", {draw.real({2, 3, 4})})},
            {{"output_size", Sizes{7}}, {"scale_factors", NoneArgument{}}});
  table.add("upsample_nearest3d", "upsample_nearest3d.vec", {in("input", {draw.real({1, 2, 3, 4, 2})})},
            {{"output_size", NoneArgument{}}, {"scale_factors", std::vector<double>{2.0, 1.0, 3.0}}});
}

void normalizations(Table& table) {
  Draws& draw = table.draw;
  const auto scales = [&](const at::Tensor& x) {
    return std::vector<Given>{in("input", {x}), state("weight", draw.real({6})), state("bias", draw.real({6}))};
  };
  const auto with_statistics = [&](std::vector<Given> given) {
    given.push_back(state("running_mean", draw.real({6})));
    given.push_back(state("running_var", draw.positive({6})));
    return given;
  };
  const std::vector<NamedArgument> batch = {{"momentum", 0.1}, {"eps", 1e-3}};
  table.add("_native_batch_norm_legit_no_training", "_native_batch_norm_legit_no_training.default",
            with_statistics(scales(draw.real({2, 6, 3, 4}))), batch, 3, 1);
  table.add("_batch_norm_no_update", "_batch_norm_no_update.default", with_statistics(scales(draw.real({2, 6, 3}))),
            batch, 4, 1);
  table.add("native_group_norm", "native_group_norm.default", scales(draw.real({2, 6, 3, 4})),
            {{"N", std::int64_t{2}},
             {"C", std::int64_t{6}},
             {"HxW", std::int64_t{12}},
             {"group", std::int64_t{3}},
             {"eps", 1e-3}},
            3, 1);
  table.add("native_layer_norm", "native_layer_norm.default", scales(draw.real({2, 3, 6})),
            {{"normalized_shape", Sizes{6}}, {"eps", 1e-3}}, 3, 1);
  table.add("_fused_rms_norm", "_fused_rms_norm.default",
            {in("input", {draw.real({2, 3, 4})}), state("weight", draw.real({4}))},
            {{"normalized_shape", Sizes{4}}, {"eps", 1e-3}}, 2, 1);
}

void creations(Table& table) {
  Draws& draw = table.draw;
  table.add_all("other creations", {in("x", {draw.real({2, 3}), draw.real({5, 3})})},
                {{"ones.default", {{"size", Sizes{2, 3}}}},
                 {"zeros.default", {{"size", Sizes{2, 3}}, {"dtype", ScalarTypeNumber{5}}}},
                 {"scalar_tensor.default", {{"s", 1.5}}},
                 {"new_ones.default", {self("x"), {"size", Sizes{4}}}},
                 {"new_full.default", {self("x"), {"size", Sizes{4}}, {"fill_value", 2.5}}}});
  // What they hold, nobody may read.
  table.add(B("empty")
                .input("x", {draw.real({2, 3}), draw.real({5, 3})})
                .call("empty.memory_format", {{"size", Sizes{2}}}, {"a"})
                .call("empty_like.default", {self("x")}, {"b"})
                .call("new_empty.default", {self("x"), {"size", Sizes{4}}}, {"c"})
                .call("zeros_like.default", {self("a")}, {"d"})
                .call("full_like.default", {self("b"), {"fill_value", 2.5}}, {"e"})
                .call("ones_like.default", {self("c")}, {"f"})
                .returns({"d", "e", "f"}));
}

void losses(Table& table) {
  Draws& draw = table.draw;
  at::Tensor labels = draw.integers(0, 4, {6});
  labels[2].fill_(1);
  std::vector<Call> calls;
  for (const std::int64_t reduction : {0, 1, 2}) {
    const NamedArgument reduced{"reduction", reduction};
    const auto target = [](const char* name) { return tensor_argument("target", name); };
    const std::vector<NamedArgument> weighed = {
        self("scores"), target("labels"), tensor_argument("weight", "w"), reduced, {"ignore_index", std::int64_t{1}}};
    calls.push_back({"l1_loss.default", {self("scores"), target("wanted"), reduced}});
    calls.push_back({"nll_loss.default", weighed});
    calls.push_back({"nll_loss_forward.default", weighed, 2, 1});
    calls.push_back({"nll_loss_nd.default",
                     {self("pixels"),
                      target("classes"),
                      {"weight", NoneArgument{}},
                      reduced,
                      {"ignore_index", std::int64_t{-100}}}});
  }
  table.add_all("other losses",
                {in("scores", {draw.real({6, 4})}), in("wanted", {draw.real({6, 4})}), in("labels", {labels}),
                 state("w", draw.positive({4})), in("pixels", {draw.real({2, 4, 3})}),
                 in("classes", {draw.integers(0, 4, {2, 3})})},
                calls);
}

// One layer, whose sequences [times, batch, 3] may have other lengths in other batches.
void recurrent(Table& table, const std::string& name, bool lstm, bool biases, const Sizes& lengths) {
  Draws& draw = table.draw;
  constexpr std::int64_t kWidth = 4;
  B builder(name);
  builder.input("x", {draw.real({lengths.at(0), 2, 3}), draw.real({lengths.at(1), 1, 3})});
  builder.input("h", {draw.real({1, 2, kWidth}), draw.real({1, 1, kWidth})});
  builder.input("c", {draw.real({1, 2, kWidth}), draw.real({1, 1, kWidth})});
  const std::int64_t gates = (lstm ? 4 : 3) * kWidth;
  std::vector<std::string> parameters;
  for (const Sizes& sizes : {Sizes{gates, 3}, Sizes{gates, kWidth}, Sizes{gates}, Sizes{gates}}) {
    if (sizes.size() == 1 && !biases) continue;
    parameters.push_back("p" + std::to_string(parameters.size()));
    builder.state(parameters.back(), draw.real(sizes) * 0.5);
  }
  std::vector<std::string> results = {"y", "hn"};
  if (lstm) results.emplace_back("cn");
  builder.call(lstm ? "lstm.input" : "gru.input",
               {tensor_argument("input", "x"),
                lstm ? tensors_argument("hx", {"h", "c"}) : tensor_argument("hx", "h"),
                tensors_argument("params", parameters),
                {"has_biases", biases},
                {"num_layers", std::int64_t{1}},
                {"dropout", 0.0},
                {"train", false},
                {"bidirectional", false},
                {"batch_first", false}},
               results);
  if (!lstm) results.emplace_back("c");
  table.add(builder.returns(results));
}

// Arguments that most programs leave out.
void arguments(Table& table) {
  Draws& draw = table.draw;
  recurrent(table, "lstm without biases", true, false, {5, 5});
  recurrent(table, "gru without biases", false, false, {5, 5});
  table.add(B("embedding_bag of weighed rows")
                .state("weight", draw.real({7, 3}))
                .input("x", {draw.integers(0, 7, {3, 4}), draw.integers(0, 7, {5, 4})})
                .input("w", {draw.real({12}), draw.real({20})})
                .size("x", 0, "n")
                .arithmetic("mul", "n", std::int64_t{4}, "all")
                .call("arange.start_step",
                      {{"start", std::int64_t{0}}, {"end", SymInt{"all"}}, {"step", std::int64_t{4}}}, {"offsets"})
                .call("reshape.default", {self("x"), {"shape", Sizes{-1}}}, {"flat"})
                .call("embedding_bag.padding_idx",
                      {tensor_argument("weight", "weight"),
                       tensor_argument("indices", "flat"),
                       tensor_argument("offsets", "offsets"),
                       {"scale_grad_by_freq", false},
                       {"mode", std::int64_t{0}},
                       {"sparse", false},
                       tensor_argument("per_sample_weights", "w"),
                       {"include_last_offset", false},
                       {"padding_idx", NoneArgument{}}},
                      {"y", "a", "b", "c"})
                .returns({"y"}));
}

}  // namespace

void add_other_names(Table& table) {
  for (const auto& family : {elementwise, the_same_elements, parts, reductions, products, convolutions, pools,
                             normalizations, creations, losses, arguments}) {
    family(table);
  }
}

void add_beyond_tensorflow(Table& table) {
  Draws& draw = table.draw;
  recurrent(table, "lstm of open length", true, true, {5, 3});
  recurrent(table, "gru of open length", false, true, {5, 3});
  table.add("conv1d of nothing", "conv1d.default",
            {in("input", {draw.real({0, 3, 6}), draw.real({2, 3, 6})}), state("weight", draw.real({4, 3, 3}))});
  table.add("conv2d of nothing", "conv2d.default",
            {in("input", {draw.real({0, 3, 6, 5}), draw.real({2, 3, 6, 5})}), state("weight", draw.real({4, 3, 3, 3})),
             state("bias", draw.real({4}))},
            {{"stride", Sizes{2, 2}}, {"padding", Sizes{1, 1}}});
  table.add("conv_transpose2d of nothing", "conv_transpose2d.input",
            {in("input", {draw.real({0, 3, 4, 5}), draw.real({2, 3, 4, 5})}), state("weight", draw.real({3, 4, 3, 3}))},
            {{"stride", Sizes{2, 2}}});
}

}  // namespace lockstep

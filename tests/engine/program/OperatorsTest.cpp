// Our operators beside PyTorch's, through the dispatcher and with their gradients.
#include "engine/program/Operators.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

#include "engine/program/operators/SoftmaxCrossEntropy.h"
#include "tests/support/TensorMemory.h"

namespace lockstep {
namespace {

using Tensors = std::vector<at::Tensor>;
using Optional = std::optional<at::Tensor>;

template <typename Signature>
auto call(const std::string& name) {
  return find_operator("torch.ops.lockstep." + name + ".default")->typed<Signature>();
}

at::Tensor layer_norm(const at::Tensor& x, const Optional& weight, const Optional& bias, double eps) {
  return call<at::Tensor(const at::Tensor&, const Optional&, const Optional&, double)>("layer_norm")
      .call(x, weight, bias, eps);
}
Tensors add_layer_norm(const at::Tensor& x, const at::Tensor& residual, const Optional& weight, const Optional& bias) {
  const auto [sum, y] = call<std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&, const Optional&,
                                                                const Optional&, double)>("add_layer_norm")
                            .call(x, residual, weight, bias, 1e-5);
  return {sum, y};
}
at::Tensor bias_gelu(const at::Tensor& x, const Optional& bias, std::string_view approximate) {
  return call<at::Tensor(const at::Tensor&, const Optional&, std::string_view)>("bias_gelu").call(x, bias, approximate);
}
at::Tensor pool(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef stride, at::IntArrayRef padding,
                bool ceil_mode, bool relu) {
  return call<at::Tensor(const at::Tensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, bool, bool)>(
             "max_pool2d_relu")
      .call(x, kernel, stride, padding, ceil_mode, relu);
}
at::Tensor embed(const at::Tensor& weight, const at::Tensor& tokens, std::int64_t padding_idx) {
  return call<at::Tensor(const at::Tensor&, const at::Tensor&, std::int64_t)>("embedding")
      .call(weight, tokens, padding_idx);
}

at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Optional& mask,
                     double dropout, bool causal, std::optional<double> scale = std::nullopt, bool grouped = false) {
  return call<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const Optional&, double, bool,
                         std::optional<double>, bool)>("attention")
      .call(query, key, value, mask, dropout, causal, scale, grouped);
}

// Outputs, and the gradients of the inputs that ask for one when every output has a fixed gradient of its own.
template <typename Function>
Tensors with_gradients(const Function& function, const Tensors& inputs) {
  Tensors leaves;
  for (const at::Tensor& input : inputs) {
    leaves.push_back(input.defined() && input.is_floating_point() ? input.detach().requires_grad_() : input);
  }
  Tensors outputs = function(leaves);
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (const at::Tensor& output : outputs) {
    const at::Tensor weights = at::arange(output.numel(), at::kDouble).mul(0.37).sin().view(output.sizes());
    sum = sum + (output.to(at::kDouble) * weights).sum();
  }
  sum.backward();
  for (at::Tensor& output : outputs) output = output.detach();
  for (const at::Tensor& leaf : leaves) {
    if (leaf.defined() && leaf.requires_grad()) outputs.push_back(leaf.grad());
  }
  return outputs;
}

void expect_close(const Tensors& found, const Tensors& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].defined(), expected[i].defined()) << i;
    if (!found[i].defined()) continue;
    EXPECT_EQ(found[i].sizes(), expected[i].sizes()) << i;
    const at::Tensor a = found[i].to(at::kDouble);
    const at::Tensor b = expected[i].to(at::kDouble);
    EXPECT_TRUE(at::equal(a.isnan(), b.isnan())) << i;
    const double norm = b.nan_to_num().norm().item<double>();
    EXPECT_LE((a - b).nan_to_num().norm().item<double>(), tolerance * std::max(norm, 1e-12)) << i;
  }
}

// The same to rounding in float64, and nearer to float64 than bfloat16's rounding allows in bfloat16.
template <typename Ours, typename Theirs>
void compare(const Ours& ours, const Theirs& theirs, const Tensors& inputs, bool also_bfloat16 = true) {
  const Tensors expected = with_gradients(theirs, inputs);
  expect_close(with_gradients(ours, inputs), expected, 1e-12);
  if (!also_bfloat16) return;
  Tensors reduced = inputs;
  reduced[0] = reduced[0].to(at::kBFloat16);  // activations; parameters stay float32
  for (std::size_t i = 1; i < reduced.size(); ++i) {
    if (reduced[i].defined() && reduced[i].is_floating_point()) reduced[i] = reduced[i].to(at::kFloat);
  }
  expect_close(with_gradients(ours, reduced), expected, 0.05);
}

TEST(LayerNormOperator, EqualsPyTorchsWithAndWithoutParameters) {
  for (const bool weighted : {true, false}) {
    for (const bool biased : {true, false}) {
      const Tensors inputs = {at::randn({3, 5, 8}, at::kDouble), weighted ? at::randn({8}, at::kDouble) : at::Tensor(),
                              biased ? at::randn({8}, at::kDouble) : at::Tensor()};
      compare([](const Tensors& in) { return Tensors{layer_norm(in[0], in[1], in[2], 1e-3)}; },
              [](const Tensors& in) { return Tensors{at::layer_norm(in[0], {8}, in[1], in[2], 1e-3)}; }, inputs);
      const Tensors with_residual = {inputs[0], at::randn({3, 5, 8}, at::kDouble), inputs[1], inputs[2]};
      const auto ours = [](const Tensors& in) { return add_layer_norm(in[0], in[1], in[2], in[3]); };
      const auto theirs = [](const Tensors& in) {
        const at::Tensor sum = in[0] + in[1];
        return Tensors{sum, at::layer_norm(sum, {8}, in[2], in[3])};
      };
      compare(ours, theirs, with_residual);
      // Only one of the two outputs is used.
      for (const std::size_t used : {0U, 1U}) {
        const auto only = [used](const auto& function) {
          return [used, &function](const Tensors& in) { return Tensors{function(in).at(used)}; };
        };
        const Tensors expected = with_gradients(only(theirs), {inputs[0], with_residual[1], {}, {}});
        expect_close(with_gradients(only(ours), {inputs[0], with_residual[1], {}, {}}), expected, 1e-12);
      }
    }
  }
}

TEST(LayerNormOperator, TakesWhatIsNotContiguousOrEmptyOrTwice) {
  const auto ours = [](const Tensors& in) { return Tensors{layer_norm(in[0].transpose(0, 2), in[1], in[2], 1e-5)}; };
  const auto theirs = [](const Tensors& in) {
    return Tensors{at::layer_norm(in[0].transpose(0, 2), {4}, in[1], in[2], 1e-5)};
  };
  for (const std::int64_t batch : {0, 3}) {
    compare(ours, theirs,
            {at::randn({4, 2, batch}, at::kDouble), at::randn({4}, at::kDouble), at::randn({4}, at::kDouble)});
  }
  compare([](const Tensors& in) { return add_layer_norm(in[0], in[0], in[1], {}); },
          [](const Tensors& in) {
            const at::Tensor sum = in[0] + in[0];
            return Tensors{sum, at::layer_norm(sum, {6}, in[1])};
          },
          {at::randn({5, 6}, at::kDouble), at::randn({6}, at::kDouble)});
  EXPECT_THROW(layer_norm(at::randn({2, 3}), at::randn({4}), {}, 1e-5), c10::Error);
}

TEST(BiasGeluOperator, EqualsPyTorchs) {
  for (const char* approximate : {"none", "tanh"}) {
    for (const at::Tensor& x : {at::randn({4, 6}, at::kDouble), at::randn({2, 3, 6}, at::kDouble).transpose(0, 1),
                                at::randn({0, 6}, at::kDouble)}) {
      compare([&](const Tensors& in) { return Tensors{bias_gelu(in[0], in[1], approximate)}; },
              [&](const Tensors& in) { return Tensors{at::gelu(in[0] + in[1], approximate)}; },
              {x, at::randn({6}, at::kDouble)});
      compare([&](const Tensors& in) { return Tensors{bias_gelu(in[0], {}, approximate)}; },
              [&](const Tensors& in) { return Tensors{at::gelu(in[0], approximate)}; }, {x});
    }
  }
}

struct PoolCase {
  Tensors::value_type x;
  std::vector<std::int64_t> kernel, stride, padding;
  bool ceil_mode = false;
};

TEST(LinearOperator, EqualsPyTorchs) {
  const auto linear = [](const Tensors& inputs, bool own, bool transposed) -> Tensors {
    const at::Tensor weight = transposed ? inputs[1].t() : inputs[1];
    const Optional bias = inputs[2].defined() ? Optional(inputs[2]) : std::nullopt;
    if (!own) return {at::linear(inputs[0], weight, bias)};
    return {call<at::Tensor(const at::Tensor&, const at::Tensor&, const Optional&)>("linear").call(inputs[0], weight,
                                                                                                   bias)};
  };
  // Large and small, contiguous and not, of one row of samples and of more, of types that oneDNN is not asked for.
  const Tensors xs = {at::randn({300, 256}), at::randn({5, 64, 256}), at::randn({256, 300}).t(),
                      at::randn({7, 256}),   at::randn({0, 256}),     at::randn({300, 256}, at::kDouble)};
  for (const at::Tensor& x : xs) {
    for (const bool transposed : {false, true}) {
      for (const bool biased : {false, true}) {
        const at::Tensor weight = transposed ? at::randn({256, 400}) : at::randn({400, 256});
        const Tensors inputs = {x, weight.to(x.scalar_type()),
                                biased ? at::randn({400}).to(x.scalar_type()) : at::Tensor()};
        const auto results = [&](bool own) {
          return with_gradients([&](const Tensors& given) { return linear(given, own, transposed); }, inputs);
        };
        expect_close(results(true), results(false), x.scalar_type() == at::kDouble ? 1e-12 : 1e-5);
      }
    }
  }
  const at::Tensor large_weight = at::randn({400, 256});
  for (const std::size_t frozen : {0U, 1U}) {
    const auto results = [&](bool own) {
      return with_gradients(
          [&](Tensors given) {
            given[frozen] = given[frozen].detach();
            return linear(given, own, false);
          },
          {xs[1], large_weight, at::zeros({400})});
    };
    expect_close(results(true), results(false), 1e-5);
  }
  EXPECT_THROW(linear({at::randn({300, 256}), at::randn({400, 300}), {}}, true, false), c10::Error);
}

TEST(LinearOperator, KeepsTheInputOnlyForATrainedWeight) {
  for (const bool trained : {false, true}) {
    const at::Tensor x = at::randn({300, 256}).requires_grad_() * 2;
    const at::Tensor weight = at::randn({400, 256}).set_requires_grad(trained);
    const std::size_t uses = x.use_count();
    const at::Tensor y =
        call<at::Tensor(const at::Tensor&, const at::Tensor&, const Optional&)>("linear").call(x, weight, std::nullopt);
    EXPECT_EQ(x.use_count() > uses, trained);
    EXPECT_TRUE(y.requires_grad());
  }
}

TEST(MaxPoolReluOperator, IsExactlyPyTorchs) {
  const auto channels_last = [](const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); };
  at::Tensor special = at::randint(-2, 3, {2, 4, 6, 6}).to(at::kDouble);  // ties
  special[0][1][2][3] = std::numeric_limits<double>::quiet_NaN();
  special[1].fill_(-std::numeric_limits<double>::infinity());
  const std::vector<PoolCase> cases = {
      {channels_last(at::randn({3, 5, 8, 9}, at::kDouble)), {2, 2}, {2, 2}, {0, 0}},
      {channels_last(at::randn({3, 5, 8, 9}, at::kDouble)), {3, 2}, {1, 2}, {1, 0}, true},
      {channels_last(at::randn({2, 4, 7, 7}, at::kDouble)), {3, 3}, {2, 2}, {1, 1}, true},
      {channels_last(special), {3, 3}, {2, 2}, {1, 1}},
      {channels_last(special), {2, 2}, {2, 2}, {0, 0}},
      {at::randn({2, 1, 6, 6}, at::kDouble), {2, 2}, {2, 2}, {0, 0}},                 // one channel
      {channels_last(at::randn({2, 3, 1, 1}, at::kDouble)), {1, 1}, {1, 1}, {0, 0}},  // one pixel
      {at::randn({2, 3, 6, 6}, at::kDouble), {2, 2}, {2, 2}, {0, 0}},                 // PyTorch's own
      {channels_last(at::randn({0, 3, 6, 6}, at::kDouble)), {2, 2}, {2, 2}, {0, 0}},
  };
  for (const PoolCase& each : cases) {
    for (const bool relu : {true, false}) {
      const auto ours = [&](const Tensors& in) {
        return Tensors{pool(in[0], each.kernel, each.stride, each.padding, each.ceil_mode, relu)};
      };
      const auto theirs = [&](const Tensors& in) {
        const at::Tensor y = at::max_pool2d(in[0], each.kernel, each.stride, each.padding, 1, each.ceil_mode);
        return Tensors{relu ? at::relu(y) : y};
      };
      const Tensors expected = with_gradients(theirs, {each.x});
      const Tensors found = with_gradients(ours, {each.x});
      EXPECT_EQ(found[0].suggest_memory_format(), expected[0].suggest_memory_format()) << each.x.sizes();
      EXPECT_TRUE(at::allclose(found[0], expected[0], 0, 0, /*equal_nan=*/true)) << each.x.sizes();
      // Where windows overlap, gradients add up in an order of their own.
      EXPECT_TRUE(at::allclose(found[1], expected[1], 1e-12, 1e-12, /*equal_nan=*/true)) << each.x.sizes();
    }
  }
}

TEST(MaxPoolReluOperator, RefusesWindowsThatAreNone) {
  const at::Tensor x = at::randn({1, 2, 6, 6}).contiguous(at::MemoryFormat::ChannelsLast);
  EXPECT_THROW(pool(x, {0, 2}, {1, 1}, {0, 0}, false, true), c10::Error);
  EXPECT_THROW(pool(x, {2, 2}, {0, 1}, {0, 0}, false, true), c10::Error);
  EXPECT_THROW(pool(x, {2, 2}, {1, std::int64_t{1} << 32}, {0, 0}, false, true), c10::Error);
  EXPECT_THROW(pool(x, {2, 2}, {1, 1}, {2, 0}, false, true), c10::Error);
  EXPECT_THROW(pool(x, {2, 2}, {1, 1}, {0, -1}, false, true), c10::Error);
  EXPECT_THROW(pool(x, {16, 2}, {1, 1}, {0, 0}, false, true), c10::Error);
  EXPECT_THROW(pool(x, {7, 7}, {1, 1}, {0, 0}, false, true), c10::Error);
  EXPECT_THROW(pool(x, {2, 2, 2}, {1, 1}, {0, 0}, false, true), c10::Error);
}

TEST(EmbeddingOperator, EqualsPyTorchs) {
  const at::Tensor weight = at::randn({7, 5}, at::kDouble);
  for (const std::int64_t padding : {-1, 0, 3, -5}) {
    for (const at::Tensor& tokens : {at::randint(0, 7, {40, 3}, at::kLong), at::randint(0, 7, {6}, at::kInt),
                                     at::full({}, 3, at::kLong), at::zeros({0}, at::kLong)}) {
      compare([&](const Tensors& in) { return Tensors{embed(in[0], tokens, padding)}; },
              [&](const Tensors& in) { return Tensors{at::embedding(in[0], tokens, padding)}; }, {weight});
    }
  }
  EXPECT_THROW(embed(weight, at::full({2}, 7, at::kLong), -1), c10::Error);
}

TEST(SoftmaxCrossEntropyOperator, EqualsPyTorchs) {
  const at::Tensor labels = at::tensor({3, 0, 8, 5, 3, 1}, at::kLong);
  const at::Tensor weights = at::rand({9}, at::kDouble);
  for (const double smoothing : {0.0, 0.1}) {
    for (const std::int64_t ignored : {-100, 3}) {
      for (const at::Tensor& classes : {at::Tensor(), weights}) {
        const SoftmaxCrossEntropyOptions options = {
            .label_smoothing = smoothing, .ignore_index = ignored, .class_weights = classes};
        compare(
            [&](const Tensors& in) { return Tensors{softmax_cross_entropy(in[0], labels, options).loss}; },
            [&](const Tensors& in) {
              return Tensors{at::cross_entropy_loss(in[0], labels, classes, at::Reduction::Sum, ignored, smoothing)};
            },
            {at::randn({6, 9}, at::kDouble)});
        // What the mean divides by.
        const at::Tensor logits = at::randn({6, 9}, at::kDouble);
        const CrossEntropySums sums = softmax_cross_entropy(logits, labels, options);
        const at::Tensor mean =
            at::cross_entropy_loss(logits, labels, classes, at::Reduction::Mean, ignored, smoothing);
        EXPECT_NEAR(sums.loss.div(sums.weight).item<double>(), mean.item<double>(), 1e-14);
        EXPECT_FALSE(sums.weight.requires_grad());
      }
    }
  }
  const SoftmaxCrossEntropyOptions none;
  EXPECT_EQ(softmax_cross_entropy(at::randn({0, 9}), at::zeros({0}, at::kLong), none).loss.item<float>(), 0);
  EXPECT_THROW(softmax_cross_entropy(at::randn({6, 9}), at::full({6}, 9, at::kLong), none), c10::IndexError);
  EXPECT_THROW(softmax_cross_entropy(at::randn({6, 9}), at::full({6}, -1, at::kLong), none), c10::IndexError);
  EXPECT_THROW(softmax_cross_entropy(at::randn({6, 9}), labels, {.class_weights = at::rand({8})}), c10::Error);
}

// PyTorch has no weights of rows: the sum of what each row gives by itself.
TEST(SoftmaxCrossEntropyOperator, WeighsRows) {
  const at::Tensor labels = at::tensor({3, 0, 8, 5, 3, 1}, at::kLong);
  const at::Tensor classes = at::rand({9}, at::kDouble);
  const at::Tensor rows = at::rand({6}, at::kDouble);
  const SoftmaxCrossEntropyOptions options = {
      .label_smoothing = 0.1, .ignore_index = 3, .class_weights = classes, .row_weights = rows};
  compare([&](const Tensors& in) { return Tensors{softmax_cross_entropy(in[0], labels, options).loss}; },
          [&](const Tensors& in) {
            return Tensors{at::cross_entropy_loss(in[0], labels, classes, at::Reduction::None, 3, 0.1).mul(rows).sum()};
          },
          {at::randn({6, 9}, at::kDouble)});
  const at::Tensor counted = labels.ne(3);
  EXPECT_NEAR(softmax_cross_entropy(at::randn({6, 9}, at::kDouble), labels, options).weight.item<double>(),
              rows.mul(classes.index_select(0, labels)).mul(counted).sum().item<double>(), 1e-14);
}

TEST(SoftmaxCrossEntropyOperator, PutsTheGradientIntoLogitsThatNobodyElseHolds) {
  const at::Tensor labels = at::tensor({3, 0, 8, 5, 3, 1}, at::kLong);
  const at::Tensor at_first = at::randn({2, 3, 9}, at::kDouble);
  enum class Held { kNever, kByCaller, kByAutograd };
  for (const Held held : {Held::kNever, Held::kByCaller, Held::kByAutograd}) {
    const auto of_logits = [&](const at::Tensor& x) { return held == Held::kByAutograd ? x.tanh() : x * 2; };
    const at::Tensor expected_leaf = at_first.clone().requires_grad_();
    at::cross_entropy_loss(of_logits(expected_leaf).flatten(0, 1), labels, {}, at::Reduction::Sum).backward();

    const at::Tensor leaf = at_first.clone().requires_grad_();
    at::Tensor logits = of_logits(leaf);
    const at::Tensor values = logits.detach().clone();
    const void* place = logits.const_data_ptr();
    const void* gradient_place = nullptr;
    logits.register_hook([&](const at::Tensor& gradient) { gradient_place = gradient.const_data_ptr(); });
    const at::Tensor loss = softmax_cross_entropy(logits.flatten(0, 1), labels).loss;
    if (held != Held::kByCaller) logits.reset();
    loss.backward({}, /*retain_graph=*/true);
    EXPECT_EQ(gradient_place == place, held == Held::kNever);
    EXPECT_TRUE(at::allclose(leaf.grad(), expected_leaf.grad(), 1e-12, 1e-12));
    if (held == Held::kByCaller) {
      EXPECT_TRUE(at::equal(logits, values));
    }
    // Of what has been written over there is no second gradient.
    if (held == Held::kNever) {
      EXPECT_THROW(loss.backward(), c10::Error);
    } else {
      loss.backward();
      EXPECT_TRUE(at::allclose(leaf.grad(), expected_leaf.grad() * 2, 1e-12, 1e-12));
    }
  }
}

TEST(SoftmaxCrossEntropyOperator, HoldsTheLogitsAndNoSecondTensorOfTheirSize) {
  const at::Tensor weight = at::randn({2000, 10}).requires_grad_();
  const at::Tensor x = at::randn({500, 10});
  const at::Tensor labels = at::randint(0, 2000, {500}, at::kLong);
  const std::int64_t bytes = peak_tensor_bytes([&] {
    const at::Tensor loss = softmax_cross_entropy(at::linear(x, weight), labels).loss;
    loss.backward();
  });
  EXPECT_GE(bytes, 500 * 2000 * 4);
  EXPECT_LT(bytes, 2 * 500 * 2000 * 4);
}

constexpr double kDropout = 0.3;

struct AttentionCase {
  std::string name;
  std::vector<std::int64_t> sizes;  ///< samples, heads, queries, keys
  at::Tensor mask{};
  bool causal = false;
};

// By values that are the unit matrix the operator shows what it multiplies them by: what dropout leaves.
TEST(AttentionOperator, IsPyTorchsOfWhatDropoutLeaves) {
  at::Tensor seen = at::rand({4, 1, 9, 11}).gt(0.3);
  seen[1][0][2].fill_(false);  // a query that sees no key
  at::Tensor added = at::randn({3, 9, 11}, at::kDouble);
  added[2][4][5] = -std::numeric_limits<double>::infinity();
  const std::vector<AttentionCase> cases = {
      {"some heads at a time", {1, 3, 300, 310}},
      {"some samples at a time", {40, 2, 64, 64}},
      {"causal", {3, 2, 9, 11}, {}, true},
      {"causal, some heads at a time", {1, 3, 310, 300}, {}, true},
      {"bool mask", {4, 3, 9, 11}, seen},
      {"padding", {4, 3, 9, 11}, at::arange(11).lt(at::tensor({11, 5, 1, 0}).view({4, 1, 1, 1}))},
      {"added mask", {4, 3, 9, 11}, added},
      {"no samples", {0, 3, 9, 11}},
  };
  for (const AttentionCase& each : cases) {
    SCOPED_TRACE(each.name);
    const auto& sizes = each.sizes;
    const at::Tensor query = at::randn({sizes[0], sizes[2], sizes[1], 5}, at::kDouble).transpose(1, 2);
    const at::Tensor key = at::randn({sizes[0], sizes[1], sizes[3], 5}, at::kDouble);
    const at::Tensor value = at::randn({sizes[0], sizes[1], sizes[3], 7}, at::kDouble);
    const Optional mask = each.mask.defined() ? Optional(each.mask) : std::nullopt;
    const auto ours = [&](const Tensors& in) {
      at::manual_seed(5);
      return Tensors{attention(in[0], in[1], in[2], mask, kDropout, each.causal, 0.6)};
    };
    const at::Tensor unit = at::eye(sizes[3], at::kDouble).expand({sizes[0], sizes[1], sizes[3], sizes[3]});
    const at::Tensor left = ours({query, key, unit})[0];
    const at::Tensor all = at::scaled_dot_product_attention(query, key, unit, mask, 0, each.causal, 0.6);
    const at::Tensor factors = left.ne(0).to(at::kDouble).div(1 - kDropout);
    EXPECT_TRUE(at::allclose(left, all * factors, 1e-12, 1e-14));
    const double count = all.ne(0).sum().item<double>();
    EXPECT_NEAR(left.ne(0).sum().item<double>(), count * (1 - kDropout),
                4 * std::sqrt(count * kDropout * (1 - kDropout)));

    const auto theirs = [&](const Tensors& in) {
      at::Tensor scores = at::matmul(in[0], in[1].transpose(-2, -1)) * 0.6;
      const double hidden = -std::numeric_limits<double>::infinity();
      if (each.causal) scores = scores.masked_fill(at::ones({sizes[2], sizes[3]}, at::kBool).triu(1), hidden);
      if (each.mask.defined()) {
        scores = each.mask.scalar_type() == at::kBool ? scores.masked_fill(each.mask.logical_not(), hidden)
                                                      : scores + each.mask;
      }
      return Tensors{at::matmul(at::_safe_softmax(scores, -1) * factors, in[2])};
    };
    compare(ours, theirs, {query, key, value}, /*also_bfloat16=*/false);
  }
}

TEST(AttentionOperator, ComputesReducedTypesInFloat32) {
  const Tensors inputs = {at::randn({2, 3, 40, 8}), at::randn({2, 3, 50, 8}), at::randn({2, 3, 50, 8})};
  const at::Tensor mask = at::randn({40, 50}).to(at::kBFloat16);
  const auto found = [&](at::ScalarType type) {
    Tensors of;
    for (const at::Tensor& input : inputs) of.push_back(input.to(at::kBFloat16).to(type));
    return with_gradients(
        [&](const Tensors& in) {
          at::manual_seed(5);
          return Tensors{attention(in[0], in[1], in[2], mask.to(type), kDropout, false)};
        },
        of);
  };
  const Tensors reduced = found(at::kBFloat16);
  const Tensors full = found(at::kFloat);
  for (std::size_t i = 0; i < full.size(); ++i) EXPECT_EQ(reduced[i].scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(reduced[0], full[0].to(at::kBFloat16)));
  expect_close(reduced, full, 0.005);
  // In the regions of autocast, too, as PyTorch does.
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::manual_seed(5);
  const at::Tensor there = attention(inputs[0].to(at::kBFloat16), inputs[1].to(at::kBFloat16),
                                     inputs[2].to(at::kBFloat16), mask, kDropout, false);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_TRUE(at::equal(there, reduced[0]));
}

TEST(AttentionOperator, DropsByTheSeedOfPyTorchsGeneratorWhateverTheThreads) {
  const at::Tensor x = at::randn({3, 4, 200, 8});
  const at::Tensor unit = at::eye(200).expand({3, 4, 200, 200});
  const auto left = [&] { return attention(x, x, unit, std::nullopt, kDropout, false).ne(0); };
  const int threads = at::get_num_threads();
  Tensors found;
  for (const int count : {1, 2}) {
    at::set_num_threads(count);
    at::manual_seed(9);
    found.push_back(left());
    found.push_back(left());
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(found[0], found[2]));
  EXPECT_TRUE(at::equal(found[1], found[3]));
  // Calls, samples and heads differ.
  EXPECT_FALSE(at::equal(found[0], found[1]));
  EXPECT_FALSE(at::equal(found[0][0], found[0][1]));
  EXPECT_FALSE(at::equal(found[0][0][0], found[0][0][3]));
}

TEST(AttentionOperator, HoldsNoScoresOfAllHeads) {
  const at::Tensor x = at::randn({2, 8, 512, 8}).requires_grad_();
  const std::int64_t bytes = peak_tensor_bytes([&] {
    const at::Tensor y = attention(x, x, x, std::nullopt, kDropout, true);
    y.sum().backward();
  });
  EXPECT_LT(bytes, 2 * 8 * 512 * 512 * 4);
}

TEST(AttentionOperator, LeavesTheRestToPyTorch) {
  const at::Tensor x = at::randn({2, 4, 6, 8});
  const at::Tensor few = at::randn({2, 2, 6, 8});
  const at::Tensor mask = at::randn({6, 6}).requires_grad_();
  const auto expect_same = [](const at::Tensor& query, const at::Tensor& key, const Optional& given, double dropout,
                              bool grouped) {
    at::manual_seed(4);
    const at::Tensor found = attention(query, key, key, given, dropout, false, std::nullopt, grouped);
    at::manual_seed(4);
    EXPECT_TRUE(at::equal(
        found, at::scaled_dot_product_attention(query, key, key, given, dropout, false, std::nullopt, grouped)));
  };
  expect_same(x, x, std::nullopt, 0, false);
  expect_same(x, x, std::nullopt, 1, false);
  expect_same(x, x, mask, kDropout, false);
  expect_same(x, few, std::nullopt, kDropout, true);
  expect_same(x[0], x[0], std::nullopt, kDropout, false);
  expect_same(x.to(at::kBFloat16), x.to(at::kBFloat16), mask.detach(), kDropout, false);
  EXPECT_THROW(attention(x, x, x, mask, kDropout, true), c10::Error);
  EXPECT_THROW(attention(x, few, few, std::nullopt, kDropout, false), c10::Error);
}

TEST(Operators, NothingIsWantedOfWhatIsNotTrained) {
  const at::Tensor x = at::randn({4, 6}, at::kDouble).requires_grad_();
  const at::Tensor frozen = at::randn({6}, at::kDouble);
  const at::Tensor trained = at::randn({6}, at::kDouble).requires_grad_();
  layer_norm(x, frozen, trained, 1e-5).sum().backward();
  EXPECT_FALSE(frozen.grad().defined());
  EXPECT_TRUE(at::allclose(trained.grad(), at::full({6}, 4, at::kDouble)));
  bias_gelu(x, frozen, "none").sum().backward();
  EXPECT_FALSE(frozen.grad().defined());
}

}  // namespace
}  // namespace lockstep

#include "engine/collectives/FlatParameters.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

constexpr double kMiB = 1024 * 1024;

at::Tensor parameter(const at::Tensor& values) { return values.detach().set_requires_grad(true); }

BucketPlan plan_of(const std::vector<at::Tensor>& parameters) {
  std::vector<ParameterLayout> layouts;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    layouts.push_back({.name = "p" + std::to_string(i), .elements = parameters[i].numel()});
  }
  return BucketPlan(layouts, static_cast<std::int64_t>(parameters.empty() ? 4 : parameters[0].element_size()), kMiB);
}

FlatParameters flatten(const std::vector<at::Tensor>& parameters) {
  return FlatParameters(plan_of(parameters), parameters, 3);
}

TEST(FlatParameters, ParametersAndGradientsBecomeViewsThatKeepValuesAndStrides) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const std::vector<at::Tensor> parameters = {
        parameter(at::randn({5}, type)), parameter(at::randn({4, 3, 3, 3}, type).to(at::MemoryFormat::ChannelsLast)),
        parameter(at::randn({6, 7}, type).t()), parameter(at::randn({}, type)), parameter(at::randn({0, 3}, type))};
    std::vector<at::Tensor> copies;
    std::vector<std::vector<std::int64_t>> strides;
    for (const at::Tensor& tensor : parameters) {
      copies.push_back(tensor.detach().clone());
      strides.push_back(tensor.strides().vec());
    }
    FlatParameters flat = flatten(parameters);
    EXPECT_EQ(flat.scalar_type(), type);
    for (const at::Tensor& storage : {flat.flat_parameters(), flat.flat_gradients()}) {
      EXPECT_EQ(storage.numel(), flat.plan().length());
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(storage.const_data_ptr()) % 256, 0);
    }
    EXPECT_EQ(flat.flat_gradients().count_nonzero().item<std::int64_t>(), 0);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_TRUE(at::equal(parameters[i], copies[i])) << i;
      EXPECT_EQ(parameters[i].strides().vec(), strides[i]) << i;
      EXPECT_EQ(parameters[i].grad().strides().vec(), strides[i]) << i;
      EXPECT_TRUE(parameters[i].is_leaf() && parameters[i].requires_grad());
      const std::int64_t offset = flat.plan().segments()[i].offset;
      const auto at = [&](at::Tensor& storage) { return storage.narrow(0, offset, parameters[i].numel()); };
      EXPECT_TRUE(parameters[i].is_alias_of(flat.flat_parameters()));
      if (parameters[i].numel() == 0) continue;
      EXPECT_EQ(parameters[i].const_data_ptr(), at(flat.flat_parameters()).const_data_ptr());
      EXPECT_EQ(parameters[i].grad().const_data_ptr(), at(flat.flat_gradients()).const_data_ptr());
    }
  }
}

TEST(FlatParameters, BackwardAccumulatesInPlaceAndLeavesThePaddingZero) {
  const at::Tensor kernel = parameter(at::randn({2, 3, 3, 3}, at::kDouble).to(at::MemoryFormat::ChannelsLast));
  const at::Tensor bias = parameter(at::randn({2}, at::kDouble));
  FlatParameters flat = flatten({kernel, bias});
  const at::Tensor input = at::randn({4, 3, 5, 5}, at::kDouble);
  const void* before = kernel.grad().const_data_ptr();
  for (int pass = 0; pass < 2; ++pass) at::conv2d(input, kernel, bias).square().sum().backward();
  EXPECT_EQ(kernel.grad().const_data_ptr(), before);
  const at::Tensor plain_kernel = parameter(kernel.clone());
  const at::Tensor plain_bias = parameter(bias.clone());
  at::conv2d(input, plain_kernel, plain_bias).square().sum().mul(2).backward();
  EXPECT_TRUE(at::allclose(kernel.grad(), plain_kernel.grad(), 1e-12, 1e-12));
  EXPECT_TRUE(at::allclose(bias.grad(), plain_bias.grad(), 1e-12, 1e-12));
  const double total = kernel.grad().abs().sum().item<double>() + bias.grad().abs().sum().item<double>();
  EXPECT_GT(total, 0);
  EXPECT_NEAR(flat.flat_gradients().abs().sum().item<double>(), total, 1e-9);
}

TEST(FlatParameters, AnOverlappingParameterBecomesContiguous) {
  const at::Tensor expanded = parameter(at::arange(3, at::kFloat).expand({2, 3}));
  flatten({expanded});
  EXPECT_TRUE(expanded.is_contiguous());
  EXPECT_TRUE(at::equal(expanded, at::arange(3, at::kFloat).expand({2, 3})));
}

kernels::GradientNorm gradient_norm(FlatParameters& flat) {
  kernels::GradientNorm norm;
  flat.find_gradient_norm(&norm);
  return norm;
}

TEST(FlatParameters, GradientNormIsOverAllParameters) {
  const std::vector<at::Tensor> parameters = {parameter(at::zeros({2})), parameter(at::zeros({3}))};
  FlatParameters flat = flatten(parameters);
  EXPECT_EQ(gradient_norm(flat).sum_of_squares, 0);
  parameters[0].grad().fill_(3);
  parameters[1].grad().fill_(-4);
  flat.riders().fill_(100);  // they have no part in the norm
  EXPECT_DOUBLE_EQ(gradient_norm(flat).sum_of_squares, 2 * 9 + 3 * 16);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    parameters[1].grad().fill_(bad);
    EXPECT_EQ(gradient_norm(flat).non_finite, 3);
  }
}

TEST(FlatParameters, FindsTheParameterThatIsNotFinite) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const std::vector<at::Tensor> parameters = {parameter(at::zeros({2}, type)), parameter(at::zeros({70000}, type)),
                                                parameter(at::zeros({3}, type))};
    FlatParameters flat = flatten(parameters);
    const at::Tensor storage = at::zeros_like(flat.flat_parameters());
    EXPECT_FALSE(flat.first_not_finite(storage));
    for (const std::size_t bad : {2, 1, 0}) {
      const kernels::Segment& segment = flat.plan().segments()[bad];
      storage[segment.offset + segment.length - 1].fill_(std::numeric_limits<double>::infinity());
      EXPECT_EQ(flat.first_not_finite(storage), bad);
    }
    EXPECT_FALSE(flat.first_not_finite(flat.flat_parameters()));
    flat.flat_parameters()[flat.plan().segments()[1].offset].fill_(std::numeric_limits<double>::quiet_NaN());
    EXPECT_EQ(flat.first_not_finite(flat.flat_parameters()), 1);
  }
}

TEST(FlatParameters, RefusesParametersItCannotHold) {
  EXPECT_ERROR(flatten({parameter(at::zeros({2})), parameter(at::zeros({2}, at::kDouble))}), InputError, "p1", "Double",
               "float32");
  EXPECT_ERROR(flatten({parameter(at::zeros({2}, at::kBFloat16))}), InternalError, "4 or 8 bytes");
  EXPECT_ERROR(
      FlatParameters(BucketPlan({{.name = "p0", .elements = 2}}, 4, kMiB), {parameter(at::zeros({2}, at::kHalf))}, 0),
      InputError, "p0", "Half");
  EXPECT_ERROR(flatten({at::zeros({2})}), InternalError, "p0", "leaf");
  EXPECT_ERROR(flatten({parameter(at::zeros({2})) * 2}), InternalError, "p0", "leaf");
  EXPECT_ERROR(FlatParameters(plan_of({}), {parameter(at::zeros({2}))}, 0), InternalError, "not of these parameters");
  EXPECT_ERROR(FlatParameters(BucketPlan({{.name = "w", .elements = 3}}, 4, kMiB), {parameter(at::zeros({2}))}, 0),
               InternalError, "w has 2", "3");
}

TEST(FlatParameters, MayBeNone) {
  FlatParameters flat = flatten({});
  EXPECT_EQ(flat.flat_parameters().numel(), 0);
  EXPECT_EQ(gradient_norm(flat).sum_of_squares, 0);
}

}  // namespace
}  // namespace lockstep

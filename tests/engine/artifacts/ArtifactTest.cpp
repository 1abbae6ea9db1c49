#include "engine/artifacts/Artifact.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "common/Error.h"
#include "common/File.h"
#include "engine/artifacts/Safetensors.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

TEST(Safetensors, RoundTripKeepsTypesShapesAndBits) {
  const TemporaryDirectory directory;
  const NamedTensors tensors = {{"a.weight", at::randn({3, 4}).t()},
                                {"b", at::tensor(std::vector<std::int64_t>{1, -2})},
                                {"c", at::zeros({})},
                                {"d", at::ones({0, 5}, at::kDouble)},
                                {"e", at::ones({3}, at::kBFloat16)}};
  write_safetensors(tensors, {{"format", "pt"}}, directory / "t.safetensors");
  const NamedTensors again = read_safetensors(directory / "t.safetensors");
  ASSERT_EQ(again.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(again.at(name).scalar_type(), tensor.scalar_type());
    EXPECT_TRUE(at::equal(again.at(name), tensor)) << name;
  }
}

TEST(Safetensors, RefusesWhatDoesNotDescribeItself) {
  const TemporaryDirectory directory;
  const auto file = [&](const std::string& header, const std::string& data, std::uint64_t claimed) {
    std::ofstream out(directory / "t.safetensors", std::ios::binary);
    out.write(reinterpret_cast<const char*>(&claimed), sizeof claimed);
    out << header << data;
    out.close();
    read_safetensors(directory / "t.safetensors");
  };
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_NO_THROW(file(good, "12345678", good.size()));
  EXPECT_ERROR(file(good, "1234567", good.size()), InputError, "\"a\"", "do not fit");
  EXPECT_ERROR(file(good, "12345678", 1u << 20), InputError, "header claims 1048576");
  EXPECT_ERROR(file(good, "12345678", ~0ull), InputError, "header claims");
  const std::string big = R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})";
  EXPECT_ERROR(file(big, "12345678", big.size()), InputError, "\"a\"");
  const std::string backwards = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})";
  EXPECT_ERROR(file(backwards, "12345678", backwards.size()), InputError, "do not fit");
  const std::string type = R"({"a":{"dtype":"F3","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_ERROR(file(type, "12345678", type.size()), InputError, "F3");
  EXPECT_ERROR(file("[1,2", "", 4), InputError, "header");
  EXPECT_ERROR(read_safetensors(directory / "none"), InputError, "none");
}

// Sizes whose product leaves 64 bits, beside a 0; a header nested 100,000 deep; one name twice.
TEST(Safetensors, RefusesHeadersThatNoWriterMakes) {
  const TemporaryDirectory directory;
  const auto read = [&](const std::string& header) {
    const std::uint64_t length = header.size();
    std::ofstream(directory / "t.safetensors", std::ios::binary)
        << std::string(reinterpret_cast<const char*>(&length), sizeof length) << header;
    return read_safetensors(directory / "t.safetensors");
  };
  const auto of_shape = [](const std::string& shape) {
    return R"({"a": {"dtype": "F32", "shape": )" + shape + R"(, "data_offsets": [0, 0]}})";
  };
  EXPECT_EQ(read(of_shape("[0, 7]")).at("a").sizes(), (std::vector<std::int64_t>{0, 7}));
  for (const char* shape : {"[0, 4611686018427387904, 4611686018427387904]", "[4611686018427387904, 0, 8]", "[-1, 0]",
                            "[18446744073709551615]", "[1.5]", "\"x\"", "[[0]]"}) {
    EXPECT_ERROR(read(of_shape(shape)), InputError, "t.safetensors");
  }
  EXPECT_ERROR(read(std::string(100'000, '[')), InputError, "t.safetensors", "nested");
  EXPECT_ERROR(read(R"({"a": {}, "a": {}})"), InputError, "t.safetensors", "twice");
}

std::string difference_of(const at::Tensor& found, const at::Tensor& expected) {
  return difference([&](const std::vector<at::Tensor>&) { return std::vector{found}; }, {{{}, {expected}}});
}

TEST(Difference, IsRoundingAtEveryScale) {
  for (const double scale : {1e-12, 1e-3, 1.0, 1e9}) {
    const at::Tensor logits = at::randn({16, 10}) * scale;
    EXPECT_EQ(difference_of(logits + at::randn({16, 10}) * (2e-6 * scale), logits), "") << scale;
    EXPECT_NE(difference_of(logits + at::randn({16, 10}) * (2e-3 * scale), logits), "") << scale;
    EXPECT_NE(difference_of(logits.relu(), logits), "") << scale;
    EXPECT_EQ(difference_of(logits.relu() + at::randn({16, 10}) * (2e-6 * scale), logits.relu()), "") << scale;
  }
  EXPECT_EQ(difference_of(at::zeros({2, 3}), at::zeros({2, 3})), "");
  EXPECT_NE(difference_of(at::full({2, 3}, 1e-9), at::zeros({2, 3})), "");
  EXPECT_EQ(difference_of(at::zeros({0, 3}), at::zeros({0, 3})), "");
}

TEST(Difference, IsNotHiddenByAMask) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double mask : {-1e9, -1e30, -infinity, infinity}) {
    at::Tensor logits = at::randn({16, 10});
    logits.select(1, 9).fill_(mask);
    at::Tensor found = logits.clone();
    EXPECT_EQ(difference_of(found + at::randn({16, 10}) * 2e-6, logits), "") << mask;
    found[3][4] += 0.125;
    EXPECT_EQ(difference_of(found, logits), "output 0 of a probe batch differs by up to 0.125") << mask;
  }
  const at::Tensor infinite = at::full({2}, infinity);
  EXPECT_EQ(difference_of(infinite.neg(), infinite), "output 0 of a probe batch differs where it is not finite");
  EXPECT_NE(difference_of(at::ones({2}), infinite), "");
  EXPECT_NE(difference_of(infinite, at::ones({2})), "");
  const at::Tensor nan = at::full({2}, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(difference_of(nan, nan), "");
  EXPECT_NE(difference_of(nan, at::ones({2})), "");
}

TEST(Difference, OfTypesSizesCountsAndIntegers) {
  EXPECT_EQ(difference_of(at::ones({2, 1}), at::ones({2})), "output 0 of a probe batch has other sizes");
  EXPECT_EQ(difference_of(at::ones({2}, at::kDouble), at::ones({2})), "output 0 of a probe batch has another type");
  for (const at::ScalarType type : {at::kBool, at::kLong}) {
    EXPECT_EQ(difference_of(at::ones({2}, type), at::ones({2}, type)), "");
    EXPECT_EQ(difference_of(at::zeros({2}, type), at::ones({2}, type)), "output 0 of a probe batch differs");
  }
  const Artifact::Model none = [](const std::vector<at::Tensor>&) { return std::vector<at::Tensor>(); };
  EXPECT_EQ(difference(none, {{{}, {at::ones({2})}}}), "it lacks outputs");
  const Artifact::Model refuses = [](const std::vector<at::Tensor>&) {
    return std::vector{at::mm(at::ones({2}), at::ones({2}))};
  };
  EXPECT_NE(difference(refuses, {{{}, {at::ones({2})}}}).find("it cannot be run: "), std::string::npos);
}

TEST(Probes, KeepTheirInputsFromAProgramThatChangesThem) {
  TestGraph graph;
  graph.input("x", {"s0", 2});
  graph.node("add_.Tensor", {TestGraph::tensor("self", "x"), {"other", 1.0, false}}, "y", {"s0", 2});
  const Program program("adds", graph.returns({"y", "x"}), {});
  const auto probes = make_probes(program, {Probe::Inputs{at::zeros({3, 2})}});
  EXPECT_TRUE(at::equal(probes[0].inputs[0], at::zeros({3, 2})));
  EXPECT_TRUE(at::equal(probes[0].outputs[1], at::ones({3, 2})));
  EXPECT_EQ(difference(make_model(program), probes), "");
  EXPECT_EQ(difference(make_model(program), probes), "");
}

}  // namespace
}  // namespace lockstep

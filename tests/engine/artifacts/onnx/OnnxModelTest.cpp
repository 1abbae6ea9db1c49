// ONNX models written and read back: what comes back computes the same. That ONNX Runtime computes it is for
// tests/judges/onnx_runtime.py.
#include "engine/artifacts/onnx/OnnxModel.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "common/File.h"
#include "engine/artifacts/OnnxArtifact.h"
#include "engine/artifacts/PrimitiveProgram.h"
#include "engine/artifacts/primitives/PrimitiveBuilder.h"
#include "engine/artifacts/primitives/PrimitiveInterpreter.h"
#include "engine/artifacts/primitives/PrimitiveLowering.h"
#include "engine/artifacts/primitives/PrimitiveSimplification.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PrimitiveCases.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using primitive::Binary;
using primitive::Reduce;
using primitive::Unary;

ElementType type_of(const at::Tensor& tensor) {
  return static_cast<ElementType>(scalar_type_to_archive(tensor.scalar_type()));
}

PrimitiveValue described(const at::Tensor& tensor, bool open_batch = false) {
  PrimitiveValue value{type_of(tensor), {}};
  for (const std::int64_t size : tensor.sizes()) value.sizes.emplace_back(size);
  if (open_batch && !value.sizes.empty()) value.sizes[0] = std::string("s0");
  return value;
}

bool same(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  if (!a.is_floating_point()) return at::equal(a, b);
  // Where ONNX Runtime has float32 only, double precision is computed in it; sums may be rounded once more.
  const double most = a.scalar_type() == at::kHalf ? 1e-2 : a.scalar_type() == at::kBFloat16 ? 5e-2 : 1e-5;
  return at::allclose(a, b, most, most, true);
}

void expect_same(const PrimitiveGraph& graph, const std::vector<at::Tensor>& inputs, const std::string& what) {
  const auto expected = PrimitiveInterpreter(graph, {}).run(inputs);
  const auto found = PrimitiveInterpreter(as_onnx(graph), {}).run(inputs);
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(same(found[i], expected[i])) << what << "\n" << found[i] << "\n" << expected[i];
  }
}

// One operation on inputs; `open`: its first input's first size is known at run time only.
void expect_same(const primitive::Operation& operation, const std::vector<at::Tensor>& inputs, const std::string& what,
                 bool open = false) {
  PrimitiveBuilder builder;
  std::vector<ValueId> ids;
  for (const at::Tensor& input : inputs) {
    ids.push_back(builder.input("x" + std::to_string(ids.size()), described(input, open && ids.empty())));
  }
  const std::vector<ValueId> outputs = builder.add(operation, ids);
  for (const ValueId output : outputs) builder.output("y" + std::to_string(output.index), output);
  expect_same(std::move(builder).finish(), inputs, what);
}

const std::vector<at::ScalarType> kReals = {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16};
const std::vector<at::ScalarType> kIntegers = {at::kLong, at::kInt, at::kShort, at::kChar, at::kByte};

at::Tensor numbers(at::ScalarType type) {
  return at::tensor(std::vector<double>{-3.5, -2.5, -1, -0.5, 0, 0.5, 1, 1.5, 2.5, 7}).to(type);
}

TEST(OnnxOperations, Unary) {
  for (int kind = 0; kind <= static_cast<int>(Unary::Kind::kIsNan); ++kind) {
    const Unary unary{static_cast<Unary::Kind>(kind)};
    const std::string what = "unary " + std::to_string(kind);
    if (unary.kind == Unary::Kind::kNot) {
      expect_same(unary, {numbers(at::kBool)}, what);
      continue;
    }
    for (const at::ScalarType type : kReals) {
      at::Tensor x = numbers(type);
      if (unary.kind == Unary::Kind::kIsNan) x[3] = std::nan("");
      expect_same(unary, {x}, what);
    }
  }
  for (const at::ScalarType type : kIntegers) {
    for (const auto kind : {Unary::Kind::kAbsolute, Unary::Kind::kSign, Unary::Kind::kRelu, Unary::Kind::kNegative}) {
      expect_same(Unary{kind}, {at::arange(5).to(type)}, "integers");
    }
  }
}

TEST(OnnxOperations, Binary) {
  const std::vector<double> left = {-7, -7, 7, 7, 6, -6, 0, 1, 5.5, -5.5};
  const std::vector<double> right = {3, -3, 3, -3, 2, 2, 5, 1, 2, 2};
  for (int kind = 0; kind <= static_cast<int>(Binary::Kind::kOr); ++kind) {
    const Binary binary{static_cast<Binary::Kind>(kind)};
    const std::string what = "binary " + std::to_string(kind);
    if (binary.kind == Binary::Kind::kAnd || binary.kind == Binary::Kind::kOr) {
      expect_same(binary, {at::tensor(left) > 0, at::tensor(right) > 2}, what);
      continue;
    }
    for (const at::ScalarType type : kReals)
      expect_same(binary, {at::tensor(left).to(type), at::tensor(right).to(type)}, what);
    if (binary.kind == Binary::Kind::kDivide || binary.kind == Binary::Kind::kPower) continue;
    for (const at::ScalarType type : kIntegers) {
      const at::Tensor a = type == at::kByte ? at::tensor(left).abs() : at::tensor(left);
      const at::Tensor b = type == at::kByte ? at::tensor(right).abs() : at::tensor(right);
      expect_same(binary, {a.to(type), b.to(type)}, what);
    }
  }
  const double infinity = std::numeric_limits<double>::infinity();
  const at::Tensor special = at::tensor(std::vector<double>{1, -1, 3, infinity, 1});
  const at::Tensor divisor = at::tensor(std::vector<double>{infinity, infinity, 0, 2, 0.1});
  for (const auto kind : {Binary::Kind::kFloorDivide, Binary::Kind::kRemainder}) {
    expect_same(Binary{kind}, {special, divisor}, "special divisions");
  }
}

TEST(OnnxOperations, SelectCastConstant) {
  const at::Tensor x = at::randn({2, 3});
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kLong, at::kBool, at::kByte}) {
    expect_same(primitive::Select{}, {at::tensor(std::vector<double>{1, 0, 1}) > 0, (x * 3).to(type), (x - 1).to(type)},
                "select");
    expect_same(primitive::Cast{type_of(at::empty({0}, type))},
                {at::tensor(std::vector<double>{0, 1.7, -1.7, 0.2}).abs()}, "cast");
  }
  PrimitiveBuilder builder;
  for (const at::ScalarType type :
       {at::kFloat, at::kDouble, at::kLong, at::kBool, at::kHalf, at::kBFloat16, at::kChar}) {
    const at::Tensor value = numbers(type).reshape({2, 5}).contiguous();
    builder.output(
        "c" + std::to_string(static_cast<int>(type)),
        builder.constant({type_of(value), {2, 5}, {static_cast<const char*>(value.const_data_ptr()), value.nbytes()}}));
  }
  expect_same(std::move(builder).finish(), {}, "constants");
}

TEST(OnnxOperations, Shapes) {
  const at::Tensor x = at::arange(24).to(at::kFloat).reshape({2, 3, 4});
  using primitive::Reshape;
  for (const bool open : {false, true}) {
    expect_same(Reshape{{std::int64_t{-1}, std::int64_t{6}}}, {x}, "reshape", open);
    expect_same(Reshape{{std::int64_t{2}, std::int64_t{12}}}, {x}, "reshape", false);
    expect_same(primitive::Transpose{{2, 0, 1}}, {x}, "transpose", open);
    expect_same(primitive::Transpose{{0, 1, 2}}, {x}, "no transpose", open);
    expect_same(primitive::Unsqueeze{{0, 3}}, {x}, "unsqueeze", open);
    expect_same(primitive::Squeeze{{1}}, {x.narrow(1, 1, 1)}, "squeeze", open);
    expect_same(primitive::Concatenate{1}, {x, x.narrow(1, 0, 1)}, "concatenate", open);
    expect_same(primitive::Reverse{1}, {x}, "reverse", open);
    for (const std::int64_t step : {1, 2, 3}) {
      expect_same(primitive::Slice{2, std::int64_t{-3}, std::int64_t{9}, step}, {x}, "slice", open);
      expect_same(primitive::Slice{1, std::int64_t{1}, std::int64_t{-1}, step}, {x}, "slice", open);
    }
    expect_same(primitive::Size{0}, {x}, "size", open);
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kHalf, at::kLong, at::kBool, at::kInt}) {
      expect_same(primitive::Pad{{0, 1, 0}, {2, 0, 1}, 1}, {x.to(type)}, "pad", open);
    }
    const at::Tensor indices = at::tensor(std::vector<std::int64_t>{0, 2, 2, 1}).reshape({2, 2});
    expect_same(primitive::Gather{1}, {x, indices}, "gather", open);
    expect_same(primitive::GatherElements{1}, {x, indices.reshape({2, 2, 1})}, "gather elements", open);
  }
  expect_same(Reshape{{std::int64_t{0}, std::int64_t{5}}}, {at::empty({2, 0})}, "an empty tensor");
  expect_same(primitive::Broadcast{{std::int64_t{4}, std::int64_t{2}, std::int64_t{3}}}, {at::randn({2, 1})},
              "broadcast");
}

// Sizes that the graph computes, with arithmetic and without.
TEST(OnnxOperations, SizesThatAreComputed) {
  for (const std::int64_t batch : {1, 2, 5}) {
    PrimitiveBuilder builder;
    const ValueId x =
        builder.input("x", {ElementType::kFloat, {std::string("s0"), std::string("s1"), std::int64_t{6}}});
    const Integer rows = builder.size(x, 0);
    const Integer length = builder.size(x, 1);
    const ValueId heads = builder.add(primitive::Reshape{{rows, length, std::int64_t{2}, std::int64_t{3}}}, {x})[0];
    const ValueId turned = builder.add(primitive::Transpose{{0, 2, 1, 3}}, {heads})[0];
    builder.output("turned", turned);
    builder.output("flat", builder.add(primitive::Reshape{{rows, std::int64_t{2}, std::int64_t{-1}}}, {turned})[0]);
    const ValueId half =
        builder.add(Binary{Binary::Kind::kFloorDivide}, {builder.scalar(length), builder.scalar(std::int64_t{2})})[0];
    builder.output("first", builder.add(primitive::Slice{1, std::int64_t{0}, half}, {x})[0]);
    builder.output("last", builder.add(primitive::Slice{1, half, std::int64_t{INT64_MAX}}, {x})[0]);
    const ValueId both =
        builder.add(Binary{Binary::Kind::kMultiply}, {builder.scalar(rows), builder.scalar(length)})[0];
    builder.output("merged", builder.add(primitive::Reshape{{both, std::int64_t{6}}}, {x})[0]);
    const ValueId places = builder.add(primitive::Range{}, {builder.scalar(std::int64_t{0}), builder.scalar(length),
                                                            builder.scalar(std::int64_t{1})})[0];
    builder.output("places", builder.add(primitive::Broadcast{{rows, length}}, {places})[0]);
    builder.output("length", builder.scalar(length));
    const std::vector<ValueId> top = builder.add(primitive::TopK{half, 1, true}, {x});
    builder.output("top", top[0]);
    builder.output("at", top[1]);
    expect_same(std::move(builder).finish(), {at::randn({batch, 4, 6})}, "batch " + std::to_string(batch));
  }
}

// Of a view by heads, and back: ONNX's 0 and -1 say all.
TEST(OnnxOperations, NoSizesAreComputedThatReshapeCanSay) {
  const TemporaryDirectory directory;
  PrimitiveBuilder builder;
  const ValueId x = builder.input("x", {ElementType::kFloat, {std::string("s0"), std::string("s1"), std::int64_t{6}}});
  const Integer rows = builder.size(x, 0);
  const Integer length = builder.size(x, 1);
  const ValueId heads = builder.add(primitive::Reshape{{rows, length, std::int64_t{2}, std::int64_t{3}}}, {x})[0];
  const ValueId turned = builder.add(primitive::Transpose{{0, 2, 1, 3}}, {heads})[0];
  const ValueId back = builder.add(primitive::Transpose{{0, 2, 1, 3}}, {turned})[0];
  const ValueId whole = builder.add(primitive::Reshape{{rows, length, std::int64_t{6}}}, {back})[0];
  const ValueId mask =
      builder.input("mask", {ElementType::kFloat, {std::string("s0"), std::int64_t{1}, std::int64_t{1}}});
  const ValueId wide = builder.add(primitive::Broadcast{{rows, length, std::int64_t{6}}}, {mask})[0];
  builder.output("y", builder.add(Binary{Binary::Kind::kAdd}, {whole, wide})[0]);
  write_onnx(simplified(std::move(builder).finish()), {}, directory / "m.onnx");
  const std::string bytes = read_file(directory / "m.onnx", 1 << 20);
  for (const char* op : {"Shape", "Concat", "Expand", "Squeeze"}) EXPECT_EQ(bytes.find(op), std::string::npos) << op;
}

primitive::Window window(const Ints& size, const Ints& stride, const Ints& before, const Ints& after,
                         const Ints& dilation) {
  return {size, stride, before, after, dilation};
}

TEST(OnnxOperations, Windows) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor x = at::randn({2, 4, 7, 9}, type);
    for (const bool open : {false, true}) {
      const auto wide = window({3, 2}, {2, 1}, {1, 0}, {0, 1}, {2, 1});
      const at::Tensor bias = at::randn({6}, type);
      expect_same(primitive::Convolution{wide, 2}, {x, at::randn({6, 2, 3, 2}, type), bias}, "convolution", open);
      expect_same(primitive::Convolution{wide, 1}, {x, at::randn({6, 4, 3, 2}, type)}, "convolution", open);
      expect_same(primitive::TransposedConvolution{wide, {1, 0}, 2}, {x, at::randn({4, 3, 3, 2}, type), bias},
                  "transposed", open);
      expect_same(primitive::MaxPool{wide}, {x}, "max pool", open);
      expect_same(primitive::MaxPool{window({2, 2}, {3, 3}, {0, 0}, {2, 2}, {1, 1})}, {x}, "max pool far outside",
                  open);
      const auto plain = window({3, 2}, {2, 1}, {1, 0}, {1, 1}, {1, 1});
      for (const bool count : {false, true}) {
        expect_same(primitive::AveragePool{plain, count}, {x}, "average pool", open);
        expect_same(primitive::AveragePool{window({2, 2}, {3, 3}, {0, 0}, {2, 2}, {1, 1}), count}, {x.narrow(2, 0, 6)},
                    "average pool far outside", open);
      }
      using Resize = primitive::Resize;
      for (const Ints& sizes : {Ints{14, 18}, Ints{5, 20}, Ints{1, 1}}) {
        const Integers given(sizes.begin(), sizes.end());
        expect_same(Resize{Resize::Kind::kNearest, false, given}, {x}, "nearest", open);
        expect_same(Resize{Resize::Kind::kLinear, false, given}, {x}, "linear", open);
        expect_same(Resize{Resize::Kind::kLinear, true, given}, {x}, "linear, corners", open);
      }
    }
  }
  const auto line = window({3}, {2}, {1}, {1}, {1});
  expect_same(primitive::Convolution{line, 1}, {at::randn({2, 3, 8}), at::randn({4, 3, 3})}, "one dimension");
  const auto space = window({2, 2, 2}, {1, 1, 1}, {0, 1, 0}, {0, 0, 1}, {1, 1, 1});
  expect_same(primitive::Convolution{space, 1}, {at::randn({2, 3, 4, 4, 4}), at::randn({4, 3, 2, 2, 2})}, "three");
}

TEST(OnnxOperations, Reductions) {
  const at::Tensor x = at::randn({2, 3, 4, 5});
  for (const bool open : {false, true}) {
    for (const bool keep : {false, true}) {
      for (int kind = 0; kind <= static_cast<int>(Reduce::Kind::kAll); ++kind) {
        for (const Ints& dims : {Ints{2, 3}, Ints{1}, Ints{0, 3}}) {
          const Reduce reduce{static_cast<Reduce::Kind>(kind), dims, keep};
          const bool logical = reduce.kind == Reduce::Kind::kAny || reduce.kind == Reduce::Kind::kAll;
          expect_same(reduce, {logical ? x > 0.5 : x}, "reduction " + std::to_string(kind), open);
          if (!logical && reduce.kind != Reduce::Kind::kMean)
            expect_same(reduce, {(x * 3).to(at::kLong)}, "of integers", open);
        }
      }
      for (const bool largest : {false, true}) expect_same(primitive::ArgReduce{largest, 1, keep}, {x}, "arg", open);
    }
    expect_same(primitive::CumulativeSum{1}, {x}, "sums", open);
    for (const bool largest : {false, true})
      expect_same(primitive::TopK{std::int64_t{2}, 2, largest}, {x}, "top", open);
    for (const bool logarithm : {false, true}) expect_same(primitive::Softmax{2, logarithm}, {x}, "softmax", open);
  }
}

TEST(OnnxOperations, Matrices) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kHalf}) {
    const auto random = [&](const std::vector<std::int64_t>& sizes) { return at::randn(sizes).to(type); };
    for (const bool open : {false, true}) {
      expect_same(primitive::MatrixMultiply{false}, {random({2, 3, 4}), random({4, 5})}, "matrices", open);
      expect_same(primitive::MatrixMultiply{true}, {random({2, 3, 4}), random({2, 5, 4})}, "matrices", open);
      for (const std::vector<std::int64_t>& sizes : {std::vector<std::int64_t>{3, 4}, {2, 3, 4}}) {
        expect_same(primitive::Linear{}, {random(sizes), random({5, 4}), random({5})}, "linear", open);
        expect_same(primitive::Linear{}, {random(sizes), random({5, 4})}, "linear", open);
      }
      expect_same(primitive::LayerNorm{1, 1e-3}, {random({2, 3, 4}), random({4}), random({4})}, "layer norm", open);
      expect_same(primitive::LayerNorm{2, 1e-3}, {random({2, 3, 4}), random({3, 4})}, "layer norm", open);
      expect_same(primitive::LayerNorm{1, 1e-3}, {random({2, 3, 4})}, "layer norm", open);
      expect_same(primitive::BatchNorm{1e-3},
                  {random({2, 3, 4}), random({3}), random({3}), random({3}), random({3}).abs()}, "batch norm", open);
      for (const bool tanh : {false, true}) expect_same(primitive::Gelu{tanh}, {random({2, 3})}, "gelu", open);
    }
  }
}

TEST(OnnxOperations, Recurrent) {
  using primitive::Recurrent;
  for (const bool lstm : {true, false}) {
    const std::int64_t rows = 5 * (lstm ? 4 : 3);
    std::vector<at::Tensor> inputs = {at::randn({4, 2, 3}), at::randn({rows, 3}), at::randn({rows, 5}),
                                      at::randn({rows}),    at::randn({rows}),    at::randn({2, 5})};
    if (lstm) inputs.push_back(at::randn({2, 5}));
    for (const bool reverse : {false, true}) {
      expect_same(Recurrent{lstm ? Recurrent::Kind::kLstm : Recurrent::Kind::kGru, reverse}, inputs, "recurrent");
    }
  }
}

// Two inputs and parameters of several types, one of them not in row-major order, and names that clash.
PrimitiveProgram small(const std::string& input = "x", const std::string& output = "y") {
  PrimitiveBuilder builder;
  const ValueId x = builder.input(input, {ElementType::kFloat, {std::string("s7"), std::int64_t{3}}});
  const ValueId z = builder.input("z", {ElementType::kInt64, {std::string("s7")}});
  const at::Tensor weight = at::randn({3, 4}).t();
  const at::Tensor table = at::randn({5, 4}, at::kDouble);
  const ValueId w = builder.state({"fc.weight", "again.weight"}, described(weight), true);
  const ValueId t = builder.state({"x"}, described(table), true);
  const ValueId rows = builder.add(primitive::Linear{}, {x, w})[0];
  const ValueId found = builder.add(primitive::Gather{0}, {t, z})[0];
  const ValueId narrow = builder.add(primitive::Cast{ElementType::kFloat}, {found})[0];
  const ValueId sum = builder.add(Binary{Binary::Kind::kAdd}, {rows, narrow})[0];
  builder.output(output, sum);
  builder.output("twice", sum);
  builder.output("given", z);
  builder.output("table", t);
  return {std::move(builder).finish(), {weight, table}};
}

std::vector<at::Tensor> small_inputs() { return {at::randn({2, 3}), at::tensor(std::vector<std::int64_t>{4, 0})}; }

std::vector<at::Tensor> run(const OnnxModel& model, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> state;
  for (const PrimitiveState& each : model.graph().state) {
    const PrimitiveValue& value = model.graph().values.at(each.value.index);
    std::vector<std::int64_t> sizes;
    for (const Dimension& size : value.sizes) sizes.push_back(std::get<std::int64_t>(size));
    state.push_back(at::empty(sizes, scalar_type_from_archive(static_cast<int>(value.type))));
    model.read(each, std::span(static_cast<std::byte*>(state.back().mutable_data_ptr()), state.back().nbytes()));
  }
  return PrimitiveInterpreter(model.graph(), state).run(inputs);
}

void expect_same(const OnnxModel& model, const PrimitiveProgram& program) {
  const std::vector<at::Tensor> inputs = small_inputs();
  std::vector<at::Tensor> state;  // in the order in which it is read: matrix products of other orders round otherwise
  for (const at::Tensor& tensor : program.state) state.push_back(tensor.contiguous());
  const auto expected = PrimitiveInterpreter(program.graph, state).run(inputs);
  const auto found = run(model, inputs);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected[i])) << i;
}

TEST(OnnxModel, KeepsValuesNamesAndWhatIsSaidOfIt) {
  for (const std::uint64_t most_inline : {kMostOnnxInline, std::uint64_t{0}}) {
    const TemporaryDirectory directory;
    const PrimitiveProgram program = small();
    const fs::path path = directory / "model.onnx";
    write_onnx(program.graph, program.views(), path, {.metadata = {{"step", "7"}}, .most_inline = most_inline});
    EXPECT_EQ(fs::exists(directory / "model.onnx.data"), most_inline == 0);
    const OnnxModel model(path);
    expect_same(model, program);
    EXPECT_EQ(model.metadata().at("step"), "7");
    std::vector<std::string> names;
    for (const PrimitiveInterface& input : model.graph().inputs) names.push_back(input.name);
    for (const PrimitiveInterface& output : model.graph().outputs) names.push_back(output.name);
    EXPECT_EQ(names, (std::vector<std::string>{"x", "z", "y", "twice", "given", "table"}));
    EXPECT_EQ(model.graph().state.at(0).names, (std::vector<std::string>{"fc.weight", "again.weight"}));
    EXPECT_EQ(model.graph().state.at(1).names, (std::vector<std::string>{"x_1", "x"}));  // the input has that name
    const PrimitiveValue& x = model.graph().values.at(model.graph().inputs[0].value.index);
    EXPECT_EQ(x.sizes, (std::vector<Dimension>{std::string("batch"), std::int64_t{3}}));
  }
}

TEST(OnnxModel, AnOutputHasNotTheNameOfAnInput) {
  const TemporaryDirectory directory;
  const PrimitiveProgram program = small("same", "same");
  write_onnx(program.graph, program.views(), directory / "m.onnx");
  const OnnxModel model(directory / "m.onnx");
  EXPECT_EQ(model.graph().inputs[0].name, "same");
  EXPECT_EQ(model.graph().outputs[0].name, "same_1");
  expect_same(model, program);
}

TEST(OnnxModel, NoticesFlippedBytesAndMissingFiles) {
  for (const std::uint64_t most_inline : {kMostOnnxInline, std::uint64_t{0}}) {
    const TemporaryDirectory directory;
    const PrimitiveProgram program = small();
    write_onnx(program.graph, program.views(), directory / "m.onnx", {.metadata = {}, .most_inline = most_inline});
    for (const char* name : {"m.onnx", "m.onnx.data"}) {
      const fs::path path = directory / name;
      if (!fs::exists(path)) continue;
      const std::string good = read_file(path, 1 << 20);
      const auto write = [&](const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; };
      const std::size_t step = good.size() > 4096 ? 61 : 1;  // most of the data is filled up to pages
      for (std::size_t i = 0; i < good.size(); i += step) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
        write(bad);
        EXPECT_ERROR(OnnxModel(directory / "m.onnx"), InputError, name, "damaged");
      }
      for (const std::size_t length : {std::size_t{0}, std::size_t{1}, good.size() / 2, good.size() - 1}) {
        write(good.substr(0, length));
        EXPECT_ERROR(OnnxModel(directory / "m.onnx"), InputError, name, "damaged");
      }
      fs::remove(path);
      EXPECT_ERROR(OnnxModel(directory / "m.onnx"), InputError, name);
      write(good);
    }
    EXPECT_NO_THROW(OnnxModel(directory / "m.onnx"));
  }
}

TEST(OnnxModel, AnotherModelsDataDoesNotBelongToIt) {
  const TemporaryDirectory directory;
  for (const char* name : {"a.onnx", "b.onnx"}) {
    const PrimitiveProgram program = small();
    write_onnx(program.graph, program.views(), directory / name, {.metadata = {}, .most_inline = 0});
  }
  fs::copy_file(directory / "a.onnx.data", directory / "b.onnx.data", fs::copy_options::overwrite_existing);
  EXPECT_ERROR(OnnxModel(directory / "b.onnx"), InputError, "b.onnx.data", "does not belong to");
}

Program inference(const Program& program) { return program.with_graph(eval_form(program.graph())); }

TEST(OnnxArtifact, ComputesWhatOperatorsCompute) {
  for (const PrimitiveCase& each : all_primitive_cases()) {
    const auto probes = make_probes(each.program, each.batches);
    EXPECT_NO_THROW(OnnxArtifact().check(each.program, probes)) << each.name;
    PrimitiveProgram plain{as_onnx(lower_to_primitives(each.program.graph())), {}};  // not simplified
    plain.state = primitive_state(plain.graph, each.program);
    EXPECT_EQ(difference(make_model(std::move(plain)), probes), "") << each.name;
  }
}

TEST(OnnxArtifact, ComputesWhatRandomProgramsCompute) {
  const std::uint64_t count = soaking() ? 5000 : 100;
  for (std::uint64_t seed = 0; seed < count; ++seed) {
    const PrimitiveCase drawn = random_primitive_case(seed);
    EXPECT_NO_THROW(OnnxArtifact().check(drawn.program, make_probes(drawn.program, drawn.batches))) << seed;
  }
}

TEST(OnnxArtifact, ComputesWhatTheProgramComputes) {
  const std::vector<Program> programs = {
      inference(build_builtin_program("cnn", {.input_shape = {1, 8, 8}, .classes = 3, .channels = {4}, .hidden = {5}})),
      inference(build_builtin_program("mlp", {.input_shape = {1, 8, 8}, .classes = 3, .hidden = {5}}))};
  for (const Program& original : programs) {
    for (const Program& program : {original, original.to(at::kDouble)}) {
      const auto type = scalar_type_from_archive(program.graph().scalar_type("x"));
      std::vector<Probe::Inputs> batches;
      for (const std::int64_t batch : {1, 2, 7}) batches.push_back({at::randn({batch, 1, 8, 8}, type)});
      const auto probes = make_probes(program, batches);
      const TemporaryDirectory directory;
      for (const std::uint64_t most_inline : {kMostOnnxInline, std::uint64_t{0}}) {
        const OnnxArtifact artifact({}, most_inline);
        EXPECT_NO_THROW(artifact.check(program, probes));
        artifact.write(program, directory.path());
        EXPECT_EQ(difference(artifact.read_back(program, directory.path()), probes), "");
      }
    }
  }
}

TEST(OnnxArtifact, IsRefusedBeforehandWhenItWouldComputeSomethingElse) {
  const Program program = inference(build_builtin_program("mlp", {.input_shape = {3}, .classes = 2, .hidden = {2}}));
  auto probes = make_probes(program, {Probe::Inputs{at::randn({2, 3})}});
  probes[0].outputs[0] = probes[0].outputs[0] + 1.0;
  EXPECT_ERROR(OnnxArtifact().check(program, probes), InputError, "would not compute", "differs by up to 1",
               "Leave onnx out");
}

TEST(OnnxArtifact, RefusesByOperatorAndSourceLine) {
  Program program = inference(build_builtin_program("mlp", {.input_shape = {3}, .classes = 2, .hidden = {2}}));
  Graph graph = program.graph();
  for (Node& node : graph.nodes) {
    if (node.target.find("relu") == std::string::npos) continue;
    node.target = "torch.ops.aten.lgamma.default";
    node.metadata["stack_trace"] = "  File \"net.py\", line 12, in forward\n    x = x.lgamma()\n";
  }
  EXPECT_ERROR(OnnxArtifact().check(program.with_graph(graph), {}), InputError, "torch.ops.aten.lgamma.default",
               "net.py", "line 12", "ONNX", "Leave onnx out of the hyperparameter export");
}

}  // namespace
}  // namespace lockstep

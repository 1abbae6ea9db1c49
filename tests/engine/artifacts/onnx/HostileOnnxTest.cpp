// ONNX models that were changed at random, with checksums that fit: each is refused, or read. `make soak` tries many.
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <random>

#include "common/Crc32c.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/artifacts/onnx/OnnxModel.h"
#include "engine/artifacts/onnx/onnx.pb.h"
#include "engine/artifacts/primitives/PrimitiveBuilder.h"
#include "tests/support/HostileCases.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Random = std::mt19937_64;

PrimitiveValue value(std::vector<Dimension> sizes, ElementType type = ElementType::kFloat) {
  return {type, std::move(sizes)};
}

// A graph that has most of what a reader looks at.
PrimitiveGraph graph() {
  using namespace primitive;
  PrimitiveBuilder b;
  const ValueId x = b.input("x", value({std::string("s0"), 4L, 6L, 6L}));
  const ValueId ids = b.input("ids", value({std::string("s0"), std::string("s1")}, ElementType::kInt64));
  const ValueId kernel = b.state({"conv.weight"}, value({4L, 2L, 3L, 3L}), true);
  const ValueId scale = b.state({"norm.weight"}, value({6L}), true);
  const ValueId table = b.state({"embed.weight"}, value({7L, 6L}), true);
  const Window window{{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
  ValueId y = b.add(Convolution{window, 2}, {x, kernel})[0];
  y = b.add(MaxPool{window}, {y})[0];
  y = b.add(Resize{Resize::Kind::kLinear, false, {6L, 6L}}, {y})[0];
  y = b.add(LayerNorm{1, 1e-5}, {y, scale, scale})[0];
  y = b.add(Gelu{true}, {y})[0];
  y = b.add(Pad{{0, 0, 1, 0}, {0, 0, 0, 1}, -1.5}, {y})[0];
  y = b.add(Slice{2, 1L, INT64_MAX, 2}, {y})[0];
  y = b.add(Reverse{3}, {y})[0];
  y = b.add(Reduce{Reduce::Kind::kMean, {2, 3}, false}, {y})[0];
  b.output("y", y);
  ValueId z = b.add(Gather{0}, {table, ids})[0];
  const Integer rows = b.size(ids, 0);
  const Integer length = b.size(ids, 1);
  z = b.add(Reshape{{rows, length, 2L, 3L}}, {z})[0];
  z = b.add(Transpose{{0, 2, 1, 3}}, {z})[0];
  z = b.add(MatrixMultiply{true}, {z, z})[0];
  const ValueId zero = b.scalar(0L);
  const ValueId range = b.add(Range{}, {zero, b.scalar(length), b.scalar(1L)})[0];
  const ValueId row = b.add(Unsqueeze{{0}}, {range})[0];
  const ValueId column = b.add(Unsqueeze{{1}}, {range})[0];
  const ValueId mask = b.add(Binary{Binary::Kind::kLessEqual}, {row, column})[0];
  const ValueId whole = b.add(Broadcast{{rows, 2L, length, length}}, {mask})[0];
  z = b.add(Select{}, {whole, z, b.add(Unary{Unary::Kind::kNegative}, {z})[0]})[0];
  z = b.add(Softmax{3, false}, {z})[0];
  const std::vector<ValueId> top = b.add(TopK{1L, 3, true}, {z});
  b.output("top", top[0]);
  b.output("at", top[1]);
  return std::move(b).finish();
}

std::string written(const fs::path& directory) {
  std::vector<std::vector<float>> memory;
  std::vector<TensorView> views;
  const PrimitiveGraph made = graph();
  for (const PrimitiveState& state : made.state) {
    TensorView view{ElementType::kFloat, {}, {}, nullptr};
    std::int64_t count = 1;
    for (const Dimension& size : made.values[state.value.index].sizes)
      view.sizes.push_back(std::get<std::int64_t>(size));
    view.strides.resize(view.sizes.size());
    for (std::size_t i = view.sizes.size(); i-- > 0;) {
      view.strides[i] = count;
      count *= view.sizes[i];
    }
    memory.emplace_back(static_cast<std::size_t>(count), 0.5F);
    view.data = reinterpret_cast<const std::byte*>(memory.back().data());
    views.push_back(view);
  }
  write_onnx(made, views, directory / "base.onnx");
  return read_file(directory / "base.onnx", 1 << 20);
}

constexpr std::size_t kEnd = 20;  // the property with the checksum

std::string with_checksum(const std::string& body, const std::string& end) {
  const auto sum = crc32c(std::as_bytes(std::span(body)));
  return body + end.substr(0, end.size() - 8) + format("%08x", sum);
}

template <typename Repeated>
auto& any(Repeated& all, Random& random) {
  return *all.Mutable(static_cast<int>(random() % static_cast<std::size_t>(all.size())));
}

std::int64_t odd_number(Random& random) {
  constexpr std::int64_t kNumbers[] = {0, 1, -1, 2, 3, 7, 1 << 20, INT64_MAX, INT64_MIN, std::int64_t{1} << 40};
  return kNumbers[random() % std::size(kNumbers)];
}

void change_attribute(onnx::AttributeProto& attribute, Random& random) {
  if (attribute.ints_size() > 0 && random() % 2 == 0) {
    attribute.set_ints(static_cast<int>(random() % static_cast<std::size_t>(attribute.ints_size())),
                       odd_number(random));
  } else if (attribute.has_t()) {
    onnx::TensorProto& tensor = *attribute.mutable_t();
    std::string& bytes = *tensor.mutable_raw_data();
    switch (random() % 4) {
      case 0:
        tensor.set_data_type(static_cast<int>(random() % 18));
        break;
      case 1:
        tensor.add_dims(odd_number(random));
        break;
      case 2:
        if (!bytes.empty()) bytes[random() % bytes.size()] = static_cast<char>(random());
        break;
      default:
        bytes.resize(random() % 24);
    }
  } else {
    attribute.set_i(odd_number(random));
  }
}

void change(onnx::GraphProto& graph, Random& random) {
  onnx::NodeProto& node = any(*graph.mutable_node(), random);
  onnx::NodeProto& other = any(*graph.mutable_node(), random);
  switch (random() % 9) {
    case 0:
      if (node.input_size() > 0 && other.output_size() > 0) any(*node.mutable_input(), random) = other.output(0);
      break;
    case 1:
      node.set_op_type(other.op_type());
      break;
    case 2:
      if (node.attribute_size() > 0) change_attribute(any(*node.mutable_attribute(), random), random);
      break;
    case 3:
      if (node.input_size() > 0) node.mutable_input()->RemoveLast();
      break;
    case 4:
      node.mutable_attribute()->CopyFrom(other.attribute());
      break;
    case 5:
      graph.mutable_node()->SwapElements(static_cast<int>(random() % static_cast<std::size_t>(graph.node_size())), 0);
      break;
    case 6:
      any(*graph.mutable_input(), random)
          .mutable_type()
          ->mutable_tensor_type()
          ->mutable_shape()
          ->add_dim()
          ->set_dim_value(odd_number(random));
      break;
    case 7:
      any(*graph.mutable_initializer(), random).add_dims(odd_number(random));
      break;
    default:
      any(*graph.mutable_output(), random).set_name(node.name());
  }
}

TEST(HostileOnnx, IsRefusedOrRead) {
  const TemporaryDirectory directory;
  const std::string good = written(directory.path());
  const std::string body = good.substr(0, good.size() - kEnd);
  const std::string end = good.substr(body.size());
  ASSERT_EQ(with_checksum(body, end), good);
  const int count = soaking() ? 200'000 : 3000;
  const auto changed = [&](int i) {
    Random random(static_cast<std::uint64_t>(i));
    if (i % 2 == 0) {  // bytes
      std::string bytes = body;
      for (std::uint64_t n = 1 + random() % 4; n-- > 0;) bytes[random() % bytes.size()] = static_cast<char>(random());
      return bytes;
    }
    onnx::ModelProto model;
    model.ParseFromString(body);
    for (std::uint64_t n = 1 + random() % 3; n-- > 0;) change(*model.mutable_graph(), random);
    return model.SerializeAsString();
  };
  const CaseResults results = run_hostile_cases(
      count,
      [&](int i) {
        const fs::path path = directory / "changed.onnx";
        std::ofstream(path, std::ios::binary | std::ios::trunc) << with_checksum(changed(i), end);
        const OnnxModel model(path);
        std::vector<std::byte> bytes;
        for (const PrimitiveState& state : model.graph().state) {
          std::size_t size = sizeof(float);
          for (const Dimension& each : model.graph().values[state.value.index].sizes) {
            size *= static_cast<std::size_t>(std::get<std::int64_t>(each));
          }
          if (model.graph().values[state.value.index].type != ElementType::kFloat) continue;
          bytes.resize(size);
          model.read(state, bytes);
        }
      },
      [](int i) { return "seed " + std::to_string(i); });
  std::cout << results.accepted << " were read, " << results.refused << " refused\n";
  EXPECT_GT(results.accepted, count / 50);
  EXPECT_GT(results.refused, count / 4);
  for (const std::string& failure : results.failures) ADD_FAILURE() << failure;
}

}  // namespace
}  // namespace lockstep

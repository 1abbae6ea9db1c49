// Writing an ONNX model takes no copy of its parameters. `make soak` writes more than a message of ONNX can hold.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/artifacts/onnx/OnnxModel.h"
#include "engine/artifacts/primitives/PrimitiveBuilder.h"
#include "tests/support/PeakMemory.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

TEST(WriteOnnx, CopiesNoParameters) {
  const std::int64_t rows = soaking() ? 100'000 : 3'000;
  constexpr std::int64_t kColumns = 3'200;
  const std::vector<float> values(static_cast<std::size_t>(rows * kColumns), 0.25F);
  const auto* data = reinterpret_cast<const std::byte*>(values.data());
  PrimitiveBuilder builder;
  const ValueId x = builder.input("x", {ElementType::kFloat, {std::string("s0"), kColumns}});
  const ValueId w = builder.state({"w"}, {ElementType::kFloat, {rows, kColumns}}, true);
  const ValueId back = builder.state({"back"}, {ElementType::kFloat, {kColumns, rows}}, true);
  const ValueId y = builder.add(primitive::Linear{}, {x, w})[0];
  builder.output("y", builder.add(primitive::Linear{}, {y, back})[0]);
  const PrimitiveGraph graph = std::move(builder).finish();
  const std::vector<TensorView> views = {{ElementType::kFloat, {rows, kColumns}, {kColumns, 1}, data},
                                         {ElementType::kFloat, {kColumns, rows}, {1, kColumns}, data}};
  constexpr std::uint64_t kMost = 16 << 20;
  const TemporaryDirectory directory;
  const std::uint64_t bytes = views[0].bytes() + views[1].bytes();
  for (const std::uint64_t most_inline : {std::uint64_t{0}, kMostOnnxInline}) {
    if (bytes > (std::uint64_t{1} << 31) && most_inline > 0) continue;
    const std::uint64_t taken = peak_memory(
        [&] { write_onnx(graph, views, directory / "m.onnx", {.metadata = {}, .most_inline = most_inline}); });
    EXPECT_LT(taken, kMost);
    EXPECT_GE(std::filesystem::file_size(directory / (most_inline > 0 ? "m.onnx" : "m.onnx.data")), bytes);
  }
  std::vector<std::byte> read(views[1].bytes());
  const OnnxModel model(directory / "m.onnx");
  model.read(model.graph().state.at(1), read);
  EXPECT_EQ(reinterpret_cast<const float*>(read.data())[read.size() / sizeof(float) - 1], 0.25F);
}

}  // namespace
}  // namespace lockstep

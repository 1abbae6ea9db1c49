// An ONNX model: `model.onnx`, and beside it `model.onnx.data` where it is large.
//
// Source: onnx.proto, Operators.md and ExternalData.md of ONNX 1.16 to 1.23. No torch, and no protobuf in this header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/artifacts/TensorView.h"
#include "engine/artifacts/onnx/OnnxRefusal.h"
#include "engine/artifacts/primitives/PrimitiveGraph.h"
#include "engine/files/PlainFile.h"

namespace lockstep {

/// 20: the first with Gelu. ONNX Runtime reads it from 1.17 on; nothing that is newer in ONNX is needed.
constexpr std::int64_t kOnnxOpset = 20;
/// The version of the format that came with that operator set.
constexpr std::int64_t kOnnxIrVersion = 9;
/// Larger parameters lie in a file of their own: a message has at most 2 GiB.
constexpr std::uint64_t kMostOnnxInline = std::uint64_t{1} << 30;

struct OnnxOptions {
  std::map<std::string, std::string> metadata;  ///< what the model says of itself, beside what we say of it
  std::uint64_t most_inline = kMostOnnxInline;  ///< bytes of all parameters together
};

/// Writes `path`, and `path`.data where it is needed. `values`: one for each of the graph's state, of its type and
/// sizes; they are streamed, none is copied whole. Throws OnnxRefusal for an operation that ONNX does not have, and
/// SystemError.
void write_onnx(const PrimitiveGraph& graph, const std::vector<TensorView>& values, const std::filesystem::path& path,
                const OnnxOptions& options = {});

/// The graph as an ONNX model holds it: what reading gives that was written, without values. Of its state it has what
/// its nodes read, under the names that it had. Throws OnnxRefusal.
PrimitiveGraph as_onnx(const PrimitiveGraph& graph);

/// A model that write_onnx wrote.
class OnnxModel {
 public:
  /// Throws InputError, naming the file, when one is missing or damaged, or holds anything but what write_onnx writes.
  explicit OnnxModel(const std::filesystem::path& path);

  const PrimitiveGraph& graph() const { return graph_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Fills `bytes`, which are as many as its sizes say, with the value of one of the graph's state.
  void read(const PrimitiveState& state, std::span<std::byte> bytes) const;

 private:
  /// Where a value is.
  struct Place {
    std::string bytes;         ///< in memory, or
    std::uint64_t offset = 0;  ///< in the file beside
  };

  PrimitiveGraph graph_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Place> places_;  // by the first name of a state
  std::optional<PlainFile> data_;
};

}  // namespace lockstep

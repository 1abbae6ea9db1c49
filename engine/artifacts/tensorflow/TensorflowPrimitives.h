// What TensorFlow runs in place of each primitive operation: one function for each but those that it has no operator
// for, which TensorflowWriter takes apart beforehand.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/artifacts/tensorflow/TensorflowWriter.h"

namespace lockstep {

/// One node of a graph that is being written: its inputs and outputs in TensorFlow's terms.
class PrimitiveCall {
 public:
  PrimitiveCall(TensorflowWriter& writer, const PrimitiveNode& node) : writer_(writer), node_(node) {}

  TensorflowBuilder& builder() { return writer_.builder(); }
  std::size_t inputs() const { return node_.inputs.size(); }
  TensorflowValue input(std::size_t i) { return writer_.value(node_.inputs.at(i)); }
  TensorflowValue input(std::size_t i, const Ints& axes) { return writer_.value(node_.inputs.at(i), axes); }
  /// Types and sizes, in the program's order.
  const PrimitiveValue& in(std::size_t i) const { return writer_.graph().values.at(node_.inputs.at(i).index); }
  const PrimitiveValue& out(std::size_t i = 0) const { return writer_.graph().values.at(node_.outputs.at(i).index); }
  TensorflowInteger integer(const Integer& integer);
  std::vector<TensorflowInteger> integers(const Integers& integers);
  /// An output: its type and sizes are those that the graph states.
  void bind(TensorflowValue value, std::size_t i = 0) { writer_.bind(node_.outputs.at(i), std::move(value)); }
  const PrimitiveNode& node() const { return node_; }
  TensorflowWriter& writer() const { return writer_; }
  [[noreturn]] void refuse(const std::string& why) const { writer_.refuse(node_, why); }

 private:
  TensorflowWriter& writer_;
  const PrimitiveNode& node_;
};

void write_primitive(PrimitiveCall& call, const primitive::Unary& operation);
void write_primitive(PrimitiveCall& call, const primitive::Binary& operation);
void write_primitive(PrimitiveCall& call, const primitive::Select& operation);
void write_primitive(PrimitiveCall& call, const primitive::Cast& operation);
void write_primitive(PrimitiveCall& call, const primitive::Constant& operation);
void write_primitive(PrimitiveCall& call, const primitive::Size& operation);
void write_primitive(PrimitiveCall& call, const primitive::Range& operation);
void write_primitive(PrimitiveCall& call, const primitive::Reshape& operation);
void write_primitive(PrimitiveCall& call, const primitive::Unsqueeze& operation);
void write_primitive(PrimitiveCall& call, const primitive::Squeeze& operation);
void write_primitive(PrimitiveCall& call, const primitive::Broadcast& operation);
void write_primitive(PrimitiveCall& call, const primitive::Transpose& operation);
void write_primitive(PrimitiveCall& call, const primitive::Slice& operation);
void write_primitive(PrimitiveCall& call, const primitive::Reverse& operation);
void write_primitive(PrimitiveCall& call, const primitive::Concatenate& operation);
void write_primitive(PrimitiveCall& call, const primitive::Pad& operation);
void write_primitive(PrimitiveCall& call, const primitive::Gather& operation);
void write_primitive(PrimitiveCall& call, const primitive::GatherElements& operation);
void write_primitive(PrimitiveCall& call, const primitive::MatrixMultiply& operation);
void write_primitive(PrimitiveCall& call, const primitive::Linear& operation);
void write_primitive(PrimitiveCall& call, const primitive::Convolution& operation);
void write_primitive(PrimitiveCall& call, const primitive::TransposedConvolution& operation);
void write_primitive(PrimitiveCall& call, const primitive::MaxPool& operation);
void write_primitive(PrimitiveCall& call, const primitive::AveragePool& operation);
void write_primitive(PrimitiveCall& call, const primitive::Resize& operation);
void write_primitive(PrimitiveCall& call, const primitive::Reduce& operation);
void write_primitive(PrimitiveCall& call, const primitive::ArgReduce& operation);
void write_primitive(PrimitiveCall& call, const primitive::CumulativeSum& operation);
void write_primitive(PrimitiveCall& call, const primitive::TopK& operation);
void write_primitive(PrimitiveCall& call, const primitive::Softmax& operation);
void write_primitive(PrimitiveCall& call, const primitive::BatchNorm& operation);
void write_primitive(PrimitiveCall& call, const primitive::Recurrent& operation);

/// Whether TensorFlow has one operator for it; else its times are written one after another.
bool has_recurrent_operator(const primitive::Recurrent& operation, ElementType type);

}  // namespace lockstep

// A program in its inference form as primitive operations: what every artifact format writes. Values only: no torch, no
// protobuf.
//
// A lowering makes one from a graph of ATen operators, an interpreter runs it, each format says how it writes one of
// the operations below, and its reader says which of them the written ones are. So an operator of programs is added
// once for all formats, and a format once for all operators.
//
// Tensors have the dimensions that the program gives them: images are NCHW. Broadcasting is numpy's. Types are never
// converted but by Cast.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/artifacts/TensorView.h"
#include "engine/program/Graph.h"

namespace lockstep {

using Ints = std::vector<std::int64_t>;

/// A value of a PrimitiveGraph: its place among `values`.
struct ValueId {
  std::size_t index = 0;
  bool operator==(const ValueId&) const = default;
  bool operator<(const ValueId& other) const { return index < other.index; }
};

/// An integer that an operation is told: known beforehand, or a scalar of type int64 that the graph computes.
using Integer = std::variant<std::int64_t, ValueId>;
using Integers = std::vector<Integer>;

namespace primitive {

/// Elementwise, of one input.
struct Unary {
  enum class Kind {
    kNegative,
    kAbsolute,
    kSign,
    kReciprocal,
    kExp,
    kExpm1,  ///< exp(x) - 1
    kLog,
    kLog1p,  ///< log(1 + x)
    kSqrt,
    kRsqrt,
    kSin,
    kCos,
    kErf,
    kTanh,
    kSigmoid,
    kRelu,
    kSoftplus,  ///< softplus: log(1 + exp(x))
    kFloor,
    kCeil,
    kRound,  ///< round: halves to the even number
    kNot,
    kIsNan,  ///< of and to bool
  } kind;
  bool operator==(const Unary&) const = default;
};

/// Elementwise, of two inputs of the same type, which are broadcast.
struct Binary {
  enum class Kind {
    kAdd,
    kSubtract,
    kMultiply,
    kPower,
    kDivide,  ///< floating-point numbers
    kFloorDivide,
    kRemainder,  ///< integers and floating-point numbers; a remainder has the sign of the divisor
    kMaximum,
    kMinimum,  ///< NaN when either is
    kEqual,
    kLess,
    kLessEqual,  ///< to bool
    kAnd,
    kOr,  ///< of bool
  } kind;
  bool operator==(const Binary&) const = default;
};

/// condition (bool), a, b → a where the condition holds, b elsewhere; broadcast.
struct Select {
  bool operator==(const Select&) const = default;
};
/// To another type. To bool: whether it is not zero. From floating point to integers: toward zero.
struct Cast {
  ElementType type;
  bool operator==(const Cast&) const = default;
};
/// No input.
struct Constant {
  ElementType type;
  Ints sizes;
  std::string bytes;  ///< row-major, little-endian
  bool operator==(const Constant&) const = default;
};
/// The size of a dimension as an int64 scalar.
struct Size {
  std::size_t dim;
  bool operator==(const Size&) const = default;
};
/// start, limit, step (int64 scalars) → int64 [n]: start, start + step, … before limit.
struct Range {
  bool operator==(const Range&) const = default;
};

/// One size at most may be -1: what is left. None is 0 for "as before".
struct Reshape {
  Integers sizes;
  bool operator==(const Reshape&) const = default;
};
/// New dimensions of size 1: `dims`, ascending, are theirs in the output.
struct Unsqueeze {
  Ints dims;
  bool operator==(const Unsqueeze&) const = default;
};
/// Dimensions of size 1, ascending, go.
struct Squeeze {
  Ints dims;
  bool operator==(const Squeeze&) const = default;
};
/// To larger sizes, by repeating dimensions of size 1 and adding dimensions in front.
struct Broadcast {
  Integers sizes;
  bool operator==(const Broadcast&) const = default;
};
/// Dimension i of the output is dimension axes[i] of the input.
struct Transpose {
  Ints axes;
  bool operator==(const Transpose&) const = default;
};
/// Of one dimension, from start to before end. Negative ones count from the end; both are clamped. step > 0.
struct Slice {
  std::size_t dim;
  Integer start;
  Integer end;  ///< INT64_MAX: to the end
  std::int64_t step = 1;
  bool operator==(const Slice&) const = default;
};
struct Reverse {
  std::size_t dim;
  bool operator==(const Reverse&) const = default;
};
/// Of one input or more.
struct Concatenate {
  std::size_t dim;
  bool operator==(const Concatenate&) const = default;
};
/// With a number, before and after each dimension; none is negative.
struct Pad {
  Ints before;
  Ints after;
  double value = 0;
  bool operator==(const Pad&) const = default;
};
/// x, indices (int64, from 0 to the dimension's size) → x's dimension `dim` replaced by the dimensions of indices.
struct Gather {
  std::size_t dim;
  bool operator==(const Gather&) const = default;
};
/// x, indices (int64, of x's rank) → at each place of indices, x at that place but for `dim`, where the index stands.
struct GatherElements {
  std::size_t dim;
  bool operator==(const GatherElements&) const = default;
};

/// a [..., n, k], b [..., k, m], or [..., m, k] when it is transposed → [..., n, m]; what stands in front is broadcast.
struct MatrixMultiply {
  bool transpose_second = false;
  bool operator==(const MatrixMultiply&) const = default;
};
/// x [..., in], weight [out, in], perhaps bias [out] → x · weightᵀ + bias. x has two dimensions or more.
struct Linear {
  bool operator==(const Linear&) const = default;
};

/// Of one number for each spatial dimension: one to three of them.
struct Window {
  Ints size;
  Ints stride;
  Ints before;  ///< padding
  Ints after;
  Ints dilation;
  bool operator==(const Window&) const = default;
};
/// x [batch, in, ...], weight [out, in ÷ groups, ...], perhaps bias [out]. window.size is that of the weight.
struct Convolution {
  Window window;
  std::int64_t groups = 1;
  bool operator==(const Convolution&) const = default;
};
/// x [batch, in, ...], weight [in, out ÷ groups, ...], perhaps bias [out]. Output: (n - 1) · stride - before - after +
/// dilation · (size - 1) + 1 + output_padding.
struct TransposedConvolution {
  Window window;
  Ints output_padding;
  std::int64_t groups = 1;
  bool operator==(const TransposedConvolution&) const = default;
};
/// Padding counts as -∞.
struct MaxPool {
  Window window;
  bool operator==(const MaxPool&) const = default;
};
/// A mean over the window; without count_padding, over those of its numbers that are x's.
struct AveragePool {
  Window window;
  bool count_padding = true;
  bool operator==(const AveragePool&) const = default;
};
/// x [batch, channels, ...] to other spatial sizes.
struct Resize {
  enum class Kind { kNearest, kLinear } kind;  ///< nearest: the pixel at floor(i · in ÷ out)
  bool align_corners = false;                  ///< linear: otherwise centres of pixels are at halves
  Integers sizes;                              ///< spatial ones
  bool operator==(const Resize&) const = default;
};

struct Reduce {
  enum class Kind { kSum, kMean, kMax, kMin, kProduct, kAny, kAll } kind;
  Ints dims;  ///< ascending, at least one
  bool keep = false;
  bool operator==(const Reduce&) const = default;
};
/// To int64: where the largest (smallest) element is, the first of equals.
struct ArgReduce {
  bool largest = true;
  std::size_t dim;
  bool keep = false;
  bool operator==(const ArgReduce&) const = default;
};
struct CumulativeSum {
  std::size_t dim;
  bool operator==(const CumulativeSum&) const = default;
};
/// → the k largest (smallest) elements of the dimension, in order, and their indices (int64); of equals the first comes
/// first.
struct TopK {
  Integer k;
  std::size_t dim;
  bool largest = true;
  bool operator==(const TopK&) const = default;
};
struct Softmax {
  std::size_t dim;
  bool logarithm = false;
  bool operator==(const Softmax&) const = default;
};

// Compositions of the above which some reader has one operation for. `decompose` says what they are.

/// x [batch, channels, ...], scale, offset, mean, variance [channels] → (x - mean) ÷ √(variance + ε) · scale + offset.
struct BatchNorm {
  double epsilon;
  bool operator==(const BatchNorm&) const = default;
};
/// Over the last dimensions, those of scale: x, perhaps scale, perhaps scale and offset.
struct LayerNorm {
  std::size_t dims;
  double epsilon;
  bool operator==(const LayerNorm&) const = default;
};
/// x · Φ(x); tanh: its approximation.
struct Gelu {
  bool tanh = false;
  bool operator==(const Gelu&) const = default;
};

/// A recurrent layer in one direction, as torch.nn.LSTM and torch.nn.GRU compute it, with their order of gates: x
/// [time, batch, in], weights [gates · width, in] and [gates · width, width], biases [gates · width] of the input and
/// of the state, first state [batch, width], and for LSTM first cell [batch, width] → all states [time, batch, width],
/// the last state, and for LSTM the last cell. LSTM, gates i f g o: c = σ(f) · c + σ(i) · tanh(g), h = σ(o) · tanh(c).
/// GRU, gates r z n: n = tanh(x_n + r · h_n) where h_n has its bias, h = (1 - z) · n + z · h.
struct Recurrent {
  enum class Kind { kLstm, kGru } kind;
  bool reverse = false;  ///< from the last time to the first; states stand at the times that they are of
  bool operator==(const Recurrent&) const = default;
};

using Operation = std::variant<Unary, Binary, Select, Cast, Constant, Size, Range, Reshape, Unsqueeze, Squeeze,
                               Broadcast, Transpose, Slice, Reverse, Concatenate, Pad, Gather, GatherElements,
                               MatrixMultiply, Linear, Convolution, TransposedConvolution, MaxPool, AveragePool, Resize,
                               Reduce, ArgReduce, CumulativeSum, TopK, Softmax, BatchNorm, LayerNorm, Gelu, Recurrent>;

}  // namespace primitive

struct PrimitiveValue {
  ElementType type = ElementType::kFloat;
  std::vector<Dimension> sizes;  ///< a text is a size that is only known at run time: the same text, the same size
};

struct PrimitiveNode {
  primitive::Operation operation;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::size_t origin = 0;  ///< the node of the program that it comes from, for messages
};

/// A parameter, buffer or constant of the program that the graph reads.
struct PrimitiveState {
  std::vector<std::string> names;  ///< dotted; more than one when parameters are tied
  ValueId value;
  bool trainable = true;
};

struct PrimitiveInterface {
  std::string name;  ///< what callers say
  ValueId value;
};

struct PrimitiveGraph {
  std::vector<PrimitiveValue> values;
  std::vector<PrimitiveInterface> inputs;  ///< in the order of the program's
  std::vector<PrimitiveState> state;
  std::vector<PrimitiveNode> nodes;  ///< every node after those that it reads
  std::vector<PrimitiveInterface> outputs;
};

}  // namespace lockstep

// Multiply-adds of the operators in which most of a program's time goes, from the sizes of the exporter's example.
#pragma once

#include "engine/program/Graph.h"

namespace lockstep {

/// linear: of the matrix `input`, whose last dimension is summed over.
double multiply_adds_of_linear(const Graph& graph, const Node& node);
/// matmul, mm, bmm: of `self`.
double multiply_adds_of_product(const Graph& graph, const Node& node);
/// addmm, baddbmm: of `mat1` or `batch1`.
double multiply_adds_of_added_product(const Graph& graph, const Node& node);
/// A kernel is [to, from ÷ groups, …].
double multiply_adds_of_convolution(const Graph& graph, const Node& node);
/// A kernel is [from, to ÷ groups, …].
double multiply_adds_of_transposed_convolution(const Graph& graph, const Node& node);
/// Both products of scaled_dot_product_attention; what a causal mask saves is not subtracted.
double multiply_adds_of_attention(const Graph& graph, const Node& node);

}  // namespace lockstep

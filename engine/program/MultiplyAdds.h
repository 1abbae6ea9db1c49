// Multiply-adds of the operators in which most of a program's time goes, from the sizes of the exporter's example.
#pragma once

#include "engine/program/Graph.h"

namespace lockstep {

/// linear: of the matrix `input`, whose last dimension is summed over.
double multiply_adds_of_linear(const Graph& graph, const Node& node);
/// matmul, mm, bmm, inner, dot, vdot, mv: of `self`.
double multiply_adds_of_product(const Graph& graph, const Node& node);
/// addmm, baddbmm, addmv: of `mat1`, `batch1` or `mat`.
double multiply_adds_of_added_product(const Graph& graph, const Node& node);
/// addbmm: all products of the batch.
double multiply_adds_of_added_batch(const Graph& graph, const Node& node);
double multiply_adds_of_tensordot(const Graph& graph, const Node& node);
/// Two operands after the other, from the left. What only one has and the result does not is summed before; where
/// nothing is summed there are no products of matrices.
double multiply_adds_of_einsum(const Graph& graph, const Node& node);
double multiply_adds_of_bilinear(const Graph& graph, const Node& node);
/// lstm, gru, rnn_tanh, rnn_relu: each place of a sequence is multiplied with all matrices of all layers.
double multiply_adds_of_recurrent_layers(const Graph& graph, const Node& node);
/// lstm_cell, gru_cell, rnn_tanh_cell, rnn_relu_cell.
double multiply_adds_of_recurrent_cell(const Graph& graph, const Node& node);
/// A kernel is [to, from ÷ groups, …]; of a node that says `transposed`, as below.
double multiply_adds_of_convolution(const Graph& graph, const Node& node);
/// A kernel is [from, to ÷ groups, …].
double multiply_adds_of_transposed_convolution(const Graph& graph, const Node& node);
/// Both products of scaled_dot_product_attention; what a causal mask saves is not subtracted.
double multiply_adds_of_attention(const Graph& graph, const Node& node);

}  // namespace lockstep

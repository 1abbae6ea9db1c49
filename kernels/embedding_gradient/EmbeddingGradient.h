// The gradient of an embedding's table, without atomics on floating-point numbers: a plan sorts the positions by their
// token, then every row of the table sums what belongs to it.
//
// weight_gradient[v, :] = Σ over positions i with tokens[i] = v of dy[i, :], in the order of i; as
// aten::embedding_dense_backward (PyTorch 2.11, scale_grad_by_freq=false) has it, but in Arithmetic<Element>.
// It reads each row of dy once, and writes the table once, most of it zeros: that is its floor.
#pragma once

#include <cstdint>

#include "kernels/ElementTypes.h"
#include "kernels/Stream.h"

namespace lockstep::kernels {

/// A stable counting sort of positions by token. It serves for every embedding_gradient with the same tokens.
struct EmbeddingPlan {
  const std::int64_t* tokens;  ///< [positions]
  /// [positions]: those of token v, increasing, from offsets[v] to offsets[v + 1]; behind offsets[vocabulary] those
  /// whose token is invalid or padding_index, which have no part in the gradient
  std::int32_t* order;
  std::int32_t* offsets;    ///< [vocabulary + 1]
  std::int32_t* workspace;  ///< embedding_plan_workspace(positions) elements
  std::int64_t* invalid;    ///< the number of tokens outside of [0, vocabulary) is added here, unless it is nullptr
  std::int64_t positions;   ///< below 2³¹
  std::int64_t vocabulary;  ///< below 2³¹
  std::int64_t padding_index = -1;  ///< a token without gradient; -1: none

  constexpr bool is_valid(std::int64_t token) const { return token >= 0 && token < vocabulary; }
  constexpr bool has_gradient(std::int64_t token) const { return is_valid(token) && token != padding_index; }
};

/// The CUDA form sorts by 8 bits at a time: a second order, and each block's count of each digit.
inline constexpr std::int64_t kSortDigits = 256;
inline constexpr std::int64_t kMostSortBlocks = 256;
constexpr std::int64_t embedding_plan_workspace(std::int64_t positions) {
  return positions + kMostSortBlocks * kSortDigits;
}

void plan_embedding_gradient(const EmbeddingPlan& plan);
void plan_embedding_gradient(const EmbeddingPlan& plan, Stream stream);

/// The rows of a frequent token are summed in chunks of this many, and then the chunks.
inline constexpr std::int64_t kEmbeddingChunk = 32;

template <typename Element>
struct EmbeddingGradient {
  EmbeddingPlan plan;              ///< after plan_embedding_gradient
  const Element* dy;               ///< [positions, columns]
  Element* weight_gradient;        ///< [vocabulary, columns]; each sum is rounded once
  Arithmetic<Element>* workspace;  ///< embedding_gradient_workspace(positions, columns) elements
  std::int64_t columns;
};

constexpr std::int64_t embedding_gradient_workspace(std::int64_t positions, std::int64_t columns) {
  return (positions + kEmbeddingChunk - 1) / kEmbeddingChunk * columns;
}

/// For Element in float, double, BFloat16, Half. The results do not depend on the number of threads or blocks.
template <typename Element>
void embedding_gradient(const EmbeddingGradient<Element>& args);
template <typename Element>
void embedding_gradient(const EmbeddingGradient<Element>& args, Stream stream);

}  // namespace lockstep::kernels

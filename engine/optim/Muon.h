// Muon for matrices, AdamW for the rest.
#pragma once

#include <vector>

#include "engine/optim/Optimizer.h"
#include "kernels/Adam.h"
#include "kernels/flat_update/formulas/Muon.h"

namespace lockstep {

/// The nearest orthogonal matrix, about, in bfloat16: five steps of the Newton-Schulz iteration as torch.optim.Muon
/// (PyTorch 2.11) takes them, operator by operator.
at::Tensor orthogonal(const at::Tensor& matrix);

/// Segments whose `matrix` is set are updated as torch.optim.Muon does by default: kernels/flat_update/formulas/Muon.h
/// has the formula. All others are updated by AdamW, at the rate `adamw_learning_rate`, which follows the schedule in
/// proportion. FlatStorage::by_segment says what sizes matrices have.
///
/// Products of matrices are PyTorch's. They are the same to the bit on ranks with like hardware and as many threads, so
/// that those stay in step; ranks on unlike hosts may drift apart by bfloat16's rounding.
template <typename Real>
class Muon : public Optimizer {
 public:
  Muon(const Hyperparameters& options, const FlatStorage& storage, const std::vector<kernels::Segment>& segments);

  /// The first moment of a matrix is its momentum. It has no second moment: its direction is in that place.
  std::vector<OptimizerState> state() override {
    return {{"first_moment", first_moment_}, {"second_moment", second_moment_}};
  }

 private:
  struct Matrix {
    at::Tensor direction;  ///< a view of second_moment_
    double scale;          ///< √max(1, rows / columns)
  };

  void update(const kernels::FlatWork& work, const kernels::FlatStep* step) override;

  kernels::MuonOptions options_;
  kernels::AdamOptions adam_options_;
  at::Tensor first_moment_;
  at::Tensor second_moment_;
  std::vector<Matrix> matrices_;
  DeviceArray<kernels::Piece> matrix_pieces_;
  DeviceArray<kernels::Piece> other_pieces_;
};

}  // namespace lockstep

// Sums over ranks whose bits do not depend on where a number lies.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <vector>

#include "watch/CollectiveTypes.h"

namespace lockstep {

/// MPI adds in an order that follows from a buffer's length and from the place of an element in it. Here each sum is
/// ((x₀ + x₁) + x₂) + …, xᵣ that of rank r, so that its bits are the same however buffers are cut. Each rank sums a
/// piece: as many bytes travel as in a ring, in pairs of ranks one after another, and come to rest in at most 4 MiB. A
/// buffer of few bytes takes longer than MPI's own way.
///
/// Both functions are collectives of all ranks of the communicator, for float32 and float64, and return the code of the
/// first call of MPI that has failed.
class RankOrderedSum {
 public:
  /// The communicator must outlive this.
  explicit RankOrderedSum(MPI_Comm ranks);

  /// As Communicator's functions of these names.
  int all_reduce(void* buffer, std::size_t count, DataType type);
  int reduce_scatter(const void* buffer, void* output, std::size_t count, DataType type);

 private:
  /// A part of a buffer.
  struct Piece {
    std::size_t begin;   ///< in bytes
    std::size_t length;  ///< in bytes
  };

  int exchange(const std::byte* buffer, const std::vector<Piece>& pieces);
  int sum_own(const std::byte* buffer, const std::vector<Piece>& pieces, DataType type, std::byte* output);
  int gather(std::byte* buffer, const std::vector<Piece>& pieces);
  template <typename Visit>
  int for_each_pair(const Visit& visit) const;

  MPI_Comm ranks_;
  int rank_ = 0;
  int size_ = 1;
  std::vector<std::vector<std::byte>> received_;  ///< by rank: what it has of the piece that is summed here
};

}  // namespace lockstep

#include "engine/collectives/RankOrderedSum.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace lockstep {

namespace {

constexpr std::size_t kBytesAtOnce = std::size_t{4} << 20;

/// `sources`: of the ranks, in order. The output may be one of them.
template <typename Real>
void sum_in_order(const std::vector<const std::byte*>& sources, std::size_t bytes, std::byte* output) {
  std::array<Real, 512> sums;
  std::array<Real, 512> terms;
  for (std::size_t begin = 0; begin < bytes; begin += sizeof sums) {
    const std::size_t length = std::min(sizeof sums, bytes - begin);
    std::memcpy(sums.data(), sources.front() + begin, length);
    for (std::size_t rank = 1; rank < sources.size(); ++rank) {
      std::memcpy(terms.data(), sources[rank] + begin, length);
      for (std::size_t i = 0; i < length / sizeof(Real); ++i) sums[i] += terms[i];
    }
    std::memcpy(output + begin, sums.data(), length);
  }
}

}  // namespace

RankOrderedSum::RankOrderedSum(MPI_Comm ranks) : ranks_(ranks) {
  MPI_Comm_rank(ranks_, &rank_);
  MPI_Comm_size(ranks_, &size_);
  received_.resize(static_cast<std::size_t>(size_));
}

// `visit(to, from)`: in each round every rank gives to one and takes from one. Stops at the first failure.
template <typename Visit>
int RankOrderedSum::for_each_pair(const Visit& visit) const {
  for (int distance = 1; distance < size_; ++distance) {
    const int code = visit((rank_ + distance) % size_, (rank_ - distance + size_) % size_);
    if (code != MPI_SUCCESS) return code;
  }
  return MPI_SUCCESS;
}

int RankOrderedSum::exchange(const std::byte* buffer, const std::vector<Piece>& pieces) {
  const std::size_t own = pieces[static_cast<std::size_t>(rank_)].length;
  return for_each_pair([&](int to, int from) {
    const Piece& theirs = pieces[static_cast<std::size_t>(to)];
    std::vector<std::byte>& received = received_[static_cast<std::size_t>(from)];
    if (received.size() < own) received.resize(own);
    return MPI_Sendrecv(buffer + theirs.begin, static_cast<int>(theirs.length), MPI_BYTE, to, 0, received.data(),
                        static_cast<int>(own), MPI_BYTE, from, 0, ranks_, MPI_STATUS_IGNORE);
  });
}

int RankOrderedSum::sum_own(const std::byte* buffer, const std::vector<Piece>& pieces, DataType type,
                            std::byte* output) {
  if (const int code = exchange(buffer, pieces); code != MPI_SUCCESS) return code;
  const auto rank = static_cast<std::size_t>(rank_);
  std::vector<const std::byte*> sources;
  for (const std::vector<std::byte>& received : received_) sources.push_back(received.data());
  sources[rank] = buffer + pieces[rank].begin;
  const auto sum = type == DataType::kFloat32 ? sum_in_order<float> : sum_in_order<double>;
  sum(sources, pieces[rank].length, output);
  return MPI_SUCCESS;
}

int RankOrderedSum::gather(std::byte* buffer, const std::vector<Piece>& pieces) {
  const Piece& own = pieces[static_cast<std::size_t>(rank_)];
  return for_each_pair([&](int to, int from) {
    const Piece& theirs = pieces[static_cast<std::size_t>(from)];
    return MPI_Sendrecv(buffer + own.begin, static_cast<int>(own.length), MPI_BYTE, to, 0, buffer + theirs.begin,
                        static_cast<int>(theirs.length), MPI_BYTE, from, 0, ranks_, MPI_STATUS_IGNORE);
  });
}

int RankOrderedSum::all_reduce(void* buffer, std::size_t count, DataType type) {
  auto* const bytes = static_cast<std::byte*>(buffer);
  const auto ranks = static_cast<std::size_t>(size_);
  const std::size_t at_once = kBytesAtOnce / size_of(type);
  for (std::size_t first = 0; first < count; first += at_once) {
    const std::size_t here = std::min(at_once, count - first);
    const std::size_t each = (here + ranks - 1) / ranks;
    std::vector<Piece> pieces;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const std::size_t begin = std::min(here, rank * each);
      pieces.push_back(
          {.begin = (first + begin) * size_of(type), .length = std::min(each, here - begin) * size_of(type)});
    }
    std::byte* const own = bytes + pieces[static_cast<std::size_t>(rank_)].begin;
    if (const int code = sum_own(bytes, pieces, type, own); code != MPI_SUCCESS) return code;
    if (const int code = gather(bytes, pieces); code != MPI_SUCCESS) return code;
  }
  return MPI_SUCCESS;
}

int RankOrderedSum::reduce_scatter(const void* buffer, void* output, std::size_t count, DataType type) {
  const auto ranks = static_cast<std::size_t>(size_);
  const std::size_t at_once = std::max<std::size_t>(1, kBytesAtOnce / size_of(type) / ranks);
  for (std::size_t first = 0; first < count; first += at_once) {
    const std::size_t length = std::min(at_once, count - first) * size_of(type);
    std::vector<Piece> pieces;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      pieces.push_back({.begin = (rank * count + first) * size_of(type), .length = length});
    }
    const int code = sum_own(static_cast<const std::byte*>(buffer), pieces, type,
                             static_cast<std::byte*>(output) + first * size_of(type));
    if (code != MPI_SUCCESS) return code;
  }
  return MPI_SUCCESS;
}

}  // namespace lockstep

#include "kernels/embedding_gradient/EmbeddingGradient.h"

#include "kernels/Cuda.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
static_assert(kThreads == kSortDigits);
constexpr int kResidentBlocks = 4;  // as few as fill the memory: registers for four rows

// --- The plan: positions sorted by key, 8 bits at a time from the lowest, every pass stable. ---

/// Positions without gradient come last.
__device__ std::uint32_t key_of(const EmbeddingPlan& plan, std::int64_t position) {
  const std::int64_t token = plan.tokens[position];
  return static_cast<std::uint32_t>(plan.has_gradient(token) ? token : plan.vocabulary);
}

struct SortPass {
  const std::int32_t* from;  ///< positions as the pass before left them; nullptr: increasing
  std::int32_t* to;
  std::int32_t* counts;  ///< [blocks, kSortDigits]
  std::int64_t tile;     ///< positions of a block
  int shift;

  __device__ std::int64_t position(std::int64_t i) const { return from != nullptr ? from[i] : i; }
  __device__ int digit(const EmbeddingPlan& plan, std::int64_t position) const {
    return static_cast<int>(key_of(plan, position) >> shift) % static_cast<int>(kSortDigits);
  }
};

__global__ void __launch_bounds__(kThreads) count_kernel(EmbeddingPlan plan, SortPass pass) {
  LOCKSTEP_SHARED(int, counts, kThreads);
  counts[threadIdx.x] = 0;
  __syncthreads();
  const std::int64_t begin = blockIdx.x * pass.tile;
  const std::int64_t end = begin + pass.tile < plan.positions ? begin + pass.tile : plan.positions;
  int invalid = 0;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const std::int64_t position = pass.position(i);
    atomicAdd(&counts[pass.digit(plan, position)], 1);
    invalid += plan.is_valid(plan.tokens[position]) ? 0 : 1;
  }
  invalid = block_sum<kThreads>(invalid);
  if (threadIdx.x == 0 && pass.shift == 0 && invalid > 0 && plan.invalid != nullptr) {
    atomicAdd(reinterpret_cast<unsigned long long*>(plan.invalid), static_cast<unsigned long long>(invalid));
  }
  pass.counts[blockIdx.x * kSortDigits + threadIdx.x] = counts[threadIdx.x];
}

/// The sum of `value` over the threads before this one. All threads of the block must call it, once.
__device__ int sum_before(int value) {
  LOCKSTEP_SHARED(int, warps, kWarps);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  int sum = value;
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const int other = __shfl_up_sync(kFullWarp, sum, offset);
    if (lane >= offset) sum += other;
  }
  if (lane == kWarp - 1) warps[threadIdx.x / kWarp] = sum;
  __syncthreads();
  for (int warp = 0; warp < static_cast<int>(threadIdx.x) / kWarp; ++warp) sum += warps[warp];
  return sum - value;
}

__global__ void __launch_bounds__(kThreads) scatter_kernel(EmbeddingPlan plan, SortPass pass) {
  // Each warp's count of each digit, then where its first position with that digit goes.
  LOCKSTEP_SHARED(int, warps, kWarps* kThreads);
  const int warp_row = static_cast<int>(threadIdx.x) / kWarp * kThreads;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t begin = blockIdx.x * pass.tile;
  const std::int64_t end = begin + pass.tile < plan.positions ? begin + pass.tile : plan.positions;

  // A thread keeps the place for the next position whose digit is the thread's index.
  int before = 0;
  int total = 0;
  for (unsigned block = 0; block < gridDim.x; ++block) {
    const int count = pass.counts[block * kSortDigits + threadIdx.x];
    if (block < blockIdx.x) before += count;
    total += count;
  }
  int next = sum_before(total) + before;

  for (std::int64_t start = begin; start < end; start += kThreads) {
    const bool active = start + threadIdx.x < end;
    const std::int64_t position = active ? pass.position(start + threadIdx.x) : 0;
    const int digit = pass.digit(plan, position);
    unsigned same = __ballot_sync(kFullWarp, active);
    for (int bit = 0; bit < 8; ++bit) {
      const unsigned ones = __ballot_sync(kFullWarp, digit >> bit & 1);
      same &= (digit >> bit & 1) != 0 ? ones : ~ones;
    }
    const int rank = __popc(same & ((1U << lane) - 1));
    for (int warp = 0; warp < kWarps; ++warp) warps[warp * kThreads + threadIdx.x] = 0;
    __syncthreads();
    if (active && rank == 0) warps[warp_row + digit] = __popc(same);
    __syncthreads();
    for (int warp = 0; warp < kWarps; ++warp) {
      const int count = warps[warp * kThreads + threadIdx.x];
      warps[warp * kThreads + threadIdx.x] = next;
      next += count;
    }
    __syncthreads();
    if (active) pass.to[warps[warp_row + digit] + rank] = static_cast<std::int32_t>(position);
    __syncthreads();
  }
}

/// offsets[v] = how many keys are less than v.
__global__ void __launch_bounds__(kThreads) offsets_kernel(EmbeddingPlan plan) {
  const std::int64_t v = grid_index();
  if (v > plan.vocabulary) return;
  std::int64_t begin = 0;
  std::int64_t end = plan.positions;
  while (begin < end) {
    const std::int64_t middle = (begin + end) / 2;
    if (key_of(plan, plan.order[middle]) < static_cast<std::uint32_t>(v)) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  plan.offsets[v] = static_cast<std::int32_t>(begin);
}

// --- The sums: a warp has one row, and as many columns as its lanes reach at once. ---

/// kVector numbers in the widest accesses there are, as they lie in memory.
template <int kVector, typename Number>
struct RowPart {
  static constexpr int kPart = kVector < kVectorLength<Number> ? kVector : kVectorLength<Number>;
  Vector<Number, kPart> parts[kVector / kPart];

  __device__ void read(const Number* from) {
    for (int i = 0; i < kVector / kPart; ++i) parts[i] = load<kPart>(from + i * kPart);
  }
  __device__ void write(Number* to) const {
    for (int i = 0; i < kVector / kPart; ++i) store(to + i * kPart, parts[i]);
  }
  __device__ Number& at(int v) { return parts[v / kPart].values[v % kPart]; }
};

/// Adds the rows `row(0)` to `row(count - 1)` in this order, several of them on their way at a time.
template <int kVector, typename Number, typename Row>
__device__ void add_rows(Arithmetic<Number> (&sums)[kVector], const Number* from, std::int64_t columns,
                         std::int64_t count, const Row& row) {
  constexpr int kAtOnce = 4;
  for (std::int64_t first = 0; first < count; first += kAtOnce) {
    std::int64_t at[kAtOnce];
    for (int i = 0; i < kAtOnce; ++i) at[i] = row(first + i < count ? first + i : first) * columns;
    RowPart<kVector, Number> rows[kAtOnce];
    for (int i = 0; i < kAtOnce; ++i) {
      if (first + i < count) rows[i].read(from + at[i]);
    }
    for (int i = 0; i < kAtOnce; ++i) {
      for (int v = 0; v < kVector; ++v) {
        if (first + i < count) sums[v] += to_arithmetic(rows[i].at(v));
      }
    }
  }
}

/// What a warp works on: kWarps rows and the same columns for each warp of a block.
template <int kVector>
struct WarpTile {
  std::int64_t row, column;
  __device__ explicit WarpTile(std::int64_t column_tiles)
      : row(blockIdx.x / column_tiles * kWarps + threadIdx.x / kWarp),
        column((blockIdx.x % column_tiles * kWarp + threadIdx.x % kWarp) * kVector) {}
};

// A frequent token's whole chunks lie anywhere in the order, but each has one multiple of kEmbeddingChunk in it, which
// tells chunk and workspace row from each other.

/// Row w of the workspace: the chunk that has the (w · kEmbeddingChunk)-th position of the order in it.
template <int kVector, typename Element>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    chunk_kernel(EmbeddingGradient<Element> args, std::int64_t column_tiles) {
  const EmbeddingPlan& plan = args.plan;
  const WarpTile<kVector> tile(column_tiles);
  const std::int64_t at = tile.row * kEmbeddingChunk;
  if (tile.column >= args.columns || at >= plan.offsets[plan.vocabulary]) return;
  const std::int64_t token = plan.tokens[plan.order[at]];
  const std::int64_t begin = plan.offsets[token];
  const std::int64_t count = plan.offsets[token + 1] - begin;
  const std::int64_t first = (at - begin) / kEmbeddingChunk * kEmbeddingChunk;
  if (count <= kEmbeddingChunk || first + kEmbeddingChunk > count) return;
  Arithmetic<Element> sums[kVector] = {};
  add_rows(sums, args.dy + tile.column, args.columns, kEmbeddingChunk,
           [&](std::int64_t i) { return plan.order[begin + first + i]; });
  RowPart<kVector, Arithmetic<Element>> row;
  for (int v = 0; v < kVector; ++v) row.at(v) = sums[v];
  row.write(args.workspace + tile.row * args.columns + tile.column);
}

template <int kVector, typename Element>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    sum_kernel(EmbeddingGradient<Element> args, std::int64_t column_tiles) {
  const EmbeddingPlan& plan = args.plan;
  const WarpTile<kVector> tile(column_tiles);
  if (tile.column >= args.columns || tile.row >= plan.vocabulary) return;
  const std::int64_t begin = plan.offsets[tile.row];
  const std::int64_t count = plan.offsets[tile.row + 1] - begin;
  const std::int64_t chunks = count <= kEmbeddingChunk ? 0 : count / kEmbeddingChunk;
  Arithmetic<Element> sums[kVector] = {};
  const std::int64_t first_chunk = divide_up(begin, kEmbeddingChunk);
  add_rows(sums, args.workspace + tile.column, args.columns, chunks, [&](std::int64_t i) { return first_chunk + i; });
  const std::int64_t done = chunks * kEmbeddingChunk;
  add_rows(sums, args.dy + tile.column, args.columns, count - done,
           [&](std::int64_t i) { return plan.order[begin + done + i]; });
  Vector<Element, kVector> gradient;
  for (int v = 0; v < kVector; ++v) gradient.values[v] = from_arithmetic<Element>(sums[v]);
  store(args.weight_gradient + tile.row * args.columns + tile.column, gradient);
}

template <int kVector, typename Element>
void sum(const EmbeddingGradient<Element>& args, Stream stream) {
  const std::int64_t column_tiles = divide_up(args.columns, kWarp * kVector);
  const auto blocks = [&](std::int64_t rows) { return divide_up(rows, kWarps) * column_tiles; };
  launch("embedding_gradient chunks", chunk_kernel<kVector, Element>,
         blocks(divide_up(args.plan.positions, kEmbeddingChunk)), kThreads, stream, args, column_tiles);
  launch("embedding_gradient", sum_kernel<kVector, Element>, blocks(args.plan.vocabulary), kThreads, stream, args,
         column_tiles);
}

}  // namespace

void plan_embedding_gradient(const EmbeddingPlan& plan, Stream stream) {
  constexpr std::int64_t kLeastTile = 512;
  const std::int64_t even = divide_up(divide_up(plan.positions, kMostSortBlocks), kThreads) * kThreads;
  const std::int64_t tile = even > kLeastTile ? even : kLeastTile;
  const std::int64_t blocks = divide_up(plan.positions, tile);
  int passes = 1;
  while (plan.vocabulary >> (8 * passes) != 0) ++passes;
  std::int32_t* spare = plan.workspace;
  SortPass pass{nullptr, nullptr, plan.workspace + plan.positions, tile, 0};
  for (int remaining = passes; remaining > 0; --remaining) {
    pass.to = remaining % 2 == 1 ? plan.order : spare;
    launch("embedding_gradient count", count_kernel, blocks, kThreads, stream, plan, pass);
    launch("embedding_gradient scatter", scatter_kernel, blocks, kThreads, stream, plan, pass);
    pass.from = pass.to;
    pass.shift += 8;
  }
  launch("embedding_gradient offsets", offsets_kernel, divide_up(plan.vocabulary + 1, kThreads), kThreads, stream,
         plan);
}

template <typename Element>
void embedding_gradient(const EmbeddingGradient<Element>& args, Stream stream) {
  constexpr int kVector = kVectorLength<Element>;
  const bool wide = args.columns % kVector == 0 && is_aligned(args.dy) && is_aligned(args.weight_gradient) &&
                    is_aligned(args.workspace);
  wide ? sum<kVector>(args, stream) : sum<1>(args, stream);
}

#define LOCKSTEP_INSTANTIATE(Element) template void embedding_gradient(const EmbeddingGradient<Element>&, Stream);
LOCKSTEP_FOR_EACH_ELEMENT(LOCKSTEP_INSTANTIATE)

}  // namespace lockstep::kernels

// NcclCommunicator on what GPUs there are; ranks may share one.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "engine/collectives/DevicePlacement.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/collectives/NcclCommunicator.h"
#include "engine/collectives/NcclNetwork.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

#define ASSERT_CUDA(call) ASSERT_EQ(call, cudaSuccess)

class NcclGpuTest : public testing::Test {
 protected:
  static constexpr std::size_t kMaxBytes = 1 << 20;

  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) GTEST_SKIP() << "no CUDA device";
    const HostPlace place{"this host", mpi_session().place().rank_on_host, size_, {}, devices};
    const int device = choose_device(place, true);
    char bus_id[32] = {};
    ASSERT_CUDA(cudaDeviceGetPCIBusId(bus_id, sizeof bus_id, device));
    const std::string host_id = require_distinct_devices(bootstrap_, place.host, bus_id, true);
    if (!host_id.empty()) ::setenv("NCCL_HOSTID", host_id.c_str(), 1);
    ASSERT_CUDA(cudaSetDevice(device));
    ASSERT_CUDA(cudaStreamCreateWithFlags(&compute_, cudaStreamNonBlocking));
    ASSERT_CUDA(cudaMalloc(&buffer_, kMaxBytes));
    ASSERT_CUDA(cudaMalloc(&output_, kMaxBytes));
    const auto api = load_nccl();
    NcclLog log;
    communicator_ = std::make_unique<NcclCommunicator>(api, bootstrap_, device, compute_);
    network_ = read_nccl_network(log.take().value_or("NCCL INFO Using network of the user's log"));
  }

  void TearDown() override {
    communicator_.reset();
    cudaFree(output_);
    cudaFree(buffer_);
    if (compute_ != nullptr) cudaStreamDestroy(compute_);
  }

  // What rank r holds at i: small integers, exact in every type and in any order of additions.
  template <typename T>
  static T value(int rank, std::size_t i) {
    return static_cast<T>((i * 7 + static_cast<std::size_t>(rank) * 5) % 23);
  }
  template <typename T>
  static std::vector<T> values(int rank, std::size_t count) {
    std::vector<T> result(count);
    for (std::size_t i = 0; i < count; ++i) result[i] = value<T>(rank, i);
    return result;
  }
  template <typename T>
  std::vector<T> reduced(std::size_t count, ReduceOp op) const {
    std::vector<T> result = values<T>(0, count);
    for (int rank = 1; rank < size_; ++rank) {
      for (std::size_t i = 0; i < count; ++i) {
        const T other = value<T>(rank, i);
        result[i] = op == ReduceOp::kSum ? static_cast<T>(result[i] + other) : std::max(result[i], other);
      }
    }
    return result;
  }

  template <typename T>
  void write(const std::vector<T>& from) {
    ASSERT_CUDA(cudaMemcpyAsync(buffer_, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice, compute_));
  }
  template <typename T>
  std::vector<T> read(const void* memory, std::size_t count) {
    std::vector<T> result(count);
    EXPECT_EQ(cudaMemcpyAsync(result.data(), memory, count * sizeof(T), cudaMemcpyDeviceToHost, compute_), cudaSuccess);
    communicator_->synchronize();
    return result;
  }

  template <typename T>
  void check_all(std::size_t count, DataType type) {
    SCOPED_TRACE(std::to_string(count) + " elements of " + name_of(type));
    const auto ranks = static_cast<std::size_t>(size_);
    T* const own = static_cast<T*>(buffer_) + count * static_cast<std::size_t>(rank_);
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax}) {
      write(values<T>(rank_, count));
      communicator_->all_reduce(buffer_, count, type, op)->wait();
      EXPECT_EQ(read<T>(buffer_, count), reduced<T>(count, op));

      write(values<T>(rank_, count * ranks));
      communicator_->reduce_scatter(buffer_, output_, count, type, op)->wait();
      const std::vector<T> all = reduced<T>(count * ranks, op);
      const auto mine = all.begin() + static_cast<std::ptrdiff_t>(count) * rank_;
      EXPECT_EQ(read<T>(output_, count), std::vector<T>(mine, mine + static_cast<std::ptrdiff_t>(count)));
      write(values<T>(rank_, count * ranks));
      communicator_->reduce_scatter(buffer_, own, count, type, op)->wait();
      EXPECT_EQ(read<T>(own, count), std::vector<T>(mine, mine + static_cast<std::ptrdiff_t>(count)));
    }
    write(values<T>(rank_, count));
    communicator_->all_gather(buffer_, output_, count, type)->wait();
    std::vector<T> expected;
    for (int rank = 0; rank < size_; ++rank) {
      const std::vector<T> other = values<T>(rank, count);
      expected.insert(expected.end(), other.begin(), other.end());
    }
    EXPECT_EQ(read<T>(output_, count * ranks), expected);
    std::vector<T> in_place(count * ranks);
    std::ranges::copy(values<T>(rank_, count), in_place.begin() + static_cast<std::ptrdiff_t>(count) * rank_);
    write(in_place);
    communicator_->all_gather(own, buffer_, count, type)->wait();
    EXPECT_EQ(read<T>(buffer_, count * ranks), expected);
    for (int root = 0; root < size_; ++root) {
      write(values<T>(rank_, count));
      communicator_->broadcast(buffer_, count, type, root)->wait();
      EXPECT_EQ(read<T>(buffer_, count), values<T>(root, count));
    }
  }

  MpiCommunicator bootstrap_{mpi_session(), MpiMode::kInline};
  int rank_ = bootstrap_.rank();
  int size_ = bootstrap_.size();
  cudaStream_t compute_ = nullptr;
  void* buffer_ = nullptr;
  void* output_ = nullptr;
  std::unique_ptr<NcclCommunicator> communicator_;
  NcclNetwork network_;
};

TEST_F(NcclGpuTest, SaysWhichNetworkItHasChosen) { EXPECT_TRUE(network_.known() || size_ == 1); }

TEST_F(NcclGpuTest, CollectivesOfAllTypesAndLengths) {
  communicator_->register_buffer(buffer_, kMaxBytes);
  for (const std::size_t count : {0, 1, 3, 1000, 65536}) {
    check_all<float>(count, DataType::kFloat32);
    check_all<double>(count, DataType::kFloat64);
    check_all<std::int64_t>(count, DataType::kInt64);
    check_all<std::uint8_t>(count, DataType::kByte);
  }
  communicator_->barrier();
}

// Each collective reads what the one before it and the compute stream wrote, and the host waits only once.
TEST_F(NcclGpuTest, StreamsAreInOrder) {
  constexpr std::size_t kCount = kMaxBytes / sizeof(std::int64_t);
  write(std::vector<std::int64_t>(kCount, 1));
  std::int64_t expected = 1;
  for (int round = 0; round < 20; ++round) {
    communicator_->all_reduce(buffer_, kCount, DataType::kInt64, ReduceOp::kSum)->wait();
    ASSERT_CUDA(cudaMemcpyAsync(output_, buffer_, kMaxBytes, cudaMemcpyDeviceToDevice, compute_));
    communicator_->all_reduce(output_, kCount, DataType::kInt64, ReduceOp::kMax);
    communicator_->all_reduce(buffer_, 1, DataType::kInt64, ReduceOp::kMax);
    ASSERT_CUDA(cudaMemcpyAsync(buffer_, output_, kMaxBytes, cudaMemcpyDeviceToDevice, compute_));
    expected *= size_;
  }
  EXPECT_EQ(read<std::int64_t>(buffer_, kCount), std::vector<std::int64_t>(kCount, expected));
}

TEST_F(NcclGpuTest, ACapturedStepIsReplayed) {
  constexpr std::size_t kCount = 1000;
  const auto step = [&] {
    const auto first = communicator_->all_reduce(buffer_, kCount, DataType::kInt64, ReduceOp::kSum);
    communicator_->all_reduce(output_, 1, DataType::kInt64, ReduceOp::kMax);
    first->wait();
  };
  write(std::vector<std::int64_t>(kCount, 1));
  ASSERT_CUDA(cudaMemsetAsync(output_, 0, kMaxBytes, compute_));
  step();
  ASSERT_CUDA(cudaStreamBeginCapture(compute_, cudaStreamCaptureModeThreadLocal));
  step();
  cudaGraph_t graph = nullptr;
  ASSERT_CUDA(cudaStreamEndCapture(compute_, &graph));
  cudaGraphExec_t executable = nullptr;
  ASSERT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  std::int64_t expected = size_;
  for (int replay = 0; replay < 3; ++replay) {
    ASSERT_CUDA(cudaGraphLaunch(executable, compute_));
    expected *= size_;
  }
  EXPECT_EQ(read<std::int64_t>(buffer_, kCount), std::vector<std::int64_t>(kCount, expected));
  communicator_->all_reduce(buffer_, kCount, DataType::kInt64, ReduceOp::kSum)->wait();  // and uncaptured again
  EXPECT_EQ(read<std::int64_t>(buffer_, 1)[0], expected * size_);
  ASSERT_CUDA(cudaGraphExecDestroy(executable));  // before its communicator
  ASSERT_CUDA(cudaGraphDestroy(graph));
}

}  // namespace
}  // namespace lockstep

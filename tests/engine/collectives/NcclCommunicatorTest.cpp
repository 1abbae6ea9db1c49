#include "engine/collectives/NcclCommunicator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "tests/engine/collectives/FakeNccl.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

using std::chrono::milliseconds;
using Calls = std::vector<std::string>;

struct Aborted {
  int exit_code;
};

/// Notes its abort instead of ending the test.
class Bootstrap : public MpiCommunicator {
 public:
  Bootstrap() : MpiCommunicator(mpi_session(), MpiMode::kInline) {}
  [[noreturn]] void abort(int exit_code) override { throw Aborted{exit_code}; }
};

class NcclCommunicatorTest : public testing::Test {
 protected:
  NcclCommunicatorTest() {
    deadlines_.poll = milliseconds(2);
    fake_.name(compute_, "compute");
    fake_.name(buffer_, "buffer");
    fake_.name(output_, "output");
    fake_.set_id("id of rank " + std::to_string(rank_));
  }
  void TearDown() override { EXPECT_EQ(fake_.broken_rule(), ""); }

  NcclCommunicator& start() {
    communicator_ = std::make_unique<NcclCommunicator>(fake_.api(), bootstrap_, 3, compute_, deadlines_);
    fake_.take_calls();
    return *communicator_;
  }

  // Until the monitor has aborted the communicator; a test that waits for ever is ended by its time limit.
  void wait_for_abort() {
    while (fake_.count("ncclCommAbort") == 0) std::this_thread::sleep_for(milliseconds(1));
  }

  static Calls in_order(const std::string& collective, int event) {
    return {"cudaEventRecord(enqueued, compute)", "cudaStreamWaitEvent(stream, enqueued, 0)", collective,
            "cudaEventRecord(event " + std::to_string(event) + ", stream)"};
  }
  static std::string joins(int event) { return "cudaStreamWaitEvent(compute, event " + std::to_string(event) + ", 0)"; }

  template <typename E>
  void expect_start_fails(const std::string& text) {
    EXPECT_ERROR(start(), E, text);
    EXPECT_EQ(fake_.count("ncclCommAbort") + fake_.count("ncclCommDestroy"), 0);
  }

  static std::string number(DataType type) {
    switch (type) {
      case DataType::kFloat32:
        return std::to_string(ncclFloat32);
      case DataType::kFloat64:
        return std::to_string(ncclFloat64);
      case DataType::kInt64:
        return std::to_string(ncclInt64);
      default:
        return std::to_string(ncclUint8);
    }
  }

  Bootstrap bootstrap_;
  int rank_ = bootstrap_.rank();
  int size_ = bootstrap_.size();
  std::string me_ = "rank " + std::to_string(rank_);
  NcclDeadlines deadlines_;
  char memory_[3] = {};
  kernels::Stream compute_ = reinterpret_cast<kernels::Stream>(&memory_[0]);
  void* buffer_ = &memory_[1];
  void* output_ = &memory_[2];
  FakeNccl fake_;
  std::unique_ptr<NcclCommunicator> communicator_;
};

TEST_F(NcclCommunicatorTest, AllRanksJoinWithRank0sIdAndMakeWhatTheyNeed) {
  communicator_ = std::make_unique<NcclCommunicator>(fake_.api(), bootstrap_, 3, compute_, deadlines_);
  EXPECT_EQ(communicator_->rank(), rank_);
  EXPECT_EQ(communicator_->size(), size_);
  EXPECT_EQ(fake_.blocking(), 1);
  EXPECT_EQ(fake_.count("cudaEventCreateWithFlags"), 257);
  Calls calls = fake_.take_calls();
  std::erase_if(calls, [](const std::string& call) { return call == "cudaEventCreateWithFlags(?, 2)"; });
  Calls expected = {"cudaSetDevice(3)", "ncclGetVersion(?)"};
  if (rank_ == 0) expected.emplace_back("ncclGetUniqueId(?)");
  expected.insert(expected.end(), {"cudaDeviceGetStreamPriorityRange(?, ?)", "cudaStreamCreateWithPriority(?, 1, -5)",
                                   "cudaMalloc(?, 1)", "cudaSetDevice(3)",
                                   "ncclCommInitRankConfig(?, " + std::to_string(size_) + ", id of rank 0, " +
                                       std::to_string(rank_) + ", ?)"});
  EXPECT_EQ(calls, expected);
}

TEST_F(NcclCommunicatorTest, EachCollectiveRunsAfterTheComputeStreamAndBeforeItsEvent) {
  NcclCommunicator& communicator = start();
  std::vector<std::unique_ptr<Work>> works;
  const auto expect = [&](std::unique_ptr<Work> work, const std::string& collective) {
    works.push_back(std::move(work));
    EXPECT_EQ(fake_.take_calls(), in_order(collective, static_cast<int>(works.size())));
  };
  for (const DataType type : {DataType::kFloat32, DataType::kFloat64, DataType::kInt64, DataType::kByte}) {
    const std::string number_of_type = number(type);
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax}) {
      const std::string reduction = number_of_type + ", " + std::to_string(op == ReduceOp::kSum ? ncclSum : ncclMax);
      expect(communicator.all_reduce(buffer_, 7, type, op),
             "ncclAllReduce(buffer, buffer, 7, " + reduction + ", comm, stream)");
      expect(communicator.reduce_scatter(buffer_, output_, 5, type, op),
             "ncclReduceScatter(buffer, output, 5, " + reduction + ", comm, stream)");
    }
    expect(communicator.all_gather(buffer_, output_, 4, type),
           "ncclAllGather(buffer, output, 4, " + number_of_type + ", comm, stream)");
    expect(communicator.broadcast(buffer_, 3, type, 2),
           "ncclBroadcast(buffer, buffer, 3, " + number_of_type + ", 2, comm, stream)");
  }
}

TEST_F(NcclCommunicatorTest, WaitMakesTheComputeStreamWaitOnceForEachCallAndDroppingOnce) {
  NcclCommunicator& communicator = start();
  auto first = communicator.all_reduce(buffer_, 1, DataType::kFloat32, ReduceOp::kSum);
  auto second = communicator.all_reduce(buffer_, 1, DataType::kFloat32, ReduceOp::kSum);
  auto third = communicator.all_reduce(buffer_, 1, DataType::kFloat32, ReduceOp::kSum);
  fake_.take_calls();
  second->wait();
  first->wait();
  EXPECT_EQ(fake_.take_calls(), (Calls{joins(2), joins(1)}));
  second.reset();
  EXPECT_EQ(fake_.take_calls(), Calls{});
  third.reset();
  EXPECT_EQ(fake_.take_calls(), Calls{joins(3)});
}

TEST_F(NcclCommunicatorTest, NothingThatACaptureForbidsIsCalledWhileWorkIsEnqueued) {
  NcclCommunicator& communicator = start();
  std::vector<std::unique_ptr<Work>> works;
  for (int i = 0; i < 300; ++i) {
    works.push_back(communicator.all_reduce(buffer_, 1, DataType::kFloat32, ReduceOp::kSum));
  }
  fake_.take_calls();
  // Events are used in turn: behind the 256th, the first one's stands for a later launch, which is enough.
  works[299]->wait();
  works[0]->wait();
  works[255]->wait();
  EXPECT_EQ(fake_.take_calls(), (Calls{joins(44), joins(1), joins(256)}));
  EXPECT_EQ(fake_.count("cudaEventCreateWithFlags"), 257);
  EXPECT_EQ(fake_.count("cudaMalloc"), 1);
  EXPECT_EQ(fake_.count("cudaStreamQuery") + fake_.count("cudaEventQuery"), 0);
}

TEST_F(NcclCommunicatorTest, EmptyCollectivesAreCallsAsAnyOther) {
  NcclCommunicator& communicator = start();
  const auto work = communicator.all_reduce(nullptr, 0, DataType::kFloat32, ReduceOp::kSum);
  EXPECT_EQ(fake_.take_calls(), in_order("ncclAllReduce(null, null, 0, 7, 0, comm, stream)", 1));
}

TEST_F(NcclCommunicatorTest, TheFirstErrorStays) {
  NcclCommunicator& communicator = start();
  fake_.fail("ncclBroadcast", ncclRemoteError);
  EXPECT_THROW(communicator.broadcast(buffer_, 1, DataType::kByte, 0), PeerError);
  fake_.fail("ncclAllReduce", ncclSystemError);
  EXPECT_ERROR(communicator.barrier(), PeerError, "broadcast of 1 elements of byte");
}

TEST_F(NcclCommunicatorTest, ItsCollectivesAreLoggedOnce) {
  NcclCommunicator& communicator = start();
  const auto work = communicator.all_reduce(buffer_, 7, DataType::kFloat32, ReduceOp::kSum);
  communicator.barrier();
  const std::vector<CollectiveRecord> records = communicator.log()->records();
  ASSERT_EQ(records.size(), 2);
  EXPECT_EQ(records[0].operation, Collective::kAllReduce);
  EXPECT_EQ(records[0].count, 7);
  EXPECT_FALSE(records[0].left);
  EXPECT_EQ(records[1].operation, Collective::kBarrier);
  EXPECT_TRUE(records[1].left);
  const std::uint64_t before = bootstrap_.log()->count();
  communicator.all_gather(me_);
  EXPECT_EQ(communicator.log()->count(), 2);
  EXPECT_EQ(bootstrap_.log()->count(), before + 2);  // the lengths and the texts
}

TEST_F(NcclCommunicatorTest, BarrierReducesOneElementAndWaitsForTheDevice) {
  NcclCommunicator& communicator = start();
  communicator.barrier();
  const Calls calls = fake_.take_calls();
  ASSERT_EQ(calls.size(), 5U);
  EXPECT_EQ(calls[2], "ncclAllReduce(element, element, 1, 1, 2, comm, stream)");
  EXPECT_EQ(fake_.count("cudaStreamQuery"), 2);
}

TEST_F(NcclCommunicatorTest, SynchronizeBlocksUntilTheDeviceIsDoneAndLeavesNoErrorBehind) {
  NcclCommunicator& communicator = start();
  fake_.stand_after(0);
  const auto work = communicator.all_reduce(buffer_, 1, DataType::kFloat32, ReduceOp::kSum);
  std::thread device([&] {
    while (fake_.count("cudaStreamQuery") < 20) std::this_thread::yield();
    fake_.stand_after(1);
  });
  communicator.synchronize();
  device.join();
  EXPECT_EQ(fake_.count("cudaGetLastError"), fake_.count("cudaStreamQuery") - 2);
}

TEST_F(NcclCommunicatorTest, TextsTravelOverTheBootstrapCommunicator) {
  Communicator& communicator = start();
  const std::vector<std::string> texts = communicator.all_gather(me_);
  EXPECT_EQ(texts.size(), static_cast<std::size_t>(size_));
  EXPECT_EQ(texts.back(), "rank " + std::to_string(size_ - 1));
  EXPECT_EQ(fake_.take_calls(), Calls{});
}

TEST_F(NcclCommunicatorTest, RegistersBuffersUntilTheEnd) {
  NcclCommunicator& communicator = start();
  EXPECT_TRUE(communicator.register_buffer(buffer_, 256));
  EXPECT_TRUE(communicator.register_buffer(output_, 512));
  EXPECT_EQ(fake_.take_calls(),
            (Calls{"ncclCommRegister(comm, buffer, 256, ?)", "ncclCommRegister(comm, output, 512, ?)"}));
  communicator_.reset();
  Calls calls = fake_.take_calls();
  std::erase_if(calls, [](const std::string& call) { return call.starts_with("cudaEventDestroy"); });
  EXPECT_EQ(calls, (Calls{"ncclCommDeregister(comm, handle of output)", "ncclCommDeregister(comm, handle of buffer)",
                          "ncclCommFinalize(comm)", "ncclCommDestroy(comm)", "cudaFree(element)",
                          "cudaStreamDestroy(stream)"}));
  EXPECT_EQ(fake_.count("cudaEventDestroy"), 257);
  EXPECT_EQ(fake_.count("ncclCommAbort"), 0);
}

TEST_F(NcclCommunicatorTest, AnOldNcclRegistersNothing) {
  fake_.set_version(21805);
  fake_.api()->register_buffer.function = nullptr;
  EXPECT_FALSE(start().register_buffer(buffer_, 256));
}

TEST_F(NcclCommunicatorTest, RanksWithUnlikeVersionsDoNotStart) {
  if (size_ == 1) return;  // nobody to differ from
  fake_.set_version(rank_ == size_ - 1 ? 22907 : 22809);
  expect_start_fails<CollectiveError>("version of NCCL = \"2.28.9\", rank " + std::to_string(size_ - 1) +
                                      " has the version of NCCL = \"2.29.7\"");
  EXPECT_EQ(fake_.count("ncclCommInitRankConfig"), 0);
}

TEST_F(NcclCommunicatorTest, ARankThatCannotPrepareStopsAll) {
  if (rank_ == size_ - 1) fake_.fail("cudaStreamCreateWithPriority", cudaErrorMemoryAllocation);
  expect_start_fails<CollectiveError>(
      "rank " + std::to_string(size_ - 1) +
      ": making a stream: "
      "cudaStreamCreateWithPriority: out of memory (cudaErrorMemoryAllocation); out of memory");
  EXPECT_EQ(fake_.count("ncclCommInitRankConfig"), 0);
}

TEST_F(NcclCommunicatorTest, AStartThatHangsEndsAtItsDeadline) {
  deadlines_.start = milliseconds(20);
  fake_.hang("ncclCommInitRankConfig");
  EXPECT_ERROR(start(), PeerError, me_, std::to_string(size_) + " ranks together within 0 s", "NCCL_SOCKET_IFNAME",
               "firewalls", "NCCL_DEBUG=INFO");
  EXPECT_EQ(fake_.count("ncclCommAbort"), 0);
  fake_.release();  // the communicator that comes too late is not left to the other ranks
  wait_for_abort();
}

TEST_F(NcclCommunicatorTest, AStartThatFailsSaysWhy) {
  fake_.fail("ncclCommInitRankConfig", ncclSystemError);
  fake_.set_last_error("No space left on device");
  expect_start_fails<SystemError>(me_ +
                                  ": joining the communicator: ncclCommInitRankConfig: some error; NCCL's last "
                                  "error: No space left on device; look at the size of /dev/shm");
}

TEST_F(NcclCommunicatorTest, AFailedCallSaysWhoWhatAndWhyAndEndsTheCommunicator) {
  NcclCommunicator& communicator = start();
  fake_.fail("ncclAllReduce", ncclRemoteError, 2);
  fake_.set_last_error("socket closed");
  const auto work = communicator.all_reduce(buffer_, 1, DataType::kFloat32, ReduceOp::kSum);
  const std::string text =
      me_ + ": all_reduce of 4096 elements of float64: ncclAllReduce: remote error; NCCL's last error: socket closed";
  EXPECT_ERROR(communicator.all_reduce(buffer_, 4096, DataType::kFloat64, ReduceOp::kSum), PeerError, text);
  wait_for_abort();
  fake_.take_calls();
  EXPECT_ERROR(communicator.all_reduce(buffer_, 1, DataType::kFloat32, ReduceOp::kSum), PeerError, text);
  EXPECT_ERROR(work->wait(), PeerError, text);
  EXPECT_ERROR(communicator.barrier(), PeerError, text);
  EXPECT_ERROR(communicator.synchronize(), PeerError, text);
  EXPECT_ERROR(communicator.register_buffer(buffer_, 1), PeerError, text);
  EXPECT_EQ(fake_.take_calls(), Calls{});
}

TEST_F(NcclCommunicatorTest, EveryResultHasItsError) {
  const auto api = fake_.api();
  const auto check = [&](ncclResult_t result, const std::string& last_error = "") {
    fake_.set_last_error(last_error);
    api->check({1, "broadcast", 3, DataType::kByte}, "ncclBroadcast", result);
  };
  EXPECT_NO_THROW(check(ncclSuccess, "old news"));
  EXPECT_ERROR(check(ncclUnhandledCudaError, "Cuda failure 700"), SystemError,
               "rank 1: broadcast of 3 elements of byte");
  EXPECT_ERROR(check(ncclUnhandledCudaError, "Cuda failure 2 'out of memory'"), OutOfMemoryError, "micro_batch_size");
  EXPECT_THROW(check(ncclUnhandledCudaError, "Failed to CUDA calloc 8 bytes"), OutOfMemoryError);
  EXPECT_ERROR(check(ncclSystemError, "Connection refused"), SystemError, "/dev/shm", "NCCL_DEBUG=INFO");
  EXPECT_THROW(check(ncclSystemError, "Failed to malloc 8 bytes"), OutOfMemoryError);
  EXPECT_THROW(check(ncclSystemError, "mmap: Cannot allocate memory"), OutOfMemoryError);
  EXPECT_THROW(check(ncclInternalError), InternalError);
  EXPECT_THROW(check(ncclInvalidArgument, "out of memory range"), InternalError);
  EXPECT_THROW(check(ncclInvalidUsage), InternalError);
  EXPECT_THROW(check(ncclRemoteError, "Failed to allocate"), PeerError);
  EXPECT_THROW(check(ncclInProgress), InternalError);  // of a blocking communicator

  const auto check_cuda = [&](cudaError_t result) { api->check({0, "all_gather"}, "cudaEventRecord", result); };
  EXPECT_NO_THROW(check_cuda(cudaSuccess));
  EXPECT_THROW(check_cuda(cudaErrorMemoryAllocation), OutOfMemoryError);
  EXPECT_ERROR(check_cuda(cudaErrorIllegalAddress), SystemError,
               "rank 0: all_gather: cudaEventRecord: an illegal memory access was encountered");
}

// PyTorch's allocator, and each launch of a kernel, would take it for its own.
TEST_F(NcclCommunicatorTest, AFailedCallLeavesNoLastErrorBehind) {
  NcclCommunicator& communicator = start();
  fake_.fail("cudaEventRecord", cudaErrorInvalidResourceHandle);
  EXPECT_THROW(communicator.barrier(), SystemError);
  EXPECT_EQ(fake_.last_cuda_error(), cudaSuccess);
}

TEST_F(NcclCommunicatorTest, AnErrorBetweenCallsAbortsOnceAndNamesWhatWasUnderWay) {
  NcclCommunicator& communicator = start();
  fake_.stand_after(1);
  std::vector<std::unique_ptr<Work>> works;
  for (const std::size_t count : {10, 11, 12}) {
    works.push_back(communicator.all_reduce(buffer_, count, DataType::kFloat32, ReduceOp::kSum));
  }
  fake_.set_last_error("connection closed by 10.0.0.2");
  fake_.set_async_error(ncclRemoteError);
  // The host waits for a device that waits for a rank that is no more.
  EXPECT_ERROR(communicator.synchronize(), PeerError, me_ + ": a collective failed", "remote error",
               "connection closed by 10.0.0.2", "under way: all_reduce of 11 elements of float32");
  EXPECT_ERROR(works[2]->wait(), PeerError, "under way: all_reduce of 11");
  EXPECT_ERROR(communicator.barrier(), PeerError, "under way: all_reduce of 11");
  wait_for_abort();
  works.clear();
  communicator_.reset();
  EXPECT_EQ(fake_.count("ncclCommAbort"), 1);
  EXPECT_EQ(fake_.count("ncclCommFinalize") + fake_.count("ncclCommDestroy"), 0);
}

TEST_F(NcclCommunicatorTest, WhatASynchronizeHasSeenDoneIsNotUnderWay) {
  NcclCommunicator& communicator = start();
  communicator.all_reduce(buffer_, 10, DataType::kFloat32, ReduceOp::kSum);
  communicator.synchronize();
  fake_.stand_after(0);  // an event that was recorded while the step was captured is never done
  communicator.all_reduce(buffer_, 11, DataType::kFloat32, ReduceOp::kSum);
  fake_.set_async_error(ncclRemoteError);
  EXPECT_ERROR(communicator.synchronize(), PeerError, "under way: all_reduce of 11");
}

// Events that were recorded while a step was captured are never done, and asking for them is an error of CUDA's.
TEST_F(NcclCommunicatorTest, WhatWasCapturedIsNotUnderWay) {
  NcclCommunicator& communicator = start();
  fake_.capture(true);
  communicator.all_reduce(buffer_, 10, DataType::kFloat32, ReduceOp::kSum);
  communicator.all_reduce(buffer_, 11, DataType::kFloat32, ReduceOp::kSum);
  fake_.capture(false);
  fake_.stand_after(0);
  communicator.all_reduce(buffer_, 12, DataType::kFloat32, ReduceOp::kSum);
  fake_.set_async_error(ncclRemoteError);
  EXPECT_ERROR(communicator.synchronize(), PeerError, "under way: all_reduce of 12");
  wait_for_abort();
  EXPECT_EQ(fake_.last_cuda_error(), cudaSuccess);
}

// Before a captured step is replayed: it makes no call of NCCL that would notice.
TEST_F(NcclCommunicatorTest, AskedForTheConnectionItAsksNccl) {
  deadlines_.poll = std::chrono::hours(1);
  NcclCommunicator& communicator = start();
  EXPECT_NO_THROW(communicator.check());
  fake_.set_async_error(ncclRemoteError);
  EXPECT_ERROR(communicator.check(), PeerError, "remote error");
  wait_for_abort();
  EXPECT_ERROR(communicator.check(), PeerError, "remote error");
}

// A peer that goes takes what the device computes with it; the cause is what counts.
TEST_F(NcclCommunicatorTest, AFailedConnectionGoesBeforeAFaultOfTheDevice) {
  deadlines_.poll = std::chrono::hours(1);
  NcclCommunicator& communicator = start();
  fake_.set_async_error(ncclRemoteError);
  const auto faulty = []() -> bool { throw SystemError("CUDA error: unspecified launch failure"); };
  EXPECT_ERROR(communicator.await(faulty), PeerError, "remote error");
  wait_for_abort();

  FakeNccl other;
  communicator_ = std::make_unique<NcclCommunicator>(other.api(), bootstrap_, 0, compute_, deadlines_);
  other.set_async_error(ncclRemoteError);
  other.fail("cudaEventRecord", cudaErrorLaunchFailure);
  EXPECT_ERROR(communicator_->barrier(), PeerError, "remote error");

  FakeNccl third;
  communicator_ = std::make_unique<NcclCommunicator>(third.api(), bootstrap_, 0, compute_, deadlines_);
  EXPECT_ERROR(communicator_->await(faulty), SystemError, "unspecified launch failure");
  third.set_async_error(ncclUnhandledCudaError);  // that of this rank's own device
  EXPECT_ERROR(communicator_->check(), SystemError, "a collective failed");
}

TEST_F(NcclCommunicatorTest, AnErrorIsFoundWhileTheHostDoesSomethingElse) {
  NcclCommunicator& communicator = start();
  fake_.set_async_error(ncclSystemError);
  wait_for_abort();
  EXPECT_THROW(communicator.all_reduce(buffer_, 1, DataType::kFloat32, ReduceOp::kSum), PeerError);
}

TEST_F(NcclCommunicatorTest, ACommunicatorThatIsAtWorkIsNotAtFault) {
  NcclCommunicator& communicator = start();
  fake_.set_async_error(ncclInProgress);
  const int before = fake_.count("ncclCommGetAsyncError");
  while (fake_.count("ncclCommGetAsyncError") < before + 3) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_NO_THROW(communicator.barrier());
}

// An abort ends what the device was at, as if it were done: a step that is replayed makes no other call that would
// notice.
TEST_F(NcclCommunicatorTest, WhatIsDoneAfterAnErrorIsNotTakenForDone) {
  NcclCommunicator& communicator = start();
  int asked = 0;
  communicator.await([&] { return ++asked == 3; });
  EXPECT_EQ(asked, 3);
  fake_.set_async_error(ncclRemoteError);
  EXPECT_ERROR(communicator.await([&] { return fake_.count("ncclCommAbort") > 0; }), PeerError, "remote error");
}

TEST_F(NcclCommunicatorTest, ADeviceThatStandsIsGivenUpAtTheDeadline) {
  deadlines_.wait = milliseconds(20);
  NcclCommunicator& communicator = start();
  fake_.stand_after(0);
  communicator.all_reduce(buffer_, 10, DataType::kFloat32, ReduceOp::kSum);
  communicator.all_reduce(buffer_, 1, DataType::kFloat32, ReduceOp::kSum);
  EXPECT_ERROR(communicator.synchronize(), PeerError, "within 0 s", "under way: all_reduce of 10 elements of float32");
  wait_for_abort();
}

TEST_F(NcclCommunicatorTest, AFaultOfTheDeviceIsNotAPeers) {
  NcclCommunicator& communicator = start();
  fake_.fail("cudaStreamQuery", cudaErrorIllegalAddress);
  EXPECT_ERROR(communicator.synchronize(), SystemError, me_ + ": waiting for the device: cudaStreamQuery");
  wait_for_abort();
}

TEST_F(NcclCommunicatorTest, AbortEndsTheCommunicatorBeforeTheJob) {
  deadlines_.poll = std::chrono::hours(1);  // it does not wait for the next question
  NcclCommunicator& communicator = start();
  try {
    communicator.abort(7);
  } catch (const Aborted& aborted) {
    EXPECT_EQ(aborted.exit_code, 7);
  }
  EXPECT_EQ(fake_.take_calls(), Calls{"ncclCommAbort(comm)"});
  EXPECT_THROW(communicator.barrier(), PeerError);
  EXPECT_THROW(communicator.abort(7), Aborted);
  EXPECT_EQ(fake_.count("ncclCommAbort"), 1);
}

TEST_F(NcclCommunicatorTest, AnAbortThatHangsHoldsNobodyUp) {
  deadlines_.end = milliseconds(20);
  NcclCommunicator& communicator = start();
  fake_.hang("ncclCommAbort");
  EXPECT_THROW(communicator.abort(7), Aborted);
  EXPECT_THROW(communicator.barrier(), PeerError);
  communicator_.reset();
  EXPECT_EQ(fake_.count("cudaFree"), 0);  // it would wait for the device
}

TEST_F(NcclCommunicatorTest, AnEndThatHangsIsLeftBehindAndOneThatFailsIsAborted) {
  deadlines_.end = milliseconds(20);
  start();
  fake_.hang("ncclCommFinalize");
  communicator_.reset();
  EXPECT_EQ(fake_.count("cudaFree"), 0);

  FakeNccl other;
  deadlines_.end = std::chrono::minutes(1);
  communicator_ = std::make_unique<NcclCommunicator>(other.api(), bootstrap_, 0, compute_, deadlines_);
  other.fail("ncclCommFinalize", ncclRemoteError);
  communicator_.reset();
  EXPECT_EQ(other.count("ncclCommDestroy"), 0);
  EXPECT_EQ(other.count("ncclCommAbort"), 1);
  EXPECT_EQ(other.count("cudaFree"), 1);
}

}  // namespace
}  // namespace lockstep

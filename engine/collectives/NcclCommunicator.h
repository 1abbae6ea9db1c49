// Collectives over NCCL, for memory of GPUs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/collectives/Communicator.h"
#include "engine/collectives/NcclConnection.h"
#include "engine/collectives/NcclDeadlines.h"
#include "kernels/Stream.h"

namespace lockstep {

/// The ranks of another communicator, one GPU each, with a stream of their own beside the caller's compute stream.
///
/// Nothing blocks the host but what says so. A collective runs after all that was enqueued on the compute stream before
/// its call; `wait` (or the Work's destruction) makes what is enqueued there afterwards run after the collective. So a
/// buffer may be used on the compute stream once `wait` has returned, and read by the host after `synchronize`.
///
/// Collectives and `wait` are legal while the compute stream is captured into a CUDA graph, `barrier` and
/// `synchronize` are not. Every Work must be waited for before the capture ends, and a step should have run uncaptured
/// before it, for NCCL connects ranks when they first need it. A graph must go before the communicator, and as soon as
/// anything fails: until then NCCL does not come back from an abort.
///
/// When a rank fails, or NCCL reports an error, the communicator is aborted, which ends its kernels, and the call under
/// way and all later ones throw the first error: of types that NcclApi lists, or PeerError for what came in between
/// calls. Like a rank that fails alone, this one must then call `abort`. Works must go before their communicator.
class NcclCommunicator : public Communicator {
 public:
  /// A collective of `bootstrap`, which must outlive this. Throws CollectiveError when the ranks' versions of NCCL
  /// differ or a rank cannot make its stream, and on one rank alone PeerError when the others have not come by the
  /// deadline. Sets the calling thread's current device.
  NcclCommunicator(std::shared_ptr<const NcclApi> api, Communicator& bootstrap, int device, kernels::Stream compute,
                   const NcclDeadlines& deadlines = {});
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;
  /// A collective, unless the communicator has failed: it blocks the host until all ranks have come, or the deadline.
  ~NcclCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  [[noreturn]] void abort(int exit_code) override;
  /// Throws what NCCL reports. `await` throws PeerError after the deadline, naming the collective under way.
  void check() override;
  /// Awaits all that is enqueued on the compute stream and here.
  void synchronize();
  /// When NCCL's version can.
  bool register_buffer(void* buffer, std::size_t bytes) override;

 protected:
  std::unique_ptr<Work> do_all_reduce(void* buffer, std::size_t count, DataType type, ReduceOp op) override;
  std::unique_ptr<Work> do_reduce_scatter(const void* buffer, void* output, std::size_t count, DataType type,
                                          ReduceOp op) override;
  std::unique_ptr<Work> do_all_gather(const void* input, void* output, std::size_t count, DataType type) override;
  std::unique_ptr<Work> do_broadcast(void* buffer, std::size_t count, DataType type, int root) override;
  /// Blocks the host, as `synchronize` does.
  void do_barrier() override;
  /// Over `bootstrap`, from host memory.
  std::vector<std::string> do_gather_texts(std::string_view text) override;

  std::chrono::milliseconds wait_deadline() const override { return deadlines_.wait; }
  [[noreturn]] void give_up(const std::string& text) override;

 private:
  class LaunchWork;

  template <typename Signature, typename... Arguments>
  std::unique_ptr<Work> enqueue(const NcclOperation& operation, const NamedCall<Signature>& call,
                                const Arguments&... arguments);
  void join(std::uint64_t launch);

  std::shared_ptr<const NcclApi> api_;
  Communicator& bootstrap_;
  kernels::Stream compute_;
  NcclDeadlines deadlines_;
  int rank_;
  int size_;
  int version_ = 0;
  CudaOwner<CUstream_st> stream_;
  CudaOwner<CUevent_st> enqueued_;  ///< what the compute stream has been given; reused, for a wait keeps what it saw
  CudaOwner<void> element_;         ///< what a barrier reduces
  std::shared_ptr<NcclLaunches> launches_;
  std::unique_ptr<NcclConnection> connection_;
  std::vector<void*> registered_;
};

}  // namespace lockstep

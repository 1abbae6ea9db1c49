#include "engine/collectives/NcclCommunicator.h"

#include <cstdlib>
#include <exception>
#include <utility>

#include "common/Error.h"
#include "engine/collectives/Agreement.h"

namespace lockstep {

namespace {

constexpr int kFirstWithRegistration = NCCL_VERSION(2, 19, 1);

ncclDataType_t nccl_type(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return ncclFloat32;
    case DataType::kFloat64:
      return ncclFloat64;
    case DataType::kInt64:
      return ncclInt64;
    case DataType::kByte:
      return ncclUint8;
  }
  throw InternalError("unknown data type");
}

ncclRedOp_t nccl_op(ReduceOp op) { return op == ReduceOp::kSum ? ncclSum : ncclMax; }

}  // namespace

class NcclCommunicator::LaunchWork final : public Work {
 public:
  LaunchWork(NcclCommunicator& communicator, std::uint64_t launch) : communicator_(communicator), launch_(launch) {}
  LaunchWork(const LaunchWork&) = delete;
  LaunchWork& operator=(const LaunchWork&) = delete;
  ~LaunchWork() override {
    if (joined_) return;
    try {
      wait();
    } catch (...) {  // the communicator keeps it: the next call throws it
    }
  }

  void wait() override {
    communicator_.join(launch_);
    joined_ = true;
  }

 private:
  NcclCommunicator& communicator_;
  std::uint64_t launch_;
  bool joined_ = false;
};

NcclCommunicator::NcclCommunicator(std::shared_ptr<const NcclApi> api, Communicator& bootstrap, int device,
                                   kernels::Stream compute, const NcclDeadlines& deadlines)
    : api_(std::move(api)),
      bootstrap_(bootstrap),
      compute_(compute),
      deadlines_(deadlines),
      rank_(bootstrap.rank()),
      size_(bootstrap.size()) {
  ncclUniqueId id{};
  require_all_ok(bootstrap_, [&] {
    const NcclOperation starting{rank_, "starting NCCL"};
    api_->run(starting, api_->set_device, device);
    api_->run(starting, api_->get_version, &version_);
    if (rank_ == 0) api_->run(starting, api_->get_unique_id, &id);
    stream_ = api_->make_stream(rank_);
    enqueued_ = api_->make_event(rank_);
    element_ = api_->make_memory(rank_, 1);
    launches_ = std::make_shared<NcclLaunches>(api_, rank_);
  });
  require_agreement(bootstrap_, {{"the version of NCCL", nccl_version_text(version_)}});
  bootstrap_.broadcast(id.internal, sizeof id.internal, DataType::kByte, 0)->wait();
  connection_ = std::make_unique<NcclConnection>(api_, launches_, rank_, size_, id, device, deadlines_);
}

NcclCommunicator::~NcclCommunicator() {
  try {
    connection_->use([&](ncclComm_t comm) {
      for (; !registered_.empty(); registered_.pop_back()) {
        api_->run({rank_, "deregistering a buffer"}, api_->deregister_buffer, comm, registered_.back());
      }
    });
  } catch (...) {  // an aborted communicator has no registrations
  }
  // Freeing memory waits for the device, which may wait for a rank that does not come.
  if (!connection_->close()) static_cast<void>(element_.release());
}

template <typename Signature, typename... Arguments>
std::unique_ptr<Work> NcclCommunicator::enqueue(const NcclOperation& operation, const NamedCall<Signature>& call,
                                                const Arguments&... arguments) {
  std::uint64_t launch = 0;
  connection_->use([&](ncclComm_t comm) {
    api_->run(operation, api_->event_record, enqueued_.get(), compute_);
    api_->run(operation, api_->stream_wait_event, stream_.get(), enqueued_.get(), 0U);
    api_->run(operation, call, arguments..., comm, stream_.get());
    launch = launches_->launched(operation, stream_.get());
  });
  return std::make_unique<LaunchWork>(*this, launch);
}

void NcclCommunicator::join(std::uint64_t launch) {
  connection_->use([&](ncclComm_t) { launches_->join(launch, compute_); });
}

std::unique_ptr<Work> NcclCommunicator::do_all_reduce(void* buffer, std::size_t count, DataType type, ReduceOp op) {
  return enqueue({rank_, "all_reduce", count, type}, api_->all_reduce, buffer, buffer, count, nccl_type(type),
                 nccl_op(op));
}

std::unique_ptr<Work> NcclCommunicator::do_reduce_scatter(const void* buffer, void* output, std::size_t count,
                                                          DataType type, ReduceOp op) {
  return enqueue({rank_, "reduce_scatter", count, type}, api_->reduce_scatter, buffer, output, count, nccl_type(type),
                 nccl_op(op));
}

std::unique_ptr<Work> NcclCommunicator::do_all_gather(const void* input, void* output, std::size_t count,
                                                      DataType type) {
  return enqueue({rank_, "all_gather", count, type}, api_->all_gather, input, output, count, nccl_type(type));
}

std::unique_ptr<Work> NcclCommunicator::do_broadcast(void* buffer, std::size_t count, DataType type, int root) {
  return enqueue({rank_, "broadcast", count, type}, api_->broadcast, buffer, buffer, count, nccl_type(type), root);
}

void NcclCommunicator::do_barrier() {
  enqueue({rank_, "barrier", 1, DataType::kByte}, api_->all_reduce, element_.get(), element_.get(), std::size_t{1},
          ncclUint8, ncclMax);
  synchronize();
}

void NcclCommunicator::abort(int exit_code) {
  connection_->abort();
  bootstrap_.abort(exit_code);
  std::_Exit(exit_code);  // for GCC, which does not take a virtual function's word that it does not return
}

std::vector<std::string> NcclCommunicator::do_gather_texts(std::string_view text) {
  return bootstrap_.all_gather(text);
}

void NcclCommunicator::check() { connection_->check(); }

void NcclCommunicator::give_up(const std::string& text) { connection_->fail(text + ": another rank may have stopped"); }

void NcclCommunicator::synchronize() {
  for (const cudaStream_t stream : {static_cast<cudaStream_t>(compute_), stream_.get()}) {
    await([&] {
      bool done = false;
      connection_->use([&](ncclComm_t) { done = api_->is_done({rank_, "waiting for the device"}, stream); });
      return done;
    });
  }
  connection_->use([&](ncclComm_t) { launches_->all_done(); });
}

bool NcclCommunicator::register_buffer(void* buffer, std::size_t bytes) {
  if (version_ < kFirstWithRegistration) return false;
  connection_->use([&](ncclComm_t comm) {
    void* handle = nullptr;
    api_->run({rank_, "registering a buffer"}, api_->register_buffer, comm, buffer, bytes, &handle);
    registered_.push_back(handle);
  });
  return true;
}

}  // namespace lockstep

#include "tests/engine/collectives/FakeNccl.h"

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <type_traits>
#include <utility>

namespace lockstep {

struct FakeNccl::State {
  mutable std::mutex mutex;
  std::condition_variable released;
  std::vector<std::string> calls;
  std::map<std::string, int> counts;
  std::map<const void*, std::string> names = {{nullptr, "null"}};
  std::map<std::string, std::pair<int, int>> failures;  ///< call → times until it fails, result
  std::set<std::string> hanging;
  std::string broken_rule;
  int version = 22809;
  std::string id = "id";
  std::string last_error;
  ncclResult_t async_error = ncclSuccess;
  int blocking = -1;
  bool comm_in_use = false;
  bool comm_ended = false;
  int done_records = std::numeric_limits<int>::max();
  int records = 0;
  std::map<const void*, int> record_of;  ///< event → its last record on the communicator's stream
  bool capturing = false;
  std::set<const void*> captured;  ///< events whose last record became part of a graph
  cudaError_t last_cuda_error = cudaSuccess;
  std::vector<std::unique_ptr<char>> addresses;

  // An address that nothing else has, for a handle.
  template <typename Handle>
  Handle make(const std::string& name) {
    addresses.push_back(std::make_unique<char>());
    names[addresses.back().get()] = name;
    return reinterpret_cast<Handle>(addresses.back().get());
  }

  template <typename T>
  std::string show(const T& value) const {
    if constexpr (std::is_same_v<T, ncclUniqueId>) {
      return value.internal;
    } else if constexpr (std::is_pointer_v<T>) {
      const auto named = names.find(static_cast<const void*>(value));
      return named == names.end() ? "?" : named->second;
    } else {
      return std::to_string(static_cast<long>(value));
    }
  }
};

namespace {

bool is_question(const std::string& call) {
  return call == "ncclCommGetAsyncError" || call == "cudaStreamQuery" || call == "cudaEventQuery" ||
         call == "cudaStreamIsCapturing" || call == "cudaGetLastError";
}

}  // namespace

FakeNccl::FakeNccl() : state_(std::make_shared<State>()), api_(std::make_shared<NcclApi>()) {
  // Makes a call that is noted, may hang, does `effect`, and then returns its result or fails as told.
  const auto fake = [this]<typename R, typename... P, typename Effect>(NamedCall<R(P...)>& call, Effect effect) {
    call.function = [state = state_, name = std::string(call.name), effect](P... arguments) -> R {
      std::unique_lock lock(state->mutex);
      std::string line;
      ((line += (line.empty() ? "" : ", ") + state->show(arguments)), ...);
      ++state->counts[name];
      if (!is_question(name)) state->calls.push_back(name + "(" + line + ")");
      const bool uses_comm = (std::is_same_v<P, ncclComm_t> || ...);
      const bool by_comm = uses_comm && name != "ncclGetLastError";
      if (by_comm) {
        if (state->comm_ended) state->broken_rule = name + " after the communicator's end";
        if (state->comm_in_use) state->broken_rule = name + " while another thread uses the communicator";
        state->comm_in_use = true;
      }
      state->released.wait(lock, [&] { return !state->hanging.contains(name); });
      if (by_comm) {  // time for another thread to break the rule
        lock.unlock();
        std::this_thread::sleep_for(std::chrono::microseconds(20));
        lock.lock();
        state->comm_in_use = false;
      }
      const R result = effect(*state, arguments...);
      const auto failure = state->failures.find(name);
      const bool fails = failure != state->failures.end() && --failure->second.first == 0;
      const R given = fails ? R(failure->second.second) : result;
      if constexpr (std::is_same_v<R, cudaError_t>) {
        if (given != cudaSuccess && name != "cudaGetLastError") state->last_cuda_error = given;
      }
      return given;
    };
  };
  const auto succeed = [fake]<typename R, typename... P>(NamedCall<R(P...)>& call) {
    if constexpr (!std::is_pointer_v<R>) fake(call, [](State&, auto...) { return R(0); });
  };
  api_->for_each(succeed, succeed);

  api_->get_error_string.function = [](ncclResult_t result) {
    return result == ncclRemoteError ? "remote error" : "some error";
  };
  api_->get_last_error.function = [state = state_](ncclComm_t) {
    const std::lock_guard lock(state->mutex);
    return state->last_error.c_str();
  };
  fake(api_->get_version, [](State& state, int* version) { return *version = state.version, ncclSuccess; });
  fake(api_->get_unique_id, [](State& state, ncclUniqueId* id) {
    std::strncpy(id->internal, state.id.c_str(), sizeof id->internal - 1);
    return ncclSuccess;
  });
  fake(api_->init_rank, [](State& state, ncclComm_t* comm, int, const ncclUniqueId&, int, const ncclConfig_t* config) {
    state.blocking = config->blocking;
    *comm = state.make<ncclComm_t>("comm");
    return ncclSuccess;
  });
  fake(api_->destroy, [](State& state, ncclComm_t) { return state.comm_ended = true, ncclSuccess; });
  fake(api_->abort, [](State& state, ncclComm_t) {
    state.comm_ended = true;
    state.done_records = std::numeric_limits<int>::max();
    return ncclSuccess;
  });
  fake(api_->get_async_error, [](State& state, ncclComm_t, ncclResult_t* error) {
    *error = state.async_error;
    return ncclSuccess;
  });
  fake(api_->register_buffer, [](State& state, ncclComm_t, void* buffer, std::size_t, void** handle) {
    *handle = state.make<void*>("handle of " + state.show(buffer));
    return ncclSuccess;
  });

  fake(api_->stream_priorities, [](State&, int* lowest, int* highest) {
    *lowest = 0;
    *highest = -5;
    return cudaSuccess;
  });
  fake(api_->stream_create, [](State& state, cudaStream_t* stream, unsigned, int) {
    *stream = state.make<cudaStream_t>("stream");
    return cudaSuccess;
  });
  fake(api_->event_create, [](State& state, cudaEvent_t* event, unsigned) {
    const int number = state.counts["cudaEventCreateWithFlags"] - 1;  // the first is the compute stream's
    *event = state.make<cudaEvent_t>(number == 0 ? "enqueued" : "event " + std::to_string(number));
    return cudaSuccess;
  });
  fake(api_->event_record, [](State& state, cudaEvent_t event, cudaStream_t stream) {
    state.captured.erase(event);
    if (state.capturing) {
      state.captured.insert(event);
    } else if (state.show(stream) == "stream") {
      state.record_of[event] = ++state.records;
    }
    return cudaSuccess;
  });
  fake(api_->stream_is_capturing, [](State& state, cudaStream_t, cudaStreamCaptureStatus* status) {
    *status = state.capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
  });
  fake(api_->clear_error, [](State& state) { return std::exchange(state.last_cuda_error, cudaSuccess); });
  fake(api_->event_query, [](State& state, cudaEvent_t event) {
    if (state.captured.contains(event)) return cudaErrorCapturedEvent;
    return state.record_of[event] > state.done_records ? cudaErrorNotReady : cudaSuccess;
  });
  fake(api_->stream_query,
       [](State& state, cudaStream_t) { return state.records > state.done_records ? cudaErrorNotReady : cudaSuccess; });
  fake(api_->device_malloc, [](State& state, void** memory, std::size_t) {
    *memory = state.make<void*>("element");
    return cudaSuccess;
  });
}

FakeNccl::~FakeNccl() { release(); }

void FakeNccl::name(const void* address, const std::string& name) {
  const std::lock_guard lock(state_->mutex);
  state_->names[address] = name;
}

std::vector<std::string> FakeNccl::take_calls() {
  const std::lock_guard lock(state_->mutex);
  return std::exchange(state_->calls, {});
}

int FakeNccl::count(const std::string& call) const {
  const std::lock_guard lock(state_->mutex);
  return state_->counts[call];
}

std::string FakeNccl::broken_rule() const {
  const std::lock_guard lock(state_->mutex);
  return state_->broken_rule;
}

void FakeNccl::fail(const std::string& call, int result, int nth) {
  const std::lock_guard lock(state_->mutex);
  state_->failures[call] = {nth, result};
}

void FakeNccl::hang(const std::string& call) {
  const std::lock_guard lock(state_->mutex);
  state_->hanging.insert(call);
}

void FakeNccl::release() {
  const std::lock_guard lock(state_->mutex);
  state_->hanging.clear();
  state_->released.notify_all();
}

void FakeNccl::set_version(int version) {
  const std::lock_guard lock(state_->mutex);
  state_->version = version;
}

void FakeNccl::set_id(const std::string& id) {
  const std::lock_guard lock(state_->mutex);
  state_->id = id;
}

void FakeNccl::set_last_error(const std::string& text) {
  const std::lock_guard lock(state_->mutex);
  state_->last_error = text;
}

void FakeNccl::set_async_error(ncclResult_t error) {
  const std::lock_guard lock(state_->mutex);
  state_->async_error = error;
}

void FakeNccl::stand_after(int records) {
  const std::lock_guard lock(state_->mutex);
  state_->done_records = records;
}

void FakeNccl::capture(bool capturing) {
  const std::lock_guard lock(state_->mutex);
  state_->capturing = capturing;
}

cudaError_t FakeNccl::last_cuda_error() const {
  const std::lock_guard lock(state_->mutex);
  return state_->last_cuda_error;
}

int FakeNccl::blocking() const {
  const std::lock_guard lock(state_->mutex);
  return state_->blocking;
}

}  // namespace lockstep

#include "engine/collectives/NcclConnection.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>

#include "common/Error.h"

namespace lockstep {

struct NcclConnection::State {
  State(std::shared_ptr<const NcclApi> with, std::shared_ptr<NcclLaunches> of, int own_rank,
        const NcclDeadlines& limits)
      : api(std::move(with)), launches(std::move(of)), rank(own_rank), deadlines(limits) {}

  std::shared_ptr<const NcclApi> api;
  std::shared_ptr<NcclLaunches> launches;
  int rank;
  NcclDeadlines deadlines;

  std::recursive_mutex mutex;  ///< over all below, the launches, and the use of the communicator
  std::condition_variable_any changed;
  ncclComm_t comm = nullptr;
  std::exception_ptr failure;
  bool closing = false;
  bool ended = false;  ///< NCCL has come back from the communicator's end

  void check() const {
    if (failure) std::rethrow_exception(failure);
  }

  void fail(std::exception_ptr error) {
    if (!failure) failure = std::move(error);
    changed.notify_all();
  }

  template <typename E>
  void fail(const std::string& text) {
    const std::string under_way = launches->under_way();
    fail(std::make_exception_ptr(
        E("rank " + std::to_string(rank) + ": " + text + (under_way.empty() ? "" : "; under way: " + under_way))));
  }

  void ask_for_errors() {
    ncclResult_t error = ncclSuccess;
    const ncclResult_t result = api->get_async_error.function(comm, &error);
    if (result == ncclSuccess) return report(error);
    report(result);
  }

  void report(ncclResult_t error) {
    if (error == ncclSuccess || error == ncclInProgress) return;
    const char* last = api->get_last_error.function(comm);
    const std::string text = std::string(api->get_error_string.function(error)) +
                             (last == nullptr || *last == '\0' ? "" : std::string("; NCCL's last error: ") + last);
    if (error == ncclUnhandledCudaError) {
      fail<SystemError>("a collective failed: " + text);
    } else {
      fail<PeerError>("a collective failed, as when another rank exits: " + text);
    }
  }
};

NcclConnection::NcclConnection(std::shared_ptr<const NcclApi> api, std::shared_ptr<NcclLaunches> launches, int rank,
                               int size, const ncclUniqueId& id, int device, const NcclDeadlines& deadlines)
    : state_(std::make_shared<State>(std::move(api), std::move(launches), rank, deadlines)) {
  thread_ = std::thread([state = state_, size, id, device] { watch(state, size, id, device); });
  std::unique_lock lock(state_->mutex);
  const bool in_time =
      state_->changed.wait_for(lock, deadlines.start, [this] { return state_->comm != nullptr || state_->failure; });
  if (!in_time) {
    const double seconds = std::chrono::duration<double>(deadlines.start).count();
    state_->fail<PeerError>(
        "NCCL has not brought " + std::to_string(size) + " ranks together within " +
        std::to_string(static_cast<long>(seconds)) +
        " s: one has not come, or cannot be reached. Look at the network interface (NCCL_SOCKET_IFNAME names one) "
        "and at firewalls between the hosts; NCCL_DEBUG=INFO says more");
  }
  if (!state_->failure) return;
  lock.unlock();
  // The thread has nothing more to do, or is stuck.
  in_time ? thread_.join() : thread_.detach();
  state_->check();
}

void NcclConnection::watch(const std::shared_ptr<State>& state, int size, const ncclUniqueId& id, int device) {
  const NcclApi& api = *state->api;
  ncclComm_t comm = nullptr;
  std::exception_ptr error;
  try {
    const NcclOperation starting{state->rank, "joining the communicator"};
    api.run(starting, api.set_device, device);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 1;
    api.run(starting, api.init_rank, &comm, size, id, state->rank, &config);
  } catch (...) {
    error = std::current_exception();
    comm = nullptr;  // NCCL may leave a half of one, which cannot be aborted
  }

  std::unique_lock lock(state->mutex);
  state->comm = comm;
  if (error) state->fail(error);
  state->changed.notify_all();
  while (!state->failure && !state->closing) {
    state->changed.wait_for(lock, state->deadlines.poll, [&] { return state->failure || state->closing; });
    state->ask_for_errors();
  }
  const bool healthy = !state->failure;
  lock.unlock();
  if (healthy && api.finalize.function(comm) == ncclSuccess) {
    api.destroy.function(comm);
  } else if (comm != nullptr) {
    api.abort.function(comm);
  }
  lock.lock();
  state->ended = true;
  state->changed.notify_all();
}

NcclConnection::~NcclConnection() { close(); }

void NcclConnection::use(const std::function<void(ncclComm_t)>& calls) {
  const std::lock_guard lock(state_->mutex);
  state_->check();
  try {
    calls(state_->comm);
  } catch (const SystemError&) {
    if (!state_->failure) state_->ask_for_errors();  // a device may fail because a connection has
    state_->fail(std::current_exception());
    state_->check();
  } catch (...) {
    state_->fail(std::current_exception());
    throw;
  }
}

void NcclConnection::check() {
  const std::lock_guard lock(state_->mutex);
  if (!state_->failure) state_->ask_for_errors();
  state_->check();
}

void NcclConnection::fail(const std::string& text) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->failure) state_->fail<PeerError>(text);
  std::rethrow_exception(state_->failure);
}

void NcclConnection::abort() {
  std::unique_lock lock(state_->mutex);
  if (!state_->failure) state_->fail<PeerError>("aborted by this rank");
  constexpr std::chrono::milliseconds kPatience = std::chrono::seconds(5);
  state_->changed.wait_for(lock, std::min(kPatience, state_->deadlines.end), [this] { return state_->ended; });
}

bool NcclConnection::close() {
  std::unique_lock lock(state_->mutex);
  if (!thread_.joinable()) return state_->ended;
  state_->closing = true;
  state_->changed.notify_all();
  const bool ended = state_->changed.wait_for(lock, state_->deadlines.end, [this] { return state_->ended; });
  lock.unlock();
  ended ? thread_.join() : thread_.detach();
  return ended;
}

}  // namespace lockstep

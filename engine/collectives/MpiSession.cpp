#include "engine/collectives/MpiSession.h"

#include <mpi.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "common/Error.h"

namespace lockstep {

namespace {

/// Calls something in a thread of its own, unless it is destroyed before the time.
class Alarm {
 public:
  Alarm(std::chrono::duration<double> deadline, std::function<void()> late)
      : thread_([this, deadline, late = std::move(late)] {
          std::unique_lock lock(mutex_);
          if (!changed_.wait_for(lock, deadline, [this] { return over_; }) && late) late();
        }) {}
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  ~Alarm() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace

MpiSession::MpiSession(std::chrono::duration<double> deadline, std::function<void()> late) {
  const Alarm alarm(deadline, std::move(late));
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS) {
    throw PeerError("MPI cannot start");
  }
  if (provided < MPI_THREAD_SERIALIZED) {
    MPI_Finalize();
    throw PeerError("this MPI does not let several threads take turns (MPI_THREAD_SERIALIZED); use one that does");
  }
  MPI_Comm host;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
  MPI_Comm_size(host, &ranks_on_this_host_);
  MPI_Comm_rank(host, &rank_on_this_host_);
  MPI_Comm_rank(MPI_COMM_WORLD, &first_rank_on_this_host_);
  MPI_Bcast(&first_rank_on_this_host_, 1, MPI_INT, 0, host);
  MPI_Comm_free(&host);
  const int first = rank_on_this_host_ == 0 ? 1 : 0;
  MPI_Allreduce(&first, &hosts_, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
}

MpiSession::~MpiSession() { MPI_Finalize(); }

}  // namespace lockstep

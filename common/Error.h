// The exceptions of Lockstep, one type per cause that a caller can act on, and the exit codes they end a process with.
#pragma once

#include <stdexcept>
#include <string>

namespace lockstep {

/// Exit codes of `lockstep` and `lockstep-rank`. They are part of the interface: docs and job definitions rely on them.
enum ExitCode : int {
  kExitDone = 0,        ///< the job is done, or was asked to stop and its state is saved
  kExitInternal = 1,    ///< a bug of ours, or an error nobody classified
  kExitBadInput = 2,    ///< the job as given cannot run: nothing was started
  kExitRankFailed = 3,  ///< a rank failed while it trained
  kExitNotSaved = 4,    ///< the job was asked to stop, and nothing could be saved
  kExitHostLost = 5,    ///< a host of the job is lost, or has not come
  kExitNotStarted = 6,  ///< the ranks could not be started: mpirun, the loader or this system refused
  kExitSignal = 128,    ///< plus the signal that stopped the job: nothing was saved
};

/// Base of all errors that Lockstep raises. The text names the thing (file and offset, hyperparameter, rank), what was
/// expected, what was found, and what to do.
class Error : public std::runtime_error {
 public:
  Error(ExitCode exit_code, const std::string& message) : std::runtime_error(message), exit_code_(exit_code) {}
  ExitCode exit_code() const { return exit_code_; }

 private:
  ExitCode exit_code_;
};

/// What the user gave cannot be used: a file, a hyperparameter, a program, an environment variable.
class InputError : public Error {
 public:
  explicit InputError(const std::string& message) : Error(kExitBadInput, message) {}
};

/// The machine did not do what it was asked: a full disk, a failed write, a failed system call.
class SystemError : public Error {
 public:
  explicit SystemError(const std::string& message) : Error(kExitRankFailed, message) {}
};

/// The machine has not enough memory for what was asked.
class OutOfMemoryError : public Error {
 public:
  explicit OutOfMemoryError(const std::string& message)
      : Error(kExitRankFailed,
              message + "; out of memory: try a smaller micro_batch_size or fewer ranks on this host") {}
};

/// Another rank failed, or the ranks disagree.
class PeerError : public Error {
 public:
  explicit PeerError(const std::string& message) : Error(kExitRankFailed, message) {}
};

/// A host of the job is lost, or has not come.
class HostLostError : public Error {
 public:
  explicit HostLostError(const std::string& message) : Error(kExitHostLost, message) {}
};

/// The ranks could not be started: mpirun or the loader failed, or this system lacks what they need.
class LaunchError : public Error {
 public:
  explicit LaunchError(const std::string& message) : Error(kExitNotStarted, message) {}
};

/// The job was asked to stop by a signal before anything was there to save.
class StopError : public Error {
 public:
  explicit StopError(int signal);
};

/// An error that every rank raises alike at the same point: one of them says so, and all leave in good order. After any
/// other error the rank that raised it must end the others.
class CollectiveError : public Error {
 public:
  using Error::Error;
};

/// An invariant of ours does not hold.
class InternalError : public Error {
 public:
  explicit InternalError(const std::string& message) : Error(kExitInternal, message) {}
};

/// `what: strerror(errno)`, for messages of InputError and SystemError. Call it before anything can change errno.
std::string with_errno(const std::string& what);

}  // namespace lockstep

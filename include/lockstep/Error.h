// The one type of exception that the library throws.
#pragma once

#include <stdexcept>
#include <string>

#include "lockstep/Visibility.h"

LOCKSTEP_NAMESPACE_BEGIN

/// What has gone wrong. The numbers are those of the C interface (`lockstep_status`).
enum class ErrorKind {
  kInput = 1,      ///< what was given cannot be used: a file, a hyperparameter, an array
  kNotFinite = 2,  ///< a loss or a gradient is NaN or infinite
  kSystem = 3,     ///< the machine did not do what it was asked: a full disk, a failed write
  kMemory = 4,     ///< there is not enough memory
  kPeer = 5,       ///< another rank has failed, or the ranks disagree
  kCallback = 6,   ///< C interface: a function of the caller's has returned something else than 0
  kInternal = 7,   ///< a fault of Lockstep's
};

/// The text names the thing, what was expected, what was found and what to do.
class LOCKSTEP_API Error : public std::runtime_error {
 public:
  /// Made by the library.
  Error(ErrorKind kind, const std::string& text, bool on_all_ranks)
      : std::runtime_error(text), kind_(kind), on_all_ranks_(on_all_ranks) {}
  ~Error() override;

  /// What has gone wrong.
  ErrorKind kind() const { return kind_; }
  /// Whether all ranks have thrown this at the same point, so that they can go on or leave together. Else this rank
  /// alone has, and others may wait for it in their next collective: it should end them (MPI_Abort).
  bool on_all_ranks() const { return on_all_ranks_; }

 private:
  ErrorKind kind_;
  bool on_all_ranks_;
};

LOCKSTEP_NAMESPACE_END

#include "library/PublicErrors.h"

#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string>

#include "common/Error.h"
#include "engine/program/TorchError.h"
#include "engine/train/NotFinite.h"
#include "library/CallerError.h"

namespace lockstep {

namespace {

v1::ErrorKind kind_of(ExitCode code) {
  if (code == kExitBadInput) return v1::ErrorKind::kInput;
  return code == kExitInternal ? v1::ErrorKind::kInternal : v1::ErrorKind::kSystem;
}

// An error of libtorch that nobody has classified is none of the caller's input.
[[noreturn]] void throw_torch_error(const c10::Error& error, bool alone) {
  try {
    rethrow(error, "libtorch failed");
  } catch (const OutOfMemoryError& known) {
    throw v1::Error(v1::ErrorKind::kMemory, known.what(), alone);
  } catch (const SystemError& known) {
    throw v1::Error(v1::ErrorKind::kSystem, known.what(), alone);
  } catch (const Error& unclassified) {
    throw v1::Error(v1::ErrorKind::kInternal, unclassified.what(), alone);
  }
}

}  // namespace

void throw_public_error(bool alone) {
  try {
    throw;
  } catch (const v1::Error&) {
    throw;
  } catch (const CallerError& error) {
    std::rethrow_exception(error.thrown);
  } catch (const NotFiniteError& error) {
    throw v1::Error(v1::ErrorKind::kNotFinite, error.what(), true);
  } catch (const CollectiveError& error) {
    throw v1::Error(kind_of(error.exit_code()), error.what(), true);
  } catch (const PeerError& error) {
    throw v1::Error(v1::ErrorKind::kPeer, error.what(), alone);
  } catch (const OutOfMemoryError& error) {
    throw v1::Error(v1::ErrorKind::kMemory, error.what(), alone);
  } catch (const Error& error) {
    throw v1::Error(kind_of(error.exit_code()), error.what(), alone);
  } catch (const std::bad_alloc&) {
    throw v1::Error(v1::ErrorKind::kMemory, "an allocation failed", alone);
  } catch (const c10::Error& error) {
    throw_torch_error(error, alone);
  } catch (const std::exception& error) {
    throw v1::Error(v1::ErrorKind::kInternal, error.what(), alone);
  }
}

}  // namespace lockstep

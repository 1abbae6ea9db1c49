#include "engine/commands/Failure.h"

#include <exception>
#include <new>

#include "engine/program/TorchError.h"

namespace lockstep {

namespace {

bool tells_of_memory(const Error& error) { return dynamic_cast<const OutOfMemoryError*>(&error) != nullptr; }

// An error of libtorch that nobody has classified is no bad input.
Failure failure_of(const c10::Error& error, const std::string& context) {
  try {
    rethrow(error, context);
  } catch (const InputError& unclassified) {
    return {.text = unclassified.what(), .code = kExitInternal};
  } catch (const Error& known) {
    return {.text = known.what(), .code = known.exit_code(), .out_of_memory = tells_of_memory(known)};
  }
}

}  // namespace

Failure current_failure(const std::string& context, bool training_began) {
  const auto code_of = [&](const Error& error) {
    return training_began && error.exit_code() == kExitBadInput ? kExitRankFailed : error.exit_code();
  };
  try {
    throw;
  } catch (const CollectiveError& error) {
    return {.text = error.what(), .code = code_of(error), .reach = Reach::kAllRanks};
  } catch (const PeerError& error) {
    return {.text = error.what(), .code = code_of(error), .reach = Reach::kPeer};
  } catch (const Error& error) {
    return {.text = error.what(), .code = code_of(error), .out_of_memory = tells_of_memory(error)};
  } catch (const std::bad_alloc&) {
    return {.text = OutOfMemoryError("an allocation failed").what(), .code = kExitRankFailed, .out_of_memory = true};
  } catch (const c10::Error& error) {
    return failure_of(error, context);
  } catch (const std::exception& error) {
    return {.text = error.what(), .code = kExitInternal};
  }
}

}  // namespace lockstep
